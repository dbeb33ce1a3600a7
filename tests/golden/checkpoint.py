"""A workdir as this version leaves it in the middle of a run: every later one must go on from it.

Written once, by `python -m tests.golden.checkpoint`; never to be written again. A later format
gets a folder of its own beside it.
"""

import json
import os
import shutil
import signal
import tempfile
from pathlib import Path

import numpy as np

from cnnjax import data
from cnnjax.evaluation import predict, trained
from cnnjax.train import run, stop
from tests import tiny

FOLDER = Path(__file__).parent / "workdir_1"
STOP = 15
CHANGES = {
    "optimizer__name": "adamw",
    "optimizer__weight_decay": 1e-3,
    "evaluate__select": "best",
    "checkpoint__keep": 1,
}


def config():
    result = tiny.config(**CHANGES)
    # Small, with all that a state can hold: running statistics, moments, totals between reports.
    result.model = {"name": "resnet20", "dtype": "float32", "blocks": 1, "width": 2}
    return result


def expectations(workdir: Path) -> dict:
    """Returns what can be seen of the network in a workdir."""
    network = trained.load(workdir, "last")
    images = list(trained.load_data(network.config).test.images)
    return {
        "step": network.step,
        "probabilities": np.round(predict.predictions(network, images), 6).tolist(),
    }


def write() -> None:
    if FOLDER.exists():
        raise SystemExit(f"{FOLDER} exists: it is what later versions are tested with")
    original = data.batch_indices

    def batch_indices(*arguments):
        if arguments[2] == STOP - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments)

    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder)
        data.batch_indices = batch_indices
        try:
            run.run(config(), workdir)
        except stop.Stopped:
            data.batch_indices = original
        (workdir / "lock").unlink()
        shutil.copytree(workdir, FOLDER)
        found = expectations(workdir) | {"result": run.run(config(), workdir)}
    (FOLDER / "expected.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    write()
