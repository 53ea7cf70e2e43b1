"""What a run would do: one pass over a plan, and what a person or a program is told of it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from dsrun.common.console import count_of, say
from dsrun.common.errors import Problem, SetupError
from dsrun.common.models import Job, JobStatus, Json
from dsrun.common.units import Money, Rate, first_as_json, sum_money
from dsrun.ledger import lookup, totals
from dsrun.ledger.lookup import Standing
from dsrun.ledger.peers import LedgerClaims
from dsrun.ledger.reader import LedgerReader, NoLedger
from dsrun.planning.job_index import ChosenJobs, Difference
from dsrun.planning.plan import Plan, batched
from dsrun.planning.selection import Chooser
from dsrun.service.operation import Operation
from dsrun.session.commands import plan_all
from dsrun.session.diff import EarlierRun, open_earlier
from dsrun.session.options import RunOptions
from dsrun.session.permit import notice_json
from dsrun.storage.cache import ResultCache, read_cache
from dsrun.storage.cache_index import CacheFault
from dsrun.storage.layout import RunLayout
from dsrun.storage.precedence import living_runs

_BATCH = 500
_NEW = Standing(status=JobStatus.PENDING, attempts=0, error_code=None)
_REASONS = {
    JobStatus.PENDING: "not sent yet",
    JobStatus.SUBMITTING: "sent, its answer unknown",
    JobStatus.SUBMITTED: "sent, its result not fetched yet",
    JobStatus.SUCCEEDED: "done",
    JobStatus.PARTIAL: "partly done",
    JobStatus.FAILED: "failed before",
    JobStatus.CANCELLED: "cancelled before",
    JobStatus.UNKNOWN: "may be paid",
}
_AGAIN = {
    JobStatus.FAILED: "--retry-failed",
    JobStatus.CANCELLED: "--retry-failed",
    JobStatus.UNKNOWN: "--resubmit-unknown",
}


@dataclass(slots=True)
class StepOutlook:
    """Sums over the selected jobs of a step; `units` and cost are of those to send."""

    operation: Operation
    jobs: int = 0
    done: int = 0
    cached: int = 0
    to_send: int = 0
    units: int = 0
    other: Counter[JobStatus] = field(default_factory=Counter)  # neither done nor to send

    def add(self, status: JobStatus, *, units: int, is_cached: bool = False) -> None:
        """Count a job. `is_cached`: pending, but another run has left its result."""
        self.jobs += 1
        if status is JobStatus.SUCCEEDED:
            self.done += 1
        elif status is not JobStatus.PENDING:
            self.other[status] += 1
        elif is_cached:
            self.cached += 1
        else:
            self.to_send += 1
            self.units += units

    @property
    def cost(self) -> Money:
        return self.operation.price.of(self.units)


class Outlook:
    """The outlook of every step of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.steps = {
            step.name: StepOutlook(plan.catalog[step.operation]) for step in plan.manifest.steps
        }

    def total(self, name: str) -> int:
        """The sum of a column: jobs, done, cached or to_send."""
        return sum(getattr(step, name) for step in self.steps.values())

    @property
    def other(self) -> Counter[JobStatus]:
        return sum((step.other for step in self.steps.values()), Counter())

    @property
    def costs(self) -> list[Money]:
        """By currency, in the order of the steps; empty where nothing is sent."""
        return sum_money(step.cost for step in self.steps.values() if step.to_send)


class Bound(NamedTuple):
    """The least time in seconds, and the limit that makes it so."""

    seconds: float
    words: str


def shortest_time(plan: Plan, outlook: Outlook) -> Bound:
    """The least time that the rate limits allow; operations run side by side."""
    execution = plan.manifest.execution
    bounds = []
    tasks = 0
    for operation, count in _to_send(outlook):
        rate = execution.rate or operation.rate
        limit = f"{operation.name}: {count_of(rate.requests, 'request')} {_each(rate.per_s)}"
        bounds.append(Bound(_least_s(count, rate), limit))
        tasks += count if operation.protocol == "task" else 0
    rate = execution.poll_rate
    asked = f"{count_of(rate.requests, 'question')} about tasks {_each(rate.per_s)}"
    bounds.append(Bound(_least_s(tasks, rate), asked))
    return max(bounds, key=lambda bound: bound.seconds)


