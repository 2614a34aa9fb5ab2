import subprocess
import sys
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from functions.resize_image import handler, picture
from functions.resize_image.handler import resize_image
from offload import PayloadError, Permanent

BUCKET = "offload-files"


def encoded(image, file_format="PNG", **options):
    out = BytesIO()
    image.save(out, file_format, **options)
    return out.getvalue()


def put(s3, data, key="uploads/a.png"):
    s3.put_object(Bucket=BUCKET, Key=key, Body=data)
    return key


def get(s3, key):
    return Image.open(BytesIO(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()))


@pytest.mark.parametrize("file_format", ["webp", "jpeg", "png"])
def test_one_thumbnail_a_width_in_the_format_asked_for(s3, job, file_format):
    key = put(s3, encoded(Image.new("RGB", (400, 200), "red")))
    made = resize_image(key, [100, 50, 100], file_format)
    assert [(item.key, item.width, item.height) for item in made] == [
        (f"thumbnails/uploads/a.png/100.{file_format}", 100, 50),
        (f"thumbnails/uploads/a.png/50.{file_format}", 50, 25),
    ]
    for item in made:
        head = s3.head_object(Bucket=BUCKET, Key=item.key)
        assert (head["ContentLength"], head["ContentType"]) == (item.bytes, f"image/{file_format}")
        assert get(s3, item.key).format == file_format.upper()
    assert job.said == [(0, 2, "100 px"), (1, 2, "50 px"), (2, 2, "done")]


def test_a_second_run_writes_the_same_bytes_to_the_same_keys(s3, job):
    key = put(s3, encoded(Image.effect_noise((300, 300), 50)))
    first = resize_image(key, [64])
    body = s3.get_object(Bucket=BUCKET, Key=first[0].key)["Body"].read()
    assert resize_image(key, [64]) == first
    assert s3.get_object(Bucket=BUCKET, Key=first[0].key)["Body"].read() == body


def test_exif_orientation_is_applied_and_metadata_dropped(s3, job):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    exif[0x010E] = "a secret place"
    source = put(s3, encoded(Image.new("RGB", (400, 200)), "JPEG", exif=exif, comment=b"private"), "uploads/a.jpg")
    (made,) = resize_image(source, [100], "jpeg")
    image = get(s3, made.key)
    assert image.size == (100, 200)
    assert not image.getexif()
    assert "comment" not in image.info


def test_a_colour_profile_is_kept(s3, job):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (made,) = resize_image(put(s3, encoded(Image.new("RGB", (40, 20)), icc_profile=profile)), [10])
    assert get(s3, made.key).info["icc_profile"] == profile


def test_nothing_is_enlarged(s3, job):
    (made,) = resize_image(put(s3, encoded(Image.new("RGB", (30, 20)))), [100])
    assert (made.width, made.height) == (30, 20)


def test_transparency_is_kept_or_becomes_white(s3, job):
    key = put(s3, encoded(Image.new("RGBA", (40, 40), (0, 0, 0, 0))))
    (png,), (jpeg,) = resize_image(key, [10], "png"), resize_image(key, [10], "jpeg")
    assert get(s3, png.key).getpixel((5, 5))[3] == 0
    assert get(s3, jpeg.key).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "CMYK", "I;16"])
def test_every_mode_is_read(s3, job, mode):
    image = Image.new("I;16", (40, 40), 156 * 256) if mode == "I;16" else Image.new("L", (40, 40), 156).convert(mode)
    (made,) = resize_image(put(s3, encoded(image, "TIFF"), "uploads/a.tif"), [10], "png")
    assert get(s3, made.key).convert("L").getpixel((5, 5)) in range(150, 162)


def test_the_first_frame_of_an_animation(s3, job):
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    key = put(s3, encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), "uploads/a.gif")
    (made,) = resize_image(key, [10], "png")
    assert get(s3, made.key).convert("RGB").getpixel((5, 5)) == (255, 0, 0)


def test_a_missing_object_is_permanent(s3, job):
    with pytest.raises(Permanent, match="uploads/none"):
        resize_image("uploads/none", [10])


def test_a_forbidden_object_is_permanent(s3, job, refuse):
    refuse(handler.s3(), "get_object", "AccessDenied")
    with pytest.raises(Permanent, match="may not read"):
        resize_image("uploads/a.png", [10])


def test_a_large_file_is_permanent(s3, job, monkeypatch):
    monkeypatch.setattr(handler, "LARGEST_FILE", 10)
    with pytest.raises(Permanent, match="more than 10"):
        resize_image(put(s3, b"x" * 11), [10])


@pytest.mark.parametrize("data", [b"", b"hello", b"<svg/>", encoded(Image.new("RGB", (99, 99)))[:60]])
def test_what_is_no_image_is_permanent(s3, job, data):
    with pytest.raises(Permanent):
        resize_image(put(s3, data), [10])


@pytest.mark.parametrize("size", [(8000, 8000), (20000, 20000)])
def test_a_decompression_bomb_is_permanent_before_it_is_decoded(s3, job, size):
    data = encoded(Image.new("1", size))
    assert len(data) < 100_000
    with pytest.raises(Permanent, match="pixels"):
        resize_image(put(s3, data), [10])


def test_what_the_format_cannot_hold_is_permanent():
    with pytest.raises(Permanent, match="cannot be written as webp"):
        picture.resized(Image.new("RGB", (10, 20_000)), 10, "webp", 80)


def test_another_bucket(s3, job):
    s3.create_bucket(Bucket="mine", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="mine", Key="uploads/a.png", Body=encoded(Image.new("RGB", (40, 40))))
    (made,) = resize_image("uploads/a.png", [10], bucket="mine")
    assert s3.head_object(Bucket="mine", Key=made.key)


@pytest.mark.parametrize(
    "arguments", [{"source": "payloads/x"}, {"widths": []}, {"widths": [0]}, {"format": "bmp"}, {"quality": 101}]
)
def test_a_wrong_payload_is_refused_before_it_is_queued(arguments):
    with pytest.raises(PayloadError):
        resize_image.signature.bind((), {"source": "uploads/a.png", "widths": [10]} | arguments)


GOOD = {
    "png": encoded(Image.effect_noise((40, 30), 90)),
    "jpeg": encoded(Image.effect_noise((40, 30), 90), "JPEG"),
    "gif": encoded(Image.effect_noise((40, 30), 90), "GIF"),
    "webp": encoded(Image.effect_noise((40, 30), 90), "WEBP"),
    "tiff": encoded(Image.effect_noise((40, 30), 90), "TIFF"),
}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=12))
def test_a_damaged_file_is_an_image_or_permanent(kind, damage):
    data = bytearray(GOOD[kind])
    for position, value in damage:
        data[position % len(data)] = value
    try:
        image = picture.open_picture(BytesIO(bytes(data)), 10)
    except Permanent:
        return
    assert image.mode in ("RGB", "RGBA")


def test_importing_the_task_loads_no_pillow():
    code = "import sys, functions.resize_image.handler; sys.exit('PIL' in sys.modules or 'botocore' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
