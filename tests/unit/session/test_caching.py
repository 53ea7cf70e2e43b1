"""A cached picture becomes what is wanted of it, or stays what it is and is told so."""

import hashlib
from functools import partial

import pytest

from dsrun.session.caching import retag, retag_to
from dsrun.storage.cache_index import CachedFile
from dsrun.storage.metadata.pictures import tagged
from tests.tagging import put_in, tag

PLAIN = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    + bytes(17)
    + b"\0\0\0\0IDAT"
    + bytes(4)
    + b"\0\0\0\0IEND\xae\x42\x60\x82"
    + bytes(4)
)
TAGGED = put_in(PLAIN)
PUT_IN = partial(tagged, tag=tag())


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "picture"


def cached(path, data, *, source=None):
    path.write_bytes(data)
    return CachedFile(
        index=0, sha256=sha256(data), source_sha256=sha256(data if source is None else source),
        size=len(data), media_type="image/png", extension="png", seed=None, sample_rate=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("has", "source", "tag", "becomes"),
    [
        (PLAIN, None, None, PLAIN),
        (PLAIN, None, PUT_IN, TAGGED),
        (TAGGED, PLAIN, None, PLAIN),
        (TAGGED, PLAIN, PUT_IN, TAGGED),
        (TAGGED, None, None, TAGGED),
        (b"no picture", None, PUT_IN, b"no picture"),
        (TAGGED, b"other bytes", None, TAGGED),
        (b"no picture", b"other bytes", None, b"no picture"),
    ],
    ids=[
        "plain as it is", "plain to tagged", "tagged to plain", "tagged as it is",
        "the service's own tag stays", "has no place for a tag",
        "would not be what was served", "has no tag to take out",
    ],
)  # fmt: skip
def test_it_becomes_what_is_wanted_where_that_can_be(path, has, source, tag, becomes):
    file = cached(path, has, source=source)
    made = retag(path, file, tag=tag)
    assert path.read_bytes() == becomes
    assert (made.sha256, made.size) == (sha256(becomes), len(becomes))
    assert made.source_sha256 == file.source_sha256


@pytest.mark.parametrize(
    ("has", "source", "wanted", "found"),
    [
        (PLAIN, None, PLAIN, PLAIN),
        (PLAIN, None, TAGGED, TAGGED),
        (TAGGED, PLAIN, TAGGED, TAGGED),
        (TAGGED, PLAIN, PLAIN, PLAIN),
        (PLAIN, None, b"another", None),
        (TAGGED, PLAIN, b"another", None),
    ],
)
def test_it_is_the_file_of_that_hash_or_none(path, has, source, wanted, found):
    file = cached(path, has, source=source)
    made = retag_to(path, file, tag=PUT_IN, sha256=sha256(wanted))
    assert (made is None) is (found is None)
    if found is not None:
        assert (path.read_bytes(), made.sha256) == (found, sha256(found))
