"""The training step: the same function on any number of devices, and the one of the textbook."""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from jax import lax

from cnnjax import data, models, parallel
from cnnjax.layers import NORMS, ConvBN, Dense, Dropout, global_average_pool
from cnnjax.tasks.classification import TASK
from cnnjax.train import optim
from cnnjax.train import step as training

SHAPE, CLASSES, BATCH = (8, 8, 1), 4, 16


class Net(nn.Module):
    """Two convolutions with BatchNorm, dropout, a head, and a second one for an auxiliary loss."""

    dropout_rate: Any = 0.3
    norm: str = "batch"
    auxiliary: bool = False
    axis_name: Any = None

    @nn.compact
    def __call__(self, x, train=False):
        # Smooth: a rounding that takes a ReLU across zero is one no longer a few steps later.
        unit = partial(ConvBN, act="tanh", norm=NORMS[self.norm](train, self.axis_name))
        x = unit(4, stride=2, name="stem")(x)
        x = unit(6, name="body")(x)
        x = global_average_pool(x)
        if self.auxiliary:
            logits = Dense(CLASSES, name="aux")(x)
            if not self.is_initializing():
                self.sow("auxiliary", "logits", logits)
        x = Dropout(self.dropout_rate, train, self.axis_name)(x)
        return Dense(CLASSES, name="head")(x)


def batches(count=1):
    draws = [np.random.default_rng(i).integers for i in range(count)]
    images = [draw(0, 256, (BATCH, *SHAPE), dtype=np.uint8) for draw in draws]
    labels = [draw(0, CLASSES, BATCH).astype(np.int32) for draw in draws]
    return [{"image": x, "label": y} for x, y in zip(images, labels, strict=True)]


WITHOUT_DROPOUT = {"learning_rate": 0.05, "label_smoothing": 0.1, "weight_decay": 1e-3}
HYPER = WITHOUT_DROPOUT | {"dropout_rate": 0.3}


def optimizer(hyper, step, name="momentum"):
    return optim.optimizer(name, hyper["learning_rate"], hyper["weight_decay"])


def compile_step(module, mapper, check=False, name="momentum", accumulate=1):
    step = partial(
        training.train_step,
        task=TASK,
        module=module,
        preprocess=data.normalize,
        optimizer=partial(optimizer, name=name),
        axis_name=parallel.AXIS,
        accumulate=accumulate,
    )
    return mapper.map(step, split=(False, True, False), donate=(0,), check=check)


# Compiling takes longer than all that a test does with a step, so they share them.
shared_step = cache(compile_step)


def start(module, mapper, name="momentum"):
    """Returns a state before the first step, its weights drawn here: nothing is compiled."""
    taken = optimizer(HYPER, 0, name)
    create = partial(training.create_state, module, taken, task=TASK, facts=data.Facts(SHAPE, ()))
    draw = np.random.default_rng(0).normal

    def fill(path, leaf):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.key(3)
        field, last = path[0].name, getattr(path[-1], "key", "")
        if field == "params" and last == "kernel":
            return draw(0, np.prod(leaf.shape[:-1]) ** -0.5, leaf.shape).astype(leaf.dtype)
        return np.full(leaf.shape, field != "opt_state" and last in ("scale", "var"), leaf.dtype)

    shapes = jax.eval_shape(create, key=jax.random.key(3))
    return mapper.replicate(jax.tree_util.tree_map_with_path(fill, shapes))


def run(module, mapper, count, hyper=HYPER, name="momentum", check=False, accumulate=1):
    """Returns the state after `count` steps, the mean losses and the gradient norms."""
    advance = shared_step(module, mapper, check, name, accumulate)
    return follow(advance, start(module, mapper, name), mapper, count, hyper)


def follow(advance, state, mapper, count, hyper=HYPER):
    hyper = mapper.replicate({k: jnp.float32(v) for k, v in hyper.items()})
    losses, norms = [], []
    for batch in batches(count):
        state, metrics = advance(state, mapper.split(batch), hyper)
        losses.append(float(metrics["loss"] / metrics["count"]))
        norms.append(float(metrics["gradient_norm"]))
    return state, np.array(losses), np.array(norms)


def same(found, expected, tolerance):
    close = partial(np.testing.assert_allclose, rtol=tolerance, atol=tolerance)
    jax.tree.map(close, found, expected)


@pytest.fixture(scope="module")
def alone():
    """A hundred steps on one device."""
    return run(Net(), parallel.mapper("jit", 1), 100)


