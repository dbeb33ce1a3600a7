"""Studies: one file each, with a claim, the points that test it, and what decides."""

from collections.abc import Callable, Mapping
from typing import Any

SLIDES = 'The slides among the articles ("S4").'
POOLINGS = 'The article on output sizes and poolings ("S1").'


def digits(changes: Mapping[str, Any] | None = None) -> Callable[[], Any]:
    """Returns what makes the config of most studies, with a few fields changed.

    Two convolutions of 8 and 16 filters on scikit-learn's digits: a run takes a second.
    """
    return changed(
        {
            "data.image_size": 16,
            "model.blocks": ((8,), (16,)),
            "model.units": (32,),
            "model.padding": "same",
            "model.pool_last": True,
            "epochs": 10.0,
            "batch_size": 32,
            **(changes or {}),
        }
    )


def mnist(changes: Mapping[str, Any] | None = None) -> Callable[[], Any]:
    """Returns what makes the same config on MNIST at half its size, for 500 steps."""
    return digits(
        {
            "data.name": "mnist",
            "data.image_size": 14,
            "data.validation": share_but(57_000),
            "epochs": epochs_of(57_000),
            "batch_size": STEP,
            # An epoch of warm-up would be longer, the more images there are.
            "schedule.warmup_epochs": 0.0,
            **(changes or {}),
        }
    )


STEP, STEPS, MNIST = 64, 500, 60_000


def share_but(images: int) -> float:
    """Returns the share of MNIST's training images that is held out where `images` are left."""
    return 1 - images / MNIST


def epochs_of(images: int) -> float:
    """Returns the passes over so many images that make 500 steps."""
    return STEPS * STEP / images


def changed(changes: Mapping[str, Any]) -> Callable[[], Any]:
    """Returns what makes the config of the small networks, with fields of it changed."""

    def base() -> Any:
        from cnnjax import config
        from cnnjax.sweep.points import applied
        from configs import digits as usual

        made: Any = usual.get_config("first_convnet")
        made.report.tensorboard = False
        # Pixels / 255 alone: statistics of each seed's split would be compiled into its program.
        made.data.normalize = "unit"
        made.evaluate.every_epochs = made.checkpoint.every_epochs = 0.0
        return applied(config.check(made), changes)

    return base
