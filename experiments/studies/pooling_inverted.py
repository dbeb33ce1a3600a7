"""Does max-pooling lose its edge on dark strokes?"""

from cnnjax.sweep.study import Study
from experiments import studies

DARK = {"data.inverted": True}

STUDY = Study(
    claim="Max pooling keeps the brightest pixels; it is useful when the background is dark.",
    source=studies.POOLINGS,
    question="Is max-pooling worse than average pooling on dark strokes?",
    base=studies.digits(),
    points={
        "max, bright": {"model.pool": "max"},
        "average, bright": {"model.pool": "average"},
        "max, dark": {"model.pool": "max", **DARK},
        "average, dark": {"model.pool": "average", **DARK},
    },
    expects={"average, bright": -1, "max, dark": -1, "average, dark": 1},
    against={"average, dark": "max, dark"},
    remarks="The strokes are bright on black, or dark on white. Padding is 0 in both cases: a dark "
    "frame around white images.",
)
