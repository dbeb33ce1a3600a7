"""Reports what has been found, from what lies in a folder.

    python -m experiments.report --sweep=runs/sweep

prints the report of a sweep, and writes report.txt, report.csv and report.html beside its trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from cnnjax import paths
from experiments import launch

SWEEP = flags.DEFINE_string("sweep", None, "Folder of a sweep.")
STORAGE = flags.DEFINE_string(
    "storage", "", "URL of the sweep's storage, where it needs a password."
)


def main(arguments: Sequence[str]) -> int:
    launch.no_arguments(arguments)
    if not SWEEP.value:
        return launch.refuse("--sweep=DIR is missing: the folder of a sweep")
    import jax

    # A report computes nothing, and leaves devices to those who do.
    jax.config.update("jax_platforms", "cpu")
    return of_sweep(paths.expanded(SWEEP.value))


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
