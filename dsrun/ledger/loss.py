"""What a ledger has lost since it was written: noticed at opening, and put back if it can be.

SQLite itself opens a ledger whose log is gone as if nothing had happened.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dsrun.common.models import Json
from dsrun.ledger.schema import FIRST_COUNTED, VERSION
from dsrun.ledger.tail import Head, read_entries, read_head
from dsrun.ledger.writes import Kind
from dsrun.storage.layout import RunLayout

_WRITE_VERSION = 18  # the byte that says whether a database is written with a log
_WITH_LOG = 2


class Mark(NamedTuple):
    """How many facts the ledger once had, and how many of them it has lost.

    `lost`: None for none, 0 where nobody can tell the number. `put_back` came from the tail.
    """

    ledger_id: str
    facts: int
    lost: int | None = None
    lost_since: str | None = None  # the newest fact that it still has
    put_back: int = 0


def was_in_use(path: Path) -> bool:
    """Whether the last run did not close the ledger, or it is gone. Ask before opening it."""
    if not path.is_file() or not path.stat().st_size:
        return RunLayout.of(path.parent).lockfile.exists()
    with path.open("rb") as file:
        return file.read(_WRITE_VERSION + 1)[_WRITE_VERSION:] == bytes((_WITH_LOG,))


def catch_up(db: sqlite3.Connection, path: Path, *, version: int, was_used: bool) -> Mark:
    """Put back what only the tail has, and note in the ledger what is still missing then.

    `version` is the one that the ledger had when it was opened. Raises sqlite3.Error.
    """
    mark = _read(db)
    head = read_head(path)
    db.execute("BEGIN IMMEDIATE")
    try:
        now = _caught_up(db, path, mark, head, version=version, was_used=was_used)
        if now != mark:
            db.execute(
                "UPDATE mark SET ledger_id = ?, facts = ?, lost = ?, lost_since = ?", now[:4]
            )
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    return now


def _caught_up(
    db: sqlite3.Connection,
    path: Path,
    mark: Mark,
    head: Head | None,
    *,
    version: int,
    was_used: bool,
) -> Mark:
    if head is None:
        is_counted = version >= FIRST_COUNTED
        used = was_used and (is_counted or not version)  # older versions never closed the log
        is_suspicious = used or (is_counted and not _has_ended(db))
        return _with_loss(db, mark, 0) if is_suspicious else mark
    if head.ledger_id != mark.ledger_id:
        if version >= FIRST_COUNTED:
            return _with_loss(db, mark, 0)  # the tail is of another ledger
        mark = mark._replace(ledger_id=head.ledger_id)  # its own is as new as its table
    if head.facts <= mark.facts:
        return mark
    facts = _put_back(db, path, mark.facts, head) if head.version == VERSION else mark.facts
    restored = mark._replace(facts=facts, put_back=facts - mark.facts)
    missing = head.facts - facts
    return restored if missing <= 0 else _with_loss(db, restored, missing)


def _put_back(db: sqlite3.Connection, path: Path, facts: int, head: Head) -> int:
    """The number of facts that the ledger has then."""
    for entry in read_entries(path, head):
        if entry.before == facts:
            for name, values in entry.writes:
                _execute(db, name, values)
            facts = entry.after
    return facts


def _execute(db: sqlite3.Connection, name: str, values: Sequence[Json]) -> None:
    if name in Kind.__members__:
        db.executemany(Kind[name].value, values)
    else:
        db.execute(name, values)


def _with_loss(db: sqlite3.Connection, mark: Mark, number: int) -> Mark:
    row = db.execute(
        "SELECT max(at) FROM (SELECT max(at) AS at FROM attempt UNION ALL "
        "SELECT max(submitted_at) FROM job UNION ALL SELECT max(started_at) FROM run)"
    ).fetchone()
    return mark._replace(
        facts=mark.facts + number,
        lost=number + (mark.lost or 0),
        lost_since=mark.lost_since if mark.lost is not None else row[0],
    )


def _read(db: sqlite3.Connection) -> Mark:
    return Mark(*db.execute("SELECT ledger_id, facts, lost, lost_since FROM mark").fetchone())


def _has_ended(db: sqlite3.Connection) -> bool:
    row = db.execute("SELECT ended_at FROM run ORDER BY run_id DESC LIMIT 1").fetchone()
    return row is None or row[0] is not None
