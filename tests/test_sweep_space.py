"""Spaces of a sweep: what is written, what it stands for, and what is refused before anything."""

import numpy as np
import pytest

from cnnjax import augment, history
from cnnjax import config as configuration
from cnnjax.errors import InputError
from cnnjax.sweep import points, space
from tests import tiny


def config(**changes):
    return configuration.check(tiny.config(**changes))


def checked(text, **changes):
    return points.check_space(space.read(text), config(**changes))


def test_the_kinds_of_values():
    found = space.read(
        "optimizer.learning_rate=log(1e-4, 1e-1) model.kernel=3|5\nmodel.pool=max|average;"
        "label_smoothing=uniform(0,0.2) batch_size=int(8,32,8) model.features=(2,4)|(4,8)"
        " augment='crop(2)|flip'|''"
    )
    kinds = {d.field: (d.kind, d.low, d.high, d.choices) for d in found.dimensions}
    assert str(kinds["optimizer.learning_rate"]) == "('log', 0.0001, 0.1, ())"
    assert kinds["batch_size"][:3] == ("int", 8, 32)
    assert kinds["model.kernel"][3] == (3, 5)
    assert kinds["model.pool"][3] == ("max", "average")
    assert kinds["model.features"][3] == ((2, 4), (4, 8))
    assert kinds["augment"][3] == ("crop(2)|flip", "")


def test_a_third_number_makes_choices():
    (rate, drop) = space.read("a=log(1e-4,1e-1,4) b=uniform(0,0.5,3)").dimensions
    assert rate.choices == (1e-4, 1e-3, 1e-2, 1e-1) and drop.choices == (0.0, 0.25, 0.5)


def test_a_grid_is_the_product_and_its_size_is_told():
    found = space.read("a=int(1,5,2) b=x|y")
    assert found.size == 6
    assert list(found.grid())[:3] == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 3, "b": "x"}]
    assert space.read("a=log(1,2)").size == np.inf
    large = space.read("a=int(1,1000000) b=int(1,2000001,2)")
    assert large.size == 1_000_001_000_000
    assert large.random(np.random.default_rng(0)).keys() == {"a", "b"}
    with pytest.raises(InputError, match=r"grid of 1e\+12 points is too large; at most 1,000,000"):
        large.grid()
    with pytest.raises(InputError, match=r"write log\(1, 2, 5\) for 5"):
        space.read("a=log(1,2)").grid()


