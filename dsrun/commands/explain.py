"""`dsrun explain`: what makes one job, and where it stands."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from dsrun.commands.common import PlanOptions, open_plan
from dsrun.console import answer, say, table
from dsrun.digest import canonical_json
from dsrun.errors import ExitCode, ManifestError, SetupError, UsageError
from dsrun.fills import value_at
from dsrun.layout import RunLayout
from dsrun.ledger_lookup import JobRecord, LedgerLookup
from dsrun.ledger_view import NoLedger
from dsrun.manifest import LOCK_NAME, Text, iter_texts
from dsrun.plan import Plan
from dsrun.plan_digest import file_digests
from dsrun.records import Job, Json
from dsrun.rendering import CompiledStep
from dsrun.wording import show
from dsrun.yaml_source import dotted

_ID = re.compile(r"[0-9a-f]{1,64}").fullmatch
_PLACE = re.compile(r"(.+)/([0-9]{1,9})").fullmatch
_MOST = 5  # ids that are told where a prefix has several
_HASHED = ("operation", "replica", "request")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where a job is looked up: a plan, a ledger, or both."""

    plan: Plan | None
    ledger: LedgerLookup | None
    run_dir: Path
    shown: str


def run(
    job: str,
    *,
    pipeline: Path,
    out: Path,
    set_params: Mapping[str, str],
    emulate: bool,
    as_json: bool,
) -> int:
    """Raises UsageError where no job, or more than one, is meant."""
    options = PlanOptions(pipeline=pipeline, out=out, set_params=set_params, emulate=emulate)
    with ExitStack() as stack:
        source = _of_folder(options) if pipeline.is_dir() else _of_pipeline(options)
        if source.ledger is not None:
            stack.enter_context(closing(source.ledger))
        planned, record = _find(job, source)
        facts = _facts(planned, record, source)
    if as_json:
        answer(orjson.dumps(facts, option=orjson.OPT_INDENT_2).decode())
    else:
        _answer_text(facts)
    return ExitCode.OK


def _of_pipeline(options: PlanOptions) -> _Source:
    plan = _usable_plan(options)
    layout = RunLayout(
        out=options.out, name=plan.manifest.name, digest=plan.digest, emulated=options.emulate
    )
    try:
        ledger = LedgerLookup(layout.ledger)
    except NoLedger:
        ledger = None
    shown = str(options.pipeline)
    return _Source(plan=plan, ledger=ledger, run_dir=layout.run_dir, shown=shown)


def _usable_plan(options: PlanOptions) -> Plan:
    plan = open_plan(options)
    if plan.problems:
        raise ManifestError(plan.problems)
    return plan


def _of_folder(options: PlanOptions) -> _Source:
    """A run directory: its ledger, and its plan as far as the files are still the same."""
    latest = options.pipeline / "latest"
    run_dir = latest.resolve() if latest.is_dir() else options.pipeline
    ledger = LedgerLookup(run_dir / "ledger.sqlite3")
    lock = PlanOptions(pipeline=run_dir / LOCK_NAME, set_params=options.set_params)
    plan: Plan | None = None
    try:
        plan = _usable_plan(lock)
    except (ManifestError, SetupError) as error:
        say(f"warning: templates cannot be shown: {error}")
    return _Source(plan=plan, ledger=ledger, run_dir=run_dir, shown=str(options.pipeline))


def _find(text: str, source: _Source) -> tuple[Job | None, JobRecord | None]:
    """The job of the plan, that of the ledger, or both."""
    place = _PLACE(text)
    if place:
        step, index = place[1], int(place[2])
        planned = source.plan.job_at(step, index) if source.plan else None
        job_id = source.ledger.id_at(step, index) if source.ledger else None
        found = planned.job_id if planned else job_id
        if found is None:
            raise UsageError(f"{text}: {source.shown} has no such job; {_hint(source)}")
        return planned, source.ledger.record(found) if source.ledger else None
    if not _ID(text):
        raise UsageError(
            f"found {show(text)}; allowed: a job id, the first digits of one, or STEP/INDEX "
            f"such as posters/0; {_hint(source)}"
        )
    ids = source.ledger.ids_with_prefix(text, most=_MOST) if source.ledger else []
    places: dict[str, Job] = {}
    if source.plan and not ids:
        places = _walk(source.plan, text)
        ids = list(places)
    if len(ids) != 1:
        words = f"several jobs begin so: {', '.join(ids)}" if ids else "no job begins so"
        raise UsageError(f"{text}: {words}; {_hint(source)}")
    record = source.ledger.record(ids[0]) if source.ledger else None
    if record is not None and source.plan is not None:
        return source.plan.job_at(record.row["step"], record.row["idx"]), record
    return places.get(ids[0]), record


def _hint(source: _Source) -> str:
    name = source.shown if Path(source.shown).is_file() else "PIPELINE"
    return f"`dsrun plan {name} --full` lists all jobs with their ids"


def _walk(plan: Plan, prefix: str) -> dict[str, Job]:
    """The first jobs of a plan whose ids begin so."""
    found: dict[str, Job] = {}
    for job in plan.distinct_jobs():
        if job.job_id.startswith(prefix):
            found[job.job_id] = job
            if len(found) == _MOST:
                break
    return found


