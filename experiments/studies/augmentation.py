"""Does augmentation help on few images?"""

from cnnjax.sweep.study import Study
from experiments.studies import pooling


def base():
    config = pooling.base()
    config.data.validation = 0.3
    config.epochs = 20.0
    return config


STUDY = Study(
    claim="Augmentation fights overfitting.",
    source='The slides among the articles ("S4").',
    question="Does augmentation help with 1,000 images?",
    base=base,
    points={
        "none": {"augment": ""},
        "shift": {"augment": "shift(0.1)"},
        "shift and rotate": {"augment": "shift(0.1)|rotate(10)"},
        "flip": {"augment": "flip"},
    },
    expects={"shift": 1, "shift and rotate": 1},
    remarks="1,006 images to train, the rest of the training split held out. The flip is there "
    "since it does not keep the meaning of a digit.",
)
