"""`dsrun plan`: the jobs, what is done, what will be sent, and what it costs. Touches nothing."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice

import orjson

from dsrun.cache import ResultCache, read_cache
from dsrun.cache_index import CacheFault
from dsrun.commands.common import PlanOptions, open_plan
from dsrun.console import answer, count_of, say, table
from dsrun.digest import json_text
from dsrun.errors import ExitCode
from dsrun.execution import Money
from dsrun.fills import price_of
from dsrun.layout import RunLayout
from dsrun.ledger_view import LedgerView, NoLedger
from dsrun.plan import Plan, batched
from dsrun.records import Job, JobStatus, Json
from dsrun.wording import show

_SHOWN = 5
_BATCH = 500
_CACHED = "cached"  # no status of a ledger
_REASONS = {
    None: "new",
    JobStatus.PENDING: "not sent yet",
    JobStatus.SUBMITTING: "sent, its answer unknown",
    JobStatus.SUBMITTED: "sent, its result not fetched yet",
    JobStatus.SUCCEEDED: "done",
    JobStatus.PARTIAL: "partly done",
    JobStatus.FAILED: "failed; --retry-failed sends it again",
    JobStatus.CANCELLED: "cancelled; --retry-failed sends it again",
    JobStatus.UNKNOWN: "may be paid; --resubmit-unknown sends it again",
    _CACHED: "in the cache",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowOptions(PlanOptions):
    full: bool = False
    as_json: bool = False


@dataclass(slots=True)
class _Totals:
    """Sums over the selected jobs; `sent` and `units` by step."""

    jobs: int = 0
    done: int = 0
    cached: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)
    cost: dict[str, Decimal] = field(default_factory=dict)


@dataclass(slots=True)
class _Past:
    """What earlier runs left: this plan's ledger, and the cache."""

    view: LedgerView | None = None
    cache: ResultCache | None = None

    def status_of(self, jobs: Sequence[Job]) -> dict[str, str]:
        """Of the jobs that are known; _CACHED where a run would take the result from the cache."""
        ids = [job.job_id for job in jobs]
        known: dict[str, str] = {}
        if self.view and ids:
            known.update(self.view.status_of(ids))
        if self.cache:
            open_ids = [i for i in ids if known.get(i, JobStatus.PENDING) == JobStatus.PENDING]
            known.update(dict.fromkeys(self.cache.present(open_ids), _CACHED))
        return known

    def close(self) -> None:
        for part in (self.view, self.cache):
            if part is not None:
                part.close()


def run(options: ShowOptions) -> int:
    """Raises ManifestError where the pipeline is not valid."""
    plan = open_plan(options)
    past = _open_past(plan, options)
    totals = _Totals()
    waiting: list[Job] = []

    def visit(job: Job) -> None:
        if _is_selected(job, options, totals):
            totals.jobs += 1
            waiting.append(job)
            if len(waiting) == _BATCH:
                _add(totals, plan, past, waiting)

    plan.check(visit)
    _add(totals, plan, past, waiting)
    for warning in plan.warnings:
        say(f"warning: {warning}")
    if options.as_json:
        _answer_json(plan, past, totals, options)
    else:
        _answer_text(plan, past, totals, options)
    past.close()
    return ExitCode.OK


def _is_selected(job: Job, options: PlanOptions, totals: _Totals) -> bool:
    if options.steps and job.step not in options.steps:
        return False
    return options.limit is None or totals.jobs < options.limit


def _add(totals: _Totals, plan: Plan, past: _Past, jobs: list[Job]) -> None:
    known = past.status_of(jobs)
    for job in jobs:
        status = known.get(job.job_id, JobStatus.PENDING)
        if status is JobStatus.SUCCEEDED:
            totals.done += 1
        elif status == _CACHED:
            totals.cached += 1
        elif status is JobStatus.PENDING:
            operation = plan.catalog[job.operation]
            totals.sent[job.step] += 1
            totals.units[job.step] += job.units
            price = price_of(job.request, operation)
            currency = operation.price.currency
            totals.cost[currency] = totals.cost.get(currency, Decimal(0)) + price
    jobs.clear()


