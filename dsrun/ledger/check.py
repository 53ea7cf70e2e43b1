"""Whether a ledger says what was written to it. Nothing is changed.

A ledger that was closed is compared with its seal, which shows every flipped bit. One that is in
use, or whose run was killed, has no seal: SQLite checks its own structures, and each row has its
form checked. A look at a large file checks less than a run does, to keep `dsrun status` quick.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from dsrun.common.digest import job_id_of
from dsrun.common.errors import SetupError
from dsrun.common.models import JobStatus
from dsrun.common.sqlite import READ_FAULTS, DamagedLedger, UntouchedFile, beside, disk_error
from dsrun.ledger.schema import VERSION, tables_of
from dsrun.ledger.tail import Head, Seal, read_head, seal_of


class LostFacts(SetupError):
    """The ledger is whole, but some of what was written to it is missing."""

    def __init__(self, path: Path, *, known: int, facts: int) -> None:
        super().__init__(
            f"the ledger {path} has lost its newest facts: it has {known} of {facts}, so what it "
            "says is not true any more. Its log (-wal) is gone, cut or garbled, or an older copy "
            "was put in its place: put them back, or run the pipeline again, which puts back what "
            "it can and asks the service for the rest before it sends anything"
        )


_HEADER = b"SQLite format 3\0"
_LOOK_BYTES = 4 << 20  # of a ledger that is looked at: some milliseconds, and there may be hundreds

_STATUSES = ", ".join(f"'{status}'" for status in JobStatus)


def _moment(*columns: str) -> dict[str, str]:
    return {name: f"{name} IS NULL OR julianday({name}) IS NOT NULL" for name in columns}


def _json(*columns: str) -> dict[str, str]:
    return {name: f"{name} IS NULL OR json_valid({name})" for name in columns}


def _sha256(*columns: str) -> dict[str, str]:
    return {
        name: f"{name} IS NULL OR (length({name}) = 64 AND {name} NOT GLOB '*[^0-9a-f]*')"
        for name in columns
    }


def _count(*columns: str) -> dict[str, str]:
    return {name: f"{name} IS NULL OR {name} >= 0" for name in columns}


# What must be true of each column, as SQL; SQLite itself checks types and NOT NULL.
FORMS: Mapping[str, Mapping[str, str]] = {
    "job": {
        **_sha256("job_id"),
        **_count(
            "position",
            "idx",
            "replica",
            "attempts",
            "wanted",
            "units",
            "units_before",
            "planned",
            "repeats",
            "depth",
            "take",
        ),
        **_json("request", "matrix", "stems", "output", "late", "sent"),
        **_moment("submitted_at", "ended_at", "lost_at"),
        "status": f"status IN ({_STATUSES})",
        "unit_price": "unit_price GLOB '[0-9]*' AND unit_price NOT GLOB '*[^0-9.E+-]*'",
        "cached": "cached IN (0, 1)",
        "answer": "answer IS NULL OR iif(json_valid(answer), "
        "coalesce(json_type(answer, '$.results') = 'array', false) "
        "AND julianday(json_extract(answer, '$.at')) IS NOT NULL, false)",
    },
    "run": {**_moment("started_at", "ended_at"), **_count("pid")},
    "attempt": {**_sha256("job_id"), **_moment("at")},
    "artifact": {
        **_sha256("job_id", "sha256", "source_sha256"),
        **_count("idx", "size", "duration_s", "width", "height"),
        "name": "name NOT GLOB '*[^a-z0-9]*'",
    },
    "twin": {**_sha256("job_id"), **_json("matrix", "stems"), **_count("idx")},
    "upload": {**_sha256("sha256"), **_moment("uploaded_at")},
    "edge": {
        **_sha256("job_id", "parent_id"),
        **_count("number", "idx"),
        "takes": "takes IS NULL OR takes GLOB 'file:[0-9]*' OR takes GLOB 'output:?*'",
    },
    "address": {**_sha256("job_id"), **_count("idx"), **_moment("answered_at")},
    "plan": {**_count("jobs")},
    "control": {**_moment("at", "taken_at"), **_count("pid"), **_json("in_force")},
    "left_out": {**_count("position")},
}


def check_ledger(path: Path) -> bool:
    """Check everything, before a run writes to the ledger. Raises DamagedLedger, SetupError.

    Returns whether it has a seal, which fits.
    """
    if not path.is_file() or not path.stat().st_size:
        return False
    if check_seal(path, thorough=True):
        return True
    with closing(UntouchedFile(path)) as file:
        check_content(file.connection(), path, thorough=True)
    return False


def check_seal(path: Path, *, thorough: bool) -> bool:
    """Whether the file has a seal that fits. A seal must fit unless somebody has written since.

    Unless `thorough`, a large file is not read. Raises DamagedLedger, SetupError.
    """
    head = read_head(path)
    try:
        with path.open("rb") as file:
            header, size = file.read(100), path.stat().st_size
        if size and not header.startswith(_HEADER):
            raise DamagedLedger(path, "its first bytes are not those of a database")
        seal = head.seal if head else None
        if seal is None or _has_log(path) or not _is_of(seal, header):
            return False
        if not thorough and size > _LOOK_BYTES:
            return True
        if seal_of(path) != seal:
            raise DamagedLedger(path, "its bytes are not those that the last run wrote")
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror or error}") from error
    return True


def _is_of(seal: Seal, header: bytes) -> bool:
    """Whether nobody has written to the file since, by the header's two counts of writes."""
    counts = {int.from_bytes(header[24:28]), int.from_bytes(header[92:96])}
    return seal.change in counts


