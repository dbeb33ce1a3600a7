"""The peers of the benchmark: the same networks as ours, which learn, and the command with them."""

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import config as configuration
from cnnjax import models
from cnnjax.evaluation.trained import build_module
from experiments.benchmarks import arrays, contest, contestants, flax_networks, ours, works

os.environ.setdefault("KERAS_BACKEND", "jax")

ROOT = Path(__file__).parent.parent.parent
SPEED = [work for work in works.works().values() if not work.epochs]
NAMES = [work.name for work in SPEED]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Keeps PyTorch's threads from waiting for each other where tests share the cores."""
    monkeypatch.setattr("experiments.benchmarks.prepared.cores", lambda: 1)


def parameters(work):
    module = build_module(configuration.check(ours.config_of(work, "float32")), work.classes)
    shapes = models.check_input(module, work.shape)["params"]
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


@pytest.mark.parametrize("work", SPEED, ids=NAMES)
def test_our_recipes_leave_nothing_of_their_own_in_the_shared_step(work):
    config = configuration.check(ours.config_of(work, "float32"))
    assert (config["batch_size"], config["optimizer"]["name"]) == (work.batch, work.optimizer)
    assert config["optimizer"]["learning_rate"] == work.learning_rate
    assert config["schedule"]["name"] == "constant" and config["schedule"]["warmup_epochs"] == 0
    assert (config["label_smoothing"], config["optimizer"]["clip_norm"]) == (0, 0)


@pytest.mark.parametrize("work", SPEED, ids=NAMES)
def test_pytorch_computes_our_network(work):
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from experiments.benchmarks.torch_networks import NETWORKS

    network = NETWORKS[work.network]().eval()
    assert sum(p.numel() for p in network.parameters()) == parameters(work)
    height, width, channels = work.shape
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        logits = network(torch.zeros(1, channels, height, width))
    assert logits.shape == (1, work.classes)
    assert counter.get_total_flops() == 2 * contest.macs(work)


@pytest.mark.parametrize("work", SPEED, ids=NAMES)
def test_keras_computes_our_network(work):
    keras = pytest.importorskip("keras")
    from experiments.benchmarks.keras_networks import NETWORKS

    model = NETWORKS[work.network](work.shape)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == parameters(work)
    assert model.output_shape == (None, work.classes)
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            total += int(np.prod(layer.output.shape[1:]) * np.prod(layer.kernel.shape[:-1]))
        elif isinstance(layer, keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
    assert total == contest.macs(work)


def multiply_adds(jaxpr):
    """Counts those of convolutions and matrix products, from their shapes alone."""
    total = 0
    for equation in jaxpr.eqns:
        for inner in equation.params.values():
            total += multiply_adds(inner.jaxpr) if hasattr(inner, "jaxpr") else 0
        out = equation.outvars[0].aval.size if equation.outvars else 0
        if equation.primitive.name == "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            total += out * int(np.prod(kernel[:-1]))  # HWIO, as Flax stores it
        elif equation.primitive.name == "dot_general":
            total += out * equation.invars[1].aval.shape[0]
    return total


@pytest.mark.parametrize("work", SPEED, ids=NAMES)
def test_plain_flax_computes_our_network(work):
    network = flax_networks.NETWORKS[work.network](jnp.float32)
    images = jax.ShapeDtypeStruct((1, *work.shape), jnp.float32)
    variables = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, False), images)
    count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert count == parameters(work)
    traced = jax.make_jaxpr(lambda v, x: network.apply(v, x, False))(variables, images)
    assert multiply_adds(traced.jaxpr) == contest.macs(work)


def prepared(name, network, precision="float32"):
    """Returns the contestant with two small batches, to be learnt by heart."""
    contestant = contestants.CONTESTANTS[name]
    if contestant.missing:
        pytest.skip(f"needs {contestant.missing}")
    work = dataclasses.replace(works.works()[network], batch=16)
    made = arrays.make(work, "")
    pixels, labels = made.images[:32], made.labels[:32]
    side = importlib.import_module(f"experiments.benchmarks.{contestant.module}")
    few = arrays.Arrays(pixels, labels, pixels, labels)
    return side.prepare(work, few, precision, 0, **contestant.options)


def losses(ready, steps):
    """Returns the mean loss of the two batches, before and after so many steps."""
    before = np.mean([ready.train(1) for _ in range(2)])
    ready.train(steps)
    return before, np.mean([ready.train(1) for _ in range(2)])


@pytest.mark.parametrize("name", [c.name for c in contestants.LISTED if not c.asked])
def test_every_contestant_learns(name):
    ready = prepared(name, "lenet5")
    assert ready.parameters == 61_706
    assert ready.epoch() < 0.4
    assert max(ready.epoch() for _ in range(20)) > 0.4
    before, after = losses(ready, 30)
    assert after < before / 2
    ready.forward(3)
    ready.pipeline(3)


@pytest.mark.parametrize("network, precision", [("resnet20", "float32"), ("lenet5", "bfloat16")])
@pytest.mark.parametrize("name", ["pytorch", "pytorch_channels_last", "keras", "flax"])
def test_they_learn_by_momentum_and_in_half_precision(name, network, precision):
    ready = prepared(name, network, precision)
    before, after = losses(ready, 10)
    assert after < before
    ready.forward(1)


def test_half_precision_of_keras_ends_with_its_network():
    keras = pytest.importorskip("keras")
    prepared("keras", "lenet5", "bfloat16")
    assert keras.layers.Dense(1).compute_dtype == "float32"


def test_the_pipeline_of_keras_is_as_long_as_it_says():
    pytest.importorskip("keras")
    from experiments.benchmarks import keras_jax

    images, labels = np.zeros((48, 4, 4, 1), np.float32), np.zeros(48, np.int32)
    batches = list(keras_jax.batches_of_fit(images, labels, 16))
    assert [x.shape for x, _ in batches] == [(16, 4, 4, 1)] * 3


def test_the_command_compares_with_who_is_there(tmp_path):
    for name in ("torch", "keras"):
        pytest.importorskip(name)
    file = tmp_path / "benchmark.json"
    done = subprocess.run(
        (sys.executable, "-m", "experiments.benchmark", "--quick", "--steps=1",
         "--contestants=pytorch,keras", f"--output={file}"),
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (stored,) = json.loads(file.read_text())
    for name in ("pytorch", "keras"):
        assert stored["contestants"][name]["parameters"] == 61_706
        assert {*works.MODES, "first", "memory"} <= stored["contestants"][name].keys()