@pytest.mark.parametrize(
    ("kind", "devices", "check"),
    [*((kind, n, False) for kind in ("pmap", "jit") for n in (2, 4, 8)), ("jit", 4, True)],
)
def test_a_hundred_steps_agree_on_any_devices(kind, devices, check, alone):
    state, losses, norms = run(Net(), parallel.mapper(kind, devices), 100, check=check)
    np.testing.assert_allclose(losses, alone[1], atol=1e-5)
    np.testing.assert_allclose(norms, alone[2], rtol=1e-3)
    same(state.params, alone[0].params, 1e-4)
    same(state.batch_stats, alone[0].batch_stats, 1e-4)
    same(state.totals, alone[0].totals, 1e-4)
    assert int(state.step) == 100


def test_a_network_of_the_library_agrees_on_any_devices():
    module = models.build("mnist_cnn", CLASSES, blocks=((2, 3),), units=(5,))
    found = [run(module, parallel.mapper(devices=devices), 6) for devices in (1, 4)]
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-5)
    same(found[0][0].params, found[1][0].params, 1e-4)


def test_replicas_stay_equal_to_the_bit():
    state, _, _ = run(Net(), parallel.mapper("pmap", 4), 5)
    for leaf in jax.tree.leaves((state.params, state.batch_stats, state.opt_state)):
        first, *others = (np.asarray(shard.data) for shard in leaf.addressable_shards)
        assert len(others) == 3
        for other in others:
            np.testing.assert_array_equal(other, first)


def test_without_marking_parameters_the_gradients_would_be_summed_over_devices(monkeypatch):
    mapper = parallel.mapper("jit", 4)
    _, _, right = run(Net(), mapper, 1, check=True)
    monkeypatch.setattr(training, "vary", lambda tree, axis_name: tree)
    advance = compile_step(Net(), mapper, check=True)
    _, _, wrong = follow(advance, start(Net(), mapper), mapper, 1)
    np.testing.assert_allclose(wrong, 4 * right, rtol=1e-4)


def test_without_averaging_the_gradients_the_step_is_refused(monkeypatch):
    monkeypatch.setattr(training, "mean", lambda tree, axis_name: tree)
    mapper = parallel.mapper("jit", 4)
    advance = compile_step(Net(), mapper, check=True)
    # The first to notice is the choice between the old state and the new.
    with pytest.raises(TypeError, match="manual axis types do not match"):
        follow(advance, start(Net(), mapper), mapper, 1)


def plain_loss(params, module, batch, statistics, smoothing):
    """The textbook's loss of a whole batch, without an axis, with optax's cross entropy."""
    variables = {"params": params, "batch_stats": statistics}
    images, kept = data.normalize(batch["image"]), ["batch_stats", "auxiliary"]
    logits, updates = module.apply(variables, images, train=True, mutable=kept)
    hot = jax.nn.one_hot(batch["label"], CLASSES)
    target = optax.smooth_labels(hot, smoothing)
    loss = optax.softmax_cross_entropy(logits, target).mean()
    for extra in jax.tree.leaves(updates.get("auxiliary", {})):
        loss += 0.3 * optax.softmax_cross_entropy(extra, hot).mean()
    return loss


@pytest.mark.parametrize(("kind", "devices"), [("jit", 1), ("pmap", 4)])
@pytest.mark.parametrize("auxiliary", [False, True])
def test_the_gradient_is_that_of_the_mean_loss_of_the_whole_batch(kind, devices, auxiliary):
    module, mapper = Net(dropout_rate=0.0, auxiliary=auxiliary), parallel.mapper(kind, devices)
    before = start(module, parallel.mapper("jit", 1), "sgd")
    hyper = {"learning_rate": 1.0, "label_smoothing": 0.1, "weight_decay": 0.0}
    state, losses, norms = run(module, mapper, 1, hyper, "sgd")
    moved = jax.tree.map(lambda a, b: np.asarray(a) - np.asarray(b), before.params, state.params)
    loss, gradient = jax.jit(jax.value_and_grad(plain_loss), static_argnums=1)(
        before.params, module, batches()[0], before.batch_stats, 0.1
    )
    same(moved, gradient, 1e-5)
    squares = sum((np.asarray(g, np.float64) ** 2).sum() for g in jax.tree.leaves(gradient))
    assert norms[0] == pytest.approx(squares**0.5, rel=1e-4)
    if auxiliary:
        assert np.abs(moved["aux"]["kernel"]).max() > 1e-3
    else:
        assert losses[0] == pytest.approx(float(loss), rel=1e-5)


@pytest.mark.parametrize(("devices", "count"), [(1, 4), (2, 2)])
def test_pieces_of_a_batch_give_the_gradient_of_the_whole(devices, count):
    module, mapper = Net(dropout_rate=0.0, norm="group"), parallel.mapper("auto", devices)
    hyper = WITHOUT_DROPOUT
    whole = run(module, mapper, 3, hyper)
    pieces = run(module, mapper, 3, hyper, accumulate=count)
    np.testing.assert_allclose(pieces[1], whole[1], rtol=1e-5)
    np.testing.assert_allclose(pieces[2], whole[2], rtol=1e-4)
    same(pieces[0].params, whole[0].params, 1e-5)


