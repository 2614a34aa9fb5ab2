"""Make thumbnails of an image."""

from __future__ import annotations

from io import BytesIO
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from functions import permanent_on, s3, stack, unreadable
from offload import Allow, Permanent, Retry, current_job, task

SOURCES, THUMBNAILS = "uploads/", "thumbnails/"
LARGEST_FILE = 50_000_000  # bytes; the whole file is in memory

Key = Annotated[str, Field(pattern=f"^{SOURCES}.+", max_length=900)]
Width = Annotated[int, Field(ge=1, le=8192)]
Widths = Annotated[list[Width], Field(min_length=1, max_length=20)]
Quality = Annotated[int, Field(ge=1, le=100)]


class Thumbnail(BaseModel):
    """An image that was written.

    Attributes:
        key: Key of the file in the bucket.
        width: Width in pixels; smaller than the requested width when the source is narrower.
        height: Height in pixels.
        bytes: Size of the file.
    """

    key: str
    width: int
    height: int
    bytes: int


@task(
    retry=Retry(max_attempts=4, base="5s", cap="2m"),
    timeout="2m",
    batch_size=1,  # one image may need the whole `memory`
    memory=1536,
    allow=(
        Allow(("s3:GetObject",), ("{bucket}/" + SOURCES + "*",)),
        Allow(("s3:PutObject",), ("{bucket}/" + THUMBNAILS + "*",)),
    ),
)
def resize_image(
    source: Key,
    widths: Widths,
    format: Literal["webp", "jpeg", "png"] = "webp",
    quality: Quality = 82,
    bucket: str | None = None,
) -> list[Thumbnail]:
    """Write a thumbnail for each width to `thumbnails/<source>/<width>.<format>`, upright and without metadata.

    The keys depend only on the arguments, so a repeated run writes the same objects again. Images are never enlarged.
    The thumbnail of an animation shows its first frame.

    Args:
        source: Key of a JPEG, PNG, WebP, GIF or TIFF image under `uploads/`.
        widths: Widths in pixels.
        format: Format of the thumbnails.
        quality: Quality of lossy formats, 1 to 100.
        bucket: Name of the bucket; None for the stack's bucket. Any other bucket also needs a statement in `allow`.

    Raises:
        Permanent: The source is missing, too large, broken, or not an image.
    """
    from .picture import open_picture, resized  # loads Pillow

    bucket = bucket or stack().bucket
    with permanent_on(unreadable(bucket, source)):
        found = s3().get_object(Bucket=bucket, Key=source)
    if found["ContentLength"] > LARGEST_FILE:
        raise Permanent(f"{source} has {found['ContentLength']} bytes, more than {LARGEST_FILE}")
    job, thumbnails = current_job(), []
    distinct_widths = sorted(set(widths), reverse=True)
    picture = open_picture(BytesIO(found["Body"].read()), widest=distinct_widths[0])
    for done, width in enumerate(distinct_widths):
        job.progress(done, len(distinct_widths), stage=f"{width} px")
        image, data = resized(picture, width, format, quality)
        key = f"{THUMBNAILS}{source}/{width}.{format}"
        s3().put_object(Bucket=bucket, Key=key, Body=data, ContentType=f"image/{format}")
        thumbnails.append(Thumbnail(key=key, width=image.width, height=image.height, bytes=len(data)))
    job.progress(len(distinct_widths), len(distinct_widths), stage="done")
    return thumbnails