def test_a_file_beside_the_configs(tmp_path):
    file = tmp_path / "space.py"
    file.write_text('SPACE = {"model.kernel": [3, 5], "optimizer.learning_rate": "log(1,2)"}')
    kernel, rate = space.read(str(file)).dimensions
    assert kernel.choices == (3, 5) and rate.kind == "log"
    file.write_text('SPACE = "model.kernel=3|5"')
    assert space.read(str(file)).dimensions[0].choices == (3, 5)
    for text, words in (
        ("SPACE = {", r"cannot be run \(SyntaxError: '{' was never closed"),
        ("import sys; sys.exit()", r"cannot be run \(SystemExit"),
        ('SPACE = {"epochs": 3}', "SPACE has 'epochs': 3; give"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=words):
            space.read(str(file))
    file.write_text("")
    with pytest.raises(InputError, match="lacks SPACE"):
        space.read(str(file))
    with pytest.raises(InputError, match=r"none\.py does not exist"):
        space.read(str(tmp_path / "none.py"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" ", "the space is empty"),
        ("model.kernel", "cannot read 'model.kernel'"),
        ("a=log(1,", "a bracket or quote without its partner"),
        ("a=log(2,1)", "the first number must be below the second"),
        ("a=log(0,1)", "a logarithmic range lies above 0"),
        ("a=log(1)", "needs two ends"),
        ("a=log(1,x)", "'x' is not a number"),
        ("a=log(1,2,1)", "at least 2"),
        ("a=int(1,2.5)", "needs whole numbers"),
        ("a=int(1,5,0)", "a step is at least 1"),
        ("a=lag(1,2)", "is no range"),
        ("a=1||2", "has an empty value"),
        ("a=3|3", "names a value twice"),
        ("a=1|2 a=3|4", "the space has a twice"),
        ("a=(1,2)|(3,4) a[0]=1|2", "a and a part of it"),
    ],
)
def test_what_cannot_be_read_is_refused(text, words):
    with pytest.raises(InputError) as refused:
        space.read(text)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model.kernal=3|5", "did you mean model.kernel"),
        ("modle.kernel=3|5", "did you mean model.kernel"),
        ("learning_rate=log(1e-3,1)", "optimizer.learning_rate"),
        ("model=3|5", "model is a section"),
        ("model.pool=uniform(0,1)", "model.pool is 'average', no number"),
        ("model.pool=max|averge", "unknown pooling 'averge'; did you mean average?"),
        ("model.kernel=uniform(3,5)", "model.kernel takes whole numbers: write int(3, 5)"),
        ("batch_size=log(1.5,64)", "batch_size takes whole numbers, and log(1.5,64) has ends"),
        ("batch_size=log(1,100,4)", "batch_size must be int"),
        ("model.kernel=3|large", "kernel must be int"),
        ("model.name=lenet5|resnet", "unknown network 'resnet'"),
        ("model.name=lenet5|resnet20 model.kernel=3|5", "resnet20 has no field 'features'"),
        ("optimizer.learning_rate=uniform(-1,1)", "must lie in [0, inf]; given -1"),
        ("optimizer.rho=0.9|0.95", "config has no field 'optimizer.rho'"),
        ("model.units[1]=int(2,4)", "model.units is (8,), which has no entry 1"),
        ("report.every_steps=1|2", "does not change what a run computes"),
        ("augment=crop(2)|flop", "unknown augmentation 'flop'"),
        ("augment.rotate.degrees=uniform(0,9)", "the augmentation '' has no 'rotate.degrees'"),
        ("schedule.name=cosine|cosin", "config.schedule.name is 'cosin'; did you mean cosine?"),
    ],
)
def test_what_does_not_fit_the_config_is_refused(text, words):
    with pytest.raises(InputError) as refused:
        checked(text)
    assert words in str(refused.value)


def test_a_kernel_that_is_too_large_is_no_mistake_of_the_space():
    assert checked("model.kernel=3|99").dimensions[0].choices == (3, 99)


def test_fields_of_every_constructor_of_the_space():
    base = configuration.check(configuration.default())
    text = "model.name=first_convnet|mnist_cnn model.units[0]=log(4,64)"
    (name, units) = points.check_space(space.read(text), base).dimensions
    assert name.choices == ("first_convnet", "mnist_cnn") and units.whole
    with pytest.raises(InputError, match="no field 'model.pool'"):
        points.check_space(space.read("model.name=lenet5|resnet20 model.pool=max|average"), base)


def test_whole_numbers_on_a_logarithmic_scale():
    (units,) = checked("model.units[0]=log(4,64)").dimensions
    assert units.whole and units.ends() == (4, 64)
    (batch,) = checked("batch_size=log(32,128,3)").dimensions
    assert batch.words == ("32", "64", "128")
    (epochs,) = checked("epochs=uniform(1,3,3)").dimensions
    assert epochs.words == ("1.0", "2.0", "3.0")


def test_a_point_in_its_config():
    base = config(augment="rotate(10, reflect)|brightness(0.2)")
    point = {
        "augment.rotate.degrees": 2.5, "model.features[1]": 7, "optimizer.name": "momentum",
        "optimizer.momentum": 0.8, "seed": 9,
    }  # fmt: skip
    found = configuration.check(points.applied(base, point))
    changed = history.differences(base, found)
    assert [line.partition(":")[0] for line in changed] == [
        "augment", "model.features", "optimizer.momentum", "optimizer.name", "seed"
    ]  # fmt: skip
    assert found["model"]["features"] == (2, 7)
    values = augment.pipeline(found["augment"]).values
    assert values["rotate.degrees"] == 2.5
    assert "reflect" in found["augment"]
    assert base["augment"] == "rotate(10, reflect)|brightness(0.2)"


def test_an_augmentation_is_written_as_it_is_read():
    text = "rotate(15)|rotate(3, reflect)|resized_crop(0.3)|flip|mixup(0.2)"
    assert augment.pipeline(augment.parse.written(text, {})).values == augment.pipeline(text).values
    assert augment.pipeline(augment.parse.written(text, {"rotate2.degrees": 1e-7})).values[
        "rotate2.degrees"
    ] == 1e-7  # fmt: skip
