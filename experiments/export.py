"""Writes a trained network into a file for elsewhere.

python -m experiments.export --workdir=runs/digits --format=safetensors \\
  --output=digits.safetensors

safetensors holds all that travels: the network, its classes, the preprocessing. stablehlo and onnx
are the program itself, for any batch, with a JSON object of the rest beside it. keras and torch are
weights under the names of Keras and PyTorch, for networks that are the same function there.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from cnnjax import paths
from experiments import launch, networks

FORMATS = ("keras", "onnx", "safetensors", "stablehlo", "torch")
FORMAT = flags.DEFINE_enum("format", "safetensors", FORMATS, "Of the file.")
OUTPUT = flags.DEFINE_string("output", None, "The file to write.")
OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace the file if it is there.")


def main(arguments: Sequence[str]) -> int:
    launch.no_arguments(arguments)
    if not OUTPUT.value:
        return launch.refuse("--output=FILE is missing: the file to write")
    path = paths.expanded(OUTPUT.value)
    from cnnjax import export

    export.check_output(path, OVERWRITE.value)
    said = export.write(networks.trained(), FORMAT.value, path, OVERWRITE.value)
    print(f"{path}: {path.stat().st_size:,} bytes, {FORMAT.value}")
    for line in said:
        print(line)
    return 0


if __name__ == "__main__":
    launch.run(main)
