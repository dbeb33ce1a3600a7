"""Says what a file of weights is, and the call that loads it.

python -m experiments.import_weights PATH
python -m experiments.import_weights PATH --name=lenet5 --json

Exit status 1 where the file fits no known network, or several: what is then printed are the calls
to choose from. A damaged file, or one that is none of weights, is an error.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Sequence
from typing import Any

from absl import flags

from experiments import launch, printed

NAME = flags.DEFINE_string("name", "", "The network, where the file does not say.")
SELECT = flags.DEFINE_string("select", None, "Which of several state dicts: its key, or a part.")
JSON = flags.DEFINE_bool("json", False, "Print one JSON object.")
STATISTICS = ("running_mean", "running_var", "num_batches_tracked", "/mean", "/var")


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        return launch.refuse("name one file of weights")
    from cnnjax import transfer
    from cnnjax.errors import InputError
    from cnnjax.images import description

    path = arguments[0]
    framework, tensors = transfer.read(path, SELECT.value)
    facts: dict[str, Any] = {
        "path": path,
        "bytes": os.path.getsize(path),
        "sha256": description.digest(path),
        "names": framework,
        "tensors": {name: list(array.shape) for name, array in tensors.items()},
        "parameters": sum(
            array.size for name, array in tensors.items() if not name.endswith(STATISTICS)
        ),
    }
    given: tuple[Any, ...] = (NAME.value, path) if NAME.value else (path,)
    try:
        found = transfer.read_network(*given, select=SELECT.value)
        facts["call"] = call(*given)
        facts["description"] = dataclasses.asdict(found.description)
    except InputError as error:
        facts["choice"] = str(error)
    if JSON.value:
        print(json.dumps(facts))
    else:
        show(facts)
    return 0 if "call" in facts else launch.FAILED


def call(*given: str) -> str:
    """Returns the call that does as this command did."""
    select = f", select={SELECT.value!r}" if SELECT.value else ""
    return f"transfer.load({', '.join(map(repr, given))}{select})"


def show(facts: dict[str, Any]) -> None:
    """Prints the tensors and what is known of the whole."""
    from rich.table import Table
    from rich.text import Text

    console = printed.console()
    table = Table("tensor", "shape", "numbers")
    for name, shape in facts["tensors"].items():
        table.add_row(Text(name), "x".join(map(str, shape)) or "one number",
                      f"{math.prod(shape):,}")  # fmt: skip
    console.print(table)
    names = {"keras": "Keras", "torch": "PyTorch", "ours": "cnnjax"}[facts["names"]]
    console.print(Text(
        f"{facts['path']}: {len(facts['tensors'])} tensors named as in {names}, "
        f"{facts['parameters']:,} parameters, {facts['bytes']:,} bytes, sha256 {facts['sha256']}"
    ))  # fmt: skip
    if "choice" in facts:
        console.print(Text(facts["choice"]))
        return
    for note in facts["description"]["assumed"]:
        console.print(Text(f"assumed: {note}"))
    console.print(Text(f"gives {facts['description']['outputs']}; load it by"))
    console.print(Text(f"  {facts['call']}"))


if __name__ == "__main__":
    launch.run(main)
