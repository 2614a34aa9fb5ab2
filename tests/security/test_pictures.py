"""What the author of a picture tries with the memory of the function that makes thumbnails of it."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from functions.resize_image.handler import LARGEST_FILE, resize_image
from functions.resize_image.picture import MOST_PIXELS, MOST_SIDE

ROOT = Path(__file__).parents[2]
WORKER = 200
"""Megabytes for the worker itself and the largest file, which is read and handed to Pillow."""

GREY, RGB, RGBA = 0, 2, 6  # PNG's colour types

PROGRAM = """
import sys
from io import BytesIO
from functions.resize_image.picture import open_picture, resized
from offload import Permanent
said = "made"
try:
    picture = open_picture(BytesIO(open(sys.argv[1], "rb").read()), widest=8192)
    resized(picture, 8192, "webp", 82)
except Permanent as refused:
    said = str(refused)
# Not `ru_maxrss`, which begins with what the process had that started this one.
lines = open("/proc/self/status").read().splitlines()
print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) // 1024, said)
"""


def png(path, width, height, colour, depth=8, *, turned=True):
    """Write an empty picture, compressed to a thousandth, which is to be turned by 90 degrees."""
    row = bytes(1 + width * {GREY: 1, RGB: 3, RGBA: 4}[colour] * depth // 8)
    packer = zlib.compressobj(1)
    rows = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    exif = b"II*\0" + struct.pack("<IH HHII I", 8, 1, 0x0112, 3, 1, 6, 0)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))]
    chunks += [(b"eXIf", exif)] if turned else []
    chunks += [(b"IDAT", rows), (b"IEND", b"")]
    with path.open("wb") as out:
        out.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in chunks:
            out.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    return path


def measured(path):
    """Return the largest resident memory, in megabytes, of a process that makes a thumbnail, and what it said."""
    environment = {"PYTHONPATH": f"{ROOT / 'shared'}:{ROOT}"}
    command = [sys.executable, "-c", PROGRAM, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    megabytes, _, said = done.stdout.strip().partition(" ")
    return int(megabytes), said


@pytest.mark.parametrize(
    ("width", "height"),
    [(1, 60_000_000), (60_000_000, 1), (1, MOST_SIDE + 1), (MOST_SIDE + 1, 1), (8191, 7319), (MOST_SIDE, MOST_SIDE)],
)
def test_a_picture_that_would_take_too_much_is_refused_before_it_is_decoded(tmp_path, width, height):
    """Only the header is true: whoever decodes the picture fails otherwise, and whoever makes room for it is seen."""
    path = png(tmp_path / "a.png", 1, 1, RGB)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    path.write_bytes(data)
    megabytes, said = measured(path)
    assert "pixels" in said
    assert megabytes < 150


@pytest.mark.parametrize(
    ("width", "height", "colour", "depth"),
    [
        (MOST_SIDE, MOST_PIXELS // MOST_SIDE, RGBA, 8),
        (8192, MOST_PIXELS // 8192, GREY, 16),
    ],
)
def test_the_largest_pictures_fit_the_memory_of_the_function(tmp_path, width, height, colour, depth):
    megabytes, said = measured(png(tmp_path / "a.png", width, height, colour, depth))
    assert said == "made"
    assert megabytes + WORKER < resize_image.settings.memory


def test_the_memory_that_is_set_aside_is_more_than_the_largest_file():
    assert LARGEST_FILE * 2 <= WORKER * 1_000_000
