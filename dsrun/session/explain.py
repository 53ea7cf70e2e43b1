"""The facts of one job: the inputs of its id, where each comes from, and where the job stands."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import orjson

from dsrun.common.digest import canonical_json, sha256_hex
from dsrun.common.models import Job, Json
from dsrun.common.pointer import dotted, value_at
from dsrun.common.units import Money
from dsrun.ledger.lookup import JobRecord
from dsrun.ledger.reader import LedgerReader
from dsrun.ledger.schema import planned_of
from dsrun.manifest.model import Text, iter_texts
from dsrun.planning.compiled_step import CompiledStep
from dsrun.planning.plan import Plan
from dsrun.planning.plan_digest import file_digests
from dsrun.session.lineage import children_of, parents_of

_HASHED = ("operation", "replica", "request")
_MOST_TAKES = 1000  # that are tried; nobody counts further by hand


def job_facts(
    planned: Job | None,
    record: JobRecord | None,
    *,
    plan: Plan | None,
    ledger: LedgerReader | None,
    run_dir: Path,
) -> dict[str, Json]:
    """What the id of a job is made of, and where each part comes from.

    One of `planned` (a job of `plan`) and `record` (of the ledger in `run_dir`) must be given.
    """
    facts = _of_plan(planned) if planned is not None else _of_record(record)
    hashed = _hashed(facts)
    known_to = ledger if record is not None else None
    known = plan if planned is not None else None
    return facts | {
        "hashed": hashed,  # its SHA-256 is the id
        "templates": list(_templates(known, facts)) if known else [],
        "added": list(_added(known, facts)) if known else [],
        "files": _files(known, facts["step"]) if known else {},
        "parents": parents_of(planned, facts["job_id"], plan, known_to),
        "children": children_of(facts["step"], facts["job_id"], known, known_to),
        "ledger": None if record is None else _ledger_facts(record, run_dir),
    }


def _hashed(facts: Mapping[str, Json]) -> str:
    """The text whose SHA-256 is the id; a further take has its number at the end."""
    text = canonical_json({key: facts[key] for key in _HASHED}).decode()
    if sha256_hex(text.encode()) == facts["job_id"]:
        return text
    takes = (f'{text[:-1]},"take":{take}}}' for take in range(2, _MOST_TAKES))
    return next((one for one in takes if sha256_hex(one.encode()) == facts["job_id"]), text)


def _of_plan(job: Job) -> dict[str, Json]:
    return {
        "job_id": job.job_id,
        "operation": job.operation,
        "replica": job.replica,
        "request": dict(job.request),
        "step": job.step,
        "index": job.index,
        "matrix": dict(job.matrix),
        "filenames": [f"artifacts/{job.step}/{stem}" for stem in job.stems],
    }


def _of_record(record: JobRecord | None) -> dict[str, Json]:
    assert record is not None  # noqa: S101  # one of the two was found
    row = record.row
    return {
        "job_id": row["job_id"],
        "operation": row["operation"],
        "replica": row["replica"],
        "request": record.request,
        "step": row["step"],
        "index": row["idx"],
        "matrix": record.matrix,
        "filenames": [f"artifacts/{row['step']}/{stem}" for stem in orjson.loads(row["stems"])],
    }


def _step(plan: Plan, name: str) -> CompiledStep:
    return next(step for step in plan.steps if step.step.name == name)


def _templates(plan: Plan, facts: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """Every text of the step, its place, and what it renders to."""
    step = _step(plan, facts["step"]).step
    model = [] if step.calls.model is None else [step.calls.model]
    for text in (*model, *iter_texts(step.body)):
        yield _place(plan, text) | {"value": value_at(facts["request"], text.at[2:])}
    if step.filename is not None:
        yield _place(plan, step.filename) | {"value": facts["filenames"]}


def _place(plan: Plan, text: Text) -> dict[str, Json]:
    line, column = plan.manifest.document.place(text.at)
    return {
        "where": dotted(text.at[2:]),
        "file": text.file or plan.manifest.document.file,
        "line": 1 if text.file else line,
        "column": 1 if text.file else column,
        "source": text.source,
    }


def _added(plan: Plan, facts: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """What dsrun has added to the request because the manifest does not say it."""
    step = _step(plan, facts["step"])
    for fill in plan.catalog[facts["operation"]].fills:
        value = value_at(facts["request"], fill.at)
        if value is not None and value_at(step.step.body, fill.at) is None:
            why = "derived from the job" if fill.derive else "always sent"
            yield {"where": dotted(fill.at), "value": value, "why": why}


def _files(plan: Plan, step: str) -> dict[str, str]:
    """SHA-256 of the files that the step reads, and of all that templates include."""
    read = _step(plan, step).step
    names = {*read.matrix.files, *(t.file for t in iter_texts(read.body)), *plan.included}
    digests = file_digests(plan.manifest, plan.included)
    return {name: sha256 for name, sha256 in digests.items() if name in names}


def _ledger_facts(record: JobRecord, run_dir: Path) -> dict[str, Json]:
    row = record.row
    return {
        "directory": str(run_dir),
        "status": row["status"],
        "left_out": record.left_out,
        "error": row["error_code"] and f"{row['error_code']}: {row['error_message']}",
        "task_id": row["task_id"],
        "request_id": row["request_id"],
        "submitted_at": row["submitted_at"],
        "ended_at": row["ended_at"],
        "artifacts": record.artifacts,
        "twins": [f"{step}/{index}" for step, index in record.twins],
        "attempts": record.attempts,
        "repeated": _repeated(row),
    }


def _repeated(row: Mapping[str, Json]) -> dict[str, Json] | None:
    """How many creates were sent again after a lost answer, and what they cost if all were paid."""
    count = row.get("repeats") or 0
    if not count:
        return None
    most = Decimal(row["unit_price"]) * planned_of(row) * count
    return {"creates": count, "at_most": Money(amount=most, currency=row["currency"]).as_json()}
