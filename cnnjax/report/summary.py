"""What a network is made of, as a table in the manner of Keras, or as plain data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from cnnjax.models.backbones import Stage
from cnnjax.structure.layers import Layer

HEADER = ("Layer (type)", "Output Shape", "Param #", "MACs", "Activation", "Receptive field")


def table(title: str, rows: Sequence[Layer]) -> str:
    """Returns `rows` as text, with totals; MACs and activations are those of one image."""
    cells = [HEADER, *map(row, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [aligned(line, widths) for line in cells]
    rule = max(map(len, lines))
    sums = totals(rows)
    return "\n".join(
        (
            f'Model: "{title}"',
            "_" * rule,
            lines[0],
            "=" * rule,
            *lines[1:],
            "=" * rule,
            f"Total params: {sums['params']:,}",
            f"Trainable params: {sums['trainable']:,}",
            f"Non-trainable params: {sums['non_trainable']:,}",
            f"MACs: {sums['macs']:,}",
            f"Activations: {memory(sums['activation_bytes'])}",
        )
    )


def row(layer: Layer) -> tuple[str, ...]:
    field = layer.receptive_field
    return (
        f"{layer.name} ({layer.kind})",
        f"({', '.join(['None', *map(str, layer.shape)])})",
        f"{layer.parameters:,}",
        f"{layer.macs:,}",
        memory(layer.activation_bytes),
        "all" if field is None else "x".join(map(str, field)),
    )


def aligned(cells: Sequence[str], widths: Sequence[int], sides: str = "<<>>>>") -> str:
    """Returns a line with words on the left of their column and numbers on the right."""
    parts = (f"{c:{s}{w}}" for c, s, w in zip(cells, sides, widths, strict=True))
    return "  ".join(parts).rstrip()


def stages(title: str, rows: Sequence[Stage]) -> str:
    """Returns a backbone's stages as text."""
    cells = [("Stage", "Stride", "Features")]
    cells += [(stage.name, f"{stage.stride}", f"{stage.features:,}") for stage in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [aligned(line, widths, "<>>") for line in cells]
    rule = "=" * max(map(len, lines))
    return "\n".join((f'Backbone: "{title}"', rule, lines[0], rule, *lines[1:]))


def memory(size: int) -> str:
    """Returns bytes in a unit that leaves one to four digits before the point."""
    units = ("B", "KiB", "MiB", "GiB")
    power = min(max(size.bit_length() - 1, 0) // 10, len(units) - 1)
    return f"{size / 1024**power:.4g} {units[power]}"


def totals(rows: Sequence[Layer]) -> dict[str, int]:
    names = ("trainable", "non_trainable", "macs", "activation_bytes")
    sums = {name: sum(getattr(layer, name) for layer in rows) for name in names}
    return {"params": sums["trainable"] + sums["non_trainable"], **sums}


def record(title: str, shape: Sequence[int], classes: int, rows: Sequence[Layer]) -> dict[str, Any]:
    """Returns the table's contents for JSON; a receptive field of None is the whole image."""
    layers = [{**dataclasses.asdict(layer), "params": layer.parameters} for layer in rows]
    return {
        "model": title,
        "input": list(shape),
        "classes": classes,
        "layers": layers,
        "totals": totals(rows),
    }
