"""Puts a claim to the test: runs a study, or goes on with it, and writes its page.

python -m experiments.study pooling
python -m experiments.study --list
"""

from __future__ import annotations

import datetime
import importlib
import pkgutil
from collections.abc import Sequence

from absl import flags

from experiments import launch

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the runs; runs/studies/NAME by default.")
PAGES = flags.DEFINE_string("pages", "docs/studies", "Folder of the pages.")
LIST = flags.DEFINE_bool("list", False, "Print the studies and their questions.")
SEEDS = flags.DEFINE_integer("seeds", None, "Runs of each point, if not the study's own number.", 2)


def main(arguments: Sequence[str]) -> int:
    from cnnjax.errors import InputError, nearest
    from cnnjax.train import stop

    names = known()
    if LIST.value:
        for name in names:
            print(f"{name:22} {load(name).question}")
        return 0
    if len(arguments) != 1:
        raise InputError(f"name one study: {', '.join(names)}")
    if arguments[0] not in names:
        raise InputError(f"unknown study {arguments[0]!r}{nearest(arguments[0], names)}")
    try:
        return studied(arguments[0])
    except stop.Stopped as stopped:
        print(stopped)
        return stop.STOPPED


def known() -> list[str]:
    from experiments import studies

    return sorted(module.name for module in pkgutil.iter_modules(studies.__path__))


def load(name: str):
    return importlib.import_module(f"experiments.studies.{name}").STUDY


def studied(name: str) -> int:
    """Trains what is missing, and writes NAME.md and NAME.svg."""
    import dataclasses

    from cnnjax import paths
    from cnnjax.sweep import plots, study, study_page
    from cnnjax.train import programs, run

    what = load(name)
    if SEEDS.value:
        what = dataclasses.replace(what, seeds=SEEDS.value)
    study.check(what)
    folder = paths.expanded(WORKDIR.value or f"runs/studies/{name}")
    every = list(study.runs(what, folder))
    with programs.shared():
        for number, (point, seed, config, workdir) in enumerate(every, 1):
            print(f"{name} {number}/{len(every)}: {point}, seed {seed}", flush=True)
            run.run(config, workdir)
        found = study.collected(what, folder)
        beside, curves = study.beside(what, folder), study.curves(what, folder)
    made = study.differences(what, found)
    verdict = study.answer(what, made)
    date = datetime.date.today().isoformat()
    page = study_page.markdown(name, what, found, beside, made, verdict, machine(), date)
    pages = paths.expanded(PAGES.value)
    pages.mkdir(parents=True, exist_ok=True)
    (pages / f"{name}.md").write_text(page)
    (pages / f"{name}.svg").write_text(plots.drawn(study_page.drawing, what, made))
    if what.curve:
        (pages / f"{name}_curve.svg").write_text(plots.drawn(study_page.curve, what, curves))
    (pages / "index.md").write_text(study_page.index(pages))
    print(page)
    return 0


def machine() -> str:
    """Returns what the runs ran on, in a few words."""
    import os
    import platform

    import jax

    device = jax.devices()[0]
    if device.platform != "cpu":
        return f"{jax.device_count()} x {device.device_kind}"
    return f"{os.cpu_count()} CPU cores ({platform.machine()})"


if __name__ == "__main__":
    launch.run(main)
