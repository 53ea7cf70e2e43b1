"""Posters of videos, small pictures of them, and the beginnings of texts."""

import os

import pytest

from dsrun.report.posters import poster_of
from dsrun.report.texts import add_texts, beginning
from dsrun.report.thumbs import make_thumb, open_small
from tests.files_of_kinds import FILM, TURNED_FILM


@pytest.mark.parametrize(("data", "size"), [(FILM, (320, 180)), (TURNED_FILM, (180, 320))])
def test_a_poster_is_an_early_picture_as_the_video_is_shown(tmp_path, data, size):
    (tmp_path / "a.mp4").write_bytes(data)
    assert poster_of(tmp_path / "a.mp4").size == size
    assert max(open_small(tmp_path / "a.mp4", 100).size) == 100


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"no video", id="something else"),
        pytest.param(FILM[:2000], id="its beginning"),
        pytest.param(FILM[: FILM.index(b"mdat") + 4] + bytes(9000), id="without pictures"),
    ],
)
def test_a_video_that_cannot_be_decoded_has_none(tmp_path, data):
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(ValueError, match=r"the video (cannot be decoded|has no pictures)"):
        poster_of(tmp_path / "a.mp4")
    assert not make_thumb(tmp_path / "a.mp4", tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("data", "most", "found"),
    [
        pytest.param("灯笼".encode(), 9, ("灯笼", False), id="all of it"),
        pytest.param("灯笼".encode(), 2, ("灯笼", False), id="just all of it"),
        pytest.param("灯笼".encode() * 9, 3, ("灯笼灯", True), id="its beginning"),
        pytest.param(b"\xef\xbb\xbfa\r\nb", 9, ("a\nb", False), id="of Windows"),
        pytest.param("🏮".encode() * 2, 1, ("🏮", True), id="long characters"),
        pytest.param(b"", 9, ("", False), id="empty"),
    ],
)
def test_the_beginning_of_a_text(tmp_path, data, most, found):
    (tmp_path / "a.txt").write_bytes(data)
    assert beginning(tmp_path / "a.txt", most) == found


def test_what_cannot_be_read_has_none(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing", "pipe", "."):
        assert beginning(tmp_path / name, 9) == ("", False)


def test_a_page_of_many_long_texts_has_a_bounded_part_of_each(tmp_path):
    (tmp_path / "a.txt").write_text("a" * 50_000, encoding="utf-8")
    entries = [{"files": [{"path": "a.txt", "media": "text"}]} for _ in range(1000)]
    add_texts(entries, tmp_path)
    lengths = [len(entry["files"][0]["text"]) for entry in entries]
    assert (lengths[0], lengths[-1], sum(lengths) < 5_000_000) == (16_000, 400, True)
    assert all(entry["files"][0]["goes_on"] for entry in entries)
