"""The config files, each with every network it may be asked for."""

import runpy
from pathlib import Path

import pytest

from cnnjax import config as configuration
from cnnjax import models
from cnnjax.evaluation.trained import build_module

CONFIGS = Path(__file__).parent.parent / "configs"


def of_file(file, variant):
    return configuration.check(runpy.run_path(str(CONFIGS / file))["get_config"](variant))


@pytest.mark.parametrize("file", ["mnist.py", "digits.py", "cifar10.py", "imagenet.py"])
def test_every_network_gets_only_fields_that_it_has(file):
    for name in models.MODELS:
        config = of_file(file, name)
        assert config["model"]["name"] == name
        build_module(config, outputs=10)


def test_lenet5_keeps_the_fields_of_its_recipe():
    config = of_file("mnist.py", None)
    assert configuration.extra(config, "model") == {"act": "relu", "pool": "max"}
    other = of_file("mnist.py", "resnet20")
    assert configuration.extra(other, "model") == {}
    for section in ("epochs", "batch_size", "optimizer", "schedule", "data"):
        assert other[section] == config[section]
