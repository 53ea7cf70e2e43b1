"""What plan and explain ask a ledger: single jobs, and those of a page, by their ids."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from dsrun.common.models import LOST_ROW, JobStatus, Json
from dsrun.ledger.reader import LedgerReader, checked
from dsrun.ledger.rows import is_reusable, path_below
from dsrun.ledger.schema import MAY_BE_REPRICED, planned_of
from dsrun.ledger.writes import RETRIED

_PATHS = 2000  # in a page
_STANDINGS = "SELECT job_id, position, status, attempts, error_code FROM job"
_MADE = "SELECT * FROM artifact WHERE job_id = ? ORDER BY idx, path"


class Standing(NamedTuple):
    """Where a job stands; `error_code` is from the last time it ended."""

    status: JobStatus
    attempts: int
    error_code: str | None


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job as a run planned it; `matrix` is JSON text."""

    job_id: str
    step: str
    index: int
    replica: int
    matrix: str


class AskedJob(NamedTuple):
    """What a job asks for; `wanted` counts its images or voices."""

    job_id: str
    operation: str
    wanted: int
    replica: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """A file of a job, and the address that the service gave for it, while that is known."""

    operation: str
    path: str
    sha256: str
    source_sha256: str
    size: int
    media_type: str
    duration_s: float | None
    address: str | None
    endpoint: str | None
    answered_at: str | None


@dataclass(frozen=True, slots=True)
class Edge:
    """A job that another is made of, or that is made of another, and what is taken."""

    axis: str
    step: str
    index: int
    job_id: str
    takes: str | None
    status: str | None  # None before any run
    left_out: bool  # whether the last run was not about it


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """All that a ledger says of one job. `row` is its row of the table `job`."""

    row: dict[str, Any]
    matrix: dict[str, Json]
    request: dict[str, Json]
    attempts: list[dict[str, Any]]  # in order
    artifacts: list[str]  # paths relative to the run directory
    twins: list[tuple[str, int]]  # step and index of other rows that make the same request
    left_out: bool = False  # whether it is open, and the last run was not about it


@checked
def standings(reader: LedgerReader, job_ids: Sequence[str]) -> dict[str, Standing]:
    return {row[0]: _standing(row) for row in _by_id(reader, _STANDINGS, job_ids)}


class OrderedStandings:
    """Where the jobs of a plan stand, asked for in plan order, page by page.

    As far as the ledger has the same jobs in the same order it is read from one end to the other,
    which is many times quicker than to look for each job by its id.
    """

    def __init__(self, reader: LedgerReader) -> None:
        self._reader = reader
        self._last = -1  # the position of the last job that was asked for
        self._is_in_order = True

    def of(self, job_ids: Sequence[str]) -> dict[str, Standing]:
        """Those of the jobs that the ledger has."""
        with self._reader.reading():
            known = self._next(len(job_ids)) if self._is_in_order else {}
            others = [job_id for job_id in job_ids if job_id not in known]
            if others:
                self._is_in_order = 2 * len(others) <= len(job_ids)
                known |= {row[0]: row for row in _by_id(self._reader, _STANDINGS, others)}
            found = {job_id: known[job_id] for job_id in job_ids if job_id in known}
            self._last = max([self._last, *(row[1] for row in found.values())])
            return {job_id: _standing(row) for job_id, row in found.items()}

    def _next(self, count: int) -> dict[str, sqlite3.Row]:
        sql = f"{_STANDINGS} WHERE position > ? ORDER BY position LIMIT ?"
        return {row[0]: row for row in self._reader.rows(sql, (self._last, count))}


def _standing(row: sqlite3.Row) -> Standing:
    _, _, status, attempts, error_code = row
    return Standing(JobStatus(status), attempts, error_code)


def artifacts_of(reader: LedgerReader, job_ids: Sequence[str]) -> list[tuple[str, str]]:
    """Job id and path of the artifacts of these jobs."""
    rows = _by_id(reader, "SELECT job_id, path FROM artifact", job_ids)
    return [(row["job_id"], path_below(row["path"])) for row in rows]


def reusable(
    reader: LedgerReader, job_ids: Sequence[str]
) -> Iterator[tuple[sqlite3.Row, list[sqlite3.Row]]]:
    """Those of the jobs whose result other runs may use, in plan order, with their artifacts."""
    rows = _by_id(reader, "SELECT * FROM job", job_ids)
    for row in sorted(rows, key=itemgetter("position")):
        made = reader.rows(_MADE, (row["job_id"],))
        if is_reusable(row, made):
            for item in made:
                path_below(item["path"])
            yield row, made


def planned_jobs(reader: LedgerReader) -> Iterator[list[PlannedJob]]:
    """Every job in plan order, in pages."""
    for page in reader.pages("job_id, step, idx, replica, matrix"):
        yield [PlannedJob(*tuple(row)[1:]) for row in page]


