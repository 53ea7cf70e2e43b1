"""The connection that writes to a ledger: each group of writes is one commit, in the tail too."""

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dsrun.common.clock import SystemClock
from dsrun.common.digest import json_text
from dsrun.common.models import Json
from dsrun.common.sqlite import NoRoom, connect, disk_error, merge_log
from dsrun.ledger.check import check_ledger
from dsrun.ledger.loss import Mark, catch_up, was_in_use
from dsrun.ledger.schema import VERSION, migrate
from dsrun.ledger.sums import Note, read_as_note
from dsrun.ledger.tail import Head, Tail, read_note, seal_of
from dsrun.ledger.writes import INSERT_JOBS, Kind, Row, Statement, Write

_SYNC_S = 1.0  # at most so often is the tail synced


class _Rows(NamedTuple):
    """The rows of one kind, and the same as one JSON array."""

    kind: Kind
    text: str
    values: Sequence[Sequence[Json]]


class Transactions:
    """A ledger that was checked and migrated, and has again what its tail could give back.

    A commit is in the tail before anybody acts on it. `mark` is what the ledger has lost, `note`
    what was noted when it was closed.
    """

    def __init__(self, path: Path) -> None:
        """Raises SetupError where the file cannot be opened, is damaged or of a newer version."""
        self._path = path
        self.db, self.mark, self.note = _opened(path)
        self._facts = self.mark.facts
        self._tail: Tail | None = None
        self._clock = SystemClock()
        self._synced_at = self._clock.monotonic()

    def close(self, note: bytes = b"") -> None:
        """The file is whole then: without a log, and with a seal where nobody else reads it.

        The `note` is kept with the seal.
        """
        is_alone = merge_log(self.db)
        self.db.close()
        if self._tail is not None:
            with _forgiven():
                self._tail.seal(seal_of(self._path) if is_alone else None, note)
            self._tail.close()

    def commit(self, group: Sequence[Write]) -> Sequence[BaseException | None]:
        """One result for each write of the group.

        A fault of the disk fails all of them; a write that cannot be taken fails alone.
        """
        rows, statements = _gathered(group)
        facts = self._facts + len(group)
        try:
            tail = self._tail or self._begin_tail()
            self._execute(rows, statements, facts)
        except (sqlite3.Error, OSError) as error:
            is_open = self.db.in_transaction  # a fault of the disk or of a lock mostly ends it
            if is_open:
                self.db.execute("ROLLBACK")
            is_bug = isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError)
            fault = error if is_bug else disk_error(error, self._path)
            if is_open and len(group) > 1 and not isinstance(fault, NoRoom):
                return [self.commit([write])[0] for write in group]
            return [fault] * len(group)
        self._facts = facts
        with _forgiven():
            tail.append(facts, _entry(rows, statements))
            self._keep_up(tail)
        return [None] * len(group)

    def _execute(self, rows: Sequence[_Rows], statements: Sequence[Statement], facts: int) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        for kind, text, values in rows:
            if kind is Kind.JOB:
                self.db.executemany(INSERT_JOBS, values)
            else:
                self.db.execute(kind.value, (text,))
        for sql, values in statements:
            self.db.execute(sql, values)
        self.db.execute("UPDATE mark SET facts = ?", (facts,))
        self.db.execute("COMMIT")

    def _begin_tail(self) -> Tail:
        """Before the first fact, so that a ledger with facts and no tail has lost it.

        What a killed run has left in the log goes into the database file first: the tail that had
        it too ends here.
        """
        self._is_merged()
        self._tail = Tail(
            self._path, Head(ledger_id=self.mark.ledger_id, version=VERSION, facts=self._facts)
        )
        return self._tail

    def _keep_up(self, tail: Tail) -> None:
        """Sync now and then, and drop from the tail what the database file itself has by now.

        A kill loses nothing that was written; only a power failure can.
        """
        if tail.is_full and self._is_merged():
            tail.restart()
        now = self._clock.monotonic()
        if now - self._synced_at >= _SYNC_S:
            tail.sync()
            self._synced_at = now

    def _is_merged(self) -> bool:
        """Whether all of the log is in the database file now, and on the disk."""
        _, pages, merged = self.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return bool(pages == merged)


def _opened(path: Path) -> tuple[sqlite3.Connection, Mark, Note]:
    """The ledger, what it has lost, and what was noted of it and is still true."""
    note = read_as_note(read_note(path)) if check_ledger(path) else Note()
    was_used = was_in_use(path)
    db = connect(path)
    try:
        version = migrate(db, path)
        mark = catch_up(db, path, version=version, was_used=was_used)
        # The tail begins anew, so what is in the log alone must be in the file before.
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        db.close()
        raise disk_error(error, path) from error
    except BaseException:
        db.close()
        raise
    return db, mark, note if version == VERSION else Note()


def _gathered(group: Sequence[Write]) -> tuple[list[_Rows], list[Statement]]:
    """The rows of each kind, and the statements that have no kind."""
    rows: dict[Kind, list[Sequence[Json]]] = {}
    statements: list[Statement] = []
    for write in group:
        for part in write:
            if isinstance(part, Row):
                rows.setdefault(part.kind, []).append(part.values)
            else:
                statements.append(part)
    return [_Rows(kind, json_text(values), values) for kind, values in rows.items()], statements


@contextmanager
def _forgiven() -> Iterator[None]:
    """The tail is a second copy: nothing is lost where it cannot be written."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        logging.getLogger(__name__).warning("the tail of the ledger is not written: %s", error)


def _entry(rows: Sequence[_Rows], statements: Sequence[Statement]) -> str:
    """A commit as the tail keeps it: JSON of pairs, in the order in which they were written."""
    pairs = [f'["{one.kind.name}",{one.text}]' for one in rows]
    return f"[{','.join([*pairs, *map(json_text, statements)])}]"
