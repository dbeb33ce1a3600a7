"""A picture that depends on the machine: when the FFT is the faster convolution."""

from __future__ import annotations

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

from cnnjax import compiler, convolution, panels

SIDE, KERNELS, REPEATS = 256, (1, 3, 5, 7, 9, 11, 15, 21, 31), 20


def milliseconds(way: Callable[..., jax.Array], kernel: int) -> float:
    """Returns the least time of `REPEATS` full convolutions, compiled beforehand."""
    run, x, w = compiler.jit(way), jnp.ones((SIDE, SIDE)), jnp.ones((kernel, kernel))
    run(x, w).block_until_ready()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run(x, w).block_until_ready()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def fourier() -> Figure:
    """Times both ways on this machine, and marks where the counts of operations cross."""
    figure, ((ax,),) = panels.figure(1, 1, 6, 3)
    ax.set_axis_on()
    ways = {"direct": convolution.convolve, "by FFT": convolution.fft_convolve}
    for (name, way), colour in zip(ways.items(), (panels.MARK, "#30638e"), strict=True):
        times = [milliseconds(way, k) for k in KERNELS]
        ax.plot(KERNELS, times, "o-", color=colour, label=name, ms=4)
    crossing = next(
        k for k in range(1, SIDE) if convolution.operations((SIDE, SIDE), (k, k)).cheaper == "fft"
    )
    ax.axvline(crossing, color=panels.FAINT, ls=":", label="fewer operations by FFT from here")
    ax.set_yscale("log")
    ax.set_xlabel(f"kernel, K x K, on {SIDE}x{SIDE} pixels", fontsize=panels.SMALL + 1)
    device = jax.devices()[0]
    ax.set_ylabel(f"milliseconds on a {device.device_kind}", fontsize=panels.SMALL + 1)
    ax.tick_params(labelsize=panels.SMALL)
    ax.legend(fontsize=panels.SMALL, frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return figure
