"""Image files of every kind that is read, against the pixels they were drawn from."""

import io
import os
import random
import re
import struct

import numpy as np
import pytest
from PIL import Image

from cnnjax import images
from cnnjax.errors import InputError
from tests.image_files import drawn, exif_block, files, written

FILES = files()
COLOUR = drawn()
GREY = np.asarray(Image.fromarray(COLOUR).convert("L"))
# Of 255, on average: what the format itself loses.
LOSS = {
    "jpeg": 3,
    "jpeg_progressive": 3,
    "jpeg_cmyk": 3,
    "webp_lossy": 4,
    "bmp_palette": 8,
    "gif": 26,
}

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


@pytest.mark.parametrize("name", [n for n in FILES if "exif" not in n])
def test_a_file_gives_the_pixels_it_was_written_from(name):
    pixels = images.read(FILES[name])
    assert pixels.dtype == np.uint8
    if name == "png_1":
        assert set(np.unique(pixels)) == {0, 255} and abs(pixels.mean() - GREY.mean()) < 5
        return
    expected = COLOUR if pixels.shape[-1] == 3 else GREY[..., None]
    assert pixels.shape == expected.shape
    loss = LOSS.get(name, 2 if name == "jpeg_grey" else 30 if name == "png_palette" else 0)
    assert abs(pixels.astype(float) - expected).mean() <= loss


# Pillow's numbers of an orientation against its definition (EXIF 2.32, table 6): where row 0 and
# column 0 of the file lie in the upright image.
TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("number", TURNED)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_an_image_is_turned_as_its_orientation_says(kind, number):
    options = {"lossless": True} if kind == "WEBP" else {}
    file = written(Image.fromarray(COLOUR), kind, exif=exif_block(number), **options)
    np.testing.assert_array_equal(images.read(file), TURNED[number](COLOUR))
    if kind != "TIFF":
        np.testing.assert_array_equal(images.read(file, exif=False), COLOUR)


