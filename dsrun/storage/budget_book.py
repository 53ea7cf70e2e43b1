"""The book of what all runs of an output root have spent, in one SQLite file that they share.

A run that keeps a budget writes each create into it before it sends it; of all other runs the book
has what their ledgers said when they were read last. The ledgers are the truth: a book that is
lost, damaged or of another version is made anew of them, so nothing here waits for the disk.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from dsrun.common.errors import SetupError
from dsrun.common.sqlite import beside

_VERSION = 1
_BUSY_S = 60.0
_GRAINS = 10**10  # of one unit of a currency: amounts are whole numbers, rounded up
_MOST = 2**62  # what SQLite can count; a sum beyond is a fault, and stops the run
_TABLES = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS run (
    run      TEXT PRIMARY KEY,
    state    TEXT NOT NULL,
    is_kept  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spend (
    run      TEXT NOT NULL,
    at       TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount   INTEGER NOT NULL,
    PRIMARY KEY (run, at, currency)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spend_at ON spend (currency, at, amount);
PRAGMA user_version = {_VERSION};
COMMIT;
"""


class Entry(NamedTuple):
    """What the book knows of a run: how its ledger looked, and whether the run writes it itself."""

    state: str
    is_kept: bool


Spends = Iterable[tuple[str, str, Decimal]]  # the beginning of a stamp, a currency, an amount


class Page:
    """The book within one transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def entry(self, run: str) -> Entry | None:
        """What the book knows of a run; None where it knows nothing."""
        row = self._db.execute("SELECT state, is_kept FROM run WHERE run = ?", (run,)).fetchone()
        return None if row is None else Entry(row[0], bool(row[1]))

    def total(self, currency: str, *, since: str) -> Decimal:
        """What was asked for from this moment on."""
        row = self._db.execute(
            "SELECT sum(amount) FROM spend WHERE currency = ? AND at >= ?", (currency, since)
        ).fetchone()
        return Decimal(row[0] or 0) / _GRAINS

    def set_run(self, run: str, spends: Spends, *, state: str, is_kept: bool) -> None:
        """Write down a run as a whole."""
        self.forget(run)
        self._db.execute("INSERT INTO run VALUES (?, ?, ?)", (run, state, is_kept))
        for at, currency, amount in spends:
            self.add(run, at, currency, amount)

    def add(self, run: str, at: str, currency: str, amount: Decimal) -> None:
        self._db.execute(
            "INSERT INTO spend VALUES (?1, ?2, ?3, max(0, ?4)) ON CONFLICT DO UPDATE "
            "SET amount = max(0, amount + ?4)",
            (run, at, currency, _grains(amount)),
        )

    def disown(self, run: str) -> None:
        """From now on its ledger is read: the run does not write it down itself."""
        self._db.execute("UPDATE run SET is_kept = 0, state = '' WHERE run = ?", (run,))

    def forget(self, run: str) -> None:
        self._db.execute("DELETE FROM run WHERE run = ?", (run,))
        self._db.execute("DELETE FROM spend WHERE run = ?", (run,))


class BudgetBook:
    """The open file. Close it."""

    def __init__(self, path: Path) -> None:
        """Raises SetupError where it cannot be opened or made."""
        self._path = path
        self._db, self._id = self._open()

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def writing(self) -> Iterator[Page]:
        """Alone with the book; other runs wait. Raises SetupError.

        A book that was removed or damaged meanwhile is made anew, and is then empty.
        """
        try:
            self._begin()
            yield Page(self._db)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise self._fault(error) from error
        except BaseException:
            self._roll_back()
            raise

    def _begin(self) -> None:
        for is_last in (False, False, True):
            if self._id == _id_of(self._path):
                try:
                    self._db.execute("BEGIN IMMEDIATE")
                except sqlite3.DatabaseError as error:
                    if is_last or not _is_damage(error):
                        raise
                else:
                    if self._id == _id_of(self._path):
                        return
                    self._roll_back()
            self._db.close()
            self._db, self._id = self._open()
        raise SetupError(f"{self._path} is replaced all the time; what else writes there?")

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):  # the fault itself is told
            self._db.rollback()

    def _open(self) -> tuple[sqlite3.Connection, tuple[int, int] | None]:
        """The book, made anew where it cannot be read; one run at a time does that."""
        if not self._path.parent.is_dir():  # FileLock would make it
            raise SetupError(f"{self._path.parent} is gone")
        try:
            with FileLock(beside(self._path, "-gate")):
                return self._connected(), _id_of(self._path)
        except (sqlite3.Error, OSError) as error:
            raise self._fault(error) from error

    def _connected(self) -> sqlite3.Connection:
        try:
            return _connect(self._path)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
        for ending in ("", "-journal"):
            beside(self._path, ending).unlink(missing_ok=True)
        return _connect(self._path)

    def _fault(self, error: Exception) -> SetupError:
        return SetupError(
            f"the book of the budget, {self._path}, cannot be used: {error}. Nothing more is sent. "
            "Free the disk or make the folder writable; a book that is removed is made anew from "
            "the ledgers"
        )


class _Unfit(sqlite3.DatabaseError):
    """The file is damaged, or that of another version."""


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S)
    try:
        db.execute("PRAGMA synchronous = OFF")
        _check(db)
        db.executescript(_TABLES)
    except BaseException:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection) -> None:
    found = db.execute("PRAGMA quick_check").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if found != "ok" or version not in (0, _VERSION):
        raise _Unfit(f"{found}; version {version}")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself is at fault, and neither the disk nor who else holds it."""
    code = getattr(error, "sqlite_errorcode", None)
    damage = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
    return isinstance(error, _Unfit) or (code is not None and code & 0xFF in damage)


def _id_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _grains(amount: Decimal) -> int:
    return min(_MOST, int((amount * _GRAINS).to_integral_value(ROUND_CEILING)))
