"""A ledger is read as it stands, and nothing beside it is touched."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from dsrun.common.errors import SetupError
from dsrun.common.sqlite import connect
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