def test_pieces_trace_under_the_checker_and_move_the_statistics_once_each():
    state, _, _ = run(Net(), parallel.mapper("jit", 4), 1, accumulate=2, check=True)
    once, _, _ = run(Net(), parallel.mapper("jit", 4), 1, check=True)
    # Mean 0 before; two moves of 0.1 each towards a mean of about m, against one.
    ratio = state.batch_stats["stem"]["norm"]["mean"] / once.batch_stats["stem"]["norm"]["mean"]
    np.testing.assert_allclose(np.mean(ratio), (1 - 0.9**2) / 0.1, rtol=0.1)


def test_training_moves_the_statistics_towards_those_of_the_whole_batch():
    module, mapper = Net(dropout_rate=0.0), parallel.mapper("pmap", 4)
    before = start(module, parallel.mapper("jit", 1))
    state, _, _ = run(module, mapper, 1, WITHOUT_DROPOUT)
    images = data.normalize(batches()[0]["image"])
    stem = np.asarray(before.params["stem"]["conv"]["kernel"], np.float64)
    outputs = np.asarray(
        lax.conv_general_dilated(
            images, stem, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        ),
        np.float64,
    )
    found = state.batch_stats["stem"]["norm"]
    np.testing.assert_allclose(found["mean"], 0.1 * outputs.mean((0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(found["var"], 0.9 + 0.1 * outputs.var((0, 1, 2)), rtol=1e-5)


def compilations(caplog, call):
    caplog.clear()
    with jax.log_compiles():
        result = jax.block_until_ready(call())
    return result, sum("Compiling" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(("kind", "devices"), [("jit", 1), ("pmap", 4)])
def test_another_step_or_value_compiles_nothing_and_has_its_effect(kind, devices, caplog):
    mapper = parallel.mapper(kind, devices)
    advance = compile_step(Net(), mapper)
    counts, seconds = {}, {}
    for changed in ("nothing", *HYPER):
        hyper = HYPER | {changed: 0.45} if changed in HYPER else HYPER
        hyper = mapper.replicate({k: jnp.float32(v) for k, v in hyper.items()})
        state = start(Net(), mapper)
        for number, batch in enumerate(batches(2)):
            batch = mapper.split(batch)
            (state, metrics), counts[changed, number] = compilations(
                caplog, lambda s=state, b=batch, h=hyper: advance(s, b, h)
            )
        seconds[changed] = float(metrics["loss"])
    assert counts.pop(("nothing", 0)) > 0
    assert set(counts.values()) == {0}
    assert len(set(seconds.values())) == len(HYPER) + 1


def test_dropout_changes_with_the_step_and_not_with_the_run():
    mapper = parallel.mapper("jit", 1)
    advance = shared_step(Net(), mapper, False, "momentum", 1)
    hyper = {k: jnp.float32(v) for k, v in (HYPER | {"learning_rate": 0.0}).items()}
    runs = []
    for _ in range(2):
        state, losses = start(Net(), mapper), []
        key = np.asarray(jax.random.key_data(state.key))
        for _ in range(3):
            state, metrics = advance(state, batches()[0], hyper)
            losses.append(float(metrics["loss"]))
        np.testing.assert_array_equal(jax.random.key_data(state.key), key)
        runs.append(losses)
    assert runs[0] == runs[1] and len(set(runs[0])) == 3


def test_metrics_are_sums_and_the_state_adds_them_up():
    module, mapper = Net(dropout_rate=0.0), parallel.mapper("pmap", 4)
    advance, state = shared_step(module, mapper, False, "momentum", 1), start(module, mapper)
    hyper = mapper.replicate({k: jnp.float32(v) for k, v in WITHOUT_DROPOUT.items()})
    first = batches()[0]
    logits, _ = jax.jit(partial(module.apply, train=True, mutable=["batch_stats"]))(
        jax.device_get(state.variables), data.normalize(first["image"])
    )
    found = []
    for batch in batches(3):
        state, metrics = advance(state, mapper.split(batch), hyper)
        found.append({name: float(metrics[name]) for name in ("loss", "correct", "count")})
    assert found[0]["correct"] == (np.asarray(logits).argmax(axis=1) == first["label"]).sum()
    assert [part["count"] for part in found] == [BATCH] * 3
    for name in found[0]:
        value = sum(part[name] for part in found)
        assert float(state.totals[name]) == pytest.approx(value, rel=1e-6)
    assert all(float(value) == 0 for value in state.reported().totals.values())
