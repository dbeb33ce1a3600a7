"""Half the bits in convolutions cost no accuracy: bfloat16 ends within the spread of float32."""

import json

import pytest

from cnnjax.train import run
from configs import digits
from tests import tiny

pytestmark = pytest.mark.slow
SEEDS = (0, 1, 2, 3)


def accuracies(dtype, folder):
    found = []
    for seed in SEEDS:
        config = digits.get_config()
        config.seed, config.model.dtype, config.epochs = seed, dtype, 20.0
        config.report.tensorboard = False
        workdir = folder / f"{dtype}-{seed}"
        run.run(config, workdir)
        found.append(json.loads((workdir / "result.json").read_text())["test_accuracy"])
        assert all("loss" in line for line in tiny.metrics(workdir) if "images_per_second" in line)
    return found


def test_bfloat16_reaches_the_accuracy_of_float32(tmp_path):
    full, half = (accuracies(dtype, tmp_path) for dtype in ("float32", "bfloat16"))
    spread = max(full) - min(full)
    means = [sum(values) / len(values) for values in (full, half)]
    assert means[1] > means[0] - spread, (full, half)
    assert min(half) > 0.95
