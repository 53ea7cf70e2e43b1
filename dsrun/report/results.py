"""results.jsonl: one line for each job, from the ledger alone, in plan order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson

from dsrun.common.digest import json_text, parse_json
from dsrun.common.models import Json
from dsrun.common.units import Money
from dsrun.ledger.reader import LedgerReader
from dsrun.ledger.rows import ResultRow, Row, named
from dsrun.ledger.schema import paid_units, planned_of
from dsrun.storage.files import whole_file

Line = dict[str, Any]


def write_results(
    view: LedgerReader, path: Path, *, readers: Sequence[Callable[[Line], None]] = ()
) -> None:
    """Replace the file atomically; `readers` get each line too. Raises SetupError."""
    with whole_file(path) as file:
        for line in iter_results(view):
            file.write((json_text(line) + "\n").encode())
            for read in readers:
                read(line)


def iter_results(view: LedgerReader) -> Iterator[Line]:
    """The lines of results.jsonl; their schema is `schemas/results.json`."""
    for row in view.result_rows():
        with view.reading():
            line = _line(row)
        yield line


def _line(row: ResultRow) -> Line:
    job = named(row.job)
    units = paid_units(job["units"], job["units_before"], planned_of(job))
    line: Line = {
        "job_id": job["job_id"],
        "step": job["step"],
        "index": job["idx"],
        "matrix": parse_json(job["matrix"]),
        "request": orjson.loads(job.get("sent") or job["request"]),
        "status": job["status"],
        # The main kind has no name, and stands first.
        "artifacts": sorted(map(_artifact, map(named, row.artifacts)), key=itemgetter("name")),
        "output": None if job["output"] is None else orjson.loads(job["output"]),
        "error": _error(job),
        "attempts": job["attempts"],
        "task_id": job["task_id"],
        "request_id": job["request_id"],
        "cost": dict(_cost(job["unit_price"], units, job["currency"])),
        "cached": bool(job["cached"]),
        "submitted_at": job["submitted_at"],
        "ended_at": job["ended_at"],
    }
    if row.edges:
        line["parents"] = _parents(row.edges)
    if row.twins:
        line["twins"] = [
            {"step": twin["step"], "index": twin["idx"], "matrix": parse_json(twin["matrix"])}
            for twin in row.twins
        ]
    return line


@lru_cache
def _cost(unit_price: str, units: int, currency: str) -> Mapping[str, Json]:
    return Money(amount=Decimal(unit_price) * units, currency=currency).as_json()


def _parents(edges: Sequence[Row]) -> list[dict[str, Json]]:
    """The rows that a job is made of, each once, or once for each of its files that are taken."""
    parents: list[dict[str, Json]] = []
    for edge in edges:
        kind, _, number = (edge["takes"] or "").partition(":")
        parent = {
            "axis": edge["axis"], "step": edge["step"], "index": edge["idx"],
            "job_id": edge["parent_id"], "file": int(number) if kind == "file" else None,
        }  # fmt: skip
        if parent not in parents:
            parents.append(parent)
    return parents


def _artifact(item: Line) -> dict[str, Json]:
    artifact = {
        "path": item["path"],
        "sha256": item["sha256"],
        "size": item["size"],
        "media_type": item["media_type"],
        "index": item["idx"],
        "seed": item["seed"],
        # Older ledgers have fewer columns.
        "source_sha256": item.get("source_sha256", item["sha256"]),
        "duration_s": item.get("duration_s"),
        "width": item.get("width"),
        "height": item.get("height"),
        "name": item.get("name", ""),
    }
    if item["sample_rate"] is not None:
        artifact["sample_rate"] = item["sample_rate"]
    return artifact


def _error(job: Line) -> Json:
    if job["error_code"] is None or job["status"] == "succeeded":
        return None
    return {
        "code": job["error_code"],
        "message": job["error_message"],
        "class": job["error_class"],
    }
