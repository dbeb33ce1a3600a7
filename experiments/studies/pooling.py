"""Which pooling is best?"""

from cnnjax.sweep.study import Study
from experiments import studies

STUDY = Study(
    claim="Max pooling performs better than average pooling and strides.",
    source=f'{studies.SLIDES} Another article ("S1") holds that no pooling method can be called '
    "better than the others.",
    question="Is max-pooling better than other poolings?",
    base=studies.digits(),
    points={
        "max": {"model.pool": "max"},
        "average": {"model.pool": "average"},
        "geometric": {"model.pool": "geometric"},
        "harmonic": {"model.pool": "harmonic"},
        "strided": {"model.stride": 2, "model.pool_size": 1},
    },
    expects={"average": -1, "strided": -1},
    remarks="Strided convolutions halve the maps where the others pool. The digits are bright on "
    "black.",
)
