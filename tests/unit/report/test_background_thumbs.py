"""Thumbnails that are made while a run goes on."""

import threading

import pytest
from PIL import Image

from dsrun.common.clock import SystemClock
from dsrun.common.models import Artifact, JobResult, JobStatus
from dsrun.report.background_thumbs import BackgroundThumbs
from dsrun.report.entries import THUMBS, thumb_of
from tests.conftest import wait_until as until


def artifact(name, sha256, media_type="image/png"):
    return Artifact(
        path=name, sha256=sha256, source_sha256=sha256, size=1, media_type=media_type, index=0
    )


def result(*artifacts):
    return JobResult(status=JobStatus.SUCCEEDED, artifacts=artifacts)


@pytest.fixture
def aside(tmp_path):
    maker = BackgroundThumbs(tmp_path, clock=SystemClock())
    yield maker
    maker.close()


def test_every_picture_of_a_job_gets_one_and_nothing_else_does(tmp_path, aside):
    shas = [digit * 64 for digit in "abc"]
    for sha in shas[:2]:
        Image.new("RGB", (900, 600)).save(tmp_path / f"{sha}.png")
    (tmp_path / "voice.wav").write_bytes(b"RIFF")
    aside.note_end(None)  # a job that was left
    aside.note_end(result(artifact("voice.wav", shas[2], "audio/wav")))
    aside.note_end(result(*(artifact(f"{sha}.png", sha) for sha in shas[:2])))
    until(lambda: all((tmp_path / thumb_of(sha)).is_file() for sha in shas[:2]), what="thumbnails")
    assert len(list((tmp_path / THUMBS).iterdir())) == 2


def test_none_is_made_while_the_run_itself_needs_the_processor(tmp_path):
    clock, is_busy = SystemClock(), threading.Event()
    looks = []

    def demand_s():
        looks.append(clock.monotonic())
        return clock.monotonic() if is_busy.is_set() else 0.0

    is_busy.set()
    maker = BackgroundThumbs(tmp_path, clock=clock, demand_s=demand_s)
    Image.new("RGB", (900, 600)).save(tmp_path / "a.png")
    maker.note_end(result(artifact("a.png", "a" * 64)))
    until(lambda: len(looks) > 4, what="the run to be looked at several times")
    assert not list((tmp_path / THUMBS).iterdir())
    is_busy.clear()
    until((tmp_path / thumb_of("a" * 64)).is_file, what="the thumbnail once the run waits")
    maker.close()


def test_one_that_is_there_already_is_not_made_again(tmp_path, aside):
    old, new = (tmp_path / thumb_of(digit * 64) for digit in "ab")
    Image.new("RGB", (900, 600)).save(tmp_path / "a.png")
    old.parent.mkdir()
    old.write_bytes(b"made before")
    aside.note_end(result(artifact("a.png", "a" * 64), artifact("a.png", "b" * 64)))
    until(new.is_file, what="the one that is missing")
    assert old.read_bytes() == b"made before"


def test_closed_while_the_run_needs_the_processor(tmp_path):
    clock = SystemClock()
    maker = BackgroundThumbs(tmp_path, clock=clock, demand_s=clock.monotonic)
    maker.note_end(result(artifact("a.png", "a" * 64)))
    maker.close()
    assert not (tmp_path / thumb_of("a" * 64)).exists()


def test_one_that_cannot_be_read_does_not_stop_the_others(tmp_path, aside):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    Image.new("RGB", (900, 600)).save(tmp_path / "good.png")
    aside.note_end(result(artifact("bad.png", "a" * 64), artifact("good.png", "b" * 64)))
    until((tmp_path / thumb_of("b" * 64)).is_file, what="the good one")


def test_where_none_can_be_written_the_run_goes_on(tmp_path, aside):
    (tmp_path / THUMBS).write_bytes(b"a file where the folder should be")
    aside.note_end(result(artifact("a.png", "a" * 64)))
    aside.close()


def test_closed_before_anything_has_ended(aside):
    aside.close()
