"""Rows of a ledger, and what they say of files: names below the run directory, and facts."""

import sqlite3
from typing import NamedTuple

import orjson

from dsrun.common.errors import SetupError
from dsrun.common.models import Artifact, Json
from dsrun.storage.layout import is_below

Row = sqlite3.Row


class ResultRow(NamedTuple):
    """A row of the table `job`, and what the others have of it."""

    job: Row
    artifacts: list[Row]
    twins: list[Row]
    edges: list[Row]


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


def names_of(row: Row) -> tuple[str, ...]:
    """The names of a job's files below `artifacts/`, without their extensions."""
    stems: list[Json] = orjson.loads(row["stems"])
    return tuple(path_below(f"{row['step']}/{stem}") for stem in stems)
