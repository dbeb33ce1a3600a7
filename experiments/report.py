"""Reports what has been found, from what lies in a folder.

    python -m experiments.report --sweep=runs/sweep

prints the report of a sweep, and writes report.txt, report.csv and report.html beside its trials.

    python -m experiments.report --workdir=runs/digits --output=digits.html
    python -m experiments.report --workdir=runs/a --workdir=runs/b --output=both.html

writes one HTML page about a run, complete or not, or about several side by side; --weights=FILE
with --data=NAME stands beside them, or alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from cnnjax import paths
from cnnjax.errors import InputError
from experiments import faults, launch, registering, weights

WORKDIR = flags.DEFINE_multi_string("workdir", None, "Directory of a run; may be repeated.")
OUTPUT = flags.DEFINE_string("output", None, "The page's file; report.html in the first workdir.")
EXAMPLES = flags.DEFINE_integer(
    "examples", 10_000, "Of each held-out split that the network is tried on, at most.", 1
)
DATA = flags.DEFINE_string("data", None, "With --weights: a data set's name, or a folder's path.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS sets are, if not where they were.")
SWEEP = flags.DEFINE_string("sweep", None, "Folder of a sweep.")
STORAGE = flags.DEFINE_string(
    "storage", "", "URL of the sweep's storage, where it needs a password."
)


def main(arguments: Sequence[str]) -> int:
    if (WORKDIR.value or weights.WEIGHTS.value) and SWEEP.value:
        return launch.refuse("--sweep=DIR, or --workdir=DIR and --weights=FILE, not both")
    if WORKDIR.value or weights.WEIGHTS.value:
        values = [*(WORKDIR.value or ()), *arguments]
        return of_runs([launch.existing_workdir(value) for value in values])
    launch.no_arguments(arguments)
    if not SWEEP.value:
        return launch.refuse(
            "--workdir=DIR of a run, --weights=FILE, or --sweep=DIR of a sweep, is missing"
        )
    import jax

    # A report computes nothing, and leaves devices to those who do.
    jax.config.update("jax_platforms", "cpu")
    return of_sweep(paths.expanded(SWEEP.value))


def of_runs(workdirs: list[Path]) -> int:
    if bool(weights.WEIGHTS.value) != bool(DATA.value):
        raise InputError("--weights=FILE and --data=NAME go together: a run knows its own data")
    path = paths.expanded(OUTPUT.value) if OUTPUT.value else beside(workdirs)
    if path.is_dir():
        raise InputError(f"--output={OUTPUT.value} is a folder: name a file, as report.html")
    network = weights.opened(weights.place()) if DATA.value else None
    if network is None:
        faults.require()
        registering.read()
    from cnnjax.evaluation import trained
    from cnnjax.report import evidence, page

    runs = [evidence.gather(w, DATA_DIR.value, EXAMPLES.value) for w in workdirs]
    if network is not None and DATA.value:
        dataset = trained.data_for(network, DATA.value, DATA_DIR.value)
        trained.check_data(network, dataset)
        runs.append(evidence.of_weights(network, dataset, EXAMPLES.value))
    for run in runs:
        for trouble in run.troubles:
            print(f"{run.workdir}: {trouble}")
    try:
        size = page.write(runs, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    print(f"{path}: {size / 1e6:.1f} MB, one file that needs no network.")
    return 0


def beside(workdirs: list[Path]) -> Path:
    return workdirs[0] / "report.html" if workdirs else Path("report.html")


def of_sweep(folder: Path) -> int:
    from cnnjax.sweep import page, record, report, storage, table

    sweep = record.load(folder, STORAGE.value)
    kept = storage.opened(folder, sweep.storage)
    found = table.write(folder, sweep, kept)
    shares = report.importance(sweep, kept)
    text = report.text(folder, sweep, found, shares)
    (folder / "report.txt").write_text(text + "\n")
    (folder / "report.csv").write_text(report.as_csv(sweep, found))
    (folder / "report.html").write_text(page.html(folder, sweep, found, shares))
    print(text)
    print(f"\n{folder / 'report.html'}, report.csv and report.txt hold this and more.")
    return 0


if __name__ == "__main__":
    launch.run(main)
