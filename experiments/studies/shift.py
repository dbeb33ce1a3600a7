"""Does a convolutional network stand shifts that a dense one of equal accuracy does not?"""

from cnnjax.sweep import measures
from cnnjax.sweep.study import Curve, Study
from experiments import studies

PIXELS = (0, 1, 2, 3)
DECIDES = 1


def accuracy(workdir):
    return measures.shifted(DECIDES)(workdir)[DECIDES]


STUDY = Study(
    claim="Convolution and pooling make a network insensitive to where a pattern is; a dense one "
    "is sensitive to it.",
    source='The articles on convolutions and on their layers ("S0", "S2").',
    question="Does a convolutional network stand shifts better than a dense one?",
    base=studies.mnist(),
    points={
        "convolutional": {},
        "dense": {"model.blocks": (), "model.units": (512,)},
        "dense, smaller": {"model.blocks": (), "model.units": (128,)},
    },
    expects={"dense": -1, "dense, smaller": -1},
    measure=accuracy,
    measured="test accuracy shifted by a pixel, %",
    beside={"accuracy, not shifted": measures.test_accuracy, "parameters": measures.parameters},
    curve=Curve("shift, pixels", "test accuracy", measures.shifted(*PIXELS)),
    remarks="MNIST at 14x14 pixels, none shifted in training. The dense networks have one hidden "
    "layer, of a size that makes the larger one about as accurate as the convolutional network.",
)
