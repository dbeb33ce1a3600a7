"""Layers that a run does not train: they stay to the bit, and cost no more than they must."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import compiler, data, parallel, tree
from cnnjax.errors import InputError
from cnnjax.train import partition, run
from cnnjax.train import step as training
from cnnjax.train.step import create_state
from tests import tiny
from tests.test_train_step import HYPER, SHAPE, TASK, Net, batches, optimizer, start

FACTS = data.Facts(SHAPE, ())


def advance(freeze, devices=1, count=2, **fields):
    """Returns the states before and after steps with these layers frozen."""
    module, mapper = Net(**fields), parallel.mapper("jit", devices)
    step = partial(
        training.train_step, task=TASK, module=module, preprocess=data.normalize,
        optimizer=optimizer, axis_name=parallel.AXIS, freeze=freeze,
    )  # fmt: skip
    before = start(module, mapper)
    draw = np.random.default_rng(0).uniform
    statistics = jax.tree.map(lambda x: draw(0.5, 2, x.shape).astype(x.dtype), before.batch_stats)
    before = before.replace(batch_stats=mapper.replicate(statistics))
    trained = partition.split(before.params, freeze)[0]
    before = before.replace(opt_state=optimizer(HYPER, 0).init(trained))
    after, hyper = before, {k: jnp.float32(v) for k, v in HYPER.items()}
    mapped = mapper.map(step, split=(False, True, False))
    for batch in batches(count):
        batch = {name: x[:15] for name, x in batch.items()}
        after, _ = mapped(after, mapper.split(batch), mapper.replicate(hyper))
    return before, after


def moved(before, after):
    """Returns the leaves whose digests differ."""
    old, new = (tree.digests(jax.device_get(state.variables)) for state in (before, after))
    return {name for name in old if old[name] != new[name]}


# On three devices the mean of equal numbers may be another number.
@pytest.mark.parametrize("devices", [1, 3])
@pytest.mark.usefixtures("quick_compilation")
def test_frozen_layers_and_their_statistics_do_not_move(devices):
    before, after = advance("stem|body/norm", devices)
    names = set(tree.flatten(before.variables))
    still = {name for name in names if "/stem/" in name or "/body/norm/" in name}
    assert {name.split("/")[-1] for name in still} == {"kernel", "scale", "bias", "mean", "var"}
    assert moved(before, after) == names - still
    state = tree.flatten(jax.tree.leaves(after.opt_state, is_leaf=lambda x: isinstance(x, dict))[0])
    assert set(state) == {
        name.removeprefix("params/") for name in names - still if "params" in name
    }


def test_statistics_of_a_frozen_layer_are_those_that_it_normalises_by():
    module = Net(dropout_rate=0.0)
    variables = start(module, parallel.mapper("jit", 1)).variables
    images = data.normalize(batches()[0]["image"])
    with partition.inference(".*"):
        found = module.apply(variables, images, train=True)
    np.testing.assert_allclose(found, module.apply(variables, images), atol=1e-5)
    assert (
        abs(found - module.apply(variables, images, train=True, mutable=["batch_stats"])[0]).max()
        > 0.01
    )


def convolutions(freeze):
    """Returns how many convolutions a step computes, of Net's two and their gradients."""
    module, mapper = Net(), parallel.mapper("jit", 1)
    step = partial(
        training.train_step, task=TASK, module=module, preprocess=data.normalize,
        optimizer=optimizer, axis_name=parallel.AXIS, freeze=freeze,
    )  # fmt: skip
    create = partial(
        create_state, module, optimizer(HYPER, 0), task=TASK, facts=FACTS, freeze=freeze
    )
    with compiler.plainly():
        state = jax.eval_shape(create, jax.random.key(0))
        mapped = mapper.map(step, split=(False, True, False))
        program = mapped.compiled(state, batches()[0], HYPER)
    return program.as_text().count(" convolution("), program.cost_analysis()["flops"]


@pytest.mark.usefixtures("quick_compilation")
def test_no_gradient_is_computed_below_the_lowest_trained_layer():
    whole, upper, head = (convolutions(freeze) for freeze in ("", "stem", "stem|body"))
    # stem: result, gradient of weights; body: these, and the gradient of its input.
    assert [whole[0], upper[0], head[0]] == [5, 3, 2]
    assert head[1] < 0.6 * upper[1] < 0.6 * whole[1]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("c[2", "freeze='c[2' is no regular expression"),
        ("c2", "freeze='c2' matches no layer; did you mean c3, c1"),
        ("stage1.*", "matches no layer; known: c1, c3, f5, head"),
        (".*", "freeze='.*' matches every layer: nothing would be trained"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused_before_data_are_read(
    pattern, words, tmp_path, monkeypatch
):
    monkeypatch.setattr(run, "load_data", lambda config: pytest.fail("read data"))
    with pytest.raises(InputError) as caught:
        run.run(tiny.config(freeze=pattern), tmp_path / "run")
    assert words in str(caught.value) and not (tmp_path / "run").exists()
