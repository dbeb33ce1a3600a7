"""Single convolutions and their gradients beside PyTorch: why a network is as fast as it is.

    python -m experiments.benchmarks.layers

Prints a table in Markdown, with and without oneDNN. Times are medians of `ROUNDS` rounds in turn,
in one process; the three products have equally many multiply-adds. PyTorch takes the better of its
two memory layouts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any
from unittest import mock

import numpy as np

from experiments import launch

ROUNDS = 15
# Of which network -> batch, pixels per side, channels, features, kernel, stride, padding.
LAYERS = {
    "lenet5, first": (128, 28, 1, 6, 5, 1, 2),
    "lenet5, second": (128, 14, 6, 16, 5, 1, 0),
    "mnist_cnn, second": (128, 26, 32, 64, 3, 1, 0),
    "resnet20, stage 1": (128, 32, 16, 16, 3, 1, 1),
    "resnet20, stage 2": (128, 16, 32, 32, 3, 1, 1),
    "resnet20, stage 3": (128, 8, 64, 64, 3, 1, 1),
    "resnet50, 1x1 of stage 1": (32, 16, 64, 256, 1, 1, 0),
    "resnet50, 3x3 of stage 3": (32, 4, 256, 256, 3, 1, 1),
    "resnet50, 3x3 of stage 4": (32, 2, 512, 512, 3, 1, 1),
}
PRODUCTS = ("forward", "gradient of x", "gradient of the weights")


def main(arguments: Sequence[str]) -> int:
    launch.no_arguments(arguments)
    print("| layer | product | GFLOP | cnnjax | without oneDNN | PyTorch |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for name, layer in LAYERS.items():
        for row in rows(name, layer):
            print(f"| {' | '.join(row)} |", flush=True)
    return 0


def rows(name: str, layer: tuple[int, ...]) -> Iterator[list[str]]:
    batch, side, channels, features, kernel, stride, padding = layer
    outputs = (side + 2 * padding - kernel) // stride + 1
    work = 2e-9 * batch * outputs**2 * features * channels * kernel**2
    sides: dict[str, dict[str, Callable[[], Any]]] = {
        "cnnjax": on_jax(*layer, outputs, onednn=True),
        "without oneDNN": on_jax(*layer, outputs, onednn=False),
        "contiguous": on_torch(*layer, outputs, channels_last=False),
        "channels last": on_torch(*layer, outputs, channels_last=True),
    }
    for product in PRODUCTS:
        runs = {side: products[product] for side, products in sides.items()}
        ours, without, *theirs = in_turn(list(runs.values()))
        times = (ours, without, min(theirs))
        cells = (f"{1000 * t:.2f} ms, {work / t:.0f} GFLOP/s" for t in times)
        yield [name if product == PRODUCTS[0] else "", product, f"{work:.2f}", *cells]


def in_turn(runs: list[Callable[[], Any]]) -> list[float]:
    """Returns the median seconds of each, after two runs that are not counted."""
    times: list[list[float]] = [[] for _ in runs]
    for number in range(ROUNDS + 2):
        for run, own in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            if number >= 2:
                own.append(time.perf_counter() - start)
    return [statistics.median(own) for own in times]


def drawn(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.normal(size=shape).astype(np.float32) for shape in shapes]


def on_jax(
    batch: int, side: int, channels: int, features: int, kernel: int, stride: int, padding: int,
    outputs: int, onednn: bool,
) -> dict[str, Callable[[], Any]]:  # fmt: skip
    import jax

    from cnnjax import compiler
    from cnnjax import onednn as room
    from cnnjax.layers.correlate import correlate
    from cnnjax.layers.window import Window

    window = Window((stride,) * 2, ((padding, padding),) * 2, (1, 1))
    x, weights, gradient = map(jax.numpy.asarray, drawn(
        (batch, side, side, channels), (kernel, kernel, channels, features),
        (batch, outputs, outputs, features),
    ))  # fmt: skip

    def back(x: Any, weights: Any, gradient: Any, argument: int) -> Any:
        return jax.vjp(partial(correlate, window=window), x, weights)[1](gradient)[argument]

    functions = (
        lambda x, weights, gradient: correlate(x, weights, window),
        partial(back, argument=0),
        partial(back, argument=1),
    )
    computes = room.computes if onednn else lambda _: False
    with mock.patch.object(room, "computes", computes):
        programs = [compiler.jit(function).compiled(x, weights, gradient) for function in functions]
    return {
        name: lambda program=program: program(x, weights, gradient).block_until_ready()
        for name, program in zip(PRODUCTS, programs, strict=True)
    }


def on_torch(
    batch: int, side: int, channels: int, features: int, kernel: int, stride: int, padding: int,
    outputs: int, channels_last: bool,
) -> dict[str, Callable[[], Any]]:  # fmt: skip
    import torch

    from experiments.benchmarks import prepared

    torch.set_num_threads(prepared.cores())
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x, weights, gradient = (
        torch.from_numpy(array).to(memory_format=layout)
        for array in drawn(
            (batch, channels, side, side), (features, channels, kernel, kernel),
            (batch, features, outputs, outputs),
        )
    )  # fmt: skip

    def back(mask: tuple[bool, bool, bool]) -> Any:
        return torch.ops.aten.convolution_backward(
            gradient,
            x,
            weights,
            None,
            (stride,) * 2,
            (padding,) * 2,
            (1, 1),
            False,
            (0, 0),
            1,
            mask,
        )

    def forward() -> Any:
        with torch.inference_mode():
            return torch.nn.functional.conv2d(x, weights, None, stride, padding)

    runs = (forward, partial(back, (True, False, False)), partial(back, (False, True, False)))
    return dict(zip(PRODUCTS, runs, strict=True))


if __name__ == "__main__":
    launch.run(main)
