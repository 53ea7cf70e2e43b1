"""Models: a GLB as its specification wants it, told apart by its request."""

import json
import struct

import pytest

from dsrun.emulator.media.orders import ModelOrder
from dsrun.emulator.media.solid import solid


@pytest.mark.parametrize("number", [0, 1, 2**32 - 1, 0x12345678])
def test_a_model_is_a_whole_glb(number):
    content = solid(ModelOrder(number=number))
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    text_size, text_kind = struct.unpack_from("<I4s", content, 12)
    document = json.loads(content[20 : 20 + text_size])
    body_size, body_kind = struct.unpack_from("<I4s", content, 20 + text_size)
    assert (text_kind, body_kind) == (b"JSON", b"BIN\0")
    assert text_size % 4 == body_size % 4 == 0
    assert 28 + text_size + body_size == len(content)
    assert document["asset"]["version"] == "2.0"
    assert document["buffers"] == [{"byteLength": body_size}]


def test_the_bounds_of_the_corners_are_exact():
    for number in (0, 0xFF000000, 0x7F000000):
        content = solid(ModelOrder(number=number))
        (text_size,) = struct.unpack_from("<I", content, 12)
        (accessor,) = json.loads(content[20 : 20 + text_size])["accessors"]
        numbers = struct.unpack_from("<9f", content, 28 + text_size)
        corners = [numbers[at : at + 3] for at in (0, 3, 6)]
        assert accessor["min"] == [min(axis) for axis in zip(*corners, strict=True)]
        assert accessor["max"] == [max(axis) for axis in zip(*corners, strict=True)]


def test_models_differ_by_their_number():
    assert len({solid(ModelOrder(number=number * 0x01010101)) for number in range(200)}) == 200
