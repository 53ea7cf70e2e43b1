"""Saving what can still be read of a damaged ledger, table by table and row by row, from a copy."""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from dsrun.common.digest import json_text
from dsrun.common.models import Artifact, JobStatus, Json, OpenJob
from dsrun.common.sqlite import READ_FAULTS, connect, merge_log
from dsrun.ledger.check import rules_of
from dsrun.ledger.rows import artifact_of
from dsrun.ledger.schema import migrate
from dsrun.ledger.writes import Kind, artifact_values
from dsrun.storage.layout import RunLayout

_HEADER_BYTES = 100
_PAGE_BYTES = 4096
_MOST_PROBED = 1_000_000  # row numbers that are asked for one by one
_KEPT = (
    "SELECT status, task_id, request_id, submitted_at, ended_at, output, units, attempts, cached, "
    "sent FROM job WHERE job_id = ? AND status = 'succeeded'"
)
_ROWS_A_PAGE = 40  # the shortest row takes about 100 bytes
_NUMBERED = ("run", "job", "attempt", "control")  # tables whose rows have numbers
_COPIED = ("run", "job", "twin", "attempt", "artifact", "upload", "edge", "address", "control")
_OF_JOBS = ("artifact", "twin", "edge", "address")  # tables without row numbers, by job

# With the log, without it, and with the header and the first page of a whole ledger.
_TRIES = (
    (("", "-wal"), 0), (("",), 0), (("",), _HEADER_BYTES), (("",), _PAGE_BYTES)
)  # fmt: skip

Row = dict[str, Any]


def salvage(damaged: Path, target: Path, *, is_whole: Callable[[Row], bool]) -> int:
    """Copy the rows that are in their form, and return how many jobs were saved.

    `target` is an empty ledger of the newest version. `is_whole` judges the row of a job.
    """
    with closing(connect(target)) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("BEGIN")
        for kept, patched in _TRIES:
            with _copied(damaged, kept, target, patched) as source:
                if source is not None:
                    for table in _COPIED:
                        _copy(source, db, table, is_whole if table == "job" else None)
        for table in _COPIED:
            for rule in rules_of(db, table).values():
                db.execute(f"DELETE FROM {table} WHERE NOT ({rule})")  # noqa: S608
        db.execute("UPDATE artifact SET source_sha256 = sha256 WHERE source_sha256 IS NULL")
        db.execute("COMMIT")
        return int(db.execute("SELECT count(*) FROM job").fetchone()[0])


def counted_jobs(damaged: Path, *, is_whole: Callable[[Row], bool]) -> int:
    """How many jobs of a damaged ledger can still be read."""
    with tempfile.TemporaryDirectory(prefix="dsrun-ledger-") as folder:
        return salvage(damaged, empty_ledger(RunLayout.of(Path(folder)).ledger), is_whole=is_whole)


def empty_ledger(path: Path) -> Path:
    """A new ledger of the newest version, whole in its file."""
    with closing(connect(path)) as db:
        migrate(db, path)
        merge_log(db)
    return path


