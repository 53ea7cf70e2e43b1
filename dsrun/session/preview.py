"""What a run would do: one pass over a plan, and the warnings of what it would cost."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import cached_property
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import orjson

from dsrun.common.console import say
from dsrun.common.errors import SetupError
from dsrun.common.models import Job, JobStatus
from dsrun.ledger import lookup, totals
from dsrun.ledger.durations import task_times
from dsrun.ledger.lookup import OrderedStandings, Standing
from dsrun.ledger.peers import LedgerClaims
from dsrun.ledger.reader import LedgerReader, NoLedger
from dsrun.planning.job_index import ChosenJobs, Difference
from dsrun.planning.plan import Plan, Visit, batched
from dsrun.planning.selection import chooser_of
from dsrun.service.request import part_request, planned_units, ranges_of
from dsrun.session import settled
from dsrun.session.budget_standing import BudgetStanding, standing_of
from dsrun.session.commands import plan_all
from dsrun.session.diff import EarlierRun, FieldChange, open_earlier
from dsrun.session.estimate import Estimate, busy_operations, likely_time
from dsrun.session.options import RunOptions
from dsrun.session.outlook import Outlook
from dsrun.session.remade import Remade
from dsrun.storage.cache import ResultCache, read_cache
from dsrun.storage.cache_index import CacheFault
from dsrun.storage.files import are_there
from dsrun.storage.layout import RunLayout
from dsrun.storage.precedence import living_runs

_BATCH = 500
_MOST_GONE = 10_000  # jobs without their files that are kept in memory
_EXAMPLES, _MOST_CHANGES = 5, 20  # jobs that a plan shows: any, and those to send after an edit
_NEW = Standing(status=JobStatus.PENDING, attempts=0, error_code=None)
_REASONS = {
    JobStatus.WAITING: "waiting for others",
    JobStatus.PENDING: "not sent yet",
    JobStatus.SUBMITTING: "sent, its answer unknown",
    JobStatus.SUBMITTED: "sent, its result not fetched yet",
    JobStatus.SUCCEEDED: "done",
    JobStatus.PARTIAL: "partly done",
    JobStatus.FAILED: "failed before",
    JobStatus.CANCELLED: "cancelled before",
    JobStatus.SKIPPED: "skipped before",
    JobStatus.UNKNOWN: "may be paid",
}
_WITHOUT_CODE = (JobStatus.SUCCEEDED, JobStatus.SKIPPED)
_GIVES = (JobStatus.SUCCEEDED, JobStatus.PARTIAL)  # what jobs that wait for it may take
_AGAIN = {
    JobStatus.FAILED: "--retry-failed",
    JobStatus.CANCELLED: "--retry-failed",
    JobStatus.SKIPPED: "--retry-failed",
    JobStatus.UNKNOWN: "--resubmit-unknown",
}


class _Counted(Protocol):
    """A Job, or what is kept of one."""

    @property
    def job_id(self) -> str: ...
    @property
    def step(self) -> str: ...
    @property
    def index(self) -> int: ...
    @property
    def operation(self) -> str: ...
    @property
    def units(self) -> int | None: ...
    @property
    def needs(self) -> tuple[str, ...]: ...
    @property
    def is_bound(self) -> bool: ...


class _State(NamedTuple):
    """Where one job stands: in the ledger, in the cache, and on disk (`missing`: a file is gone).

    `part`: what asking again for some of its artifacts would cost, in grains of its price; None
    where all or none would be asked for. `is_cached` is found out only where it may be sent.
    """

    standing: Standing | None = None
    missing: str | None = None
    part: int | None = None
    is_cached: bool = False


_UNKNOWN = _State()


class PlannedJob(NamedTuple):
    """A job, why it would be sent or not, and how it differs from the job that it replaces.

    `only_along`: it was not selected, and others that were build on it.
    """

    job: Job
    reason: str
    to_send: bool
    changes: Sequence[FieldChange] = ()
    only_along: bool = False


class Survey:
    """Counts and explains the jobs of a plan. A context manager: it holds ledgers open."""

    def __init__(self, plan: Plan, options: RunOptions, *, compares: bool = True) -> None:
        """`compares`: with the last run of the pipeline. Raises UsageError, SetupError."""
        self.plan = plan
        self.options = options
        self.outlook = Outlook(plan)
        self.difference: Difference | None = None
        self.left_out = Counter[str]()  # jobs of the difference that were not selected
        self.files_missing = 0
        self.in_hand = 0  # jobs to send that other running runs have in hand
        self.resting = Counter[str]()  # jobs by step that only came along, and are not sent
        self._first_to_send: list[tuple[str, int]] = []  # step and index
        self._first_of_the_rest: list[tuple[str, int]] = []
        self._sent_again = options.sent_again
        self._layout = RunLayout.for_plan(
            out=options.out, name=plan.manifest.name, digest=plan.digest, emulated=options.emulate
        )
        self._claims = LedgerClaims(self._layout.ledger, out=options.out)
        self._living = []
        if not options.emulate and not options.no_cache:
            self._living = living_runs(options.out, besides=self._layout.run_dir)
        self._exits = ExitStack()
        self.ledger = self._open_ledger()
        self._parts = self._partial_jobs() if JobStatus.PARTIAL in self._sent_again else {}
        self._cache = None if options.no_cache else self._open_cache()
        self._remade = Remade(self._cache, self.ledger) if self._cache else None
        self.earlier = self._open_earlier() if compares else None
        self._chooser = chooser_of(plan, options.selection, shows_all=plan_all(plan, options))
        self._chosen: ChosenJobs | None = None
        self._waiting: list[Job] = []
        self._ordered = OrderedStandings(self.ledger) if self.ledger else None
        self._gone: dict[str, str] | None = None  # missing files, once all were looked at

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._chosen is not None:
            self._chosen.close()
        self._exits.close()

    @cached_property
    def budget(self) -> BudgetStanding | None:
        """Where the budget stands that the pipeline shares with others, if it has one."""
        budget = self.plan.manifest.execution.budget
        return None if budget is None else standing_of(budget, self._layout)

    @property
    def run_name(self) -> str:
        return self._layout.run_dir.name

    def take(self, *visits: Visit) -> None:
        """Check every job and count those selected. Raises ManifestError, UsageError.

        Each of `visits` sees the job of every row too.
        """
        if self._chooser is None:
            self._gone = self._all_missing()
        if not visits and self._take_settled():
            return
        self.plan.check(self._visit, *visits)
        self._flush()
        if self._chooser is not None:
            self._chosen = self._chooser.end()
            for page in self._chosen.pages():
                self._count(page)
        if self.earlier is not None:
            self.difference = self.earlier.end()
            self._count_left_out(self.earlier)
        elif self.ledger is not None:
            self.difference = Difference(0, 0, 0, self.outlook.total("jobs"))

    def _take_settled(self) -> bool:
        """Count the jobs of a run that has made them all, if it has; none is checked again."""
        is_whole = self._chooser is None and self.earlier is None and self._gone == {}
        if self.ledger is None or not is_whole or self.plan.may_warn_of_rows:
            return False
        if settled.needs_check(self.plan) or not settled.is_settled(self.ledger):
            return False
        for step, operation, jobs in totals.job_counts(self.ledger):
            self.outlook.of(step, operation).add_done(jobs)
        self._first_of_the_rest = lookup.first_places(self.ledger, _EXAMPLES)
        self.difference = Difference(0, 0, 0, self.outlook.total("jobs"))
        return True

    def _count_left_out(self, earlier: EarlierRun) -> None:
        """How many of the jobs that are added or changed this run would not be about."""
        if self._chosen is None:
            return
        for page in earlier.differing():
            chosen = self._chosen.among([job_id for job_id, _ in page])
            self.left_out.update(
                "added" if is_new else "changed" for job_id, is_new in page if job_id not in chosen
            )

    def take_chosen(self) -> ChosenJobs | None:
        """The selected jobs, which the caller closes from now on; None for all."""
        chosen, self._chosen = self._chosen, None
        return chosen

    @cached_property
    def estimate(self) -> Estimate:
        """How long the run would take, from what earlier runs took."""
        operations = busy_operations(self.plan, self.outlook)
        options = self.options
        times = task_times(options.out, operations, emulated=options.emulate) if operations else {}
        return likely_time(self.plan, self.outlook, times, concurrency=options.concurrency)

    @property
    def edits(self) -> Sequence[FieldChange]:
        """What the manifest says in another way than in the last run."""
        return self.earlier.changes.edits if self.earlier else ()

    def first_jobs(self) -> Iterator[PlannedJob]:
        """Some of the selected jobs: those to send, and only then others.

        More of them after an edit, when a person looks at each change.
        """
        most = _MOST_CHANGES if self.earlier else _EXAMPLES
        places = self._first_to_send[:most]
        places += self._first_of_the_rest[: max(0, _EXAMPLES - len(places))]
        jobs: dict[tuple[str, int], Job] = {}
        for step in self.plan.steps:
            name = step.step.name
            for job in step.jobs_at({index for of, index in places if of == name}):
                jobs[name, job.index] = job
        states = self._states([job.job_id for job in jobs.values()])
        for place in places:
            yield self._planned(jobs[place], states[jobs[place].job_id])

    def jobs(self) -> Iterator[PlannedJob]:
        """The selected jobs in order."""
        left = None if self._chosen is None else len(self._chosen)
        for batch in batched(self.plan.distinct_jobs(), _BATCH):
            ids = [job.job_id for job in batch]
            chosen = None if self._chosen is None else self._chosen.among(ids)
            along = self._only_along(ids)
            states = self._states(ids)
            for job in batch:
                if chosen is None or job.job_id in chosen:
                    planned = self._planned(job, states[job.job_id])
                    yield planned._replace(only_along=job.job_id in along)
            if left is not None and chosen is not None:
                left -= len(chosen)
                if not left:
                    return

    def _only_along(self, job_ids: Sequence[str]) -> set[str]:
        return set() if self._chosen is None else self._chosen.needed(job_ids)

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
        if self._remade is not None:
            self._remade.look_at(self._waiting)
        if self._chooser is None:
            self._count(self._waiting)
        self._waiting.clear()

    def _count(self, jobs: Sequence[_Counted]) -> None:
        ids = [job.job_id for job in jobs]
        known = self._ordered.of(ids) if self._ordered else {}
        states, along = self._states(ids, known), self._only_along(ids)
        to_send: list[_Counted] = []
        for job in jobs:
            state = states[job.job_id]
            status = self._status(state)
            self.files_missing += state.missing is not None
            is_to_send = self.outlook.of(job.step, job.operation).add(
                status,
                units=job.units if state.part is None else state.part,
                is_cached=state.is_cached,
                is_bound=job.is_bound and state.part is None,
            )
            if is_to_send:
                to_send.append(job)
                _keep_first(self._first_to_send, job, most=_MOST_CHANGES)
            elif job.job_id in along:
                self.resting[job.step] += 1
            else:
                _keep_first(self._first_of_the_rest, job, most=_EXAMPLES)
        self._count_waiting(to_send)
        sent = [job.job_id for job in to_send]
        in_hand = (
            self._claims.in_hand(sent, run.run_dir, planned=run.is_earlier) for run in self._living
        )
        self.in_hand += len(set().union(*in_hand))

    def _count_waiting(self, to_send: Sequence[_Counted]) -> None:
        """Count the jobs that need others which are neither done nor in the cache."""
        needed = sorted({job_id for job in to_send for job_id in job.needs})
        if not needed:
            return
        known = lookup.standings(self.ledger, needed) if self.ledger else {}
        there = {job_id for job_id, one in known.items() if one.status in _GIVES}
        there |= self._cached(needed)
        for job in to_send:
            is_waiting = not there.issuperset(job.needs)
            self.outlook.of(job.step, job.operation).waiting += is_waiting

    def _states(
        self, job_ids: Sequence[str], known: Mapping[str, Standing] | None = None
    ) -> dict[str, _State]:
        """`known`: the standings of those that the ledger has, where the caller has read them."""
        if known is None:
            known = lookup.standings(self.ledger, job_ids) if self.ledger and job_ids else {}
        done = [i for i, standing in known.items() if standing.status is JobStatus.SUCCEEDED]
        missing = self._missing(done)
        states = {
            job_id: _State(known.get(job_id), missing.get(job_id), self._parts.get(job_id))
            for job_id in job_ids
        }
        pending = [i for i, one in states.items() if self._status(one) is JobStatus.PENDING]
        for job_id in self._cached(pending):
            states[job_id] = states[job_id]._replace(is_cached=True)
        return states

    def _partial_jobs(self) -> dict[str, int]:
        """What asking for all that each partial job lacks would cost, in grains of its price.

        Only where its operation can make it alone.
        """
        parts: dict[str, int] = {}
        if self.ledger is None:
            return parts
        for job_id, name, indexes in self.ledger.partial_jobs():
            operation = self.plan.catalog[name]
            if operation.fills_gaps:
                request = orjson.loads(self.ledger.job(job_id).body)
                asked = (
                    part_request(request, operation, first=first, count=count)
                    for first, count in ranges_of(indexes)
                )
                parts[job_id] = sum(planned_units(each, operation) or 0 for each in asked)
        return parts

    def _cached(self, job_ids: Sequence[str]) -> frozenset[str]:
        """The jobs whose results are in the cache, made of what others give now."""
        if self._cache is None or self._remade is None or not job_ids:
            return frozenset()
        return frozenset(self._cache.present(job_ids) - self._remade.among(job_ids))

    def _missing(self, done: Sequence[str]) -> dict[str, str]:
        """One missing file for each job that has lost any."""
        if self.ledger is None or not done:
            return {}
        if self._gone is not None:
            return {job_id: self._gone[job_id] for job_id in done if job_id in self._gone}
        return dict(self._not_there(lookup.artifacts_of(self.ledger, done)))

    def _all_missing(self) -> dict[str, str] | None:
        """One missing file for each job of the ledger that has lost any; None for very many."""
        gone: dict[str, str] = {}
        for page in lookup.artifact_places(self.ledger) if self.ledger else ():
            gone.update(self._not_there(page))
            if len(gone) > _MOST_GONE:
                return None
        return gone

    def _not_there(self, files: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        folder = self._layout.run_dir
        if are_there(folder, (path for _, path in files)):
            return []
        return [(job_id, path) for job_id, path in files if not are_there(folder, [path])]

    def _status(self, state: _State) -> JobStatus:
        status = (state.standing or _NEW).status
        if state.missing is not None:
            return JobStatus.SUBMITTED  # its task is asked again, which costs nothing
        if status is JobStatus.PARTIAL and state.part is None:
            return status
        if status is JobStatus.WAITING:
            return JobStatus.PENDING  # it is sent as soon as others have ended
        return JobStatus.PENDING if status in self._sent_again else status

    def _planned(self, job: Job, state: _State) -> PlannedJob:
        status = self._status(state)
        if status is JobStatus.PENDING and not state.is_cached and state.standing is None:
            reason, changes = self.earlier.reason(job) if self.earlier else ("new", [])
            return PlannedJob(job, reason, True, changes)
        to_send = status is JobStatus.PENDING and not state.is_cached
        return PlannedJob(job, self._reason(state, to_send=to_send), to_send)

    def _reason(self, state: _State, *, to_send: bool) -> str:
        """Of a job that the ledger or the cache knows."""
        status = self._status(state)
        if state.missing is not None:
            return f"file missing: {state.missing}"
        if state.standing is None or (state.is_cached and status is JobStatus.PENDING):
            return "cached"
        words = _REASONS[state.standing.status]
        if state.standing.error_code and state.standing.status not in _WITHOUT_CODE:
            words += f": {state.standing.error_code}"
        if state.standing.status in _AGAIN and not to_send:
            words += f"; {_AGAIN[state.standing.status]} sends it again"
        return words

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


def _keep_first(places: list[tuple[str, int]], job: _Counted, *, most: int) -> None:
    if len(places) < most:
        places.append((job.step, job.index))
