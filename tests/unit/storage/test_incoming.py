"""Bytes on their way to a file, however they come: what is written, counted and missed."""

import hashlib
import os
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.storage import artifacts as module
from dsrun.storage.artifacts import Incoming

PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_END = b"IEND\xae\x42\x60\x82"
LIMIT = 8  # bytes held in memory, instead of a megabyte


@st.composite
def chunked_pictures(draw):
    """Chunks of a picture, with its end mark at any place, twice, or not at all."""
    data = PNG_START + draw(st.binary(max_size=150))
    for _ in range(draw(st.integers(0, 2))):
        data += PNG_END + draw(st.binary(max_size=80))
    cuts = sorted(draw(st.sets(st.integers(1, len(data)), max_size=60)) | {0, len(data)})
    return [data[begin:end] for begin, end in pairwise(cuts)]


@pytest.fixture(scope="module", autouse=True)
def little_memory():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_KEEP_IN_MEMORY", LIMIT)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("incoming")


@given(chunks=chunked_pictures())
def test_a_picture_is_cut_off_where_its_end_mark_came_in_no_way(chunks, folder):
    incoming, data = Incoming(folder / "picture"), b"".join(chunks)

    for chunk in chunks:
        incoming.add(chunk)
    is_cut_off = incoming.is_cut_off()
    os.close(incoming.finish(None))

    assert is_cut_off == (PNG_END not in data)
    assert incoming.path.read_bytes() == data
    assert incoming.written == (hashlib.sha256(data).hexdigest(), len(data))
    incoming.discard()


@given(data=st.binary(min_size=1, max_size=200).filter(lambda data: data[:1] not in b"\x89\xff"))
def test_a_file_without_such_a_mark_is_never_cut_off(data, folder):
    incoming = Incoming(folder / "voice")

    incoming.add(data)

    assert not incoming.is_cut_off()
    incoming.discard()