def _open_past(plan: Plan, options: PlanOptions) -> _Past:
    layout = RunLayout(
        out=options.out, name=plan.manifest.name, digest=plan.digest, emulated=options.emulate
    )
    past = _Past()
    with suppress(NoLedger):
        past.view = LedgerView(layout.ledger)
    try:
        past.cache = None if options.no_cache else read_cache(layout.cache)
    except CacheFault as fault:
        say(f"warning: {fault}")
    return past


def _shortest_s(plan: Plan, totals: _Totals) -> float:
    """Seconds that the rate limits alone ask for; operations run side by side."""
    by_operation: Counter[str] = Counter()
    for step in plan.manifest.steps:
        by_operation[step.operation] += totals.sent[step.name]
    rates = {name: plan.manifest.execution.rate or plan.catalog[name].rate for name in by_operation}
    times = [
        max(0, count - rates[name].requests) * rates[name].per_s / rates[name].requests
        for name, count in by_operation.items()
    ]
    return round(max(times, default=0.0), 3)


def _answer_json(plan: Plan, past: _Past, totals: _Totals, options: ShowOptions) -> None:
    amounts = totals.cost or {"CNY": Decimal(0)}
    currency, amount = next(iter(amounts.items()))
    head = {
        "pipeline": str(options.pipeline),
        "name": plan.manifest.name,
        "digest": plan.digest,
        "jobs": totals.jobs,
        "done": totals.done,
        "cached": totals.cached,
        "to_send": totals.sent.total(),
        "cost": {"amount": float(amount), "currency": currency},
        "shortest_time_s": _shortest_s(plan, totals),
        "steps": {
            name: {"to_send": totals.sent[name], "units": totals.units[name]}
            for name in (step.name for step in plan.manifest.steps)
        },
        "warnings": plan.warnings,
    }
    if not options.full:
        answer(orjson.dumps(head, option=orjson.OPT_INDENT_2).decode())
        return
    # Streamed, so that a plan of any length can be printed.
    print(orjson.dumps(head).decode()[:-1], end=',"job_list":[')  # noqa: T201  # a piece of a line
    for number, item in enumerate(_job_list(plan, past, options)):
        print("," if number else "", json_text(item), sep="", end="")  # noqa: T201
    answer("]}")


def _job_list(plan: Plan, past: _Past, options: PlanOptions) -> Iterator[dict[str, Json]]:
    chosen = (job for job in plan.distinct_jobs() if not options.steps or job.step in options.steps)
    for batch in batched(islice(chosen, options.limit), _BATCH):
        known = past.status_of(batch)
        for job in batch:
            yield {
                "job_id": job.job_id,
                "step": job.step,
                "index": job.index,
                "matrix": job.matrix,
                "request": job.request,
                "reason": _REASONS[known.get(job.job_id)],
            }


def _answer_text(plan: Plan, past: _Past, totals: _Totals, options: ShowOptions) -> None:
    shown = None if options.full else _SHOWN
    for item in islice(_job_list(plan, past, options), shown):
        axes = ", ".join(f"{name} {show(value)}" for name, value in item["matrix"].items())
        answer(f"{item['step']} {item['index']}  {item['job_id'][:12]}  {item['reason']}  {axes}")
        answer(f"    {json_text(item['request'])}")
    if shown is not None and totals.jobs > shown:
        answer(f"... and {totals.jobs - shown} more; --full shows all")
    rows = [["step", "operation", "to send", "units", "cost"]]
    for step in plan.manifest.steps:
        price = plan.catalog[step.operation].price
        units = totals.units[step.name]
        rows.append(
            [
                step.name,
                step.operation,
                str(totals.sent[step.name]),
                count_of(units, price.unit),
                f"{Money(amount=price.amount * units, currency=price.currency)}",
            ]
        )
    answer(table(rows))
    cost = ", ".join(
        str(Money(amount=amount, currency=currency)) for currency, amount in totals.cost.items()
    )
    answer(
        f"digest {plan.digest[:12]}: {count_of(totals.jobs, 'job')}, {totals.done} done, "
        f"{f'{totals.cached} in the cache, ' if totals.cached else ''}"
        f"{totals.sent.total()} to send; cost {cost or 'nothing'}; "
        f"at least {_shortest_s(plan, totals):g} s by the rate limits"
    )
