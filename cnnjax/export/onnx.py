"""A network in ONNX, by jax2onnx, for any batch."""

from __future__ import annotations

from pathlib import Path

from cnnjax import compiler
from cnnjax.errors import InputError
from cnnjax.evaluation.trained import Trained
from cnnjax.export import stablehlo


def onnx(network: Trained, path: Path) -> list[str]:
    """Writes the function from pixels to logits, and the record beside it."""
    try:
        import jax2onnx
    except ImportError:
        raise InputError(
            "ONNX is written by jax2onnx, which is not installed. It asks for an older "
            "orbax-checkpoint than checkpoints here need, and does not use it: `pip install "
            "'cnnjax[onnx]'`, then `pip install --no-deps jax2onnx`. Without it, "
            "--format=stablehlo is a program, too"
        ) from None
    with compiler.plainly():
        jax2onnx.to_onnx(
            stablehlo.logits_of(network), [("batch", *network.shape)],
            return_mode="file", output_path=str(path),
        )  # fmt: skip
    beside = stablehlo.describe(network, path, "onnx")
    shape = ", ".join(map(str, network.shape))
    return [
        f"takes pixels from 0 to 255, float32 (batch, {shape}), any batch; gives logits; "
        f"{beside.name} names the classes and says how images get their size"
    ]
