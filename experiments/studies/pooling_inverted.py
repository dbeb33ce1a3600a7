"""Does max-pooling lose its edge on dark strokes?"""

import dataclasses

from cnnjax.data import DATASETS
from cnnjax.data.dataset import Split
from cnnjax.data.sources import Source, digits
from cnnjax.sweep.study import Study
from experiments.studies import pooling


def inverted() -> Source:
    """The digits of scikit-learn, black on white."""
    source = digits()
    train, test = (Split(255 - s.images, s.targets) for s in (source.train, source.test))
    return dataclasses.replace(source, train=train, test=test)


DATASETS.setdefault("digits_inverted", inverted)


def base():
    config = pooling.base()
    config.data.name = "digits_inverted"
    return config


STUDY = Study(
    claim="Max pooling keeps the brightest pixels; it is useful when the background is dark.",
    source='The article on output sizes and poolings ("S1").',
    question="Is max-pooling worse than average pooling on dark strokes?",
    base=base,
    points={"max": {"model.pool": "max"}, "average": {"model.pool": "average"}},
    expects={"average": 1},
    remarks="The same runs on bright strokes are in the study of poolings.",
)
