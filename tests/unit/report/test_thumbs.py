"""Thumbnails: small, upright, over white, and made while a run goes on."""

import pytest
from PIL import Image

from dsrun.records import Artifact, JobResult, JobStatus
from dsrun.report.early import EarlyThumbs
from dsrun.report.items import thumb_of
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


def result(path, media_type="image/png"):
    artifact = Artifact(path=path, sha256=SHA, size=1, media_type=media_type, index=0)
    return JobResult(status=JobStatus.SUCCEEDED, artifacts=(artifact,))


def test_it_is_made_as_a_job_ends(tmp_path):
    Image.new("RGB", (600, 600)).save(tmp_path / "a.png")
    early = EarlyThumbs(tmp_path)
    early.note_end(result("a.png"))
    early.note_end(None)
    early._pool.shutdown(wait=True)
    with Image.open(tmp_path / thumb_of(SHA)) as thumb:
        assert thumb.size == (320, 320)


@pytest.mark.parametrize(
    "ended", [result("gone.png"), result("a.mp3", "audio/mpeg")], ids=["no file", "no picture"]
)
def test_what_is_no_picture_has_none(tmp_path, ended):
    early = EarlyThumbs(tmp_path)
    early.note_end(ended)
    early._pool.shutdown(wait=True)
    assert list(tmp_path.rglob("*.*")) in ([], [tmp_path / ".thumbs"])
