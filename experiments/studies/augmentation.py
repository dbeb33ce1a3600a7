"""Does augmentation help on few images?"""

from cnnjax.sweep import measures
from cnnjax.sweep.study import Study
from experiments import studies

IMAGES = 1000

STUDY = Study(
    claim="Augmentation fights overfitting.",
    source=studies.SLIDES,
    question="Does augmentation fight overfitting on 1,000 images?",
    base=studies.mnist(
        {"data.validation": studies.share_but(IMAGES), "epochs": studies.epochs_of(IMAGES)}
    ),
    points={
        "none": {"augment": ""},
        "weak": {"augment": "shift(0.05)|rotate(5)"},
        "medium": {"augment": "shift(0.1)|rotate(10)"},
        "strong": {"augment": "shift(0.2)|rotate(30)"},
        "flip": {"augment": "flip"},
    },
    expects={"weak": -1, "medium": -1, "strong": -1},
    measure=measures.overfitting,
    measured="accuracy in training minus in test, %",
    beside={"test accuracy": measures.test_accuracy},
    remarks="1,000 images of MNIST at 14x14 pixels, 32 epochs. The flip is there since it does not "
    "keep the meaning of a digit.",
)
