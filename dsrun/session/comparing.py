"""Compares a ledger that has lost facts with its files and the service's lists, before a run.

What it has lost may be paid: nothing is sent until it is found, shown not to be there, or the user
has decided.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from dsrun.common.clock import stamp
from dsrun.common.console import count_of, say
from dsrun.common.doubt import doubt_of, epoch
from dsrun.common.errors import ExitCode
from dsrun.common.models import JobError, JobResult, JobStatus, OpenJob
from dsrun.engine.control import Left, RunControl
from dsrun.engine.limits import RateLimiter
from dsrun.engine.listing import Lister, Unlisted
from dsrun.engine.matching import NotFound, find_made
from dsrun.ledger import lookup
from dsrun.ledger.waiting import unsent_late
from dsrun.service.lists import MadeRow, TaskRow
from dsrun.service.operation import MadeList, Operation, TaskList
from dsrun.service.request import bill_of
from dsrun.session.on_disk import pictures_of
from dsrun.session.open_run import OpenRun

_LISTED_S = 23.5 * 3600  # the service lists 24 h; some of it may pass while we look
_SKEW_S = 600.0  # between our clock and the service's
_SHOWN = 5
_LATE = (JobStatus.PENDING, JobStatus.WAITING)


class Comparison:
    """Looks for what one ledger has lost, before the first create of a run."""

    def __init__(self, run: OpenRun, control: RunControl) -> None:
        self._run = run
        self._control = control

    async def take_files(self) -> None:
        """Record as succeeded the jobs whose pictures are all on disk and name their job."""
        ledger = self._run.ledger
        await ledger.reopen([JobStatus.UNKNOWN], among=[lookup.lost_rows(ledger.view)])
        number = 0
        for job in self._pending():
            media = self._run.plan.catalog[job.operation].main.media
            made = pictures_of(job, self._run.layout.run_dir, media=media)
            if made:
                operation = self._run.plan.catalog[job.operation]
                number_made = len({item.index for item in made})
                units = bill_of(job.request, operation, (), made=number_made).units
                result = JobResult(status=JobStatus.SUCCEEDED, artifacts=made, units=units)
                await ledger.record_result(job, result, at=self._run.now())
                number += 1
        if number:
            say(f"{count_of(number, 'job')} that the ledger had lost are on disk")

    async def find_rest(self) -> bool:
        """Whether the run may send what is pending. If not, it is stopped with the reason."""
        waiting = {job.operation for job in self._pending()}
        if self._run.options.resubmit_unknown or not waiting:
            return True
        from dsrun.service.transports import open_transport  # noqa: PLC0415  # start-up: aiohttp
        from dsrun.session.wiring import build_lister  # noqa: PLC0415  # as above

        async with open_transport() as transport:
            lister = build_lister(transport, self._run, self._control)
            try:
                faults = [
                    fault
                    for name in sorted(waiting)
                    if (fault := await self._compare(self._run.plan.catalog[name], lister))
                ]
            except Left:
                return False
        if faults:
            self._control.stop(self._words(faults), ExitCode.INCOMPLETE)
            return False
        say(
            f"{self._loss()}: the service has nothing that this ledger does not know, and the run "
            "goes on"
        )
        return True

    async def _compare(self, operation: Operation, lister: Lister) -> str:
        """Why jobs of the operation must not be sent; empty where they may."""
        recovery = operation.recovery
        try:
            if isinstance(recovery, MadeList):
                await self._adopt_made(operation, recovery, lister)
                return self._late_words(operation.name)
            if isinstance(recovery, TaskList):
                return await self._compare_tasks(operation.name, recovery, lister)
        except Unlisted as unlisted:
            return f"{operation.name}: {unlisted.reason}"
        return f"{operation.name}: the service has no list of what this operation makes"

    async def _compare_tasks(self, name: str, recovery: TaskList, lister: Lister) -> str:
        since = self._since()
        if since is not None and self._run.clock.now().timestamp() - since > _LISTED_S:
            return (
                f"{name}: the service lists the tasks of one day, and what is lost may be older "
                f"(since {self._run.ledger.mark.lost_since})"
            )
        listing = await lister.tasks(recovery.model_name, {})
        names = [row.name for row in listing.rows]
        claimed = self._run.claims.claimed(name, names, job_id="")
        strange = [
            row
            for row in listing.rows
            if row.name not in claimed and not row.is_unpaid and _is_since(row, since)
        ]
        return f"{name}: {_told(strange)}" if strange else ""

    def _late_words(self, name: str) -> str:
        """What is made of others is not recognized, since what they gave may be lost too."""
        late = unsent_late(self._run.ledger.view, *_LATE, operation=name)
        words = "jobs that are made of others cannot be recognized in the service's list"
        return f"{name}: {words}" if next(late, None) else ""

    async def _adopt_made(self, operation: Operation, recovery: MadeList, lister: Lister) -> None:
        """What was made is recognized by the texts of its request, which only one job has."""
        limiter = RateLimiter(operation.limits.rate, clock=self._run.clock)
        since = self._run.ledger.mark.lost_since
        now = self._run.now()
        for job in self._run.ledger.view.open_jobs(operation=operation.name):
            if job.status is not JobStatus.PENDING:
                continue
            listing = await lister.made(operation, recovery, job.request, limiter)
            names = [row.name for row in listing.rows]
            claimed = self._run.claims.claimed(operation.name, names, job_id=job.job_id)
            made: MadeRow | NotFound | None = next(
                (row for row in listing.rows if row.name not in claimed), None
            )
            if since is not None:
                doubt = doubt_of(job.job_id, since, now, None)
                made = find_made(doubt, listing.rows, claimed=claimed)
            if isinstance(made, MadeRow):
                await self._record_made(job, made, at=now)

    async def _record_made(self, job: OpenJob, made: MadeRow, *, at: str) -> None:
        operation = self._run.plan.catalog[job.operation]
        words = f"it was made, but the ledger had lost its answer and with it {made.lost}"
        result = JobResult(
            status=JobStatus.PARTIAL,
            output=made.output,
            error=JobError(code="AnswerLost", message=words, kind="partial"),
            units=bill_of(job.request, operation, (), made=1).units,
        )
        await self._run.ledger.record_result(job, result, at=at)
        say(f"{job.stems[0][0]}: {made.name} was found in the service's list")

    def _pending(self) -> Iterator[OpenJob]:
        view = self._run.ledger.view
        for name in view.operations():
            for job in view.open_jobs(operation=name):
                if job.status is JobStatus.PENDING:
                    yield job
            yield from unsent_late(view, *_LATE, operation=name)

    def _since(self) -> float | None:
        """The time before which nothing was lost: the newest facts go missing first."""
        since = self._run.ledger.mark.lost_since
        return None if since is None else epoch(since)

    def _loss(self) -> str:
        number = self._run.ledger.mark.lost
        return f"the ledger has lost {count_of(number, 'fact') if number else 'its newest facts'}"

    def _words(self, faults: Sequence[str]) -> str:
        since = self._run.ledger.mark.lost_since
        newest = f" (the newest that it has is of {since})" if since else ""
        jobs = count_of(sum(1 for _ in self._pending()), "job")
        return (
            f"{self._loss()}{newest}, so {jobs} that it calls pending may be paid already, and "
            f"nothing was sent. {'; '.join(faults)}. Put the ledger's -wal file or a newer copy of "
            "the run directory back and run again; or look at the tasks in the console, and if "
            "they are none of this run, or you will pay for them again, --resubmit-unknown sends "
            "what is pending"
        )


def _is_since(row: TaskRow, since: float | None) -> bool:
    if since is None or not row.made_at:
        return True
    return max(row.made_at) >= since - _SKEW_S


def _told(strange: Sequence[TaskRow]) -> str:
    tasks = count_of(len(strange), "task")
    moments = sorted(moment for row in strange for moment in row.made_at[:1])
    when = ""
    if moments:
        first, last = (stamp(datetime.fromtimestamp(at, UTC)) for at in (moments[0], moments[-1]))
        when = f", made at {first}" if first == last else f", made from {first} to {last}"
    ids = ", ".join(row.name for row in strange[:_SHOWN])
    more = f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
    return f"the service has {tasks} that no ledger here knows{when}: {ids}{more}"