def _has_log(path: Path) -> bool:
    log = beside(path, "-wal")
    return log.exists() and log.stat().st_size > 0


def check_content(db: sqlite3.Connection, path: Path, *, thorough: bool) -> None:
    """Check the structures and rows of an open ledger; if `thorough`, all its texts too.

    Otherwise a large one is passed over. Raises DamagedLedger, SetupError.
    """
    try:
        if db.execute("PRAGMA user_version").fetchone()[0] > VERSION:
            return  # only a newer dsrun knows what it must be
        size = db.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        is_passed_over = not thorough and size.fetchone()[0] > _LOOK_BYTES
        faults = _wrong_tables(db) if is_passed_over else _faults(db, thorough=thorough)
        fault = next(iter(faults), None)
    except READ_FAULTS as error:
        raise disk_error(error, path) from error
    if fault is not None:
        raise DamagedLedger(path, fault)


def _wrong_tables(db: sqlite3.Connection) -> Iterator[str]:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    tables = _tables(db)
    if version < 0 or not tables_of(version) <= tables or (tables and not version):
        yield f"its tables are not those of its version, {version}"


def _tables(db: sqlite3.Connection) -> set[str]:
    return {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def _faults(db: sqlite3.Connection, *, thorough: bool) -> Iterator[str]:
    for (words,) in db.execute("PRAGMA integrity_check(1)"):
        if words != "ok":
            yield str(words).splitlines()[-1]
    yield from _wrong_tables(db)
    tables = _tables(db)
    for table in FORMS:
        if table in tables:
            yield from _faults_of(db, table)
            if thorough:
                yield from _faults_in_rows(db, table)


def _faults_of(db: sqlite3.Connection, table: str) -> Iterator[str]:
    for column, rule in rules_of(db, table).items():
        row = db.execute(f"SELECT count(*) FROM {table} WHERE NOT ({rule})").fetchone()  # noqa: S608
        if row[0]:
            yield f"{row[0]} rows of the table {table} have no valid {column}"


def rules_of(db: sqlite3.Connection, table: str) -> dict[str, str]:
    """The rules for the columns that this ledger's version has."""
    columns = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
    return {name: rule for name, rule in FORMS[table].items() if name in columns}


def _faults_in_rows(db: sqlite3.Connection, table: str) -> Iterator[str]:
    judge: Callable[[sqlite3.Row], bool] = is_own_job if table == "job" else bool
    for row in db.execute(f"SELECT * FROM {table}"):  # noqa: S608  # decodes every text
        if not judge(row):
            yield f"the request of job {row['job_id'][:12]} is not the one that was planned"


def is_own_job(row: Any) -> bool:
    """Whether the id of a job is that of its request."""
    body = row["request"].encode()
    take = row["take"] if "take" in row.keys() else 1  # noqa: SIM118  # it may be a Row
    return bool(job_id_of(row["operation"], row["replica"], body, take=take) == row["job_id"])


def check_facts(db: sqlite3.Connection, path: Path, facts: int | None) -> None:
    """Raise LostFacts where the ledger has fewer facts than its tail, which was read before it."""
    if facts is None:
        return
    try:
        is_counted = "mark" in _tables(db)
        known = db.execute("SELECT facts FROM mark").fetchone()[0] if is_counted else 0
    except READ_FAULTS as error:
        raise disk_error(error, path) from error
    if facts > known:
        raise LostFacts(path, known=known, facts=facts)


def is_closed_as(db: sqlite3.Connection, path: Path, head: Head) -> bool:
    """Whether a sealed ledger is the one that its tail was closed with, and not a copy of another.

    For a look, which may not have compared all bytes with the seal.
    """
    try:
        if head.seal is None or path.stat().st_size != head.seal.size or "mark" not in _tables(db):
            return False
        row = db.execute("SELECT ledger_id, facts FROM mark").fetchone()
    except (*READ_FAULTS, OSError) as error:
        raise disk_error(error, path) from error
    return row is not None and tuple(row) == (head.ledger_id, head.facts)
