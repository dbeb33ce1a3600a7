"""Draws the pictures of docs/guide.md.

python -m experiments.illustrate                            those of the arithmetic
python -m experiments.illustrate --workdir=runs/digits      that of a trained network
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from cnnjax import output, paths
from cnnjax.errors import InputError
from experiments import launch, registering

OUT = flags.DEFINE_string(
    "out", None, "Folder that the pictures go to: by default docs/pictures, or WORKDIR/pictures."
)
ONLY = flags.DEFINE_list("only", [], "Names of pictures; all that need no run by default.")
WORKDIR = flags.DEFINE_string("workdir", None, "A run: draws its first filters, as learned.png.")


def main(arguments: Sequence[str]) -> int:
    launch.no_arguments(arguments)
    from cnnjax import illustration

    names = ONLY.value or ([] if WORKDIR.value else illustration.PICTURES)
    figures = {name: illustration.PICTURES[name] for name in names}
    folder = Path("docs/pictures")
    if WORKDIR.value:
        from cnnjax.illustration import learned

        workdir = launch.existing_workdir(WORKDIR.value)
        registering.read()
        folder = workdir / "pictures"
        figures["learned"] = lambda: learned.filters(workdir)
    folder = paths.expanded(OUT.value) if OUT.value else folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, draw in figures.items():
            file = folder / f"{name}.{'jpg' if name in illustration.PHOTOGRAPHIC else 'png'}"
            save(draw(), file)
            print(file)
    except OSError as error:
        if output.lost(error):
            raise
        raise InputError(f"--out={folder} cannot be written: {error.strerror}") from None
    return 0


def save(figure, file: Path) -> None:
    """Writes a JPEG, or a PNG of 256 colours: a third of the size and no different to the eye."""
    import io

    from PIL import Image

    if file.suffix == ".jpg":
        figure.savefig(file, dpi=80, facecolor="white", pil_kwargs={"quality": 85})
        return
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    picture = Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(file, optimize=True)


if __name__ == "__main__":
    launch.run(main)
