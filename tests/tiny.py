"""Runs that take seconds: a network of a few hundred weights on 60 drawn images."""

import contextlib
import json

import numpy as np

from cnnjax import config as configuration

VALUES = {
    "seed": 3,
    "epochs": 4.0,
    "batch_size": 8,
    "model.name": "lenet5",
    "model.features": (2, 4),
    "model.units": (8,),
    "model.kernel": 3,
    "data.name": "synthetic",
    "data.examples": 60,
    "data.size": 10,
    "data.validation": 0.2,
    "optimizer.learning_rate": 0.01,
    "schedule.name": "constant",
    "parallel.devices": 1,
    "report.every_steps": 5,
    "report.tensorboard": False,
    "checkpoint.every_epochs": 1.0,
}


def config(**changes):
    """Returns the config of a tiny run; `data__size=12` changes `data.size`."""
    result = configuration.default()
    values = VALUES | {name.replace("__", "."): value for name, value in changes.items()}
    for name, value in values.items():
        section, _, field = name.rpartition(".")
        (result[section] if section else result)[field] = value
    return result


get_config = config


def flags(**changes):
    """Returns the same as arguments of `experiments.train`."""
    values = {name.replace("__", "."): value for name, value in changes.items()}
    return ["--config=tests/tiny.py", *(f"--config.{k}={v}" for k, v in values.items())]


def metrics(workdir):
    """Returns the reports of a run, without what the clock puts in."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    reports = [json.loads(line) for line in lines]
    return [{k: v for k, v in report.items() if k != "images_per_second"} for report in reports]


def contents(workdir):
    """Returns all files but the lock, with their bytes and times."""
    files = (path for path in workdir.rglob("*") if path.is_file() and path.name != "lock")
    return {str(p.relative_to(workdir)): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def check_events(workdir):
    """Compares what TensorBoard reads in the event files with the reports, tag by tag."""
    import pytest

    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(workdir))
    events.Reload()
    expected = {}
    for report in metrics(workdir):
        for name in report.keys() - {"step", "split"}:
            tag = f"{report['split']}/{name}"
            expected.setdefault(tag, []).append((report["step"], report[name]))
    assert set(events.Tags()["scalars"]) == set(expected) | {"train/images_per_second"}
    for tag, values in expected.items():
        found = [(event.step, event.value) for event in events.Scalars(tag)]
        np.testing.assert_allclose(found, values, rtol=1e-6, err_msg=tag)


@contextlib.contextmanager
def asked(look):
    """Stands for `stop.requests`: a stop is asked for as soon as `look()` is true."""

    def requests():
        return look()

    requests.begin = lambda: None
    yield requests
