"""Decoding, turning upright and scaling, with Pillow."""

from __future__ import annotations

import struct
import warnings
from io import BytesIO
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError

from offload import Permanent

MOST_PIXELS = 60_000_000  # four bytes each at most, twice while an image is turned: what the task's memory holds
READABLE = ("JPEG", "PNG", "WEBP", "GIF", "TIFF")  # the fewer decoders, the less a hostile file can reach
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, struct.error)


def open_picture(data: BytesIO, widest: int) -> Image.Image:
    """Decode an image and turn it upright by its EXIF orientation; RGB, or RGBA when it has transparency.

    Args:
        data: The file.
        widest: The largest width that will be asked for; a JPEG much larger is decoded at a fraction of its size.

    Raises:
        Permanent: Not one of the readable formats, broken, or of too many pixels.
    """
    try:
        with warnings.catch_warnings():
            # Pillow's limit is the process's; ours is checked below, from the header, before any pixel is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)  # about odd EXIF blocks
            image: Image.Image = Image.open(data, formats=READABLE)
            if image.width * image.height > MOST_PIXELS:
                raise Permanent(f"the image has {image.width} x {image.height} pixels, more than {MOST_PIXELS}")
            # A turned image's width is its stored height, so both sides stay twice as large as what is asked for.
            image.draft("RGB", (widest * 2, widest * 2))
            image.load()
            image = ImageOps.exif_transpose(image)
            # A profile describes the channels it came with: it is kept as long as they are.
            kept: dict[str | tuple[int, int], Any] = (
                {"icc_profile": image.info.get("icc_profile")} if image.mode in ("RGB", "RGBA") else {}
            )
            if image.mode.startswith("I"):  # 16 bits a channel, which `convert` would clip
                image = image.convert("I").point(lambda value: value / 256).convert("L")
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
            image.info = kept
            return image
    except Image.DecompressionBombError as error:
        raise Permanent(f"the image has too many pixels, more than {MOST_PIXELS}") from error
    except UnidentifiedImageError as error:
        raise Permanent(f"not an image of the formats {', '.join(READABLE)}") from error
    except BROKEN as error:
        raise Permanent(f"the image is broken: {type(error).__name__}") from error


def resized(picture: Image.Image, width: int, file_format: str, quality: int) -> tuple[Image.Image, bytes]:
    """Scale to a width, never up, and encode without metadata; JPEG, which has no transparency, gets white behind.

    Raises:
        Permanent: The format cannot hold so high an image.
    """
    width = min(width, picture.width)
    height = max(1, round(picture.height * width / picture.width))
    image = picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    if file_format == "jpeg" and image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    out = BytesIO()
    try:
        image.save(out, file_format, quality=quality, optimize=True, icc_profile=picture.info.get("icc_profile"))
    except (OSError, ValueError) as error:
        raise Permanent(f"{image.width} x {image.height} pixels cannot be written as {file_format}") from error
    return image, out.getvalue()
