"""Thumbnails: small, upright, over white, and made while a run goes on."""

import pytest
from PIL import Image

from dsrun.report.thumbs import open_small

SHA = "ab" * 32


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16", "CMYK"])
def test_a_picture_of_any_mode_becomes_a_small_one(tmp_path, mode):
    file = tmp_path / ("a.tiff" if mode in ("CMYK", "LA") else "a.png")
    Image.new(mode, (1000, 500)).save(file)
    small = open_small(file, 100)
    assert (small.mode, small.size) == ("RGB", (100, 50))


def test_what_is_transparent_is_white(tmp_path):
    Image.new("RGBA", (50, 50), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert open_small(tmp_path / "a.png", 100).getpixel((10, 10)) == (255, 255, 255)
