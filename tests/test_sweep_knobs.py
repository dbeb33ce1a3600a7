"""Every hyper-parameter that the articles name is a field that can be swept, and does something."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import config as configuration
from cnnjax import data
from cnnjax.evaluation.trained import build_module
from cnnjax.sweep import points, space
from cnnjax.train.experiment import check_parts, prepare

# The words of the articles, and the field that each of them is.
OF_THE_NETWORK = {
    "kernel size K": "model.kernel=3|5",
    "padding p": "model.padding=valid|same",
    "stride s": "model.stride=1|2",
    "number of kernels M": "model.blocks=((4,),)|((8,),)",
    "conv/pool/FC layers": "model.blocks=((4,),)|((4,),(4,))",
    "number of FC layers": "model.units=()|(8,)|(8,8)",
    "pooling type": "model.pool=max|average|geometric|harmonic",
    "and size": "model.pool_size=2|3",
    "units in FC layers": "model.units[0]=int(4,16)",
    "initial parameter tuning": "model.kernel_init=glorot_uniform|he_normal|orthogonal",
    "activation": "model.act=relu|tanh|sigmoid",
    "dropout": "model.dropout_rate=uniform(0.1,0.5)",
}
OF_THE_TRAINING = {
    "augmentation": "augment=''|'shift(0.1)'|'rotate(10)'",
    "its strength": "augment.rotate.degrees=uniform(0,30)",
    "batch": "batch_size=4|8",
    "learning rate": "optimizer.learning_rate=log(1e-4,1e-1)",
    "optimiser": "optimizer.name=sgd|momentum|adam|adadelta|rmsprop",
    "weight decay": "optimizer.weight_decay=log(1e-6,1e-2)",
    "schedule": "schedule.name=constant|cosine",
    "label smoothing": "label_smoothing=uniform(0,0.2)",
}
LENET = ("model.kernel=3|5", "model.padding=valid|same", "model.features=(6,16)|(12,32)",
         "model.units=(120,84)|(60,)", "model.act=tanh|relu", "model.pool=average|max",
         "model.kernel_init=he_normal|orthogonal")  # fmt: skip


def base(network="first_convnet"):
    config = configuration.default()
    config.model.name = network
    config.data.name, config.data.examples, config.data.size = "synthetic", 60, 16
    config.batch_size, config.epochs, config.parallel.devices = 4, 1.0, 1
    if network == "first_convnet":
        config.model.blocks, config.model.units = ((4,), (4,)), (8,)
    return configuration.check(config)


def configs(text, config):
    """Returns the config with each end or choice of a space of one field."""
    (dimension,) = points.check_space(space.read(text), config).dimensions
    return [points.applied(config, {dimension.field: value}) for value in dimension.ends()]


def logits(config):
    module = build_module(config, outputs=3)
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    images = jax.random.uniform(jax.random.key(2), (2, 16, 16, 1))
    found, _ = jax.jit(partial(module.init_with_output, train=True))(keys, images)
    return np.asarray(found)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize("network", ["first_convnet", "lenet5"])
def test_every_knob_of_the_networks_does_something(network):
    texts = LENET if network == "lenet5" else OF_THE_NETWORK.values()
    for text in texts:
        found = [logits(config) for config in configs(text, base(network))]
        for i, one in enumerate(found):
            assert np.isfinite(one).all()
            for other in found[:i]:
                assert abs(one - other).max() > 1e-4, text


def test_every_knob_of_the_training_reaches_the_run():
    config = base() | {"augment": "rotate(10)"}
    dataset = data.load("synthetic", examples=60, size=16)
    for text in OF_THE_TRAINING.values():
        seen = set()
        for one in configs(text, config):
            made = prepare(configuration.check(one), dataset, check_parts(one))
            share = float(made.share(jnp.int32(made.steps - 1)))
            optimizer = one["optimizer"]["name"]
            seen.add((made.steps, made.augment.text, str(made.hyper), share, optimizer))
        assert len(seen) == len(configs(text, config)), text


def test_the_articles_name_no_others(shared):
    text = (shared / "requirements.md").read_text()
    section = text.partition("## 1.9 ")[2].partition("## 1.10")[0]
    named = [word for word in (*OF_THE_NETWORK, *OF_THE_TRAINING) if word in section]
    assert {"kernel size K", "padding p", "stride s", "number of kernels M", "pooling type",
            "conv/pool/FC layers", "and size", "units in FC layers",
            "initial parameter tuning"} <= set(named)  # fmt: skip
