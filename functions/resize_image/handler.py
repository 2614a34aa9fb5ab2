"""Make thumbnails of an image."""

from __future__ import annotations

from io import BytesIO
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from functions import permanent_on, s3, stack, unreadable
from offload import Allow, Permanent, Retry, current_job, task

SOURCES, THUMBNAILS = "uploads/", "thumbnails/"
LARGEST_FILE = 50_000_000  # bytes, held in memory once

Key = Annotated[str, Field(pattern=f"^{SOURCES}.+", max_length=900)]
Width = Annotated[int, Field(ge=1, le=8192)]
Widths = Annotated[list[Width], Field(min_length=1, max_length=20)]
Quality = Annotated[int, Field(ge=1, le=100)]


class Thumbnail(BaseModel):
    """An image that was written.

    Attributes:
        key: Where in the bucket.
        width: In pixels; below the width asked for when the source is narrower.
        height: In pixels.
        bytes: Size of the file.
    """

    key: str
    width: int
    height: int
    bytes: int


@task(
    retry=Retry(max_attempts=4, base="5s", cap="2m"),
    timeout="2m",
    batch_size=1,  # one image fills the memory below
    memory=1536,
    allow=(
        Allow(("s3:GetObject",), ("{bucket}/" + SOURCES + "*",)),
        Allow(("s3:PutObject",), ("{bucket}/" + THUMBNAILS + "*",)),
    ),
)
def resize_image(
    source: Key,
    widths: Widths,
    format: Literal["webp", "jpeg", "png"] = "webp",  # noqa: A002 - the name everybody gives it
    quality: Quality = 82,
    bucket: str | None = None,
) -> list[Thumbnail]:
    """Write one thumbnail a width to `thumbnails/<source>/<width>.<format>`, upright and without metadata.

    The keys follow from the arguments alone, so a repeated run writes the same objects again. Images are never
    enlarged, and of an animation the first frame is taken.

    Args:
        source: Key of a JPEG, PNG, WebP, GIF or TIFF image under `uploads/`.
        widths: In pixels.
        format: Of the thumbnails.
        quality: Of lossy formats, 1 to 100.
        bucket: None takes the stack's; any other also needs a statement in `allow`.

    Raises:
        Permanent: The source is missing, too large, not an image or broken.
    """
    from .picture import open_picture, resized  # loads Pillow

    bucket = bucket or stack().bucket
    with permanent_on(unreadable(bucket, source)):
        found = s3().get_object(Bucket=bucket, Key=source)
    if found["ContentLength"] > LARGEST_FILE:
        raise Permanent(f"{source} has {found['ContentLength']} bytes, more than {LARGEST_FILE}")
    job, made = current_job(), []
    wanted = sorted(set(widths), reverse=True)
    picture = open_picture(BytesIO(found["Body"].read()), widest=wanted[0])
    for done, width in enumerate(wanted):
        job.progress(done, len(wanted), stage=f"{width} px")
        image, data = resized(picture, width, format, quality)
        key = f"{THUMBNAILS}{source}/{width}.{format}"
        s3().put_object(Bucket=bucket, Key=key, Body=data, ContentType=f"image/{format}")
        made.append(Thumbnail(key=key, width=image.width, height=image.height, bytes=len(data)))
    job.progress(len(wanted), len(wanted), stage="done")
    return made
