"""Looks at a folder of images before anything is trained on it.

python -m experiments.check_data DIR
python -m experiments.check_data DIR --contact_sheet=suspects.png --json

Exit status 1 where something must be mended: files that cannot be read, equal images in different
classes or splits, a class of one image, images that the network of --config does not take.
"""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from cnnjax import paths
from experiments import configuration, launch, printed

if TYPE_CHECKING:
    from cnnjax.data.findings import Finding
    from cnnjax.data.folders import Folder
    from cnnjax.data.inspection import Seen

CONFIG = configuration.define()
JSON = flags.DEFINE_bool("json", False, "Print one JSON object.")
SHEET = flags.DEFINE_string("contact_sheet", None, "PNG to write: the suspects side by side.")
SHOWN = 3  # files of a finding in the table


def main(arguments: Sequence[str]) -> int:
    if len(arguments) > 1:
        return launch.refuse(f"one folder at a time: unexpected argument {arguments[1]!r}")
    from cnnjax import config
    from cnnjax.data import findings, folders, inspection, sheet

    values = checked_config()
    section: dict[str, Any] = config.extra(values, "data") if values else {}
    path = arguments[0] if arguments else section.get("path")
    if not path:
        return launch.refuse("name the folder, or the CSV of files and labels")
    folder = folders.listed(path, section.get("classes", ()))
    size = values["data"]["image_size"] if values else 0
    seen = inspection.inspect(folder)
    found = [*findings.findings(folder, seen, size), *(taken(values, seen) if values else ())]
    if SHEET.value:
        drawn = sheet.sheet(found, {one.name: one.file for one in seen})
        if drawn is not None:
            sheet.write(paths.expanded(SHEET.value), drawn)
    if JSON.value:
        print(json.dumps(record(folder, seen, found)))
    else:
        show(folder, seen, found)
    return launch.FAILED if any(finding.severe for finding in found) else 0


def checked_config() -> dict[str, Any] | None:
    """Returns the config, if one was given."""
    from cnnjax import config

    if not flags.FLAGS["config"].present:
        return None
    return config.check(configuration.value(CONFIG))  # pyright: ignore[reportArgumentType]


def taken(values: dict[str, Any], seen: Sequence[Seen]) -> list[Finding]:
    """Returns the finding that the network of a config does not take images of their size."""
    from cnnjax import models
    from cnnjax.data.findings import Finding
    from cnnjax.errors import InputError
    from cnnjax.evaluation.trained import build_module

    whole = [one.facts for one in seen if one.facts is not None]
    side = values["data"]["image_size"]
    height = side or min((facts.height for facts in whole), default=0)
    width = side or min((facts.width for facts in whole), default=0)
    channels = 1 if all(facts.mode in ("1", "L", "LA", "I;16") for facts in whole) else 3
    try:
        models.check_input(build_module(values, 2), (height, width, channels))
    except InputError as error:
        small = [(o.name,) for o in seen if o.facts and (o.facts.height, o.facts.width) ==
                 (height, width)]  # fmt: skip
        return [Finding("network", True, str(error), () if side else tuple(small))]
    return []


def record(folder: Folder, seen: Sequence[Seen], found: Sequence[Finding]) -> dict[str, Any]:
    """Returns everything as JSON has it: counts by split and class, facts, findings."""
    facts = [one.facts for one in seen if one.facts is not None]
    return {
        "path": str(folder.path),
        "class_names": folder.class_names,
        "counts": {
            split: [examples.labels.count(i) for i in range(len(folder.class_names))]
            for split, examples in folder.splits.items()
        },
        "formats": collections.Counter(f.format for f in facts),
        "modes": collections.Counter(f.mode for f in facts),
        "sizes": collections.Counter(f"{f.width}x{f.height}" for f in facts),
        "turned_by_exif": sum(f.turned for f in facts),
        "findings": [dataclasses.asdict(finding) for finding in found],
        "mend": any(finding.severe for finding in found),
        "notes": folder.notes,
    }


def show(folder: Folder, seen: Sequence[Seen], found: Sequence[Finding]) -> None:
    """Prints what the folder holds, and what is odd about it."""
    from rich.table import Table
    from rich.text import Text

    from cnnjax.data.folders import printable

    console = printed.console()
    console.print(Text(f"{printable(folder.path)}: {len(seen):,} images"))
    for note in folder.notes:
        console.print(Text(note))
    counts = Table("class", *folder.splits, "share")
    for i, name in enumerate(folder.class_names):
        row = [examples.labels.count(i) for examples in folder.splits.values()]
        share = f"{sum(row) / max(1, len(folder)):.1%}".replace("%", " %")
        counts.add_row(Text(name), *(f"{n:,}" for n in row), share)
    console.print(counts)
    facts = [one.facts for one in seen if one.facts is not None]
    if facts:
        kinds = collections.Counter(f"{f.format} {f.mode}" for f in facts)
        widths, heights = sorted(f.width for f in facts), sorted(f.height for f in facts)
        middle = len(facts) // 2
        console.print(Text(
            ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())
            + f"; {widths[0]} to {widths[-1]} pixels wide, half of them up to {widths[middle]}; "
            f"{heights[0]} to {heights[-1]} high, half up to {heights[middle]}"
        ))  # fmt: skip
    if not found:
        console.print("nothing to mend")
        return
    table = Table("", "finding", "files", "what", "which")
    for finding in found:
        which = "; ".join(" = ".join(group[:4]) for group in finding.groups[:SHOWN])
        more = "; ..." if len(finding.groups) > SHOWN else ""
        table.add_row(
            "mend" if finding.severe else "",
            finding.kind,
            f"{finding.files:,}" if finding.files else "",
            Text(finding.text),
            Text(which + more),
        )
    console.print(table)


if __name__ == "__main__":
    launch.run(main)
