"""`dsrun explain`: what makes one job, and where it stands."""

import re
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from dsrun.common.console import answer, answer_json, answer_table, count_of, say
from dsrun.common.errors import ExitCode, ManifestError, SetupError, UsageError
from dsrun.common.late import told
from dsrun.common.messages import axis_words, show
from dsrun.common.models import Job, Json
from dsrun.common.shell import command_line
from dsrun.common.units import Money
from dsrun.ledger import lookup
from dsrun.ledger.lookup import JobRecord
from dsrun.ledger.reader import LedgerReader, NoLedger
from dsrun.planning.plan import Plan
from dsrun.session.commands import plan_all
from dsrun.session.explain import job_facts
from dsrun.session.lineage import chain_lines, child_lines, left_out_words
from dsrun.session.opening import open_plan
from dsrun.session.options import PlanOptions
from dsrun.storage.layout import RunLayout, newest_run

_ID = re.compile(r"[0-9a-f]{1,64}").fullmatch
_PLACE = re.compile(r"(.+)/([0-9]{1,9})").fullmatch
_MOST = 5  # ids that are shown where a prefix fits several


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where a job is looked up: a plan, a ledger, or both."""

    plan: Plan | None
    ledger: LedgerReader | None
    run_dir: Path
    shown: str
    lists_all: str  # the command that shows all jobs


def run(job: str, options: PlanOptions, *, as_json: bool) -> int:
    """Raises UsageError where no job, or more than one, is meant."""
    with ExitStack() as stack:
        source = _source(options)
        if source.ledger is not None:
            stack.enter_context(closing(source.ledger))
        planned, record = _find(job, source)
        facts = job_facts(
            planned, record, plan=source.plan, ledger=source.ledger, run_dir=source.run_dir
        )
    if as_json:
        answer_json(facts)
    else:
        _answer_text(facts)
    return ExitCode.OK


def _source(options: PlanOptions) -> _Source:
    return _of_folder(options) if options.pipeline.is_dir() else _of_pipeline(options)


def _of_pipeline(options: PlanOptions) -> _Source:
    plan = _usable_plan(options)
    layout = RunLayout.for_plan(
        out=options.out, name=plan.manifest.name, digest=plan.digest, emulated=options.emulate
    )
    try:
        ledger = LedgerReader(layout.ledger)
    except NoLedger:
        ledger = None
    shown = str(options.pipeline)
    lists_all = plan_all(plan, options)
    return _Source(
        plan=plan, ledger=ledger, run_dir=layout.run_dir, shown=shown, lists_all=lists_all
    )


def _usable_plan(options: PlanOptions) -> Plan:
    plan = open_plan(options)
    if plan.problems:
        raise ManifestError(plan.problems)
    return plan


def _of_folder(options: PlanOptions) -> _Source:
    """The ledger of a run directory, and its plan if the lock file can still be read."""
    run_dir = newest_run(options.pipeline) or options.pipeline
    layout = RunLayout.of(run_dir)
    ledger = LedgerReader(layout.ledger)
    plan: Plan | None = None
    try:
        plan = _usable_plan(replace(options, pipeline=layout.lockfile))
    except (ManifestError, SetupError) as error:
        say(f"warning: templates cannot be shown: {error}")
    lists_all = command_line("dsrun", "ledger", run_dir, "--columns=step,index,job_id")
    return _Source(
        plan=plan, ledger=ledger, run_dir=run_dir, shown=str(options.pipeline), lists_all=lists_all
    )


def _find(text: str, source: _Source) -> tuple[Job | None, JobRecord | None]:
    """The job of the plan, that of the ledger, or both. Raises UsageError."""
    place = _PLACE(text)
    if place:
        return _at_place(text, place[1], int(place[2]), source)
    if _ID(text):
        return _with_prefix(text, source)
    raise UsageError(
        f"found {show(text)}; allowed: a job id, the first digits of one, or STEP/INDEX "
        f"such as posters/0; {_hint(source)}"
    )


def _at_place(
    text: str, step: str, index: int, source: _Source
) -> tuple[Job | None, JobRecord | None]:
    planned = source.plan.job_at(step, index) if source.plan else None
    recorded_id = lookup.id_at(source.ledger, step, index) if source.ledger else None
    job_id = planned.job_id if planned else recorded_id
    if job_id is None:
        raise UsageError(f"{text}: {source.shown} has no such job; {_hint(source)}")
    return planned, lookup.record(source.ledger, job_id) if source.ledger else None


def _with_prefix(prefix: str, source: _Source) -> tuple[Job | None, JobRecord | None]:
    ids = lookup.ids_with_prefix(source.ledger, prefix, most=_MOST) if source.ledger else []
    planned: dict[str, Job] = {}
    if source.plan and not ids:
        planned = _walk(source.plan, prefix)
        ids = list(planned)
    if len(ids) != 1:
        words = f"several jobs begin so: {', '.join(ids)}" if ids else "no job begins so"
        raise UsageError(f"{prefix}: {words}; {_hint(source)}")
    record = lookup.record(source.ledger, ids[0]) if source.ledger else None
    if record is not None and source.plan is not None:
        return source.plan.job_at(record.row["step"], record.row["idx"]), record
    return planned.get(ids[0]), record


def _hint(source: _Source) -> str:
    return f"`{source.lists_all}` lists all jobs with their ids"


def _walk(plan: Plan, prefix: str) -> dict[str, Job]:
    """The first jobs of a plan whose ids begin with `prefix`."""
    jobs: dict[str, Job] = {}
    for job in plan.distinct_jobs():
        if job.job_id.startswith(prefix):
            jobs[job.job_id] = job
            if len(jobs) == _MOST:
                break
    return jobs


def _answer_text(facts: Mapping[str, Json]) -> None:
    row = ", ".join(axis_words(name, value) for name, value in facts["matrix"].items())
    answer_table(
        [
            ["job", facts["job_id"]],
            ["row", f"{facts['step']}/{facts['index']}{': ' + row if row else ''}"],
            ["files", ", ".join(facts["filenames"])],
        ]
    )
    names = {one["job_id"]: f"{one['step']} {one['index']}" for one in facts["parents"]}
    for head, lines in (
        ("made of", list(chain_lines(facts["parents"]))),
        ("used in", list(child_lines(facts["children"]))),
    ):
        for line in [head, *lines] if lines else ():
            answer(line)
    answer("the id is the SHA-256 of")
    answer(f"  {facts['hashed']}")
    for item in facts["templates"]:
        place = f"{item['file']}:{item['line']}:{item['column']}"
        answer(f"{item['where']} at {place}")
        answer(f"  {show(item['source'], longest=2000)}")
        answer(f"  gives {show(told(item['value'], names), longest=2000)}")
    for item in facts["added"]:
        answer(f"{item['where']} {show(item['value'])}: {item['why']}")
    for name, sha256 in facts["files"].items():
        answer(f"reads {name}, SHA-256 {sha256}")
    if facts["ledger"] is None:
        answer("not sent yet: no ledger has it")
    else:
        _answer_ledger(facts["ledger"])


def _answer_ledger(ledger: Mapping[str, Json]) -> None:
    answer(f"{ledger['directory']}: {left_out_words(ledger) or ledger['status']}")
    for words in (ledger["error"], *ledger["artifacts"], *(f"also {t}" for t in ledger["twins"])):
        if words:
            answer(f"  {words}")
    for item in ledger["attempts"]:
        names = ("task_id", "request_id", "error_code", "error_message")
        details = " ".join(f"{name} {item[name]}" for name in names if item[name])
        answer(f"  {item['at']}  {item['phase']} {item['outcome']}  {details}".rstrip())
    if repeated := ledger["repeated"]:
        most = Money.from_json(repeated["at_most"])
        answer(
            f"  sent again after a lost answer: {count_of(repeated['creates'], 'create')} may have "
            f"cost {most} more"
        )
