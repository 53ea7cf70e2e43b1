"""`dsrun explain`: what makes one job, and where it stands."""

import re
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from dsrun.common.console import answer, answer_json, say, table
from dsrun.common.errors import ExitCode, ManifestError, SetupError, UsageError
from dsrun.common.messages import show
from dsrun.common.models import Job, Json
from dsrun.ledger.lookup import JobRecord, LedgerLookup
from dsrun.ledger.reader import NoLedger
from dsrun.manifest.model import LOCK_NAME
from dsrun.planning.plan import Plan
from dsrun.session.explain import job_facts
from dsrun.session.options import PlanOptions, open_plan
from dsrun.storage.layout import RunLayout

_ID = re.compile(r"[0-9a-f]{1,64}").fullmatch
_PLACE = re.compile(r"(.+)/([0-9]{1,9})").fullmatch
_MOST = 5  # ids that are told where a prefix has several


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
    allow_files: tuple[Path, ...],
    emulate: bool,
    as_json: bool,
) -> int:
    """Raises UsageError where no job, or more than one, is meant."""
    options = PlanOptions(
        pipeline=pipeline, out=out, set_params=set_params, allow_files=allow_files, emulate=emulate
    )
    with ExitStack() as stack:
        source = _of_folder(options) if pipeline.is_dir() else _of_pipeline(options)
        if source.ledger is not None:
            stack.enter_context(closing(source.ledger))
        planned, record = _find(job, source)
        facts = job_facts(planned, record, plan=source.plan, run_dir=source.run_dir)
    if as_json:
        answer_json(facts)
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
    lock = replace(options, pipeline=run_dir / LOCK_NAME)
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
    answer("the id is the SHA-256 of")
    answer(f"  {facts['hashed']}")
    for item in facts["templates"]:
        place = f"{item['file']}:{item['line']}:{item['column']}"
        answer(f"{item['where']} at {place}")
        answer(f"  {show(item['source'], longest=2000)}")
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
