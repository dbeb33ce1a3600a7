"""Is ReLU better than tanh and sigmoid, by depth?"""

from cnnjax.sweep import measures
from cnnjax.sweep.study import Curve, Study
from experiments import studies

ACTIVATIONS, DEPTHS = ("relu", "tanh", "sigmoid"), (2, 4)


def blocks(depth: int) -> tuple[tuple[int, ...], ...]:
    """Returns so many convolutions of 8 filters in two blocks."""
    return ((8,) * (depth // 2),) * 2


POINTS = {
    f"{act}, {depth}": {"model.act": act, "model.blocks": blocks(depth)}
    for depth in DEPTHS
    for act in ACTIVATIONS
}

STUDY = Study(
    claim="ReLU is a better choice than tanh or sigmoid in most situations.",
    source=studies.POOLINGS,
    question="Is ReLU better than tanh and sigmoid, by depth?",
    base=studies.digits({"epochs": 5.0}),
    points=POINTS,
    expects={name: -1 for name in POINTS if "relu" not in name},
    against={name: f"relu, {name.split(', ')[1]}" for name in POINTS if "relu" not in name},
    beside={"gradient, first / last layer": measures.first_over_last},
    curve=Curve(
        "layer, from the image on", "norm of the gradient", measures.gradient_norms, log=True
    ),
    remarks="2 or 4 convolutions of 8 filters, all initialised by Glorot and Bengio's rule and "
    "with one learning rate. Gradients are of the weights, at the first step. A deeper network is "
    "compared with the shallow one as well, of which the claim says nothing.",
)
