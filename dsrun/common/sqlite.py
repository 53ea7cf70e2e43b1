"""Opening a ledger file: to write it, or to read it without touching anything beside it."""

import os
import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from dsrun.common.clock import SystemClock, pause
from dsrun.common.errors import SetupError
from dsrun.common.shell import command_line

_T = TypeVar("_T")

_LOG_HEAD = struct.Struct(">8I")  # its last two numbers are the checksum of the others
_LOG_MAGIC = 0x377F0682
_NO_STATE = (0, 0, 0)
_PRIMARY = 0xFF  # the primary part of an extended error code


class NoRoom(SetupError):
    """The disk takes no more: it is full, or a quota or limit is reached."""


_ALONE_MS = 200  # to wait for readers of a ledger that is being closed
_PATIENCE_S = 10.0  # with others that open the same log; SQLite itself has tried for as long
_PAUSE_S = 0.05
_PASSING = {  # the log is just being opened: nothing was read or written
    sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_BUSY_RECOVERY, sqlite3.SQLITE_READONLY_RECOVERY,
}  # fmt: skip
_DAMAGE = (  # in SQLite's messages about a file that was changed
    "malformed", "not a database", "decode to UTF-8", "no such table", "no such column",
    "unsupported file format", "no such index", "database schema", "duplicate column",
)  # fmt: skip
READ_FAULTS = (sqlite3.Error, sqlite3.Warning, UnicodeDecodeError)


def patiently(ask: Callable[[], _T], *, patience_s: float = _PATIENCE_S) -> _T:
    """What SQLite is asked, and again while others open the same log. Raises sqlite3.Error."""
    clock = SystemClock()
    until: float | None = None
    while True:
        try:
            return ask()
        except sqlite3.OperationalError as error:
            now = clock.monotonic()
            until = now + patience_s if until is None else until
            if getattr(error, "sqlite_errorcode", None) not in _PASSING or now >= until:
                raise
        pause(_PAUSE_S)


class PatientConnection(sqlite3.Connection):
    """Every ledger is read and written by one: rivals that are killed and begin again open it."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return patiently(lambda: super(PatientConnection, self).execute(sql, parameters))

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        """The script must not mind that what it does before its first transaction is done twice."""
        return patiently(lambda: super(PatientConnection, self).executescript(sql_script))


class OwnFile:
    """A connection with the ledger's own settings, for the process that owns the run."""

    def __init__(self, path: Path) -> None:
        """Raises SetupError."""
        self._db = connect(path)

    def connection(self) -> sqlite3.Connection:
        return self._db

    def close(self) -> None:
        self._db.close()


class UntouchedFile:
    """Another process's ledger, perhaps of a live run, perhaps in a read-only folder.

    SQLite needs a lock file (`-shm`) to read a WAL database, and would create it. Where a run left
    one, it is used; where the log has nothing after its header, the database alone is complete (and
    SQLite would look for more until it gives up); and a log without its lock file, as in a copied
    folder, is read from a copy.
    """

    def __init__(self, path: Path) -> None:
        """Raises SetupError."""
        self._path = path.resolve()
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._state = _NO_STATE
        self._db = self._open()

    def connection(self) -> sqlite3.Connection:
        """The connection; a new one where a run has started since, so that its log is seen."""
        if self._state != _NO_STATE and self._state != self._state_now():
            self.close()
            self._db = self._open()
        return self._db

    def close(self) -> None:
        self._db.close()
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None

    def _open(self) -> sqlite3.Connection:
        path, options = self._path, "immutable=1"
        self._state = self._state_now()
        if self._state[0] > _LOG_HEAD.size:
            self._state = _NO_STATE  # SQLite itself keeps up with a log
            options = "mode=ro&readonly_shm=1"
            if not beside(path, "-shm").exists() or not _is_log(beside(path, "-wal")):
                path, options = self._copied(), "mode=ro"
        try:
            db = sqlite3.connect(
                f"file:{quote(os.fsencode(path))}?{options}",
                uri=True, isolation_level=None, check_same_thread=False, timeout=30.0,
                factory=PatientConnection,
            )  # fmt: skip
            db.row_factory = sqlite3.Row
        except sqlite3.Error as error:
            raise disk_error(error, self._path) from error
        return db

    def _state_now(self) -> tuple[int, int, int]:
        """Size of the log; size and time of the database."""
        log = 0
        with suppress(OSError):
            log = beside(self._path, "-wal").stat().st_size
        try:
            state = self._path.stat()
        except OSError as error:
            raise SetupError(f"{self._path} cannot be read: {error.strerror}") from error
        return log, state.st_size, state.st_mtime_ns

    def _copied(self) -> Path:
        self._copy = tempfile.TemporaryDirectory(prefix="dsrun-ledger-")
        copy = Path(self._copy.name) / self._path.name
        try:
            for ending in ("", "-wal"):
                shutil.copyfile(beside(self._path, ending), beside(copy, ending))
        except OSError as error:
            raise SetupError(f"{self._path} cannot be read: {error.strerror}") from error
        return copy


