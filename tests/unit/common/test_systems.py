"""Where a system lacks a call, another one does the same."""

import os

import pytest

from dsrun.common import systems


@pytest.fixture(params=["all", "few"])
def calls(request, monkeypatch):
    if request.param == "few":
        for name in ("pwrite", "writev", "fdatasync", "O_DIRECTORY", "O_CLOEXEC", "O_NOFOLLOW"):
            monkeypatch.delattr(os, name)


@pytest.mark.usefixtures("calls")
def test_bytes_go_to_their_place(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    descriptor = os.open(path, os.O_RDWR)
    assert systems.write_at(descriptor, b"ab", 3) == 2
    assert systems.write_at(descriptor, b"yz", 10) == 2
    systems.sync_data(descriptor)
    os.close(descriptor)
    assert path.read_bytes() == b"012ab56789yz"


PIECES = [b"one", b"", memoryview(b"+two+")[1:4], b"three"]


@pytest.mark.usefixtures("calls")
def test_pieces_are_written_one_after_the_other(tmp_path):
    with (tmp_path / "file").open("wb") as file:
        systems.write_all(file.fileno(), PIECES)
    assert (tmp_path / "file").read_bytes() == b"onetwothree"


@pytest.mark.parametrize("first", range(12))
def test_what_a_call_has_not_written_is_written_by_the_next(tmp_path, monkeypatch, first):
    whole = b"".join(PIECES)
    monkeypatch.setattr(os, "writev", lambda number, _: os.write(number, whole[:first]))
    with (tmp_path / "file").open("wb") as file:
        systems.write_all(file.fileno(), PIECES)
    assert (tmp_path / "file").read_bytes() == whole


@pytest.mark.usefixtures("calls")
def test_files_and_folders_are_synced(tmp_path):
    (tmp_path / "file").touch()
    systems.sync(str(tmp_path / "file"))
    systems.sync(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        systems.sync(str(tmp_path / "nowhere"))


@pytest.mark.usefixtures("calls")
def test_flags_are_those_that_the_system_has():
    assert systems.flag("O_NO_SUCH_FLAG") == 0
    assert systems.flag("O_CREAT", "O_NO_SUCH_FLAG") == os.O_CREAT
