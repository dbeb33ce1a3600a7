"""Writes docs/networks.md from the results of the comparison with the oracles.

    ORACLE_RESULTS=results.jsonl make oracles
    python -m tests.oracles.table results.jsonl

The counts and GMACs are traced here; the differences are those in the results, the last one of
each comparison.
"""

from __future__ import annotations

import argparse
import collections
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cnnjax import models
from cnnjax.structure import layers
from tests.oracles.cases import ORACLES, Case

ROOT = Path(__file__).parent.parent.parent
TARGET = ROOT / "docs" / "networks.md"
TEXT = """# The networks and their oracles

Written by `python -m tests.oracles.table` from the results of `make oracles`: do not edit.

Every network is compared with the same network of another framework. Weights and batch
normalisation statistics are drawn there (variances log-uniform from 1e-6 to 1), written into a file
of that framework, and loaded by `cnnjax.transfer`. The numbers are the relative differences of the
logits, |ours - theirs| / |theirs| in the Euclidean norm, for two images of an even and an odd size;
the outputs of the stages are held to the same bounds: 1e-5 in float32, 1e-11 in float64.

Where sources disagree on what a name computes, the name alone stands for the one marked "default",
and a dialect for any other: `models.build("resnet50", dialect="keras")`, `--config.model.dialect`.

Parameters are the trainable ones; statistics the running means and variances. GMACs are billions of
multiply-adds for one image of the size given. An oracle called "layers" is the network written down
in the framework's layers, where the framework does not ship it.

"""
COLUMNS = ("network", "dialect", "parameters", "statistics", "input", "GMACs", "oracle",
           "even size", "odd size", "float64")  # fmt: skip
NUMBERS = COLUMNS[2:4] + COLUMNS[5:6] + COLUMNS[7:]
LABELS = {"keras": "Keras", "torchvision": "torchvision", "timm": "timm", "torch": "torch.nn"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="the file named in ORACLE_RESULTS")
    parser.add_argument("--output", type=Path, default=TARGET)
    arguments = parser.parse_args()
    found: dict[str, dict[str, Any]] = collections.defaultdict(dict)
    for text in arguments.results.read_text().splitlines():
        result = json.loads(text)
        found[f"{result['name']}-{result['source']}"][result["dtype"], result["side"]] = result
    order = {name: i for i, name in enumerate(models.MODELS)}
    rows = [row(case, found[str(case)]) for case in sorted(ORACLES, key=lambda c: order[c.name])]
    rules = ("---:" if column in NUMBERS else "---" for column in COLUMNS)
    table = [line(COLUMNS), line(rules), *rows]
    arguments.output.write_text(TEXT + "\n".join(table) + "\n")


def row(case: Case, results: dict[Any, Any]) -> str:
    """Returns the case's line; what was not measured is left empty."""
    shape, classes = native(case)
    network, plain = (models.build(case.name, classes, d) for d in (case.dialect or None, None))
    traced = layers.trace(network, shape).layers
    cells = [
        case.name,
        case.dialect + (", default" if case.dialect and network == plain else ""),
        f"{sum(layer.trainable for layer in traced):,}",
        f"{sum(layer.non_trainable for layer in traced):,}",
        "x".join(map(str, shape)),
        f"{sum(layer.macs for layer in traced) / 1e9:.4f}",
        oracle(case),
        *(measured(results, "float32", side) for side in case.sides),
        measured(results, "float64", case.sides[0]),
    ]
    return line(cells)


def line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def oracle(case: Case) -> str:
    shipped = case.source in ("torchvision", "timm") or case.oracle[0].isupper()
    return f"{LABELS[case.source]} {case.oracle if shipped else 'layers'}"


def measured(results: dict[Any, Any], dtype: str, side: int) -> str:
    result = results.get((dtype, side))
    return f"{result['logits']:.1e} ({side})" if result else ""


def native(case: Case) -> tuple[tuple[int, ...], int]:
    """Returns the input that the network's sources use, and the number of classes."""
    rows = json.loads((ROOT / "tests" / "counts.json").read_text()).values()
    found = [r for r in rows if r["name"] == case.name and not r["fields"]]
    best = next((r for r in found if r.get("dialect", "") == case.dialect), found[0])
    return tuple(best["input"]), best["classes"]


if __name__ == "__main__":
    main()
