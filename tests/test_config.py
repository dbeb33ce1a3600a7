"""The schema of a config: what it accepts, and how it refuses."""

import json

import pytest
from ml_collections import ConfigDict

from cnnjax import config as configuration
from cnnjax import history
from cnnjax.errors import InputError
from cnnjax.registry import Table


def changed(**values):
    config = configuration.default()
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in values.items()})
    return config


def test_defaults_pass_their_own_check():
    resolved = configuration.check(configuration.default())
    assert resolved["optimizer"]["learning_rate"] == 1e-3
    assert type(resolved["data"]) is dict


def test_every_field_says_what_it_means():
    for entry in configuration.FIELDS.values():
        for field in entry.values() if isinstance(entry, dict) else [entry]:
            assert field.help


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"batch_size": 0}, "config.batch_size must lie in [1, 1e+06]; given 0"),
        ({"optimizer__learning_rate": float("nan")}, "given nan"),
        ({"optimizer__learning_rate": float("inf")}, "given inf"),
        ({"label_smoothing": 1.5}, "must lie in [0, 1]"),
        ({"schedule__name": "cosin"}, "did you mean cosine?"),
        ({"parallel__mapper": "pmapp"}, "did you mean pmap?"),
        ({"schedule__boundaries": (0.5, "a")}, "boundaries[1] must be float, as in 0.5; given 'a'"),
        ({"schedule__boundaries": (0.5, 2.0)}, "given 2.0"),
        ({"schedule__boundaries": (None,)}, "boundaries[0] must be float, as in 0.5; given None"),
    ],
)
def test_values_out_of_range_are_refused_by_name(values, words):
    with pytest.raises(InputError) as error:
        configuration.check(changed(**values))
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", "one"),
        ("seed", True),
        ("epochs", "ten"),
        ("report", 3),
        ("seed", (8, "a")),
        ("epochs", True),
    ],
)
def test_values_of_another_type_are_refused(field, value):
    config = configuration.default().to_dict()
    config[field] = value
    with pytest.raises(InputError, match=f"config.{field}"):
        configuration.check(config)


def test_whole_numbers_become_floats_where_the_field_is_one():
    config = configuration.default().to_dict()
    config["epochs"] = config["schedule"]["warmup_epochs"] = 3
    resolved = configuration.check(config)
    assert type(resolved["epochs"]) is type(resolved["schedule"]["warmup_epochs"]) is float


def test_unknown_fields_are_refused_with_the_nearest_name():
    config = configuration.default().to_dict()
    config["batchsize"] = 32
    with pytest.raises(InputError, match="no field 'batchsize'; did you mean batch_size"):
        configuration.check(config)
    config = configuration.default().to_dict()
    config["schedule"]["warm_up"] = 1
    with pytest.raises(InputError, match="config.schedule has no field 'warm_up'"):
        configuration.check(config)


def test_open_sections_keep_the_fields_of_their_constructor():
    config = configuration.default().to_dict()
    config["model"]["features"] = [4, 8]
    resolved = configuration.check(config)
    assert configuration.extra(resolved, "model") == {"features": (4, 8)}


def test_differences_name_fields_and_forgive_where_a_run_runs():
    old = configuration.check(configuration.default())
    new = configuration.check(changed(seed=3, data__data_dir="/elsewhere", parallel__devices=2))
    assert history.differences(old, new) == ["seed: 0, now 3"]
    read_back = json.loads(json.dumps(old))
    assert history.differences(read_back, old) == []


def test_a_config_from_before_a_field_is_completed_with_its_default():
    current = configuration.check(changed(seed=3, data__validation=0.3, nonfinite__patience=2))
    old = {name: value for name, value in current.items() if name != "nonfinite"}
    old["data"] = {k: v for k, v in current["data"].items() if k != "image_size"} | {"examples": 5}
    found = history.completed(old)
    assert found["seed"] == 3 and found["nonfinite"]["patience"] == 10
    assert found["data"] == current["data"] | {"examples": 5}
    assert "nonfinite" not in old


@pytest.mark.parametrize(
    ("text", "model", "quick", "size"),
    [
        (None, "lenet5", False, 32),
        ("resnet20", "resnet20", False, 32),
        ("resnet20,quick", "resnet20", True, 32),
        ("quick,size=64", "lenet5", True, 64),
        ("model=vgg16,quick=True", "vgg16", True, 32),
        ("vgg16,quick=False", "vgg16", False, 32),
    ],
)
def test_the_word_after_the_colon_is_read(text, model, quick, size):
    read = configuration.parse(text, model="lenet5", quick=False, size=32)
    assert read == ConfigDict({"model": model, "quick": quick, "size": size})


def test_leftover_words_after_the_colon_are_refused():
    with pytest.raises(InputError, match="unknown word 'quik'.*quick"):
        configuration.parse("lenet5,quik", model="lenet5", quick=False)
    with pytest.raises(InputError, match="size must be int; given 'big'"):
        configuration.parse("lenet5,size=big", model="lenet5", size=32)


def test_a_table_suggests_names_and_refuses_to_lose_an_entry():
    table = Table("pooling", max=1, average=2)
    with pytest.raises(InputError, match="unknown pooling 'avrage'; did you mean average"):
        table["avrage"]
    with pytest.raises(ValueError, match="defined twice: max"):
        table.merge({"max": 3})


@pytest.mark.parametrize("section", ["optimizer", "model", "schedule"])
def test_a_word_for_a_section_leads_to_its_name(section):
    config = configuration.default().to_dict() | {section: "sgd"}
    with pytest.raises(InputError, match=f"set config.{section}.name"):
        configuration.check(config)


def test_what_changes_nothing_computed_may_change_on_resuming():
    old = configuration.check(configuration.default())
    free = changed(evaluate__batch_size=7, evaluate__every_epochs=0.5, nonfinite__patience=3)
    assert history.differences(old, configuration.check(free)) == []
    assert len(history.differences(old, configuration.check(changed(batch_size=7)))) == 1
