"""Stores finished runs in docs/results.json and writes the README's table from it.

python -m experiments.results --device="2 CPU cores (AMD EPYC)" runs/lenet5-0 runs/lenet5-1
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from cnnjax import paths
from experiments import launch

DEVICE = flags.DEFINE_string("device", None, "What the runs ran on, as the table should say it.")
STORE = flags.DEFINE_string("store", "docs/results.json", "The stored records.")
README = flags.DEFINE_string("readme", "README.md", "The file whose table is rewritten.")


def main(arguments: Sequence[str]) -> int:
    from cnnjax.report import results
    from cnnjax.workdir import files

    store, readme = paths.expanded(STORE.value), paths.expanded(README.value)
    stored = files.read_json(store, list) if store.exists() else []
    if arguments and not DEVICE.value:
        return launch.refuse("--device='...' is missing: what the runs ran on")
    date = datetime.date.today().isoformat()
    new = [results.record(Path(a), DEVICE.value, date) for a in arguments]
    stored = results.add(stored, new)
    text = results.written(readme.read_text(), stored)
    store.write_text(json.dumps(stored, indent=1) + "\n")
    readme.write_text(text)
    print(results.table(stored))
    return 0


if __name__ == "__main__":
    launch.run(main)
