"""Any image file as uint8 pixels, or one sentence that says why not.

A file is foreign: it may be broken, hostile, or not what its name says. Only the decoders of
`FORMATS` ever see it (Pillow chooses by the first bytes, so that a "png" may start Ghostscript
otherwise), its declared size is checked before it is decoded, and whatever goes wrong comes out of
`read` as an `InputError` that names the file.
"""

from __future__ import annotations

import io
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from cnnjax.errors import InputError

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF")
ALLOWED = "JPEG, PNG, BMP, WebP, GIF and TIFF are read"
# Pixels; 1.4 GB as float32 of three channels. Pillow warns from here on, too.
LARGEST = 89_478_485
WHITE = (255, 255, 255)
# What a file begins with: (place, bytes, name). The first are those of `FORMATS`.
READ = (
    (0, b"\xff\xd8\xff", "JPEG"), (0, b"\x89PNG", "PNG"), (0, b"BM", "BMP"), (8, b"WEBP", "WebP"),
    (0, b"GIF8", "GIF"), (0, b"II*\0", "TIFF"), (0, b"MM\0*", "TIFF"), (0, b"II+\0", "TIFF"),
)  # fmt: skip
REFUSED = (
    (4, b"ftypavif", "AVIF"), (4, b"ftypavis", "AVIF"), (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"), (4, b"ftypmif1", "HEIF"), (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"), (4, b"JXL ", "JPEG XL"), (0, b"\xff\x0a", "JPEG XL"),
    (0, b"8BPS", "Photoshop"), (0, b"%!PS", "PostScript"), (0, b"\xc5\xd0\xd3\xc6", "PostScript"),
    (0, b"%PDF", "PDF"), (0, b"<svg", "SVG"), (0, b"<?xml", "XML"), (0, b"\0\0\1\0", "icon"),
    (0, b"DDS ", "DDS"), (0, b"qoif", "QOI"), (0, b"P5", "PGM"), (0, b"P6", "PPM"),
    (0, b"SIMPLE  =", "FITS"), (0, b"\x89HDF", "HDF5"), (0, b"PK\3\4", "zip"),
    (0, b"\x93NUMPY", "NumPy"), (0, b"<!DOCTYPE", "HTML"), (0, b"<html", "HTML"),
)  # fmt: skip
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read(
    source: Path | str | bytes,
    channels: int = 0,
    *,
    name: str = "",
    background: tuple[int, int, int] = WHITE,
    exif: bool = True,
    largest: int = LARGEST,
) -> np.ndarray:
    """Returns the pixels of an image file: uint8, (height, width, channels).

    Of an animation the first frame, of a TIFF the first page. 16 bits are scaled to 8. Integers of
    32 bits state no range: they are taken for 8 bits where all fit, else for 16; floats for 0 to 1,
    0 to 255 or 0 to 65535 likewise. Colour profiles are not applied.

    Args:
      source: a file, or its bytes.
      channels: 1 grey (ITU-R 601-2 luma), 3 RGB, 4 RGBA; 0: 1 or 3, as the file is.
      name: what to call the file in an error.
      background: what transparent pixels are laid on, unless channels is 4.
      exif: turn as the EXIF orientation says; TIFF's own orientation is always followed. A
        damaged EXIF block counts as none.
      largest: number of pixels that a file may declare.

    Raises InputError, which names the file, for all that cannot be read.
    """
    if channels not in (0, 1, 3, 4):
        raise InputError(f"image files are read as 1, 3 or 4 channels, not as {channels}")
    with boundary(source, name) as called, opened(source, called, largest) as image:
        return pixels(image, channels, background, exif, called)


@contextmanager
def boundary(source: Path | str | bytes, name: str = "") -> Iterator[str]:
    """Yields what to call the file; turns whatever is raised inside into an `InputError`.

    The one place for that: what decoders raise on damaged files (TypeError, RuntimeError,
    MemoryError, SyntaxError, struct.error, ...) is in no list of theirs.
    """
    called = name or ("the image" if isinstance(source, bytes) else os.fsdecode(source))
    # Bytes that are no UTF-8 can be in a name, and cannot be printed.
    called = os.fsencode(called).decode("utf-8", "backslashreplace")
    try:
        yield called
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{called} does not exist") from None
    except Exception as error:
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = " ".join(text.split())[:200]
        raise InputError(f"{called} is not an image that can be read: {reason}") from error


