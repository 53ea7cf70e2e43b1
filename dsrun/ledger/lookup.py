"""What plan and explain ask a ledger: single jobs, and those of a page, by their ids."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from dsrun.common.models import JobStatus, Json
from dsrun.ledger.reader import LedgerReader, checked
from dsrun.ledger.rows import path_below
from dsrun.ledger.schema import MAY_BE_REPRICED

_MADE = "SELECT * FROM artifact WHERE job_id = ? ORDER BY idx, path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
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
class JobRecord:
    """All that a ledger says of one job. `row` is its row of the table `job`."""

    row: dict[str, Any]
    matrix: dict[str, Json]
    request: dict[str, Json]
    attempts: list[dict[str, Any]]  # in order
    artifacts: list[str]  # paths relative to the run directory
    twins: list[tuple[str, int]]  # step and index of other rows that make the same request


@checked
def standings(reader: LedgerReader, job_ids: Sequence[str]) -> dict[str, Standing]:
    rows = _by_id(reader, "SELECT job_id, status, attempts, error_code FROM job", job_ids)
    return {
        row["job_id"]: Standing(
            status=JobStatus(row["status"]),
            attempts=row["attempts"],
            error_code=row["error_code"],
        )
        for row in rows
    }


def artifacts_of(reader: LedgerReader, job_ids: Sequence[str]) -> list[tuple[str, str]]:
    """Job id and path of the artifacts of these jobs."""
    rows = _by_id(reader, "SELECT job_id, path FROM artifact", job_ids)
    return [(row["job_id"], path_below(row["path"])) for row in rows]


def succeeded(
    reader: LedgerReader, job_ids: Sequence[str]
) -> Iterator[tuple[sqlite3.Row, list[sqlite3.Row]]]:
    """Those of the jobs that have succeeded, with their artifacts."""
    for row in _by_id(reader, "SELECT job_id, status, output FROM job", job_ids):
        if row["status"] == JobStatus.SUCCEEDED:
            made = reader.rows(_MADE, (row["job_id"],))
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
    attempts = "SELECT * FROM attempt WHERE job_id = ? ORDER BY attempt_id"
    twins = "SELECT step, idx FROM twin WHERE job_id = ? ORDER BY step, idx"
    return JobRecord(
        row=_as_dict(row),
        matrix=json.loads(row["matrix"]),
        request=orjson.loads(row["request"]),
        attempts=[_as_dict(item) for item in reader.rows(attempts, (job_id,))],
        artifacts=[path for _, path in artifacts_of(reader, [job_id])],
        twins=[(item["step"], item["idx"]) for item in reader.rows(twins, (job_id,))],
    )


def _by_id(reader: LedgerReader, select: str, job_ids: Sequence[str]) -> list[sqlite3.Row]:
    text = orjson.dumps(list(job_ids)).decode()
    sql = f"{select} WHERE job_id IN (SELECT value FROM json_each(?))"  # noqa: S608
    return reader.rows(sql, (text,))


def _as_dict(row: sqlite3.Row) -> dict[str, Any]:
    return {key: row[key] for key in row.keys()}  # noqa: SIM118  # a Row iterates over values


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
