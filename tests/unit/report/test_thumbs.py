"""Thumbnails: small, upright, over white, and made while a run goes on."""

import pytest
from PIL import Image

from dsrun.common.clock import SystemClock
from dsrun.report.thumbs import THUMBS, make_thumbs, open_small


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16", "CMYK"])
def test_a_picture_of_any_mode_becomes_a_small_one(tmp_path, mode):
    file = tmp_path / ("a.tiff" if mode in ("CMYK", "LA") else "a.png")
    Image.new(mode, (1000, 500)).save(file)
    small = open_small(file, 100)
    assert (small.mode, small.size) == ("RGB", (100, 50))


def test_what_is_transparent_is_white(tmp_path):
    Image.new("RGBA", (50, 50), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert open_small(tmp_path / "a.png", 100).getpixel((10, 10)) == (255, 255, 255)


def pictures(folder, number):
    """So many names of one picture, each with a digest of its own."""
    Image.new("RGB", (400, 300)).save(folder / "a.png")
    return [("a.png", f"{each:064x}"[::-1]) for each in range(number)]


def test_each_is_made_once_by_whichever_thread(tmp_path):
    files = pictures(tmp_path, 25)
    assert make_thumbs(tmp_path, files[:9], clock=SystemClock()) == (0, 0)
    assert make_thumbs(tmp_path, files, clock=SystemClock()) == (0, 0)
    assert len(list((tmp_path / THUMBS).iterdir())) == 25


def test_what_cannot_be_read_is_counted(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    files = [*pictures(tmp_path, 3), ("bad.png", "f" * 64), ("gone.png", "e" * 64)]
    assert make_thumbs(tmp_path, files, clock=SystemClock()) == (2, 0)


def test_none_is_begun_where_there_is_clearly_no_time_for_all(tmp_path):
    files = pictures(tmp_path, 200)
    assert make_thumbs(tmp_path, files, clock=SystemClock(), budget_s=0.1) == (0, 200)
    assert not list((tmp_path / THUMBS).iterdir())
