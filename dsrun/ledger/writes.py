"""What can be written to a ledger: each kind of row has one SQL statement, for any number of rows.

The rows travel as one JSON array. A statement for each row would release and retake Python's global
lock each time, while the event loop wants it.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import NamedTuple

import orjson

from dsrun.common.digest import json_text
from dsrun.common.models import Artifact, Job, JobStatus, Json, OpenJob
from dsrun.ledger.schema import PAID_AND_LOST, PAID_UNITS
from dsrun.service.price import Price


def _update(assignments: str, *columns: str) -> str:
    """UPDATE of jobs from rows of (job_id, *columns)."""
    fields = ", ".join(
        f"json_extract(value, '$[{number}]') AS {name}"
        for number, name in enumerate(("job_id", *columns))
    )
    return (
        f"UPDATE job SET {assignments} FROM (SELECT {fields} FROM json_each(?)) AS new "  # noqa: S608
        "WHERE job.job_id = new.job_id"
    )


def _insert(table: str, *columns: str) -> str:
    values = ", ".join(f"json_extract(value, '$[{number}]')" for number in range(len(columns)))
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM json_each(?) "  # noqa: S608
        "WHERE true ON CONFLICT DO NOTHING"
    )


_JOB = (
    "job_id", "position", "step", "idx", "replica", "operation", "request", "matrix", "stems",
    "wanted", "planned", "unit_price", "currency", "status", "late", "depth", "take",
)  # fmt: skip
# Rows of JOB, one by one. SQLite takes them in half the time, and nothing else goes on meanwhile.
INSERT_JOBS = (
    f"INSERT INTO job ({', '.join(_JOB)}) VALUES ({', '.join('?' * len(_JOB))}) "  # noqa: S608
    "ON CONFLICT DO NOTHING"
)


class Kind(Enum):
    """A kind of row; its value is its SQL. The rows of one group are of different jobs."""

    JOB = _insert("job", *_JOB)
    EDGE = _insert("edge", "job_id", "number", "axis", "step", "idx", "parent_id", "takes")
    TWIN = (
        "INSERT INTO twin SELECT row.step, row.idx, job.job_id, row.matrix, row.stems FROM ("
        "SELECT json_extract(value, '$[0]') AS job_id, json_extract(value, '$[2]') AS step, "
        "json_extract(value, '$[3]') AS idx, json_extract(value, '$[7]') AS matrix, "
        "json_extract(value, '$[8]') AS stems FROM json_each(?)) AS row "
        "JOIN job ON job.job_id = row.job_id "
        "WHERE NOT (job.step = row.step AND job.idx = row.idx) ON CONFLICT DO NOTHING"
    )  # takes the rows of JOB, and keeps those whose job is in the plan already, in another place
    INTENT = _update(
        "status = 'submitting', attempts = attempts + 1, submitted_at = new.at, "
        "run_id = new.run, request_id = NULL, lost_at = NULL, output = NULL, answer = NULL",
        "at",
        "run",
    )
    SENT = _update("sent = new.body, planned = new.grains", "body", "grains")
    ADDRESS = (
        "INSERT INTO address SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), "
        "json_extract(value, '$[2]'), json_extract(value, '$[3]'), coalesce((SELECT submitted_at "
        "FROM job WHERE job_id = json_extract(value, '$[0]')), json_extract(value, '$[4]')) "
        "FROM json_each(?) WHERE EXISTS (SELECT 1 FROM edge "
        "WHERE edge.parent_id = json_extract(value, '$[0]')) ON CONFLICT DO UPDATE SET "
        "url = excluded.url, endpoint = excluded.endpoint, answered_at = excluded.answered_at"
    )  # of files that other jobs take; an address is as old as the create, at most
    LOST = _update("lost_at = new.at, request_id = new.request", "at", "request")
    TASK = _update(
        "status = 'submitted', task_id = new.task, request_id = new.request, "
        "lost_at = iif(new.is_found, coalesce(lost_at, submitted_at), lost_at)",
        "task", "request", "is_found",
    )  # fmt: skip
    REPEAT = _update("status = 'pending', repeats = repeats + 1, output = NULL, answer = NULL")
    FOREIGN = _update("status = 'submitting', task_id = NULL, request_id = NULL")
    ANSWER = _update(
        "status = 'submitted', answer = new.answered, output = new.named, "
        "request_id = new.request",
        "answered", "named", "request",
    )  # fmt: skip
    REFUSAL = _update("status = 'pending', attempts = attempts - new.free", "free")
    RESULT = _update(
        "status = new.state, output = new.named, error_code = new.code, "
        "error_message = new.words, error_class = new.class, units = max(units, new.billed), "
        "ended_at = new.at, request_id = coalesce(new.request, request_id), answer = "
        "iif(new.state = 'succeeded' AND json_extract(answer, '$.files'), NULL, answer)",
        "state", "named", "code", "words", "class", "billed", "at", "request",
    )  # fmt: skip
    CACHED = _update("cached = 1")
    ARTIFACT = (
        _insert(
            "artifact", "job_id", "idx", "path", "sha256", "size", "media_type", "seed",
            "sample_rate", "source_sha256", "duration_s", "width", "height", "name",
        ).removesuffix("DO NOTHING")
        + "DO UPDATE SET sha256 = excluded.sha256, size = excluded.size, "
        "media_type = excluded.media_type, source_sha256 = excluded.source_sha256, "
        "duration_s = excluded.duration_s, width = excluded.width, height = excluded.height"
    )  # fmt: skip
    ATTEMPT = _insert(
        "attempt", "run_id", "job_id", "phase", "at", "outcome", "error_code", "error_message",
        "task_id", "request_id",
    )  # fmt: skip


# A job is pending again, its old task forgotten.
REOPEN = (
    "UPDATE job SET status = 'pending', task_id = NULL, answer = NULL, "  # noqa: S608  # ours
    "request_id = NULL, "
    f"units_before = {PAID_UNITS} + {PAID_AND_LOST}, units = 0, "
    "error_code = NULL, error_message = NULL, error_class = NULL, ended_at = NULL"
)


RETRIED = "retried"  # the outcome of a failed task whose job was tried again


class Row(NamedTuple):
    kind: Kind
    values: Sequence[Json]


class Statement(NamedTuple):
    """Rare SQL that fits no Kind, and is run by itself."""

    sql: str
    values: Sequence[Json]


Write = tuple[Row | Statement, ...]  # committed all or none


def artifact_values(job: OpenJob, item: Artifact) -> Sequence[Json]:
    return (
        job.job_id, item.index, item.path, item.sha256, item.size, item.media_type, item.seed,
        item.sample_rate, item.source_sha256, item.duration_s, item.width, item.height, item.name,
    )  # fmt: skip


def job_values(job: Job, position: int, price: Price) -> Sequence[Json]:
    return (
        job.job_id, position, job.step, job.index, job.replica, job.operation, job.body.decode(),
        json_text(job.matrix), orjson.dumps(job.stems).decode(), len(job.stems),
        job.units or 0, str(price.grain), price.currency,
        JobStatus.WAITING if job.is_waiting else JobStatus.PENDING,
        json_text(list(map(list, job.late))) if job.late else None, job.depth, job.take,
    )  # fmt: skip


def edge_rows(jobs: Iterable[Job]) -> Iterator[Row]:
    for job in jobs:
        for number, one in enumerate(job.parents):
            values = (job.job_id, number, one.axis, one.step, one.index, one.job_id, one.takes)
            yield Row(Kind.EDGE, values)