@contextmanager
def opened(
    source: Path | str | bytes, called: str, largest: int = LARGEST
) -> Iterator[Image.Image]:
    """Yields the image of a file, header read, size checked, nothing decoded."""
    with io.BytesIO(source) if isinstance(source, bytes) else regular(source, called) as stream:
        try:
            image = Image.open(stream, formats=FORMATS)
        except UnidentifiedImageError:
            stream.seek(0)
            raise InputError(refusal(called, stream.read(64))) from None
        with image:
            if math.prod(image.size) > largest:
                raise InputError(
                    f"{called} declares {image.width:,} x {image.height:,} pixels, more than the "
                    f"{largest:,} that are read"
                )
            yield image


def regular(path: Path | str, called: str) -> Any:
    """Opens a file; a pipe or a device, which may never end, is refused."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        what = "a directory" if os.path.isdir(path) else "no regular file"
        raise InputError(f"{called} is {what}, not an image")
    return open(path, "rb")


def refusal(called: str, head: bytes) -> str:
    """Returns why a file with these first bytes is no image that is read."""
    if not head:
        return f"{called} is not an image: it is empty"
    for place, signature, kind in READ:
        if head[place:].startswith(signature):
            return f"{called} is not an image that can be read: a {kind} file, damaged or cut short"
    for place, signature, kind in REFUSED:
        if head[place:].startswith(signature):
            return f"{called} is not an image that is read: it is {kind}, and {ALLOWED}"
    return f"{called} is not an image that is read: its first bytes are of no known kind; {ALLOWED}"


def pixels(
    image: Image.Image, channels: int, background: tuple[int, int, int], exif: bool, called: str
) -> np.ndarray:
    """Decodes an opened image to uint8, (height, width, channels)."""
    turn = TURNS.get(orientation(image)) if exif and image.format != "TIFF" else None
    image.load()
    if image.mode.startswith("I") or image.mode == "F":
        image = eight_bits(image, called)
    if image.mode in ("La", "RGBa"):  # colours multiplied by their opacity
        image = image.convert(image.mode.upper())
    transparent = image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info
    grey = image.mode in ("1", "L", "LA")
    if channels == 4:
        image = image.convert("RGBA")
    elif transparent:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (*background, 255)), image)
    if channels != 4:
        grey = channels == 1 or (not channels and grey)
        image = image.convert("L") if grey else image.convert("RGB")
    if turn is not None:
        image = image.transpose(turn)
    array = np.asarray(image)
    return array.reshape(*array.shape[:2], -1)


def orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation, 1 (upright) to 8; 1 where EXIF is absent or damaged."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # as in `boundary`; the image itself may be whole
        return 1
    return value if isinstance(value, int) and value in TURNS else 1


def eight_bits(image: Image.Image, called: str) -> Image.Image:
    """Returns an image of 16 or 32 bits, integers or floats, as grey of 8 bits, or LA."""
    values = np.asarray(image).astype(np.float64)
    unsound = ~np.isfinite(values)
    if unsound.any():
        row, column = np.argwhere(unsound)[0]
        raise InputError(
            f"{called} holds {values[row, column]} at row {row}, column {column}, and "
            f"{unsound.sum() - 1:,} more values that are not finite"
        )
    least, most = values.min(initial=0), values.max(initial=0)
    if image.mode.startswith("I;16"):
        top = 65535
    elif image.mode == "F" and most <= 1:
        top = 1
    else:
        top = 255 if most <= 255 else 65535
    # Floats a little above 1 are an overshoot of 0 to 1, or nearly black: nobody can say which.
    unclear = image.mode == "F" and 1 < most < 2
    if least < 0 or most > top or unclear:
        raise InputError(
            f"{called} holds values from {least:g} to {most:g}: images of 32 bits are read with "
            "values from 0 to 1 (floats), 255, or 65535"
        )
    result = Image.fromarray(np.rint(values * (255 / top)).astype(np.uint8))
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        result.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return result
