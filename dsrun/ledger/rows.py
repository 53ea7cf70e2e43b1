"""Rows of a ledger, and what they say of files: names below the run directory, and facts."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from dsrun.common.errors import SetupError
from dsrun.common.models import Artifact, JobStatus, Json
from dsrun.storage.layout import is_below

Row = sqlite3.Row


class ResultRow(NamedTuple):
    """A row of the table `job`, and what the others have of it."""

    job: Row
    artifacts: list[Row]
    twins: list[Row]
    edges: list[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One invocation; `ended_at` is None while it runs, or when it was killed."""

    started_at: str
    ended_at: str | None
    host: str
    pid: int
    endpoint: str
    exit_code: int | None
    reason: str | None


def path_below(path: str) -> str:
    """The path of an artifact, below the run directory. Raises SetupError where it is not."""
    if not is_below(path):
        raise SetupError(
            f"the ledger is damaged: the path {path!r} of a file leads out of the run directory. "
            "Nothing was read or written there; restore the ledger from a backup."
        )
    return path


def artifact_of(row: Row) -> Artifact:
    """A row of the table `artifact`; the ledger of an older version lacks some columns."""
    known = dict(row)
    return Artifact(
        path=row["path"], sha256=row["sha256"],
        source_sha256=known.get("source_sha256") or row["sha256"],
        size=row["size"], media_type=row["media_type"], index=row["idx"], seed=row["seed"],
        sample_rate=row["sample_rate"], duration_s=known.get("duration_s"),
        width=known.get("width"), height=known.get("height"), name=known.get("name") or "",
    )  # fmt: skip


def is_reusable(job: Row, artifacts: Sequence[Row]) -> bool:
    """Whether another run may use what a job has made: all of it, or all that it says.

    A voice whose answer was lost has its name; the file that is missing is given by nobody again.
    """
    if job["status"] == JobStatus.PARTIAL and not artifacts and job["output"] is not None:
        return says_all(orjson.loads(job["output"]))
    return bool(job["status"] == JobStatus.SUCCEEDED)


def says_all(output: Mapping[str, Json] | None) -> bool:
    return bool(output) and all(value is not None for value in (output or {}).values())


def named(row: Row) -> dict[str, Any]:
    """The row by the names of its columns: a Row looks through all of them for each."""
    return dict(zip(row.keys(), row, strict=True))


def names_of(row: Row | Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a job's files below `artifacts/`, without their extensions."""
    stems: list[Json] = orjson.loads(row["stems"])
    return tuple(path_below(f"{row['step']}/{stem}") for stem in stems)
