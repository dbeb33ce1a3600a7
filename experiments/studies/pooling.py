"""Which pooling is best?"""

from cnnjax.sweep.study import Study
from configs import digits


def base():
    config = digits.get_config("first_convnet")
    # Pixels / 255 alone: statistics of each seed's split would be compiled into each seed's step.
    config.data.image_size, config.data.normalize = 16, "unit"
    config.model.blocks, config.model.units = ((8,), (16,)), (32,)
    config.model.padding, config.model.pool_last = "same", True
    config.epochs, config.batch_size = 10.0, 32
    config.evaluate.every_epochs = config.checkpoint.every_epochs = 0.0
    return config


STUDY = Study(
    claim="Max pooling performs better than average pooling and strides.",
    source='The slides among the articles ("S4"); another article ("S1") holds that no pooling '
    "method can be called better than the others.",
    question="Is max-pooling better than other poolings?",
    base=base,
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
