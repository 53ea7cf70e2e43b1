"""One pass over a plan: what its jobs come to, and why each of them would be sent."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from dsrun.common.console import say
from dsrun.common.errors import SetupError
from dsrun.common.models import Job, JobStatus
from dsrun.ledger import lookup
from dsrun.ledger.lookup import Standing
from dsrun.ledger.peers import LedgerClaims
from dsrun.ledger.reader import LedgerReader, NoLedger
from dsrun.planning.job_index import ChosenJobs, Difference
from dsrun.planning.plan import Plan, batched
from dsrun.planning.selection import Chooser
from dsrun.session.diff import EarlierRun, open_earlier
from dsrun.session.options import PlanOptions
from dsrun.session.outlook import Outlook
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
    """Of one job: where it stands in the ledger, if it is there, and a file that is not.

    `part`: how many of its artifacts would be asked for again; 0 for all or none.
    """

    standing: Standing | None
    missing: str | None
    part: int
    is_cached: bool


class Survey:
    """Counts and explains the jobs of a plan. A context manager: it holds ledgers open."""

    def __init__(
        self, plan: Plan, options: PlanOptions, *, again: frozenset[JobStatus] = frozenset()
    ) -> None:
        """`again`: what is sent again although it has ended. Raises UsageError, SetupError."""
        self.outlook = Outlook(plan)
        self.difference: Difference | None = None
        self.files_missing = 0
        self.in_hand = 0  # of those to send: left to runs that go on now
        self._plan = plan
        self._again = again
        self._layout = RunLayout.for_plan(
            out=options.out, name=plan.manifest.name, digest=plan.digest, emulated=options.emulate
        )
        self._claims = LedgerClaims(self._layout.ledger, out=options.out)
        self._living = []
        if not options.emulate and not options.no_cache:
            self._living = living_runs(options.out, besides=self._layout.run_dir)
        self._exits = ExitStack()
        self.ledger = self._open_ledger()
        self._parts = self._partial_jobs() if JobStatus.PARTIAL in again else {}
        self._cache = None if options.no_cache else self._open_cache()
        self.earlier = self._open_earlier()
        self._chooser = None
        if not options.selection.is_all:
            self._chooser = Chooser(plan, options.selection)
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
        self._plan.check(self._visit)
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
        for batch in batched(self._plan.distinct_jobs(), _BATCH):
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
        found = (
            self._claims.in_hand(to_send, run.run_dir, planned=run.is_earlier)
            for run in self._living
        )
        self.in_hand += len(set().union(*found))

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
        """How many artifacts are missing, of jobs whose operation can make them alone."""
        return {
            job_id: len(indexes)
            for job_id, operation, indexes in (self.ledger.partial_jobs() if self.ledger else ())
            if self._plan.catalog[operation].artifacts.count
        }

    def _cached(self, job_ids: Sequence[str]) -> frozenset[str]:
        """Those whose results another run has left in the cache."""
        return frozenset(self._cache.present(job_ids) if self._cache and job_ids else ())

    def _missing(self, done: Sequence[str]) -> dict[str, str]:
        """A file that is not there any more, by job."""
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
        return JobStatus.PENDING if status in self._again else status

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
            found = read_cache(self._layout.cache)
        except CacheFault as fault:
            say(f"warning: {fault}")
            return None
        return found and self._exits.enter_context(closing(found))

    def _open_earlier(self) -> EarlierRun | None:
        try:
            found = open_earlier(self._layout, self._plan)
        except SetupError as error:
            say(f"warning: the last run cannot be compared: {error}")
            return None
        return found and self._exits.enter_context(closing(found))