def test_an_orientation_beside_a_broken_tag_is_followed():
    """XResolution as text of type UNDEFINED, which Pillow's own exif_transpose stumbles over."""
    entries = [(0x0112, 3, 1, struct.pack(">HH", 6, 0)), (0x011A, 7, 4, b"72dp")]
    directory = struct.pack(">H", len(entries))
    directory += b"".join(struct.pack(">HHI", *e[:3]) + e[3] for e in entries)
    block = b"Exif\0\0MM\0*\0\0\0\x08" + directory + b"\0\0\0\0"
    file = written(Image.fromarray(COLOUR), "JPEG", quality=95, exif=block)
    assert images.read(file).shape == (28, 20, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_lie_on_the_background(mode):
    alpha = np.full(GREY.shape, 255, np.uint8)
    alpha[:, 14:], alpha[:, :4] = 0, 128
    image = Image.fromarray(np.dstack([COLOUR, alpha]))
    image = image.quantize(64) if mode == "P" else image.convert(mode)
    pixels = images.read(written(image, "PNG"), 3, background=(255, 0, 0))
    own = GREY[..., None].repeat(3, -1) if mode == "LA" else COLOUR
    half = own[:, :4].astype(float) / 2 + np.array([255, 0, 0]) / 2
    far = 40 if mode == "P" else 1.5
    assert (pixels[:, 14:] == (255, 0, 0)).all()
    assert abs(pixels[:, :4] - half).max() <= far
    assert abs(pixels[:, 4:14] - own[:, 4:14].astype(float)).max() <= far


def test_a_colour_that_is_named_transparent_is():
    for mode, clear in (("L", 0), ("RGB", (0, 0, 0)), ("1", 0)):
        pixels = np.zeros((4, 6, 3), np.uint8)
        pixels[:, 3:] = 255
        file = written(Image.fromarray(pixels).convert(mode), "PNG", transparency=clear)
        assert (images.read(file, 3, background=(7, 8, 9))[:, :3] == (7, 8, 9)).all()


def test_channels_are_those_asked_for():
    rgba = FILES["png_rgba"]
    assert [images.read(rgba, c).shape[-1] for c in (0, 1, 3, 4)] == [3, 1, 3, 4]
    assert [images.read(FILES["jpeg_grey"], c).shape[-1] for c in (0, 1, 3, 4)] == [1, 1, 3, 4]
    np.testing.assert_array_equal(images.read(FILES["png"], 1)[..., 0], GREY)
    with pytest.raises(InputError, match="1, 3 or 4 channels, not as 2"):
        images.read(rgba, 2)


def test_16_bits_keep_their_range_and_their_transparent_value():
    values = np.array([[0, 257, 65535], [32768, 1000, 4242]], np.uint16)
    pixels = images.read(written(Image.fromarray(values), "PNG"))
    np.testing.assert_array_equal(pixels[..., 0], np.rint(values / 257))
    file = written(Image.fromarray(values), "PNG", transparency=4242)
    np.testing.assert_array_equal(images.read(file, 1)[..., 0], [[0, 1, 255], [128, 4, 255]])


@pytest.mark.parametrize("top", [255, 65535])
@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_32_bits_that_hold_fewer_are_not_black(kind, top):
    values = np.linspace(0, top, 12).reshape(3, 4).round().astype(kind)
    pixels = images.read(written(Image.fromarray(values), "TIFF"))
    np.testing.assert_array_equal(pixels[..., 0], np.rint(values / (top / 255)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_place(value):
    values = np.full((4, 5), 0.5, np.float32)
    values[2, 3] = value
    with pytest.raises(InputError, match=r"at row 2, column 3, and 0 more"):
        images.read(written(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 1.5), (0, 70_000)])
def test_a_range_that_nobody_can_know_is_refused(low, high):
    values = np.linspace(low, high, 12, dtype=np.float32).reshape(3, 4)
    with pytest.raises(InputError, match=f"values from {low:g} to {high:g}"):
        images.read(written(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "ICO", "PPM", "DDS", "EPS"])
def test_another_format_is_refused_by_its_name_whatever_the_file_is_called(kind, tmp_path):
    names = {"JPEG2000": "JPEG 2000", "ICO": "icon", "EPS": "PostScript"}
    file = tmp_path / "photograph.png"
    file.write_bytes(written(Image.fromarray(COLOUR), kind))
    with pytest.raises(InputError, match=rf"photograph.png .* it is {names.get(kind, kind)}, and"):
        images.read(file)


def bomb():
    """A PNG of a few bytes whose header declares 60,000 x 60,000 pixels."""
    file = bytearray(FILES["png_1"])
    file[16:24] = struct.pack(">II", 60_000, 60_000)
    import zlib

    file[29:33] = struct.pack(">I", zlib.crc32(bytes(file[12:29])))
    return bytes(file)


def test_a_declared_size_beyond_the_cap_is_refused_before_it_is_decoded():
    with pytest.raises(InputError, match="decompression bomb"):
        images.read(bomb())
    with pytest.raises(InputError, match=r"declares 28 x 20 pixels, more than the 559"):
        images.read(FILES["png"], largest=559)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_is_refused_or_whole(name):
    whole = images.read(FILES[name])
    for end in range(0, len(FILES[name]), 7):
        try:
            pixels = images.read(FILES[name][:end])
        except InputError:
            continue
        np.testing.assert_array_equal(pixels, whole)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "closed.png").write_bytes(FILES["png"][:40])
    for name, words in {
        "none.png": "none.png does not exist",
        "pipe.png": "pipe.png is no regular file",
        ".": "is a directory",
        "empty.png": "it is empty",
        "closed.png": "damaged or cut short",
    }.items():
        with pytest.raises(InputError, match=words):
            images.read(tmp_path / name)
    with pytest.raises(InputError, match=re.escape(r"b\xffd.png does not exist")):
        images.read(os.fsdecode(bytes(tmp_path) + b"/b\xffd.png"))


def mutated(file, generator):
    """Returns the bytes with a few overwritten, cut out, repeated, or cut off."""
    result = bytearray(file)
    for _ in range(generator.choice((1, 1, 2, 5, 20))):
        size = generator.choice((64, len(result)))
        place = generator.randrange(max(1, min(size, len(result))))
        kind = generator.randrange(8)
        if kind < 5:
            word = struct.pack("<I", generator.choice((0, 1, 255, 2**16, 2**31, 2**32 - 1)))
            few = generator.choice((bytes([generator.randrange(256)]), word, word[::-1]))
            result[place : place + len(few)] = few
        elif kind == 5:
            del result[place : place + generator.randrange(1, 9)]
        elif kind == 6:
            result[place:place] = result[place : place + generator.randrange(1, 33)]
        else:
            del result[generator.randrange(len(result) + 1) :]
    return bytes(result)


def check_mutations(count, seed):
    generator = random.Random(seed)
    read = 0
    for _ in range(count):
        for name, file in FILES.items():
            try:
                pixels = images.read(mutated(file, generator), name=name, largest=2**22)
            except InputError as error:
                assert str(error).startswith(name) and "\n" not in str(error)
                continue
            assert pixels.dtype == np.uint8 and pixels.ndim == 3
            read += 1
    assert 0.05 < read / (count * len(FILES)) < 0.95  # neither all harmless nor all beyond repair


def test_damage_ends_in_a_sentence():
    check_mutations(60, seed=0)


@pytest.mark.slow
def test_damage_ends_in_a_sentence_at_length():
    check_mutations(5000, seed=1)


def test_whatever_a_decoder_raises_becomes_a_sentence(monkeypatch):
    for error in (TypeError("not this"), RuntimeError(), MemoryError(), RecursionError("deep")):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(Image.Image, "convert", fail)
        with pytest.raises(InputError, match=r"x\.png is not an image that can be read: \w+"):
            images.read(FILES["png"], name="x.png")
    monkeypatch.setattr(Image.Image, "convert", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        images.read(io.BytesIO(FILES["png"]).getvalue())
