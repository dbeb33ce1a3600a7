"""A contact sheet: the images that a check suspects, side by side with their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from cnnjax import images
from cnnjax.data.findings import Finding
from cnnjax.errors import InputError

SIDE, GAP, LINE = 112, 8, 13  # pixels
COLUMNS = 8
GROUPS = 12  # of one finding that are shown
INK, PAPER, FRAME = "#222222", "#ffffff", "#bbbbbb"


def sheet(findings: Sequence[Finding], files: Mapping[str, Path]) -> Image.Image | None:
    """Returns the sheet, or None where no finding has images; files of a group share a frame."""
    rows: list[tuple[str, list[tuple[str, ...]]]] = []
    for finding in findings:
        groups = [tuple(n for n in group if n in files) for group in finding.groups]
        groups = [group[:COLUMNS] for group in groups if group]
        if groups:
            left = f", {GROUPS} groups shown" if len(groups) > GROUPS else ""
            title = f"{finding.kind} ({finding.files:,}{left})"
            rows.append((title, groups[:GROUPS]))
    if not rows:
        return None
    placed, y = [], GAP
    for title, groups in rows:
        placed.append((title, y))
        y += LINE + GAP
        for line in lines_of(groups):
            placed.append((line, y))
            y += SIDE + 2 * LINE + 2 * GAP
    width = COLUMNS * (SIDE + GAP) + GAP
    result = Image.new("RGB", (width, y), PAPER)
    draw, font = ImageDraw.Draw(result), ImageFont.load_default(11)
    for what, top in placed:
        if isinstance(what, str):
            draw.text((GAP, top), what, INK, font)
            continue
        x = GAP
        for group in what:
            end = x + len(group) * (SIDE + GAP) - GAP
            draw.rectangle((x - 3, top - 3, end + 2, top + SIDE + 2 * LINE + 2), outline=FRAME)
            for name in group:
                result.paste(thumbnail(files[name]), (x, top))
                for i, text in enumerate(caption(name, font)):
                    draw.text((x, top + SIDE + i * LINE), text, INK, font)
                x += SIDE + GAP
    return result


def lines_of(groups: Sequence[tuple[str, ...]]) -> list[list[tuple[str, ...]]]:
    """Returns the groups in lines of at most `COLUMNS` images; none is broken."""
    lines: list[list[tuple[str, ...]]] = [[]]
    for group in groups:
        if sum(map(len, lines[-1])) + len(group) > COLUMNS:
            lines.append([])
        lines[-1].append(group)
    return lines


def thumbnail(file: Path) -> Image.Image:
    """Returns the image, whole, or a cross where it cannot be read."""
    record = images.Preprocessing((SIDE, SIDE), resize="pad", background=(238, 238, 238))
    try:
        return Image.fromarray(images.load(file, record))
    except InputError:
        cross = Image.new("RGB", (SIDE, SIDE), "#eeeeee")
        draw = ImageDraw.Draw(cross)
        draw.line((0, 0, SIDE, SIDE), "#cc3311", 2)
        draw.line((0, SIDE, SIDE, 0), "#cc3311", 2)
        return cross


def caption(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    """Returns the end of a name in two lines that fit under an image."""
    name = name.encode("latin-1", "replace").decode("latin-1")  # what the font has
    lines: list[str] = []
    while name and len(lines) < 2:
        size = next(n for n in range(len(name), 0, -1) if font.getlength(name[-n:]) <= SIDE)
        lines.insert(0, name[-size:])
        name = name[:-size]
    return lines


def write(path: Path, picture: Image.Image) -> None:
    """Writes a PNG; raises InputError where that cannot be."""
    try:
        picture.save(path, "PNG")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None
