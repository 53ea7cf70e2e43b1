"""Room that is kept on a real disk, and how the ledger's log gets it."""

import errno
import os
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from dsrun.common.errors import SetupError
from dsrun.storage.reserve import Reserve


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "ledger.sqlite3-wal"
    path.write_bytes(b"frames")
    return path


@pytest.fixture
def reserve(tmp_path, log):
    return Reserve(tmp_path, log=log)


@pytest.fixture(params=["fallocate", "none", "not here"])
def allocation(request, monkeypatch):
    """With the system's own call, without one, and on a file system that does not know it."""
    if request.param == "none":
        monkeypatch.delattr(os, "posix_fallocate")
    if request.param == "not here":

        def refuse(*_):
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")

        monkeypatch.setattr(os, "posix_fallocate", refuse)


def blocks(path):
    return path.stat().st_blocks * 512


@pytest.mark.usefixtures("allocation")
def test_it_is_of_real_blocks_and_grows_with_the_creates_that_may_be_under_way(tmp_path, reserve):
    reserve.hold(1)
    least = blocks(tmp_path / ".reserve")
    assert least >= 300_000
    reserve.hold(100)
    assert blocks(tmp_path / ".reserve") >= least + 99 * 60_000
    reserve.hold(1)
    assert blocks(tmp_path / ".reserve") == least


@pytest.mark.usefixtures("allocation")
def test_the_log_gets_all_of_it_behind_what_it_has(tmp_path, reserve, log):
    reserve.hold(4)
    size = (tmp_path / ".reserve").stat().st_size
    reserve.give_up()
    assert log.stat().st_size == size + len(b"frames")
    assert blocks(log) >= size
    assert log.read_bytes().rstrip(b"\0") == b"frames"
    assert not (tmp_path / ".reserve").exists()


def test_it_is_given_once(reserve, log):
    reserve.give_up()
    assert log.read_bytes() == b"frames"
    reserve.hold(1)
    reserve.give_up()
    size = log.stat().st_size
    reserve.give_up()
    assert log.stat().st_size == size


def test_what_a_killed_run_has_left_is_taken_over(tmp_path, reserve):
    (tmp_path / ".reserve").write_bytes(bytes(10_000_000))
    reserve.hold(1)
    assert blocks(tmp_path / ".reserve") < 1_000_000
    reserve.remove()
    assert not (tmp_path / ".reserve").exists()


@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_a_link_in_its_place_goes_and_what_it_leads_to_stays(tmp_path, reserve, make):
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"dear")
    make(foreign, tmp_path / ".reserve")
    reserve.hold(1)
    reserve.give_up()
    assert foreign.read_bytes() == b"dear"


def test_a_log_that_is_a_link_gets_nothing(tmp_path, log):
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"dear")
    log.unlink()
    log.symlink_to(foreign)
    reserve = Reserve(tmp_path, log=log)
    reserve.hold(1)
    reserve.give_up()
    assert foreign.read_bytes() == b"dear"


def test_a_folder_in_its_place_is_told(tmp_path, reserve):
    (tmp_path / ".reserve").mkdir()
    with pytest.raises(SetupError, match="Nothing was sent"):
        reserve.hold(1)
    assert (tmp_path / ".reserve").is_dir()


@pytest.mark.usefixtures("allocation")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_or_quota_without_room_is_told_and_nothing_stays(
    tmp_path, reserve, monkeypatch, number
):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    if hasattr(os, "posix_fallocate"):
        monkeypatch.setattr(os, "posix_fallocate", refuse)
    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(SetupError, match="Nothing was sent"):
        reserve.hold(1)
    assert not (tmp_path / ".reserve").exists()


def test_a_limit_of_the_size_of_files_is_told(tmp_path):
    """In a process of its own, which alone has the limit."""
    script = (
        "from dsrun.storage.reserve import Reserve; from pathlib import Path; import sys\n"
        "folder = Path(sys.argv[1]); Reserve(folder, log=folder / 'log').hold(1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert "SetupError: cannot keep" in done.stderr
    assert not (tmp_path / ".reserve").exists()


def test_a_log_with_room_at_its_end_is_read_as_it_was_and_written_on(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    reserve = Reserve(tmp_path, log=tmp_path / "ledger.sqlite3-wal")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE t (n INTEGER)")
        db.execute("INSERT INTO t VALUES (1)")
        reserve.hold(1)
        reserve.give_up()
        db.execute("INSERT INTO t VALUES (2)")
        for ending in ("", "-wal"):
            copy = tmp_path / f"copy{ending}"
            copy.write_bytes((tmp_path / f"ledger.sqlite3{ending}").read_bytes())
    with closing(sqlite3.connect(tmp_path / "copy")) as db:  # as after a crash
        assert [row[0] for row in db.execute("SELECT n FROM t")] == [1, 2]
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
