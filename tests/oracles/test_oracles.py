"""Every network against the same network of Keras, torchvision or timm, with the same weights.

The weights go a user's way: written by the oracle into a file of its own, read by `transfer.load`.
With ORACLE_RESULTS=FILE every comparison is appended to FILE as a line of JSON, from which
`python -m tests.oracles.table` makes docs/networks.md.
"""

from __future__ import annotations

import json
import os

import jax
import numpy as np
import pytest

from tests.oracles import compare, pair
from tests.oracles.cases import ORACLES

# What the frameworks warn of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")
FLOAT32, FLOAT64 = 1e-5, 1e-11
FLOAT64_CASES = [case for case in ORACLES if case.double]


def check(case, side, errors, bound, dtype):
    """Notes the errors, then names the first stage that is off."""
    if file := os.environ.get("ORACLE_RESULTS"):
        line = {
            "name": case.name,
            "source": case.source,
            "oracle": case.oracle,
            "side": side,
            "dtype": dtype,
            "logits": errors["logits"],
            "largest": max(errors.values()),
        }
        with open(file, "a") as lines:
            lines.write(json.dumps(line) + "\n")
    for stage, error in errors.items():
        assert error < bound, f"{stage} of {case} differs first, by {error:.1e}: {errors}"


@pytest.mark.parametrize("parity", (0, 1), ids=("even", "odd"))
@pytest.mark.parametrize("case", ORACLES, ids=str)
def test_a_network_and_all_its_stages_compute_what_the_oracle_computes(case, parity, tmp_path):
    side = case.sides[parity]
    check(case, side, pair.make(case, side, tmp_path).errors(), FLOAT32, "float32")


@pytest.mark.parametrize("case", FLOAT64_CASES, ids=str)
def test_in_float64_nothing_but_rounding_is_left(case, tmp_path):
    side = case.sides[0]
    check(case, side, pair.make(case, side, tmp_path).errors(double=True), FLOAT64, "float64")


@pytest.mark.parametrize("name", ["resnet18-torchvision", "resnet50-keras", "mobilenet_v2-timm"])
def test_so_do_units_that_nobody_looks_into(name, tmp_path):
    case = next(case for case in ORACLES if str(case) == name)
    both = pair.make(case, case.sides[0], tmp_path)
    network, variables = both.ours()
    found = jax.jit(network.apply)(variables, both.images)
    expected, _ = both.framework.outputs(both.model, both.images, {})
    assert compare.relative(np.asarray(found), expected) < FLOAT32
