"""A file on disk is the changed one, whole, and both hashes are told."""

import hashlib
import struct
from contextlib import closing
from functools import partial

import pytest

from dsrun.common.media import ArtifactInvalid, Facts
from dsrun.common.models import Saved
from dsrun.storage.artifacts import ArtifactStore
from dsrun.storage.metadata.pictures import tagged, untagged
from tests.files_of_kinds import FILES, FILM
from tests.tagging import put_in, tag

SMALL = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0\x3a\x7e\x9b\x55"
    b"\0\0\0\x0aIDATx\x9cc\xa8\x07\0\0\x81\0\x80U\xf1\x17*\0\0\0\0IEND\xaeB`\x82"
)
LARGE = SMALL[:-12] + bytes(3 << 20) + SMALL[-12:]
PUT_IN = partial(tagged, tag=tag())


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
async def store(tmp_path):
    with closing(ArtifactStore(tmp_path / "run")) as made:
        yield made


async def keep(store, data, *, change, stems=("a/b",), media="image"):
    incoming = store.incoming()
    for at in range(0, len(data), 70_000):
        incoming.add(data[at : at + 70_000])
    return await store.keep(incoming, stems=stems, media=media, change=change)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["in memory", "on disk"])
@pytest.mark.parametrize("change", [None, PUT_IN], ids=["as it came", "tagged"])
async def test_the_file_is_the_changed_one_under_each_name(tmp_path, store, data, change):
    becomes = put_in(data) if change else data
    saved = await keep(store, data, change=change, stems=("a/b", "a/c"))
    paths = ("artifacts/a/b.png", "artifacts/a/c.png")
    pixels = Facts(width=1, height=1)
    assert saved == Saved(paths, sha256(becomes), len(becomes), "image/png", sha256(data), pixels)
    assert [(tmp_path / "run" / path).read_bytes() == becomes for path in paths] == [True, True]
    assert list((tmp_path / "run/.tmp").iterdir()) == []


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["in memory", "on disk"])
async def test_what_cannot_take_it_up_is_kept_as_it_came(tmp_path, store, data):
    cut = data[:-12]
    saved = await keep(store, cut, change=PUT_IN)
    assert (saved.sha256, saved.source_sha256) == (sha256(cut), sha256(cut))
    assert (tmp_path / "run" / saved.paths[0]).read_bytes() == cut


@pytest.mark.parametrize("change", [None, PUT_IN], ids=["as it came", "tagged"])
async def test_a_file_that_is_found_is_told_as_when_it_was_kept(store, change):
    saved = await keep(store, SMALL, change=change)
    assert store.find(("a/b",), media="image", undo=untagged) == saved
    assert store.find(("a/c",), media="image", undo=untagged) is None


FREE = struct.pack(">I4s", 3 << 20, b"free") + bytes((3 << 20) - 8)
FILMS = [pytest.param(FILM, id="in memory"), pytest.param(FILM + FREE, id="on disk")]


@pytest.mark.parametrize("data", FILMS)
async def test_a_video_is_kept_and_found_as_it_came_with_its_length_and_size(tmp_path, store, data):
    saved = await keep(store, data, change=None, media="video")
    facts = Facts(duration_s=2.0, width=320, height=180)
    digest = sha256(data)
    assert saved == Saved(("artifacts/a/b.mp4",), digest, len(data), "video/mp4", digest, facts)
    assert (tmp_path / "run" / saved.paths[0]).read_bytes() == data
    assert store.find(("a/b",), media="video", undo=untagged) == saved


@pytest.mark.parametrize("data", FILMS)
async def test_half_a_video_leaves_nothing(tmp_path, store, data):
    with pytest.raises(ArtifactInvalid, match="cut off"):
        await keep(store, data[:-100], change=None, media="video")
    assert list((tmp_path / "run/.tmp").iterdir()) == []
    assert not (tmp_path / "run/artifacts").exists()


@pytest.mark.parametrize("media", FILES)
async def test_a_file_of_somebody_else_under_that_name_is_none(tmp_path, store, media):
    data, extension, _ = FILES[media]
    path = tmp_path / f"run/artifacts/a/b.{extension}"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff\0\xfe")
    found = store.find(("a/b",), media=media, undo=untagged)
    assert found is None or media == "audio"  # whose answers are believed about it
    path.write_bytes(data)
    assert store.find(("a/b",), media=media, undo=untagged).sha256 == sha256(data)


async def test_a_text_of_an_answer_may_be_empty(tmp_path, store):
    saved = await store.keep(store.incoming(), stems=("a/b",), media="text", in_answer=True)
    assert (saved.size, (tmp_path / "run" / saved.paths[0]).read_bytes()) == (0, b"")
