"""Says what a trained network finds in image files, or draws it into --output.

python -m experiments.predict --workdir=runs/digits docs/pictures/digit.png
python -m experiments.predict --workdir=runs/photos --csv photographs 'more/*.jpg'
python -m experiments.predict --workdir=runs/people --blur=background --output=out me.jpg
python -m experiments.predict --weights=photos.safetensors photographs

A directory stands for all images in it, at any depth. A file that cannot be read is named, and the
exit status is 1 then.
"""

from __future__ import annotations

import glob
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from absl import flags

from experiments import findings, launch, networks

TOP = flags.DEFINE_integer(
    "top", None, "Findings to print per image, instead of 3 classes, or all objects.", 1
)
INVERT = flags.DEFINE_bool(
    "invert", False, "Invert the images: for dark digits on light paper, as MNIST has it reversed."
)
OUTPUT = flags.DEFINE_string("output", None, "Directory for a picture of each prediction, as PNG.")
BLUR = flags.DEFINE_string(
    "blur", None, "background: the pictures in --output show it blurred, by the mask of a network."
)
BACKGROUND = flags.DEFINE_string(
    "background", None, "A colour, or transparent, for the background of the pictures in --output."
)
JSON = flags.DEFINE_bool("json", False, "Print one JSON object per image.")
CSV = flags.DEFINE_bool("csv", False, "Print a line per finding, with commas.")


def main(arguments: Sequence[str]) -> int:
    if not arguments:
        return launch.refuse("name at least one image file, or a directory of them")
    if JSON.value and CSV.value:
        return launch.refuse("--json or --csv, not both")
    from cnnjax.errors import InputError
    from cnnjax.evaluation import portrait, predict
    from cnnjax.images.examine import header
    from cnnjax.paths import expanded

    network = networks.trained()
    portrait.check(network.task, BLUR.value, BACKGROUND.value)
    cut = BLUR.value is not None or BACKGROUND.value is not None
    if cut and not OUTPUT.value:
        return launch.refuse("--output=DIR is missing: where the pictures are to lie")
    files = [file for argument in arguments for file in files_of(argument)]
    show = findings.as_json if JSON.value else findings.as_csv if CSV.value else findings.as_table
    unread: list[InputError] = []
    shown: list[tuple[Path, Any]] = []

    def answers() -> Iterator[tuple[Path, Any]]:
        for file, found in predict.of_files(network, files, INVERT.value):
            if isinstance(found, InputError):
                unread.append(found)
                yield file, found
                continue
            if OUTPUT.value:
                shown.append((file, found))
            _, height, width = header(file)
            found, facts = predict.placed(network, found, height, width)
            yield file, network.task.findings(found, facts)[: TOP.value or network.task.top]

    show(answers(), network.task)
    if OUTPUT.value:
        pictures = (predict.in_picture(network, file, found) for file, found in shown)
        paths = [file for file, _ in shown]
        cutter = partial(portrait.portrait, network.task, colour=BACKGROUND.value)
        draw = cutter if cut else None
        predict.write_pictures(expanded(OUTPUT.value), paths, pictures, network.task, draw)
    for error in unread:
        print(f"error: {error}", file=sys.stderr)
    if len(unread) == len(files):
        return launch.UNUSABLE
    return launch.FAILED if unread else 0


def files_of(argument: str) -> list[Path]:
    """Returns what an argument stands for: a file, the images of a directory, or of a pattern."""
    from cnnjax.data.folders import images_under, natural
    from cnnjax.errors import InputError

    path = Path(argument).expanduser()
    if path.is_dir():
        found, passed_over = images_under(path)
        for why, names in passed_over.items():
            few = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            print(f"passed over, {why}: {len(names):,} ({few})", file=sys.stderr)
        if not found:
            raise InputError(f"{argument} holds no images")
        return found
    if path.exists() or not glob.has_magic(argument):
        return [path]
    matches = sorted(glob.glob(str(path), recursive=True), key=natural)
    files = [Path(match) for match in matches if Path(match).is_file()]
    if not files:
        only = "; it matches directories, which are read by their name" if matches else ""
        raise InputError(f"no file matches {argument}{only}")
    return files


if __name__ == "__main__":
    launch.run(main)
