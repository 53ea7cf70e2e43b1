"""Tries tasks again that failed at the service, where the manifest asks for it.

Each try is a create like any other: its price is set aside first, and it is counted in the ledger,
so that a run that goes on after a kill does not begin to count anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from dsrun.common.clock import Clock, stamp
from dsrun.common.models import JobError, JobResult, JobStatus, OpenJob
from dsrun.engine.backoff import retry_delay
from dsrun.engine.control import Reserved, RunControl
from dsrun.engine.ports import Recorder
from dsrun.engine.submit import may_go_by_upload
from dsrun.service.classify import Decision, fits_code
from dsrun.service.operation import Operation
from dsrun.service.replies import error_decision, is_services_own


class FailedTasks:
    """Knows how often each job was tried again, and whether it may be once more."""

    def __init__(
        self,
        *,
        most: int,
        codes: Sequence[str] | None,
        tried: Mapping[str, int],
        recorder: Recorder,
        control: RunControl,
        clock: Clock,
        rng: Random,
    ) -> None:
        """`most`: further tries of a job; `codes` None: those that are the service's own failures.

        `tried`: further tries that earlier runs have begun, by job.
        """
        self._most = most
        self._codes = codes
        self._tried = dict(tried)
        self._recorder = recorder
        self._control = control
        self._clock = clock
        self._rng = rng

    def allow(self, job: OpenJob, operation: Operation, result: JobResult) -> bool:
        """Whether a job may be sent again whose task has ended in this way.

        A task that was only found in a list may be another's, and the job's own may still live. One
        that another run directory sent is that run's to try again: the caller sees to it.
        """
        error = result.error
        if result.status is not JobStatus.FAILED or error is None or job.is_found:
            return False
        if self._tried.get(job.job_id, 0) >= self._most:
            return False
        is_by_upload = not result.units and may_go_by_upload(job, operation, error.code)
        return not is_by_upload and self._is_meant(error)

    async def begin(
        self, job: OpenJob, operation: Operation, result: JobResult, reserved: Reserved
    ) -> OpenJob:
        """The job, to be sent once more; on disk it is pending. Raises Left when the run stops."""
        await self._recorder.record_retry(job, result, at=stamp(self._clock.now()))
        self._control.budget.settle(reserved, operation.price.of(result.units).amount)
        tries = self._tried[job.job_id] = self._tried.get(job.job_id, 0) + 1
        with self._control.interruptible():
            await self._clock.sleep(retry_delay(tries, rng=self._rng))
        return replace(job, status=JobStatus.PENDING, task_id=None, request_id=None, lost_at=None)

    def _is_meant(self, error: JobError) -> bool:
        if error_decision(error) in (Decision.STOP, Decision.MODEL):
            return False  # nothing of its kind can succeed
        if self._codes is None:
            return is_services_own(error)
        return any(fits_code(error.code, glob) for glob in self._codes)
