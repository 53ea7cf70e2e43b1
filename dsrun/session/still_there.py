"""Whether what a cached job has made is still at the service, such as a voice.

A voice can be deleted there while the cache has its name. Its list is asked once, which costs
nothing, before the first job is sent that uses it.
"""

import asyncio

from dsrun.common.models import JobError, JobResult, JobStatus, OpenJob
from dsrun.engine.control import RunControl
from dsrun.engine.limits import RateLimiter
from dsrun.engine.listing import Lister, Unlisted
from dsrun.ledger import lookup
from dsrun.ledger.lookup import CachedParent
from dsrun.service.operation import MadeList
from dsrun.session.open_run import OpenRun


class StillThere:
    """Asks for each cached job that others build on, once in a run."""

    def __init__(self, run: OpenRun, control: RunControl, lister: Lister) -> None:
        self._run = run
        self._control = control
        self._lister = lister
        self._asked: dict[str, asyncio.Task[bool]] = {}

    async def fail_if_gone(self, job: OpenJob) -> JobResult | None:
        """How a job ended that must not be sent; None where it may. Raises Left."""
        if self._run.options.emulate or job.status is not JobStatus.PENDING:
            return None
        for parent in lookup.cached_parents(self._run.ledger.view, job.job_id):
            if isinstance(self._run.plan.catalog[parent.operation].recovery, MadeList):
                if parent.job_id not in self._asked:
                    self._asked[parent.job_id] = asyncio.ensure_future(self._is_there(parent))
                if not await asyncio.shield(self._asked[parent.job_id]):
                    return await self._fail(job, parent)
        return None

    async def _is_there(self, parent: CachedParent) -> bool:
        """Also where the service cannot tell."""
        operation = self._run.plan.catalog[parent.operation]
        recovery = operation.recovery
        name = next(iter((parent.output or {}).values()), None)
        if not isinstance(recovery, MadeList) or name is None:
            return True
        limiter = RateLimiter(operation.limits.rate, clock=self._run.clock)
        try:
            listing = await self._lister.made(operation, recovery, parent.request, limiter)
        except Unlisted:
            return True
        return any(row.name == name for row in listing.rows)

    async def _fail(self, job: OpenJob, parent: CachedParent) -> JobResult:
        cost = self._run.plan.catalog[parent.operation].price.of(parent.planned)
        words = (
            f"the service has deleted what {parent.step} {parent.row} (job {parent.job_id[:12]}) "
            f"had made; a higher `take` in step {parent.step} makes it again, for {cost} each"
        )
        error = JobError(code="Deleted", message=words, kind="job")
        result = JobResult(status=JobStatus.FAILED, error=error)
        await self._run.ledger.record_result(job, result, at=self._run.now())
        self._control.note_failure()
        return result
