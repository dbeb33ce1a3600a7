"""Is more data better?"""

from cnnjax.sweep import measures
from cnnjax.sweep.study import Study
from experiments import studies

SIZES = (1000, 5000, 20_000, 60_000)
POINTS = {
    f"{size:,} images": {
        "data.validation": studies.share_but(size),
        "epochs": studies.epochs_of(size),
    }
    for size in SIZES
}
NAMES = list(POINTS)

STUDY = Study(
    claim="The more data, the better.",
    source=studies.POOLINGS,
    question="Is a network better for more data?",
    base=studies.mnist(),
    points=POINTS,
    expects={name: 1 for name in NAMES[1:]},
    against=dict(zip(NAMES[1:], NAMES, strict=False)),
    beside={"accuracy in training minus in test": measures.overfitting},
    remarks="MNIST at 14x14 pixels. All points take 500 steps of 64 images, so that it is the "
    "images that differ; each is compared with the next smaller one.",
)