def _facts(planned: Job | None, record: JobRecord | None, source: _Source) -> dict[str, Json]:
    facts: dict[str, Json]
    if planned is not None:
        facts = {
            "job_id": planned.job_id,
            "operation": planned.operation,
            "replica": planned.replica,
            "request": dict(planned.request),
            "step": planned.step,
            "index": planned.index,
            "matrix": dict(planned.matrix),
            "filenames": [f"artifacts/{planned.step}/{stem}" for stem in planned.stems],
        }
    else:
        assert record is not None  # noqa: S101  # one of them was found
        row = record.row
        facts = {
            "job_id": row["job_id"],
            "operation": row["operation"],
            "replica": row["replica"],
            "request": record.request,
            "step": row["step"],
            "index": row["idx"],
            "matrix": record.matrix,
            "filenames": [f"artifacts/{row['step']}/{stem}" for stem in orjson.loads(row["stems"])],
        }
    hashed = canonical_json({key: facts[key] for key in _HASHED}).decode()
    known = planned is not None and source.plan is not None
    return facts | {
        "hashed": hashed,  # its SHA-256 is the id
        "templates": list(_templates(source.plan, facts)) if known and source.plan else [],
        "added": list(_added(source.plan, facts)) if known and source.plan else [],
        "files": _files(source.plan, facts["step"]) if known and source.plan else {},
        "ledger": None if record is None else _ledger_facts(record, source.run_dir),
    }


def _step(plan: Plan, name: str) -> CompiledStep:
    return next(step for step in plan.steps if step.step.name == name)


def _templates(plan: Plan, facts: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """Every text of the step, where it stands, and what it has become."""
    step = _step(plan, facts["step"]).step
    for text in iter_texts(step.body):
        at = tuple(map(str, text.at[2:]))
        yield _place(plan, text) | {"value": value_at(facts["request"], at)}
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
    """What dsrun has put into the request, since the manifest is silent."""
    step = _step(plan, facts["step"])
    for fill in step.operation.fills:
        value = value_at(facts["request"], fill.at)
        if value is not None and not _is_given(step.step.body, fill.at):
            why = "derived from the job" if fill.derive else "always sent"
            yield {"where": ".".join(fill.at), "value": value, "why": why}


def _is_given(body: Any, at: tuple[str, ...]) -> bool:
    for key in at:
        if not isinstance(body, Mapping) or key not in body:
            return False
        body = body[key]
    return True


def _files(plan: Plan, step: str) -> dict[str, str]:
    """SHA-256 of the files that the step reads, and of all that templates include."""
    found = _step(plan, step).step
    names = {*found.matrix.files, *(t.file for t in iter_texts(found.body)), *plan.included}
    digests = file_digests(plan.manifest, plan.included)
    return {name: sha256 for name, sha256 in digests.items() if name in names}


def _ledger_facts(record: JobRecord, run_dir: Path) -> dict[str, Json]:
    row = record.row
    return {
        "directory": str(run_dir),
        "status": row["status"],
        "error": row["error_code"] and f"{row['error_code']}: {row['error_message']}",
        "task_id": row["task_id"],
        "request_id": row["request_id"],
        "submitted_at": row["submitted_at"],
        "ended_at": row["ended_at"],
        "artifacts": record.artifacts,
        "twins": [f"{step}/{index}" for step, index in record.twins],
        "attempts": record.attempts,
    }


def _answer_text(facts: Mapping[str, Json]) -> None:
    row = ", ".join(f"{name} {show(value)}" for name, value in facts["matrix"].items())
    answer(
        table(
            [
                ["job", facts["job_id"]],
                ["row", f"{facts['step']}/{facts['index']}{': ' + row if row else ''}"],
                ["files", ", ".join(facts["filenames"])],
            ]
        )
    )
    answer(f"the id is the SHA-256 of\n  {facts['hashed']}")
    for item in facts["templates"]:
        place = f"{item['file']}:{item['line']}:{item['column']}"
        answer(f"{item['where']} at {place}\n  {show(item['source'], longest=2000)}")
        answer(f"  gives {show(item['value'], longest=2000)}")
    for item in facts["added"]:
        answer(f"{item['where']} {show(item['value'])}: {item['why']}")
    for name, sha256 in facts["files"].items():
        answer(f"reads {name}, SHA-256 {sha256}")
    ledger = facts["ledger"]
    if ledger is None:
        answer("not sent yet: no ledger has it")
        return
    answer(f"{ledger['directory']}: {ledger['status']}")
    for words in (ledger["error"], *ledger["artifacts"], *(f"also {t}" for t in ledger["twins"])):
        if words:
            answer(f"  {words}")
    for item in ledger["attempts"]:
        given = ("task_id", "request_id", "error_code", "error_message")
        told = " ".join(f"{name} {item[name]}" for name in given if item[name])
        answer(f"  {item['at']}  {item['phase']} {item['outcome']}  {told}".rstrip())