def slow_services(outlook: Outlook) -> Iterator[str]:
    """Advice on operations whose tasks queue at the service."""
    for operation, count in _to_send(outlook):
        running = operation.running_tasks
        if running is not None and count > running:
            yield (
                f"{operation.name} runs {count_of(running, 'task')} at a time, so these "
                f"{count_of(count, 'task')} take {count // running} times as long as one"
            )


def _to_send(outlook: Outlook) -> list[tuple[Operation, int]]:
    counts: dict[str, tuple[Operation, int]] = {}
    for step in outlook.steps.values():
        name = step.operation.name
        counts[name] = (step.operation, counts.get(name, (step.operation, 0))[1] + step.to_send)
    return list(counts.values())


def _least_s(count: int, rate: Rate) -> float:
    return round(max(0, count - rate.requests) * rate.per_s / rate.requests, 3)


def _each(seconds: float) -> str:
    named = {1.0: "a second", 60.0: "a minute", 3600.0: "an hour"}
    return named.get(seconds, f"in {seconds:g} s")


class _Counted(Protocol):
    """A Job, or what is kept of one."""

    @property
    def job_id(self) -> str: ...
    @property
    def step(self) -> str: ...
    @property
    def units(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """Where one job stands: in the ledger, in the cache, and on disk (`missing`: a file is gone).

    `part`: how many of its artifacts would be asked for again; 0 for all or none.
    """

    standing: Standing | None
    missing: str | None
    part: int
    is_cached: bool


class Survey:
    """Counts and explains the jobs of a plan. A context manager: it holds ledgers open."""

    def __init__(self, plan: Plan, options: RunOptions) -> None:
        """Raises UsageError, SetupError."""
        self.plan = plan
        self.options = options
        self.outlook = Outlook(plan)
        self.difference: Difference | None = None
        self.files_missing = 0
        self.in_hand = 0  # jobs to send that other running runs have in hand
        self._layout = RunLayout.for_plan(
            out=options.out, name=plan.manifest.name, digest=plan.digest, emulated=options.emulate
        )
        self._claims = LedgerClaims(self._layout.ledger, out=options.out)
        self._living = []
        if not options.emulate and not options.no_cache:
            self._living = living_runs(options.out, besides=self._layout.run_dir)
        self._exits = ExitStack()
        self.ledger = self._open_ledger()
        self._parts = self._partial_jobs() if JobStatus.PARTIAL in options.sent_again else {}
        self._cache = None if options.no_cache else self._open_cache()
        self.earlier = self._open_earlier()
        self._chooser = None
        if not options.selection.is_all:
            self._chooser = Chooser(plan, options.selection, shows_all=plan_all(plan, options))
        self._chosen: ChosenJobs | None = None
        self._waiting: list[Job] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._exits.close()

    @property
    def run_name(self) -> str:
        return self._layout.run_dir.name

    def take(self) -> None:
        """Check every job and count those selected. Raises ManifestError, UsageError."""
        self.plan.check(self._visit)
        self._flush()
        if self._chooser is not None:
            self._chosen = self._exits.enter_context(closing(self._chooser.end()))
            for page in self._chosen.pages():
                self._count(page)
        if self.earlier is not None:
            self.difference = self.earlier.end()
        elif self.ledger is not None:
            self.difference = Difference(0, 0, 0, self.outlook.total("jobs"))

    def jobs(self) -> Iterator[tuple[Job, str, bool]]:
        """The selected jobs in order: reason, and whether it would be sent."""
        left = None if self._chosen is None else len(self._chosen)
        for batch in batched(self.plan.distinct_jobs(), _BATCH):
            ids = [job.job_id for job in batch]
            chosen = None if self._chosen is None else self._chosen.among(ids)
            states = self._states(ids)
            for job in batch:
                if chosen is None or job.job_id in chosen:
                    yield job, *self._reason(job, states[job.job_id])
            if left is not None and chosen is not None:
                left -= len(chosen)
                if not left:
                    return

    def _visit(self, job: Job, is_new: bool) -> None:
        if self._chooser is not None:
            self._chooser.visit(job, is_new)
        if is_new:
            self._waiting.append(job)
            if len(self._waiting) == _BATCH:
                self._flush()

    def _flush(self) -> None:
        if self._waiting and self.earlier is not None:
            self.earlier.add(self._waiting)
        if self._chooser is None:
            self._count(self._waiting)
        self._waiting.clear()

    def _count(self, jobs: Sequence[_Counted]) -> None:
        states = self._states([job.job_id for job in jobs])
        to_send = []
        for job in jobs:
            state = states[job.job_id]
            status = self._status(state)
            self.files_missing += state.missing is not None
            self.outlook.steps[job.step].add(
                status, units=state.part or job.units, is_cached=state.is_cached
            )
            if status is JobStatus.PENDING and not state.is_cached:
                to_send.append(job.job_id)
        in_hand = (
            self._claims.in_hand(to_send, run.run_dir, planned=run.is_earlier)
            for run in self._living
        )
        self.in_hand += len(set().union(*in_hand))

    def _states(self, job_ids: Sequence[str]) -> dict[str, _State]:
        known = lookup.standings(self.ledger, job_ids) if self.ledger and job_ids else {}
        done = [i for i, standing in known.items() if standing.status is JobStatus.SUCCEEDED]
        missing = self._missing(done)
        cached = self._cached(job_ids)
        return {
            job_id: _State(
                standing=known.get(job_id),
                missing=missing.get(job_id),
                part=self._parts.get(job_id, 0),
                is_cached=job_id in cached,
            )
            for job_id in job_ids
        }

    def _partial_jobs(self) -> dict[str, int]:
        """How many artifacts each partial job lacks, where its operation can make them alone."""
        return {
            job_id: len(indexes)
            for job_id, operation, indexes in (self.ledger.partial_jobs() if self.ledger else ())
            if self.plan.catalog[operation].artifacts.count
        }

    def _cached(self, job_ids: Sequence[str]) -> frozenset[str]:
        """The jobs whose results are in the cache."""
        return frozenset(self._cache.present(job_ids) if self._cache and job_ids else ())

    def _missing(self, done: Sequence[str]) -> dict[str, str]:
        """One missing file for each job that has lost any."""
        if self.ledger is None or not done:
            return {}
        return {
            job_id: path
            for job_id, path in lookup.artifacts_of(self.ledger, done)
            if not (self._layout.run_dir / path).exists()
        }

    def _status(self, state: _State) -> JobStatus:
        status = (state.standing or _NEW).status
        if state.missing is not None:
            return JobStatus.SUBMITTED  # its task is asked again, which costs nothing
        if status is JobStatus.PARTIAL and not state.part:
            return status
        return JobStatus.PENDING if status in self.options.sent_again else status

    def _reason(self, job: Job, state: _State) -> tuple[str, bool]:
        status = self._status(state)
        to_send = status is JobStatus.PENDING and not state.is_cached
        if state.missing is not None:
            return f"file missing: {state.missing}", to_send
        if state.is_cached and status is JobStatus.PENDING:
            return "cached", to_send
        if state.standing is None:
            return (self.earlier.reason(job) if self.earlier else "new"), to_send
        words = _REASONS[state.standing.status]
        if state.standing.error_code and status is not JobStatus.SUCCEEDED:
            words += f": {state.standing.error_code}"
        if state.standing.status in _AGAIN and not to_send:
            words += f"; {_AGAIN[state.standing.status]} sends it again"
        return words, to_send

    def _open_ledger(self) -> LedgerReader | None:
        try:
            return self._exits.enter_context(closing(LedgerReader(self._layout.ledger)))
        except NoLedger:
            return None

    def _open_cache(self) -> ResultCache | None:
        try:
            cache = read_cache(self._layout.cache)
        except CacheFault as fault:
            say(f"warning: {fault}")
            return None
        return cache and self._exits.enter_context(closing(cache))

    def _open_earlier(self) -> EarlierRun | None:
        try:
            earlier = open_earlier(self._layout, self.plan)
        except SetupError as error:
            say(f"warning: the last run cannot be compared: {error}")
            return None
        return earlier and self._exits.enter_context(closing(earlier))


def all_warnings(survey: Survey) -> list[Problem]:
    """Those of the manifest, and those of what this run would cost."""
    return [*survey.plan.warnings, *_cost_warnings(survey)]


def _cost_warnings(survey: Survey) -> Iterator[Problem]:
    """Whether the run would reach `max_cost`."""
    plan, options = survey.plan, survey.options
    limit = options.max_cost or plan.manifest.execution.max_cost
    if limit is None or options.emulate:
        return
    cost = sum((c.amount for c in survey.outlook.costs if c.currency == limit.currency), Decimal(0))
    before = Decimal(0)
    if survey.ledger is not None:
        before = sum(totals.committed(survey.ledger, currency=limit.currency), Decimal(0))
    if cost + before > limit.amount:
        spent = f", and {_money(before, limit)} are spent or under way here" if before else ""
        words = (
            f"max_cost is {limit}, but what is left to send costs {_money(cost, limit)}{spent}; "
            "the run would stop before the request that passes it"
        )
        if options.max_cost is None:
            yield plan.manifest.document.problem(("execution", "max_cost"), words)
        else:
            yield Problem(file="--max-cost", line=0, column=0, where="", message=words)


def _money(amount: Decimal, like: Money) -> Money:
    return Money(amount=amount, currency=like.currency)


def summary(survey: Survey, warnings: list[Problem]) -> dict[str, Json]:
    """The keys of `plan --json`, except for `job_list`."""
    plan, options, outlook = survey.plan, survey.options, survey.outlook
    bound = shortest_time(plan, outlook)
    return {
        "pipeline": str(options.pipeline),
        "name": plan.manifest.name,
        "digest": plan.digest,
        "jobs": outlook.total("jobs"),
        "done": outlook.total("done"),
        "cached": outlook.total("cached"),
        "to_send": outlook.total("to_send"),
        "other": {status.value: number for status, number in outlook.other.items()},
        "in_hand": survey.in_hand,
        "files_missing": survey.files_missing,
        "cost": first_as_json(outlook.costs, currency=_currency(survey)),
        "shortest_time_s": bound.seconds,
        "bound_by": bound.words,
        "steps": {name: _step_json(step) for name, step in outlook.steps.items()},
        "difference": _difference_json(survey),
        "advice": list(slow_services(outlook)),
        "warnings": [str(warning) for warning in warnings],
        "notify": None if options.emulate else notice_json(plan.manifest.notify),
    }


def _currency(survey: Survey) -> str:
    prices = [step.operation.price for step in survey.outlook.steps.values()]
    return prices[0].currency if prices else "CNY"


def _step_json(step: StepOutlook) -> dict[str, Json]:
    return {
        "operation": step.operation.name,
        "jobs": step.jobs,
        "done": step.done,
        "cached": step.cached,
        "to_send": step.to_send,
        "units": step.units,
        "cost": step.cost.as_json(),
        "price": step.operation.price.as_json(),
    }


def _difference_json(survey: Survey) -> Json:
    """Against the last run of this pipeline; null where there is none."""
    if survey.difference is None:
        return None
    changes = survey.earlier.changes if survey.earlier else None
    return {
        "run": survey.earlier.name if survey.earlier else survey.run_name,
        **survey.difference._asdict(),
        "files": changes.files if changes else [],
        "params": changes.params if changes else [],
    }


def job_list(survey: Survey) -> Iterator[dict[str, Json]]:
    """The items of `job_list` of `plan --json --full`."""
    for job, reason, to_send in survey.jobs():
        yield {
            "job_id": job.job_id,
            "step": job.step,
            "index": job.index,
            "matrix": job.matrix,
            "request": job.request,
            "reason": reason,
            "to_send": to_send,
        }
