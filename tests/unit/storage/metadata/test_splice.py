"""A file gets other ends: in memory as on disk, whole or not at all."""

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.storage.metadata.splice import ENDS, Splice, Written, ends_of, rewrite

WHOLE = bytes(range(256)) * 12_000  # more than is copied at once


def written(data):
    return Written(hashlib.sha256(data).hexdigest(), len(data))


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "folder" / "picture"
    file.parent.mkdir()
    file.write_bytes(WHOLE)
    return file


@given(st.binary(), st.binary(), st.binary(), st.data())
def test_the_middle_stays(data, before, after, draw):
    start = draw.draw(st.integers(0, len(data)))
    stop = draw.draw(st.integers(start, len(data)))
    assert Splice(before, start, stop, after).apply(data) == before + data[start:stop] + after


@pytest.mark.parametrize(
    "splice",
    [
        Splice(b"new", 33, len(WHOLE)),
        Splice(b"", 100, len(WHOLE) - 100),
        Splice(b"a", 0, 0, b"z"),
        Splice(b"", 5, 5),
        Splice(b"x" * 9, 9, len(WHOLE) - 1, b"end"),
    ],
    ids=["grows", "shrinks", "nothing stays", "empty", "both ends"],
)
def test_on_disk_it_is_the_same_as_in_memory(path, splice):
    assert rewrite(path, lambda _: splice) == written(splice.apply(WHOLE))
    assert path.read_bytes() == splice.apply(WHOLE)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("size", [1, ENDS - 1, ENDS, ENDS + 1, 3 * ENDS])
def test_the_ends_are_the_same_as_in_memory(path, size):
    path.write_bytes(WHOLE[:size])
    seen = []
    assert rewrite(path, seen.append) is None
    assert seen == [ends_of(WHOLE[:size])]
    assert path.read_bytes() == WHOLE[:size]


def test_another_name_of_the_file_keeps_the_old_bytes(path):
    other = path.with_name("other")
    os.link(path, other)
    rewrite(path, lambda _: Splice(b"new", 3, len(WHOLE)))
    assert other.read_bytes() == WHOLE


def test_it_stays_where_it_would_not_be_what_it_shall(path):
    splice = Splice(b"", 1, len(WHOLE))
    assert rewrite(path, lambda _: splice, sha256="0" * 64) is None
    assert path.read_bytes() == WHOLE
    assert list(path.parent.iterdir()) == [path]
    wanted = written(WHOLE[1:])
    assert rewrite(path, lambda _: splice, sha256=wanted.sha256) == wanted


def test_what_fails_leaves_nothing_behind(path):
    with pytest.raises(TypeError):
        rewrite(path, lambda _: Splice("no bytes", 0, 1))
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == WHOLE
