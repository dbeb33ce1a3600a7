"""Shows what a trained network sees: which pixels decide, what its layers make of an image.

python -m experiments.explain --workdir=runs/digits --method=grad_cam --output=seen digit.png
python -m experiments.explain --workdir=runs/digits --method=patches --output=seen

Without image files, images of the test split are explained, whose class is known; --weights=FILE
in place of --workdir takes any file of weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from cnnjax import paths
from experiments import launch, networks

SHEETS = ("animation", "filters", "journey", "maps", "optimised", "patches", "triptych")
PIXELS = (
    "grad_cam", "grad_cam_plus_plus", "guided_backpropagation", "integrated_gradients",
    "occlusion", "rise", "saliency", "smooth_grad",
)  # fmt: skip

METHOD = flags.DEFINE_enum(
    "method", "grad_cam", [*PIXELS, *SHEETS], "What to draw; the guide shows each."
)
LAYER = flags.DEFINE_string(
    "layer", None, "A layer by the name that experiments.summary prints, or a module of several."
)
OUTPUT = flags.DEFINE_string("output", "explained", "Folder that the pictures go to.")
CLASS = flags.DEFINE_string("class", None, "The class to explain; by default the predicted one.")
EXAMPLES = flags.DEFINE_integer("examples", 4, "Without image files: images of the test split.", 1)
SEED = flags.DEFINE_integer("seed", 0, "Of noise, masks and random weights.", 0)
SANITY = flags.DEFINE_bool(
    "sanity", True, "Explain with randomised weights, too, and print how alike the two are."
)
INVERT = flags.DEFINE_bool("invert", False, "Invert image files, as experiments.predict does.")


def main(arguments: Sequence[str]) -> int:
    from cnnjax.explain import pictures

    network = networks.trained()
    written = pictures.drawn(
        network,
        METHOD.value,
        pictures.subjects(network, [Path(a) for a in arguments], EXAMPLES.value, INVERT.value),
        paths.expanded(OUTPUT.value),
        layer=LAYER.value,
        asked=flags.FLAGS["class"].value,
        seed=SEED.value,
        check=SANITY.value,
    )
    for line in written:
        print(line)
    return 0


if __name__ == "__main__":
    launch.run(main)