def _is_log(path: Path) -> bool:
    """Whether a log has the header SQLite writes; on any other SQLite would wait for long."""
    try:
        with path.open("rb") as file:
            head = file.read(_LOG_HEAD.size)
    except OSError:
        return False
    if len(head) < _LOG_HEAD.size:
        return False
    words = struct.unpack(">6I" if head[3] & 1 else "<6I", head[:24])
    one = two = 0
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    magic, *_, total, other = _LOG_HEAD.unpack(head)
    return magic & ~1 == _LOG_MAGIC and (total, other) == (one, two)


def beside(path: Path, ending: str) -> Path:
    """A file that SQLite keeps beside a database: its log is `-wal`, its lock file `-shm`."""
    return path.with_name(path.name + ending)


def connect(path: Path) -> sqlite3.Connection:
    """A connection with the ledger's own settings. Raises SetupError."""
    try:
        db = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=30.0,
            factory=PatientConnection,
        )  # fmt: skip
        db.row_factory = sqlite3.Row
        db.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
        )
    except sqlite3.Error as error:
        raise disk_error(error, path) from error
    return db


def connect_readonly(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing. Raises sqlite3.Error."""
    # A run that was killed while it merged its log leaves a journal, which only a writer may play
    # back. All it has is the file's header as it was.
    options = "immutable=1" if beside(path, "-journal").exists() else "mode=ro"
    uri = f"{path.resolve().as_uri()}?{options}"
    db = sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=5.0, factory=PatientConnection
    )
    db.row_factory = sqlite3.Row
    return db


class DamagedLedger(SetupError):
    """The ledger no longer holds what was written to it."""

    def __init__(self, path: Path, what: str) -> None:
        self.what = what
        verify = command_line("dsrun", "verify", path.parent)
        super().__init__(
            f"the ledger {path} is damaged: {what}. Nothing was sent, and nothing in it was "
            f"changed. `{verify}` tells what can be saved, and `{verify} --repair` saves it: it "
            "writes a new ledger from what can still be read, from the files and from "
            "results.jsonl, keeps the damaged one, and takes whatever may be paid for paid."
        )


def disk_error(error: Exception, path: Path) -> SetupError:
    """The error for a ledger that cannot be read or written."""
    if isinstance(error, UnicodeDecodeError) or any(sign in str(error) for sign in _DAMAGE):
        return DamagedLedger(path, _told(error))
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    kind = NoRoom if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR) else SetupError
    return kind(
        f"the ledger {path} cannot be used: {error}. Free the disk or make the folder writable, "
        "then run the same command again; nothing is lost."
    )


def _told(error: Exception) -> str:
    """The message without undecodable bytes."""
    if isinstance(error, UnicodeDecodeError):
        return "a text in it is not UTF-8"
    words = str(error)
    return "a text in it is not UTF-8" if "decode to UTF-8" in words else words


def merge_log(db: sqlite3.Connection) -> bool:
    """Merge the log into the database file and drop it; False where somebody else has it open.

    A file without a log can be read anywhere, read-only folders included.
    """
    try:
        db.execute(f"PRAGMA busy_timeout = {_ALONE_MS}")
        mode: str = db.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
    except sqlite3.Error:  # somebody reads it: the log stays, and is as good
        return False
    return mode == "delete"
