"""The whole benchmark: who is there, on what, and what each work measures."""

from __future__ import annotations

import dataclasses
import datetime
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import Progress

from cnnjax.errors import InputError
from experiments.benchmarks import arrays, contestants, learning, prepared, rounds
from experiments.benchmarks.child import Child, Failed
from experiments.benchmarks.rounds import Settings
from experiments.benchmarks.works import DIGITS, Work, works

BUSY = 0.3  # processes per core that are ready to run before the benchmark begins
PACKAGES = ("cnnjax", "jax", "jaxlib", "flax", "keras", "torch")


def hold(
    names: Sequence[str],
    work_names: Sequence[str],
    settings: Settings,
    data_dir: str,
    device: str,
    progress: Progress,
) -> Iterator[dict[str, Any]]:
    """Yields a record of every work that can be measured here; tells of what is left out."""
    choose(work_names, False, data_dir)  # refuses what has no such name
    names = present(names)
    load = os.getloadavg()[0]
    if load > BUSY * prepared.cores():
        print(f"The machine is busy (load {load:.1f}): rather trust the ratios than the times.")
    task = progress.add_task("looking around", total=None)
    found = facts(names, settings)
    accelerator = next(iter(found.values()))["platform"] != "cpu"
    settings = dataclasses.replace(settings, together=not accelerator)
    run = run_facts(found, settings, device, load)
    for work in choose(work_names, accelerator, data_dir):
        if work.epochs and not data_dir:
            print(f"{work.name} is left out: it needs MNIST; --data_dir=DIR says where it lies")
            continue
        progress.reset(task, total=turns(work, list(found), settings), description=work.name)
        advance = partial(progress.advance, task)
        yield {"run": run, **measure(work, list(found), data_dir, settings, advance)}


def present(names: Sequence[str]) -> list[str]:
    """Returns the contestants that are installed; tells of those that are not."""
    found = []
    asked = {name: contestants.CONTESTANTS[name].missing for name in names}
    for name, missing in asked.items():
        if missing:
            print(f"{name} is left out: {missing[0]} is not installed; `make oracles` installs it")
        else:
            found.append(name)
    if not found:
        raise InputError("no contestant is left")
    return found


def facts(names: Sequence[str], settings: Settings) -> dict[str, Any]:
    """Returns, by contestant, its platform, kind of device and matmul peak.

    Contestants that do not see the device of the first are left out, for they would be slow for no
    fault of theirs. All have been started once afterwards, and their files are in memory.
    """
    found: dict[str, Any] = {}
    for name in names:
        with tempfile.TemporaryDirectory() as programs:
            child = Child(name, Path(programs))
            try:
                answer = child.ask("facts", precision=settings.precision, seconds=settings.seconds)
            except Failed as error:
                print(f"{name} is left out: {error}")
                continue
            finally:
                child.close()
        first = next(iter(found.values()), answer)
        if answer["platform"] == first["platform"]:
            found[name] = answer
        else:
            print(f"{name} is left out: it runs on {answer['platform']}, not {first['platform']}")
    if not found:
        raise InputError("no contestant is left")
    return found


def run_facts(
    found: dict[str, Any], settings: Settings, device: str, load: float
) -> dict[str, Any]:
    """Returns what is stored of the machine and the way of measuring."""
    from cnnjax.workdir import environment

    versions = {name: environment.version(name) for name in PACKAGES}
    return {
        "device": device or device_name(next(iter(found.values()))),
        "date": datetime.date.today().isoformat(),
        "precision": settings.precision,
        "rounds": settings.rounds,
        "starts": settings.starts,
        "repeats": settings.repeats,
        "cores": prepared.cores(),
        "load": round(load, 2),
        "peak": {name: round(facts["peak"]) for name, facts in found.items()},
        "python": platform.python_version(),
        "versions": {name: version for name, version in versions.items() if version},
        "git": environment.git_state(),
    }


def device_name(facts: dict[str, Any]) -> str:
    """Returns "2 CPU cores (AMD EPYC)", or the accelerator's name."""
    if facts["platform"] != "cpu":
        return facts["kind"]
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        pass
    return f"{prepared.cores()} CPU cores ({model})"


def choose(names: Sequence[str], accelerator: bool, data_dir: str) -> list[Work]:
    """Returns the works of these names; refuses a folder of data without what they need."""
    known = works(accelerator)
    chosen = [known[name] for name in names]
    if data_dir and any(work.shape == DIGITS for work in chosen):
        arrays.check(data_dir)
    return chosen


def measure(
    work: Work,
    names: Sequence[str],
    data_dir: str,
    settings: Settings,
    advance: Callable[[], object],
) -> dict[str, Any]:
    """Returns what is stored of a work: itself, and what was measured by contestant."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "arrays"
        arrays.write(arrays.make(work, data_dir), folder)
        if work.epochs:
            measured = learning.measure(work, names, folder, data_dir, settings, advance)
        else:
            measured = rounds.measure(work, names, folder, settings, advance)
    return {"work": dataclasses.asdict(work) | {"macs": macs(work)}, "contestants": measured}


def turns(work: Work, names: Sequence[str], settings: Settings) -> int:
    """Returns how often `measure` calls `advance`."""
    if work.epochs:
        return settings.repeats * (len(names) + (contestants.OURS in names))
    return (settings.starts + settings.rounds) * len(names)


def macs(work: Work) -> int:
    """Returns the multiply-adds of one image, forward."""
    from cnnjax import config as configuration
    from cnnjax.evaluation.trained import build_module
    from cnnjax.structure import layers
    from experiments.benchmarks import ours

    config = configuration.check(ours.config_of(work, "float32"))
    module = build_module(config, work.classes)
    return sum(layer.macs for layer in layers.trace(module, work.shape).layers)
