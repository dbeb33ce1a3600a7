"""Does a convolutional network need fewer parameters than a dense one?"""

from cnnjax.sweep import measures
from cnnjax.sweep.study import Study
from experiments import studies

STUDY = Study(
    claim="A convolutional network needs fewer parameters than a dense one.",
    source='The articles on poolings, on their layers and on architectures ("S1", "S2", "S3").',
    question="Is a dense network worse that has as many parameters, or five times as many?",
    base=studies.digits(),
    points={
        "convolutional, 9.8k": {},
        "dense, 9.6k": {"model.blocks": (), "model.units": (36,)},
        "dense, 51k": {"model.blocks": (), "model.units": (190,)},
        "convolutional, 2.6k": {"model.blocks": ((4,), (8,)), "model.units": (16,)},
        "dense, 2.4k": {"model.blocks": (), "model.units": (9,)},
        "dense, 13k": {"model.blocks": (), "model.units": (47,)},
    },
    expects={"dense, 9.6k": -1, "dense, 51k": -1, "dense, 2.4k": -1, "dense, 13k": -1},
    against={"dense, 2.4k": "convolutional, 2.6k", "dense, 13k": "convolutional, 2.6k"},
    beside={"parameters": measures.parameters},
    remarks="The dense networks have one hidden layer. A convolutional one is compared with a "
    "dense one of as many parameters, and of five times as many.",
)
