"""Is ReLU better than tanh and sigmoid?"""

from cnnjax.sweep.study import Study
from experiments.studies import pooling

STUDY = Study(
    claim="ReLU is a better choice than tanh or sigmoid in most situations.",
    source='The article on output sizes and poolings ("S1").',
    question="Is ReLU better than tanh and sigmoid?",
    base=pooling.base,
    points={
        "relu": {"model.act": "relu"},
        "tanh": {"model.act": "tanh"},
        "sigmoid": {"model.act": "sigmoid"},
    },
    expects={"tanh": -1, "sigmoid": -1},
    remarks="One depth, two convolutions and two dense layers, and one learning rate for all.",
)
