"""Do more layers and more filters help?"""

from cnnjax.sweep import measures
from cnnjax.sweep.study import Study
from experiments import studies

STUDY = Study(
    claim="The number of layers and of filters are parameters to tune.",
    source=f"{studies.POOLINGS[:-1]}, on hyper-parameters.",
    question="Do more layers and more filters help?",
    base=studies.digits(),
    points={
        "8 and 16 filters": {},
        "4 and 8 filters": {"model.blocks": ((4,), (8,))},
        "16 and 32 filters": {"model.blocks": ((16,), (32,))},
        "one convolution": {"model.blocks": ((8,),)},
        "three convolutions": {"model.blocks": ((8,), (16,), (32,))},
        "four convolutions": {"model.blocks": ((8, 8), (16, 16))},
    },
    expects={"4 and 8 filters": -1, "16 and 32 filters": 1, "one convolution": -1},
    beside={"parameters": measures.parameters},
    remarks="That they are worth tuning is read as: fewer are worse, and more filters better.",
)