def asked_jobs(reader: LedgerReader) -> Iterator[AskedJob]:
    """What every job was asked for, in plan order."""
    for page in reader.pages("job_id, operation, wanted, replica"):
        for row in page:
            yield AskedJob(*tuple(row)[1:])


@checked
def left_out_ids(reader: LedgerReader) -> frozenset[str]:
    """The open jobs that the last run was not about."""
    rows = reader.rows(f"SELECT job_id FROM job WHERE {reader.is_left_out}")  # noqa: S608  # ours
    return frozenset(row[0] for row in rows)


def first_places(reader: LedgerReader, most: int) -> list[tuple[str, int]]:
    """Step and index of the first jobs of the plan."""
    rows = reader.rows("SELECT step, idx FROM job ORDER BY position LIMIT ?", (most,))
    return [tuple(row) for row in rows]


def ids_with_prefix(reader: LedgerReader, prefix: str, *, most: int) -> list[str]:
    """The first `most` job ids that begin with these hex digits."""
    rows = reader.rows(
        "SELECT job_id FROM job WHERE job_id >= ? AND job_id < ? ORDER BY job_id LIMIT ?",
        (prefix, f"{prefix}g", most),
    )
    return [row[0] for row in rows]


def id_at(reader: LedgerReader, step: str, index: int) -> str | None:
    """The job of a row, which may be the twin of an earlier one."""
    for table in ("job", "twin"):
        row = reader.row(
            f"SELECT job_id FROM {table} WHERE step = ? AND idx = ?",  # noqa: S608
            (step, index),
        )
        if row is not None:
            return str(row[0])
    return None


@checked
def record(reader: LedgerReader, job_id: str) -> JobRecord | None:
    row = reader.row("SELECT * FROM job WHERE job_id = ?", (job_id,))
    if row is None:
        return None
    left_out = f"SELECT 1 FROM job WHERE job_id = ? AND {reader.is_left_out}"  # noqa: S608  # ours
    attempts = "SELECT * FROM attempt WHERE job_id = ? ORDER BY attempt_id"
    twins = "SELECT step, idx FROM twin WHERE job_id = ? ORDER BY step, idx"
    return JobRecord(
        row=_as_dict(row),
        matrix=json.loads(row["matrix"]),
        request=orjson.loads(row["request"]),
        attempts=[_as_dict(item) for item in reader.rows(attempts, (job_id,))],
        artifacts=[path for _, path in artifacts_of(reader, [job_id])],
        twins=[(item["step"], item["idx"]) for item in reader.rows(twins, (job_id,))],
        left_out=reader.row(left_out, (job_id,)) is not None,
    )


def _by_id(reader: LedgerReader, select: str, job_ids: Sequence[str]) -> list[sqlite3.Row]:
    text = orjson.dumps(list(job_ids)).decode()
    sql = f"{select} WHERE job_id IN (SELECT value FROM json_each(?))"  # noqa: S608
    return reader.rows(sql, (text,))


def _as_dict(row: sqlite3.Row) -> dict[str, Any]:
    return {key: row[key] for key in row.keys()}  # noqa: SIM118  # a Row iterates over values


@checked
def output_of(reader: LedgerReader, job_id: str) -> Json:
    """What a job gives to later steps by name; None where it has nothing."""
    row = reader.row("SELECT output FROM job WHERE job_id = ?", (job_id,))
    return None if row is None or row["output"] is None else orjson.loads(row["output"])


@checked
def kept_file(reader: LedgerReader, job_id: str, index: int) -> KeptFile | None:
    """A file of a job, under the first of its names."""
    row = reader.row(
        "SELECT job.operation, path, sha256, coalesce(source_sha256, sha256) AS source, size, "
        "media_type, duration_s, url, endpoint, answered_at "
        "FROM artifact AS made JOIN job USING (job_id) LEFT JOIN address AS at "
        "ON at.job_id = made.job_id AND at.idx = made.idx "
        "WHERE made.job_id = ? AND made.idx = ? AND name = '' ORDER BY path LIMIT 1",
        (job_id, index),
    )
    if row is None:
        return None
    return KeptFile(
        operation=row["operation"], path=path_below(row["path"]), sha256=row["sha256"],
        source_sha256=row["source"], size=row["size"], media_type=row["media_type"],
        duration_s=row["duration_s"], address=row["url"], endpoint=row["endpoint"],
        answered_at=row["answered_at"],
    )  # fmt: skip


def edges_up(reader: LedgerReader, job_id: str) -> list[Edge]:
    """What a job is made of, in order."""
    if not reader.knows_edges():
        return []
    rows = reader.rows(
        "SELECT axis, edge.step, edge.idx, parent_id, takes, status, "  # noqa: S608  # ours
        f"{reader.is_left_out} FROM edge JOIN job ON job.job_id = edge.parent_id "
        "WHERE edge.job_id = ? ORDER BY number",
        (job_id,),
    )
    return [_edge(row) for row in rows]