def whole_jobs(path: Path) -> set[str]:
    """The jobs of a ledger that lack nothing: a succeeded job has all its artifacts."""
    with closing(connect(path)) as db:
        rows = db.execute(
            "SELECT job_id FROM job WHERE status <> 'succeeded' OR wanted <= "
            "(SELECT count(DISTINCT idx) FROM artifact WHERE artifact.job_id = job.job_id "
            "AND name = '')"
        )
        return {row["job_id"] for row in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a job whose row is lost."""

    status: JobStatus
    task_id: str | None = None
    answer: str | None = None
    request_id: str | None = None
    submitted_at: str | None = None
    ended_at: str | None = None
    output: Json = None
    sent: str | None = None
    error: tuple[str | None, str | None, str | None] = (None, None, None)  # code, message, class
    units: int = 0
    attempts: int = 0
    cached: bool = False
    artifacts: Sequence[Artifact] = ()


class Restoring:
    """The new ledger, which has every job of the plan, while lost rows are filled in."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)
        self._db.execute("PRAGMA foreign_keys = OFF")
        self._db.execute("BEGIN")

    def close(self, *, lost: int | None, since: str) -> None:
        """`lost`: how many jobs may be paid, None for none; none of them before `since`."""
        self._db.execute("DELETE FROM edge WHERE parent_id NOT IN (SELECT job_id FROM job)")
        for table in ("attempt", *_OF_JOBS):
            self._db.execute(
                f"DELETE FROM {table} WHERE job_id NOT IN (SELECT job_id FROM job)"  # noqa: S608
            )
        self._db.execute("UPDATE mark SET lost = ?, lost_since = ?", (lost, lost and since))
        self._db.execute("COMMIT")
        merge_log(self._db)
        self._db.close()

    def started_at(self) -> str | None:
        """When the first run that is still known began."""
        row = self._db.execute("SELECT min(started_at) FROM run").fetchone()
        return None if row is None else row[0]

    def kept(self, job_id: str) -> dict[str, Json]:
        """What is left in the row of a job that has lost only its artifacts."""
        row = self._db.execute(_KEPT, (job_id,)).fetchone()
        if row is None:
            return {}
        kept = {name: row[name] for name in row.keys()}  # noqa: SIM118  # a Row
        output = None if row["output"] is None else orjson.loads(row["output"])
        return kept | {"status": JobStatus(row["status"]), "output": output}

    def attempts(self, job_id: str) -> list[sqlite3.Row]:
        return self._db.execute(
            "SELECT * FROM attempt WHERE job_id = ? ORDER BY attempt_id", (job_id,)
        ).fetchall()

    def artifacts(self, job_id: str) -> list[Artifact]:
        rows = self._db.execute(
            "SELECT * FROM artifact WHERE job_id = ? ORDER BY idx, path", (job_id,)
        )
        return list(map(artifact_of, rows))

    def fill_in(self, job: OpenJob, known: Known) -> None:
        output = None if known.output is None else json_text(known.output)
        self._db.execute(
            "UPDATE job SET status = ?, task_id = ?, answer = ?, request_id = ?, submitted_at = ?, "
            "ended_at = ?, output = ?, error_code = ?, error_message = ?, error_class = ?, "
            "units = ?, units_before = 0, attempts = ?, cached = ?, sent = ?, "
            "repeats = max(repeats, (SELECT count(*) FROM attempt "
            "WHERE attempt.job_id = job.job_id AND outcome = 'repeated')) WHERE job_id = ?",
            (
                known.status, known.task_id, known.answer, known.request_id, known.submitted_at,
                known.ended_at, output, *known.error, known.units, known.attempts, known.cached,
                known.sent, job.job_id,
            ),
        )  # fmt: skip
        self._db.execute("DELETE FROM artifact WHERE job_id = ?", (job.job_id,))
        rows = [artifact_values(job, item) for item in known.artifacts]
        self._db.executemany(Kind.ARTIFACT.value, rows)


@contextmanager
def _copied(
    damaged: Path, kept: Sequence[str], whole: Path, patched: int
) -> Iterator[sqlite3.Connection | None]:
    """A copy of these files with the first bytes of a whole ledger; None where it cannot be read.

    That works because ledgers of one version have their tables at the same places.
    """
    copy = whole.with_name("copy.sqlite3")
    try:
        for ending in kept:
            source = damaged.with_name(damaged.name + ending)
            if source.exists():
                shutil.copyfile(source, f"{copy}{ending}")
        if patched:
            _patch(copy, whole, patched)
        with closing(sqlite3.connect(copy, isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            db.text_factory = bytes
            try:
                db.execute("PRAGMA writable_schema = ON")  # so that a partly broken schema is read
                db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            except READ_FAULTS:
                yield None
            else:
                yield db
    finally:
        for ending in ("", "-wal", "-shm"):
            Path(f"{copy}{ending}").unlink(missing_ok=True)


def _patch(copy: Path, whole: Path, length: int) -> None:
    with whole.open("rb") as file:
        head = bytearray(file.read(length))
    head[28:32] = (copy.stat().st_size // _PAGE_BYTES).to_bytes(4)
    head[32:40] = bytes(8)  # no free pages: what they hold is not asked for
    with copy.open("r+b") as file:
        file.write(head)


def _copy(
    source: sqlite3.Connection, db: sqlite3.Connection, table: str,
    is_whole: Callable[[Row], bool] | None,
) -> None:  # fmt: skip
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    for row in _rows(source, table):
        known = {name: row[name] for name in columns if name in row}
        if is_whole is not None and not is_whole(known):
            continue
        names, marks = ", ".join(known), ", ".join("?" * len(known))
        sql = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608
        try:
            db.execute(sql, list(known.values()))
        except sqlite3.Error:  # a value is not of its column's type
            continue


def _rows(db: sqlite3.Connection, table: str) -> Iterator[Row]:
    """Every row that can be read: forward, past what is broken, and back from the end."""
    is_numbered = table in _NUMBERED
    order = "ORDER BY rowid" if is_numbered else ""
    try:
        for row in db.execute(f"SELECT * FROM {table} {order}"):  # noqa: S608  # ours
            yield from _decoded(row)
    except READ_FAULTS:
        yield from _rows_behind(db, table) if is_numbered else _rows_of_jobs(db, table)


def _rows_behind(db: sqlite3.Connection, table: str) -> Iterator[Row]:
    """The rows past a broken page: one by one by their numbers, and back from the end."""
    for number in range(1, _most_rows(db)):
        try:
            for row in db.execute(f"SELECT * FROM {table} WHERE rowid = ?", (number,)):  # noqa: S608
                yield from _decoded(row)
        except READ_FAULTS:
            continue
    with suppress(*READ_FAULTS):
        for row in db.execute(f"SELECT * FROM {table} ORDER BY rowid DESC"):  # noqa: S608
            yield from _decoded(row)


def _most_rows(db: sqlite3.Connection) -> int:
    """More rows than the file can hold of any table."""
    try:
        pages = int(db.execute("PRAGMA page_count").fetchone()[0])
    except READ_FAULTS:
        pages = _MOST_PROBED
    return min(pages * _ROWS_A_PAGE, _MOST_PROBED)


def _rows_of_jobs(db: sqlite3.Connection, table: str) -> Iterator[Row]:
    """The rows of a table that is broken somewhere, asked for job by job."""
    if table not in _OF_JOBS:
        return
    for job in list(_rows(db, "job")):
        try:
            for row in db.execute(
                f"SELECT * FROM {table} WHERE job_id = ?",  # noqa: S608
                (job["job_id"],),
            ):
                yield from _decoded(row)
        except READ_FAULTS:
            continue


def _decoded(row: sqlite3.Row) -> Iterator[Row]:
    """The row with its texts decoded, or nothing where one is not text."""
    try:
        yield {
            name: row[name].decode() if isinstance(row[name], bytes) else row[name]
            for name in row.keys()  # noqa: SIM118  # a Row iterates over values
        }
    except UnicodeDecodeError:
        return
