"""A file under a second name: whatever the file system offers, the bytes are the same."""

import os
from pathlib import Path

import pytest

from dsrun.storage.cache import Cloner

MEMORY = Path("/dev/shm")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(b"a picture" * 1000)
    return path


def test_a_clone_has_the_bytes_and_takes_no_room_of_its_own_where_it_can(source, tmp_path):
    cloner = Cloner()
    for name in ("first", "second"):
        cloner.clone(str(source), str(tmp_path / name))
        assert (tmp_path / name).read_bytes() == source.read_bytes()
    if not cloner.has_reflinks:
        assert source.stat().st_nlink == 3


def test_an_edit_of_a_clone_is_an_edit_of_the_source_only_with_hard_links(source, tmp_path):
    cloner = Cloner()
    cloner.clone(str(source), str(tmp_path / "clone"))
    (tmp_path / "clone").write_bytes(b"edited")
    assert (source.read_bytes() == b"edited") is not cloner.has_reflinks


@pytest.mark.skipif(not MEMORY.is_dir(), reason="needs a second file system")
def test_another_file_system_gets_a_copy(source):
    target = MEMORY / f"dsrun-test-{os.getpid()}"
    try:
        Cloner().clone(str(source), str(target))
        assert target.read_bytes() == source.read_bytes()
        assert source.stat().st_nlink == 1
    finally:
        target.unlink(missing_ok=True)


def test_a_target_that_is_there_is_left_as_it_is(source, tmp_path):
    (tmp_path / "target").write_bytes(b"older")
    with pytest.raises(FileExistsError):
        Cloner().clone(str(source), str(tmp_path / "target"))
    assert (tmp_path / "target").read_bytes() == b"older"


def test_a_source_that_is_gone_leaves_nothing_behind(tmp_path):
    with pytest.raises(FileNotFoundError):
        Cloner().clone(str(tmp_path / "none"), str(tmp_path / "target"))
    assert list(tmp_path.glob("target")) == []
