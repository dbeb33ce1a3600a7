"""Is more data better?"""

from cnnjax.sweep.study import Study
from experiments.studies import pooling


def base():
    config = pooling.base()
    config.data.validation = 0.9
    return config


STUDY = Study(
    claim="The more data, the better.",
    source='The article on output sizes and poolings ("S1").',
    question="Is a network better for more data?",
    base=base,
    points={
        "144 images": {"data.validation": 0.9, "epochs": 90.0},
        "360 images": {"data.validation": 0.75, "epochs": 36.0},
        "719 images": {"data.validation": 0.5, "epochs": 18.0},
        "1,294 images": {"data.validation": 0.1, "epochs": 10.0},
    },
    expects={"360 images": 1, "719 images": 1, "1,294 images": 1},
    remarks="All points take the same number of steps, so that it is the images that differ.",
)