def edges_down(reader: LedgerReader, job_id: str, *, most: int) -> tuple[int, list[Edge]]:
    """How many jobs are made of a job, and the first of them in plan order."""
    if not reader.knows_edges():
        return 0, []
    whole = "SELECT count(DISTINCT job_id) FROM edge WHERE parent_id = ?"
    rows = reader.rows(
        "SELECT axis, job.step, job.idx, job.job_id, takes, status, "  # noqa: S608  # ours
        f"{reader.is_left_out} FROM edge JOIN job USING (job_id) WHERE parent_id = ? "
        "GROUP BY job.job_id ORDER BY position LIMIT ?",
        (job_id, most),
    )
    return int(reader.row(whole, (job_id,))[0]), [_edge(row) for row in rows]


def _edge(row: sqlite3.Row) -> Edge:
    axis, step, index, job_id, takes, status, is_left_out = row
    return Edge(axis, step, index, job_id, takes, status, bool(is_left_out))


def path_of(reader: LedgerReader, job_id: str, index: int) -> str | None:
    """The path of a file of a job; None where it is not there."""
    row = reader.row(
        "SELECT path FROM artifact WHERE job_id = ? AND idx = ? ORDER BY path LIMIT 1",
        (job_id, index),
    )
    return None if row is None else path_below(row["path"])


def job_prices(reader: LedgerReader) -> list[tuple[str, str, str, int]]:
    """Operation, unit price and currency of jobs, and whether any of them may be repriced."""
    rows = reader.rows(
        f"SELECT operation, unit_price, currency, max({MAY_BE_REPRICED}) FROM job "  # noqa: S608
        "GROUP BY operation, unit_price, currency"
    )
    return [tuple(row) for row in rows]


def price_of_job(reader: LedgerReader, job_id: str) -> tuple[str, str, int]:
    """The unit price of a job, its currency, and whether anything was paid."""
    sql = "SELECT unit_price, currency, units + units_before > 0 FROM job WHERE job_id = ?"
    return tuple(reader.row(sql, (job_id,)))


def artifact_places(reader: LedgerReader) -> Iterator[list[tuple[str, str]]]:
    """Job id and path of all artifacts, in pages, in the order of the table, which is quickest."""
    last: tuple[str, int, str] = ("", -1, "")
    while rows := reader.rows(
        "SELECT job_id, idx, path FROM artifact WHERE (job_id, idx, path) > (?, ?, ?) "
        "ORDER BY job_id, idx, path LIMIT ?",
        (*last, _PATHS),
    ):
        yield [(job_id, path_below(path)) for job_id, _, path in rows]
        last = tuple(rows[-1])


def artifact_paths(reader: LedgerReader) -> Iterator[list[str]]:
    """The paths of all artifacts, page by page."""
    return ([path for _, path in page] for page in artifact_places(reader))


def lost_rows(reader: LedgerReader) -> list[str]:
    """Ids of the jobs that a repair of the ledger knew nothing about."""
    rows = reader.rows(
        "SELECT job_id FROM job WHERE status = 'unknown' AND error_code = ?", (LOST_ROW,)
    )
    return [row["job_id"] for row in rows]


def needed_by(reader: LedgerReader, job_id: str) -> tuple[str, ...]:
    """The jobs of which a job takes something that they made."""
    sql = "SELECT DISTINCT parent_id FROM edge WHERE job_id = ? AND takes IS NOT NULL ORDER BY 1"
    return tuple(row[0] for row in reader.rows(sql, (job_id,)))


class CachedParent(NamedTuple):
    """A job whose result came from the cache, and of which another takes something by name."""

    job_id: str
    step: str
    row: int
    operation: str
    request: dict[str, Json]
    output: Json
    planned: int


@checked
def cached_parents(reader: LedgerReader, job_id: str) -> list[CachedParent]:
    rows = reader.rows(
        "SELECT DISTINCT job.job_id, job.step, job.idx, operation, request, output, planned, "
        "wanted "
        "FROM edge JOIN job ON job.job_id = edge.parent_id "
        "WHERE edge.job_id = ? AND edge.takes GLOB 'output:*' AND job.cached",
        (job_id,),
    )
    return [
        CachedParent(
            row["job_id"], row["step"], row["idx"], row["operation"], orjson.loads(row["request"]),
            None if row["output"] is None else orjson.loads(row["output"]), planned_of(row),
        )
        for row in rows
    ]  # fmt: skip


@checked
def tries_begun(reader: LedgerReader) -> dict[str, int]:
    """How often each job was tried again after a failed task, since it has last ended."""
    rows = reader.rows(
        "WITH ended AS (SELECT job_id, max(attempt_id) AS last FROM attempt "
        "WHERE phase = 'end' AND outcome <> :retried GROUP BY job_id) "
        "SELECT job_id, count(*) FROM attempt LEFT JOIN ended USING (job_id) "
        "WHERE phase = 'end' AND outcome = :retried AND attempt_id > coalesce(last, 0) "
        "GROUP BY job_id",
        {"retried": RETRIED},
    )
    return {job_id: int(number) for job_id, number in rows}
