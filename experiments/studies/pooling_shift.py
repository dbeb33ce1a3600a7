"""Does pooling make a network stand shifts?"""

from cnnjax.sweep import measures
from cnnjax.sweep.study import Curve, Study
from experiments import studies
from experiments.studies import shift

STUDY = Study(
    claim="Pooling makes a network invariant to small translations.",
    source='The article on convolutions ("S0").',
    question="Does pooling make a network stand shifts?",
    base=studies.mnist(),
    points={
        "max": {"model.pool": "max"},
        "average": {"model.pool": "average"},
        "strided": {"model.stride": 2, "model.pool_size": 1},
        "max, larger": {"model.pool_size": 3},
    },
    expects={"strided": -1},
    measure=shift.accuracy,
    measured="test accuracy shifted by a pixel, %",
    beside={"accuracy, not shifted": measures.test_accuracy},
    curve=Curve("shift, pixels", "test accuracy", measures.shifted(*shift.PIXELS)),
    remarks="MNIST at 14x14 pixels, none shifted in training. Pools are of 2x2, the larger ones of "
    "3x3.",
)
