"""A ledger is read as it stands, and nothing beside it is touched."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from dsrun.common.errors import SetupError
from dsrun.common.sqlite import connect, connect_readonly, patiently
from dsrun.ledger.reader import LedgerReader, NoLedger
from dsrun.ledger.writer import Ledger


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    return folder / "ledger.sqlite3"


def begin_run(db, host):
    db.execute(
        "INSERT INTO run (started_at, dsrun_version, endpoint, host, pid) "
        "VALUES ('2026-11-22', '1', 'e', ?, 1)",
        (host,),
    )


def tree(folder):
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}


def host_seen(path):
    """What a view sees; the folder must be the same before, during and after."""
    before = tree(path.parent)
    with closing(LedgerReader(path)) as view:
        host = view.last_run().host
        assert tree(path.parent) == before
    assert tree(path.parent) == before
    return host


def closed_ledger(path):
    async def make():
        Ledger(path).close()

    asyncio.run(make())
    with closing(connect(path)) as db:
        begin_run(db, "closed")


def test_a_closed_ledger(path):
    closed_ledger(path)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert host_seen(path) == "closed"


def test_a_live_ledger_with_what_stands_in_its_log_alone(path):
    closed_ledger(path)
    with closing(connect(path)) as db:
        begin_run(db, "live")
        assert path.with_name(f"{path.name}-wal").stat().st_size
        # As `dsrun status` does: a reader in the writer's own process would share its lock file.
        before = tree(path.parent)
        script = (
            "import sys, pathlib; from dsrun.ledger.reader import LedgerReader; "
            "print(LedgerReader(pathlib.Path(sys.argv[1])).last_run().host)"
        )
        command = [sys.executable, "-c", script, str(path)]
        seen = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert seen.strip() == "live"
        assert tree(path.parent) == before


@pytest.mark.parametrize("kept", [("", "-wal", "-shm"), ("", "-wal")], ids=["with shm", "without"])
def test_what_a_killed_run_leaves(path, tmp_path, kept):
    closed_ledger(path)
    copy = tmp_path / "copy" / path.name
    copy.parent.mkdir()
    with closing(connect(path)) as db:
        begin_run(db, "killed")
        for ending in kept:
            shutil.copyfile(f"{path}{ending}", f"{copy}{ending}")
    assert host_seen(copy) == "killed"


def left_by_a_kill(path, *statements):
    """What a process leaves that does these things to a ledger, and is gone before it closes it."""
    script = (
        "import os, pathlib, sys; from dsrun.common.sqlite import connect; "
        "db = connect(pathlib.Path(sys.argv[1])); "
        "[db.execute(sql).fetchall() for sql in sys.argv[2:]]; os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, str(path), *statements], check=True)


@pytest.mark.parametrize("length", [16, 32], ids=["part of a header", "a header"])
def test_a_log_that_a_kill_has_left_without_content(path, length):
    """SQLite looks for the rest of it until it gives up with `locking protocol`."""
    closed_ledger(path)
    left_by_a_kill(path, "UPDATE run SET host = 'killed'", "PRAGMA wal_checkpoint(PASSIVE)")
    log = path.with_name(f"{path.name}-wal")
    log.write_bytes(log.read_bytes()[:length])
    assert path.with_name(f"{path.name}-shm").exists()
    assert host_seen(path) == "killed"


def test_a_log_that_goes_on_after_its_header_is_seen(path):
    closed_ledger(path)
    left_by_a_kill(path, "UPDATE run SET host = 'killed'", "PRAGMA wal_checkpoint(PASSIVE)")
    log = path.with_name(f"{path.name}-wal")
    log.write_bytes(log.read_bytes()[:32])
    with closing(LedgerReader(path)) as view:
        assert view.last_run().host == "killed"
        with closing(connect(path)) as db:
            begin_run(db, "new")
            assert view.last_run().host == "new"


def test_a_rival_that_was_killed_while_it_merged_its_log_can_be_read(path):
    """The journal that it leaves has nothing but the header, and only a writer may play it back."""
    closed_ledger(path)
    begin = "PRAGMA journal_mode = DELETE", "PRAGMA synchronous = OFF", "BEGIN IMMEDIATE"
    left_by_a_kill(path, *begin, "PRAGMA user_version = 1000")
    assert path.with_name(f"{path.name}-journal").stat().st_size
    before = tree(path.parent)
    with closing(connect_readonly(path)) as db:
        assert db.execute("SELECT host FROM run").fetchone()["host"] == "closed"
    assert tree(path.parent) == before


class Busy:
    """A ledger of which SQLite says `number` times that others are opening it."""

    def __init__(self, number, code):
        self.left, self._code = number, code

    def __call__(self):
        if not self.left:
            return "read"
        self.left -= 1
        error = sqlite3.OperationalError("locking protocol")
        error.sqlite_errorcode = self._code
        raise error


@pytest.mark.parametrize(
    "code",
    [sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_BUSY_RECOVERY, sqlite3.SQLITE_READONLY_RECOVERY],
)
def test_a_log_that_others_are_just_opening_is_waited_for(code):
    assert patiently(Busy(3, code)) == "read"


def test_but_not_for_ever():
    busy = Busy(10_000, sqlite3.SQLITE_PROTOCOL)
    with pytest.raises(sqlite3.OperationalError, match="locking protocol"):
        patiently(busy, patience_s=0.2)
    assert busy.left < 9_999


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY]
)
def test_no_other_fault_is_waited_for(code):
    busy = Busy(1, code)
    with pytest.raises(sqlite3.OperationalError):
        patiently(busy)
    assert patiently(busy) == "read"


def test_a_run_that_begins_while_a_view_is_open_is_seen(path):
    closed_ledger(path)
    with closing(LedgerReader(path)) as view:
        assert view.last_run().host == "closed"
        with closing(connect(path)) as db:
            begin_run(db, "new")
            assert view.last_run().host == "new"


def test_a_run_that_has_come_and_gone_is_seen_too(path):
    closed_ledger(path)
    with closing(LedgerReader(path)) as view:
        assert view.last_run().host == "closed"
        with closing(connect(path)) as db:
            begin_run(db, "gone")
        assert view.last_run().host == "gone"


def test_a_name_with_signs_of_an_address(tmp_path):
    path = tmp_path / "a?b#c %41" / "ledger.sqlite3"
    path.parent.mkdir()
    closed_ledger(path)
    assert host_seen(path) == "closed"


def test_a_file_without_tables_is_no_ledger_yet(path):
    sqlite3.connect(path).close()
    path.touch()
    with pytest.raises(NoLedger, match="just starting"):
        LedgerReader(path)


def test_a_damaged_ledger_is_named_as_such(path):
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(SetupError, match="damaged"):
        LedgerReader(path)


def test_a_ledger_that_vanishes_is_told(path):
    closed_ledger(path)
    with closing(LedgerReader(path)) as view:
        path.unlink()
        with pytest.raises(SetupError, match="cannot be read"):
            view.last_run()
