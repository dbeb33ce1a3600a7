"""Image files of many kinds, drawn: as bytes, by name."""

import io

import numpy as np
from PIL import Image


def drawn(height=20, width=28):
    """Returns smooth colours with a white corner at the top left, RGB."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = (rows * 200 // height, columns * 200 // width, (rows + columns) * 2)
    pixels = np.stack(planes, -1).astype(np.uint8)
    pixels[:5, :5] = 255
    return pixels


def written(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def exif_block(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def files():
    """Returns a file of every format and of most modes that are read."""
    colour = Image.fromarray(drawn())
    grey, palette = colour.convert("L"), colour.convert("P", palette=Image.Palette.ADAPTIVE)
    opaque = colour.convert("RGBA")
    deep = Image.fromarray(np.asarray(grey, np.uint16) * 257)
    unit = Image.fromarray(np.asarray(grey, np.float32) / 255)
    frames = [colour.rotate(angle).convert("P") for angle in (0, 90)]
    return {
        "jpeg": written(colour, "JPEG", quality=95),
        "jpeg_grey": written(grey, "JPEG", quality=95),
        "jpeg_progressive": written(colour, "JPEG", progressive=True),
        "jpeg_exif": written(colour, "JPEG", quality=95, exif=exif_block(6)),
        "jpeg_cmyk": written(colour.convert("CMYK"), "JPEG", quality=95),
        "png": written(colour, "PNG"),
        "png_rgba": written(opaque, "PNG"),
        "png_palette": written(palette, "PNG", transparency=3),
        "png_1": written(grey.convert("1"), "PNG"),
        "png_16": written(deep, "PNG"),
        "png_exif": written(colour, "PNG", exif=exif_block(8)),
        "bmp": written(colour, "BMP"),
        "bmp_palette": written(palette, "BMP"),
        "webp": written(colour, "WEBP", lossless=True),
        "webp_lossy": written(opaque, "WEBP"),
        "gif": written(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "tiff": written(colour, "TIFF"),
        "tiff_lzw": written(colour, "TIFF", compression="tiff_lzw"),
        "tiff_float": written(unit, "TIFF"),
        "tiff_16": written(deep, "TIFF", compression="tiff_adobe_deflate"),
    }


def photographs(root, count, seed=0):
    """Writes a directory each of crops of scikit-learn's two photographs, JPEG of many sizes."""
    from sklearn.datasets import load_sample_images

    generator = np.random.default_rng(seed)
    for name, pixels in zip(("temple", "flower"), load_sample_images().images, strict=True):
        (root / name).mkdir(parents=True)
        for i in range(count):
            height, width = generator.integers(90, 200, 2)
            top = generator.integers(0, pixels.shape[0] - height)
            left = generator.integers(0, pixels.shape[1] - width)
            crop = Image.fromarray(pixels[top : top + height, left : left + width])
            crop.save(root / name / f"IMG_{i}.jpg", quality=90)
    return root
