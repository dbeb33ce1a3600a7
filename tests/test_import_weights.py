"""The command that says what a file of weights is."""

import json

import numpy as np
from safetensors.numpy import save_file

from cnnjax import models, tree
from tests.test_entry_points import command
from tests.test_transfer_torch import lenet


def test_a_file_is_told_with_the_calls_to_choose_from_or_the_one_that_loads_it(tmp_path):
    save_file(lenet(), tmp_path / "theirs.safetensors")
    told = command("import_weights", tmp_path / "theirs.safetensors")
    assert told.returncode == 1, told.stderr
    assert "conv1.weight" in told.stdout and "61,706 parameters" in told.stdout
    assert "transfer.load('lenet5'" in told.stdout and "act='relu'" in told.stdout

    shapes = tree.shapes(models.check_input(models.build("lenet5", 10), (28, 28, 1)))
    save_file({k: np.zeros(s, np.float32) for k, s in shapes.items()}, tmp_path / "ours")
    told = command("import_weights", tmp_path / "ours", "--name=lenet5", "--json")
    assert told.returncode == 0, told.stderr
    facts = json.loads(told.stdout)
    assert facts["parameters"] == 61_706 and facts["names"] == "ours"
    assert facts["call"] == f"transfer.load('lenet5', '{tmp_path / 'ours'}')"
    assert facts["description"]["digest"] == facts["sha256"]
