"""The cache's index: which jobs have a finished result, of which files, and when it was used.

Many runs share this SQLite file. It guards no money: it may lag behind, and after a crash it may
name files that do not exist. Whoever uses an entry checks its files.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from dsrun.common.errors import SetupError
from dsrun.common.media import is_kind
from dsrun.common.models import Json
from dsrun.common.sqlite import PatientConnection, UntouchedFile

# 1 has no `source_sha256`: no file of it bears a tag; 2 has no facts of files; 3 has no jobs that
# are made of others.
_VERSION = 4
_SINCE_SENT = 4
_BUSY_S = 30.0
_TABLES = f"""
BEGIN IMMEDIATE;
CREATE TABLE entry (
    job_id  TEXT PRIMARY KEY,
    output  TEXT,
    files   TEXT NOT NULL,
    used_at TEXT NOT NULL,
    sent    TEXT,
    parents TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE directory (path TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_OLD_ENTRIES = f"""
BEGIN IMMEDIATE;
ALTER TABLE entry ADD COLUMN sent TEXT;
ALTER TABLE entry ADD COLUMN parents TEXT;
PRAGMA user_version = {_VERSION};
COMMIT;
"""  # the rest of them is read as it is
_SHA256 = re.compile("[0-9a-f]{64}").fullmatch
_NAME = re.compile("[a-z][a-z0-9]{0,30}").fullmatch
_LARGEST = 2**53  # what all that reads JSON can tell apart
_IDS = "job_id IN (SELECT value FROM json_each(?))"
# These jobs, those that they are made of, and so on: no parent is older than what was made of it.
_WITH_PARENTS = (
    "job_id IN (WITH RECURSIVE above(job_id) AS (SELECT value FROM json_each(?) UNION "
    "SELECT parent.value FROM above JOIN entry USING (job_id), json_each(entry.parents) AS parent) "
    "SELECT job_id FROM above)"
)


class CacheFault(SetupError):
    """The cache cannot be read or written. It never ends a run, which only warns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedFile:
    """One file of a result; `index` is its number among those of its kind, `size` in bytes.

    `name` is that of its kind, empty for the main one.

    `source_sha256` is that of the bytes from the service, before metadata was put in.
    """

    index: int
    sha256: str
    source_sha256: str
    size: int
    media_type: str
    extension: str
    seed: int | None
    sample_rate: int | None
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedResult:
    """What a job made: its files by index, and what else its answer named.

    `parents` are the jobs that it was made of, and `sent` is the SHA-256 of the request with what
    they gave; None where there are none.
    """

    job_id: str
    output: Json
    files: tuple[CachedFile, ...]
    sent: str | None = None
    parents: tuple[str, ...] = ()


class _OwnFile:
    """A connection that writes; the file is made where it is missing."""

    def __init__(self, path: Path) -> None:
        # The event loop's thread uses it before the first job, a worker's thread from then on.
        self._db = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S,
            factory=PatientConnection,
        )  # fmt: skip
        try:
            # A crash of the machine may take the last commits, never the file: NORMAL.
            self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
        except BaseException:
            self._db.close()
            raise

    def connection(self) -> sqlite3.Connection:
        return self._db

    def close(self) -> None:
        self._db.close()


class CacheIndex:
    """An open index. Every method raises CacheFault where it cannot be read or written."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        """The file is made where it is missing, unless `read_only`: then nothing is written.

        The caller must keep apart two processes that would make the same file at once.
        """
        self._path = path
        self._of_parents = "sent, parents"
        with faults(path):
            self._file = UntouchedFile(path) if read_only else _OwnFile(path)
            try:
                self._prepare(read_only=read_only)
            except BaseException:
                self._file.close()
                raise

    def _prepare(self, *, read_only: bool) -> None:
        db = self._file.connection()
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            words = f"has version {version}; this dsrun knows up to {_VERSION}"
            raise CacheFault(f"{self._path} {words}")
        if version < _SINCE_SENT and read_only:
            self._of_parents = "NULL, NULL"
        if version < _VERSION and not read_only:
            db.executescript(_OLD_ENTRIES if version else _TABLES)

    def close(self) -> None:
        self._file.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction. No other process writes to the index or to the files until it ends."""
        with faults(self._path):
            db = self._file.connection()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def is_empty(self) -> bool:
        return not self._rows("SELECT 1 FROM entry LIMIT 1")

    def known(self, job_ids: Sequence[str]) -> list[str]:
        """Those of the jobs that have an entry."""
        return [row[0] for row in self._all(f"SELECT job_id FROM entry WHERE {_IDS}", job_ids)]  # noqa: S608

    def find(self, job_ids: Sequence[str]) -> dict[str, CachedResult]:
        """The entries of those jobs that have one, by job id, without the `damaged` ones."""
        entries = self._find(job_ids)
        return {job_id: result for job_id, result in entries.items() if result is not None}

    def damaged(self, job_ids: Sequence[str]) -> list[str]:
        """Those of the jobs whose entry is not one that dsrun has written."""
        return [job_id for job_id, result in self._find(job_ids).items() if result is None]

    def _find(self, job_ids: Sequence[str]) -> dict[str, CachedResult | None]:
        sql = f"SELECT job_id, output, files, {self._of_parents} FROM entry WHERE {_IDS}"  # noqa: S608
        return {row[0]: _result(*row) for row in self._all(sql, job_ids)}

    def sent(self, job_ids: Sequence[str]) -> dict[str, Json]:
        """The digests of what was sent, of those of the jobs that have an entry."""
        sql = f"SELECT job_id, {self._of_parents} FROM entry WHERE {_IDS}"  # noqa: S608
        return {row[0]: row[1] for row in self._all(sql, job_ids)}

    def add(self, results: Sequence[CachedResult], *, at: str) -> None:
        """Inside `writing()`. Of two results of a job the first stays."""
        rows = [
            (
                item.job_id, _text(item.output), orjson.dumps(item.files).decode(), at, item.sent,
                orjson.dumps(item.parents).decode() if item.parents else None,
            )
            for item in results
        ]  # fmt: skip
        with faults(self._path):
            self._file.connection().executemany(
                "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", rows
            )
        if made := [item.job_id for item in results if item.parents]:
            self.touch(made, at=at)

    def touch(self, job_ids: Sequence[str], *, at: str) -> None:
        """Inside `writing()`: the entries are used now, and those of the jobs they are made of.

        A clock set back makes none older.
        """
        self._all(f"UPDATE entry SET used_at = max(used_at, ?) WHERE {_WITH_PARENTS}", job_ids, at)  # noqa: S608

    def forget(self, job_ids: Sequence[str]) -> None:
        """Inside `writing()`."""
        self._all(f"DELETE FROM entry WHERE {_IDS}", job_ids)  # noqa: S608

    def forget_unused(self, *, since: str, limit: int) -> int:
        """Inside `writing()`: forget up to `limit` entries last used before `since`."""
        with faults(self._path):
            return (
                self._file.connection()
                .execute(
                    "DELETE FROM entry WHERE job_id IN "
                    "(SELECT job_id FROM entry WHERE used_at < ? "
                    "ORDER BY parents IS NULL LIMIT ?)",
                    (since, limit),
                )
                .rowcount
            )

    def count_unused(self, *, since: str) -> int:
        return int(self._rows("SELECT count(*) FROM entry WHERE used_at < ?", (since,))[0][0])

    def used(self, prefix: str, *, since: str) -> set[str]:
        """Jobs whose ids begin with these digits, and whose entries were used since then."""
        rows = self._rows(
            "SELECT job_id FROM entry WHERE job_id >= ? AND job_id < ? AND used_at >= ?",
            (prefix, prefix + "g", since),
        )
        return {row[0] for row in rows}

    def is_complete(self, directory: str) -> bool:
        """Whether every success of a run directory is in the cache."""
        return bool(self._rows("SELECT 1 FROM directory WHERE path = ?", (directory,)))

    def note_complete(self, directory: str, *, is_complete: bool) -> None:
        sql = "INSERT OR IGNORE INTO directory VALUES (?)"
        self._rows(sql if is_complete else "DELETE FROM directory WHERE path = ?", (directory,))

    def _all(self, sql: str, job_ids: Sequence[str], *before: Json) -> list[tuple[Json, ...]]:
        """A statement about any number of jobs: their ids are one JSON array, its last value."""
        return self._rows(sql, (*before, orjson.dumps(job_ids).decode()))

    def _rows(self, sql: str, values: Sequence[Json] = ()) -> list[tuple[Json, ...]]:
        with faults(self._path):
            return self._file.connection().execute(sql, values).fetchall()


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """Turns errors into words about a cache that cannot be used."""
    try:
        yield
    except sqlite3.Error as error:
        hint = ""
        if "malformed" in str(error) or "not a database" in str(error):
            hint = f"; nothing paid is lost when {path.parent} is removed"
        raise CacheFault(f"the cache {path} cannot be used: {error}{hint}") from error
    except OSError as error:
        raise CacheFault(f"the cache {path} cannot be used: {error.strerror or error}") from error
    except CacheFault:
        raise
    except SetupError as error:  # in the words of a ledger
        raise CacheFault(f"the cache {path} cannot be used: {error.__cause__}") from error


def _result(
    job_id: str, output: Json, files: Json, sent: Json, parents: Json
) -> CachedResult | None:
    """An entry; None where it is not ours. Parts of it become paths, so nothing is trusted."""
    try:
        made = CachedResult(
            job_id=job_id,
            output=None if output is None else orjson.loads(output),
            files=tuple(map(_file, orjson.loads(files))),
            sent=sent,
            parents=() if parents is None else tuple(orjson.loads(parents)),
        )
    except (ValueError, TypeError, KeyError):
        return None
    indexes = {(file.name, file.index) for file in made.files}
    is_whole = (
        bool(indexes or made.output)
        and len(indexes) == len(made.files)
        and all(map(_is_sane, made.files))
    )
    return made if is_whole and isinstance(made.output, dict | None) else None


def _file(values: dict[str, Json]) -> CachedFile:
    return CachedFile(**{"source_sha256": values["sha256"], **values})


def _is_sane(file: CachedFile) -> bool:
    texts: tuple[Json, ...] = (
        file.sha256, file.source_sha256, file.media_type, file.extension, file.name
    )  # fmt: skip
    numbers: tuple[Json, ...] = (
        file.index, file.size, file.seed or 0, file.sample_rate or 0, file.width or 0,
        file.height or 0,
    )  # fmt: skip
    seconds: Json = file.duration_s
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
        and all(0 <= number <= _LARGEST for number in numbers)
        and (seconds is None or (type(seconds) in (int, float) and 0 <= seconds <= _LARGEST))
        and all(_SHA256(text) for text in texts[:2])
        and (not file.name or _NAME(file.name) is not None)
        and is_kind(file.media_type, file.extension)
    )


def _text(output: Json) -> str | None:
    return None if output is None else orjson.dumps(output).decode()
