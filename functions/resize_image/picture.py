"""Decoding, turning upright and scaling, with Pillow."""

from __future__ import annotations

import struct
import warnings
from io import BytesIO
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError

from offload import Permanent

MOST_SIDE = 16_383  # pixels, as many as WebP allows; a line costs memory of its own, however short it is
# An image has up to 4 bytes a pixel, and up to five of its kind are in memory while it is turned and scaled. With the
# largest file that makes up to 1.2 GB of the task's 1.5 GB; tests/security/test_pictures.py measures it.
MOST_PIXELS = 50_000_000
READABLE = ("JPEG", "PNG", "WEBP", "GIF", "TIFF")  # few decoders, because an attacker may use a fault in any of them
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, struct.error)


def open_picture(data: BytesIO, widest: int) -> Image.Image:
    """Decode an image and turn it upright by its EXIF orientation.

    The result has the mode RGB, or RGBA when the image has transparency.

    Args:
        data: The file.
        widest: The largest width that is needed. A much larger JPEG is decoded at a fraction of its size.

    Raises:
        Permanent: The file is broken, has too many pixels, or has another format than the readable ones.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns by a limit of its own. `MOST_PIXELS` is checked below, before any pixel is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)  # Pillow warns about unusual EXIF blocks
            image: Image.Image = Image.open(data, formats=READABLE)
            if max(image.size) > MOST_SIDE or image.width * image.height > MOST_PIXELS:
                raise Permanent(
                    f"the image has {image.width} x {image.height} pixels: at most {MOST_SIDE} a side and {MOST_PIXELS}"
                )
            # Both sides stay at least twice as large as needed, because a turned image has its height as its width.
            image.draft("RGB", (widest * 2, widest * 2))
            image.load()
            image = ImageOps.exif_transpose(image)
            # A colour profile is valid only for the channels of its image, so it is dropped when they are converted.
            info: dict[str | tuple[int, int], Any] = (
                {"icc_profile": image.info.get("icc_profile")} if image.mode in ("RGB", "RGBA") else {}
            )
            if image.mode.startswith("I"):  # `convert` would clip channels of 16 bits, so they are scaled
                image = image.convert("I").point(lambda value: value / 256).convert("L")
            mode = "RGBA" if image.has_transparency_data else "RGB"
            if image.mode != mode:  # `convert` would copy the image
                image = image.convert(mode)
            image.info = info
            return image
    except Image.DecompressionBombError as error:
        raise Permanent(f"the image has too many pixels, more than {MOST_PIXELS}") from error
    except UnidentifiedImageError as error:
        raise Permanent(f"not an image of the formats {', '.join(READABLE)}") from error
    except BROKEN as error:
        raise Permanent(f"the image is broken: {type(error).__name__}") from error


def resized(picture: Image.Image, width: int, file_format: str, quality: int) -> tuple[Image.Image, bytes]:
    """Scale an image down to a width, and encode it without metadata. Images are never enlarged.

    JPEG has no transparency, so a transparent image gets a white background.

    Raises:
        Permanent: The format does not allow an image of this height.
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
