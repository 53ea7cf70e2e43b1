"""One job's life, from the ledger's row to its result.

Whatever happens becomes a JobResult or leaves the job where the ledger has it; nothing but a
broken ledger, a broken disk or a bug comes out as an exception.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

import orjson

from dsrun.common.clock import Clock, stamp
from dsrun.common.digest import canonical_json
from dsrun.common.doubt import Doubt
from dsrun.common.errors import ExitCode, SetupError
from dsrun.common.models import Artifact, JobError, JobResult, JobStatus, Json, OpenJob, Part
from dsrun.common.pointer import resolve, value_at
from dsrun.engine.control import Left, RunControl
from dsrun.engine.fetch import Fetched, Fetcher
from dsrun.engine.limits import Lane, Pace
from dsrun.engine.matching import Evidence, weigh
from dsrun.engine.poll import Poller
from dsrun.engine.ports import JobUploads, Recorder
from dsrun.engine.submit import Answered, Submitter
from dsrun.service.classify import Decision
from dsrun.service.operation import Operation, TaskList
from dsrun.service.replies import (
    Answer,
    Entry,
    TaskPhase,
    billed_units,
    entries,
    error_decision,
    gravest,
    outputs,
    overbilled,
    task_error,
    task_phase,
)
from dsrun.service.request import artifact_count, part_request, price_of, ranges_of

_REFRESHES = 2  # of addresses that the file host does not serve


class _Foreign(Exception):
    """A task that was found for a job was made by another request."""


class Runner:
    """Runs one job a call; many calls run side by side."""

    def __init__(
        self,
        *,
        uploads: JobUploads,
        submitter: Submitter,
        poller: Poller,
        fetcher: Fetcher,
        recorder: Recorder,
        lanes: Mapping[str, Lane],
        control: RunControl,
        clock: Clock,
    ) -> None:
        self._uploads = uploads
        self._submitter = submitter
        self._poller = poller
        self._fetcher = fetcher
        self._recorder = recorder
        self._lanes = lanes
        self._control = control
        self._clock = clock

    def pace(self, operation: str) -> Pace:
        """How fast creates of an operation may go now."""
        return self._lanes[operation].limiter.pace

    async def run(self, job: OpenJob) -> JobResult | None:
        """How the job ended; None where it is left for a later run."""
        try:
            return await self._run(job)
        except Left:
            return None
        except SetupError as error:
            # The disk does not take it: submit no more, but let what is under way end.
            self._control.stop(str(error), error.exit_code)
            return None

    async def _run(self, job: OpenJob) -> JobResult:
        lane = self._lanes[job.operation]
        if job.part is None:
            return await self._run_request(job, lane)
        return await self._run_parts(job, job.part, lane)

    async def _run_parts(self, job: OpenJob, part: Part, lane: Lane) -> JobResult:
        """Ask for what is missing of a partial job, one request for each gap."""
        whole = orjson.loads(job.body)
        end = part.first + part.count
        ranges = [index_range for index_range in ranges_of(part.missing) if index_range[0] >= end]
        first, count = part.first, part.count
        while True:
            request = part_request(whole, lane.operation, first=first, count=count)
            asking = replace(job, body=canonical_json(request), whole=job.body)
            result = await self._run_request(asking, lane)
            if not ranges or result.status is not JobStatus.PARTIAL:
                return result
            came = {item.index for item in result.artifacts}
            missing = tuple(index for index in part.missing if index not in came)
            first, count = ranges.pop(0)
            await self._recorder.reopen_part(job.job_id, first=first, count=count)
            part = Part(first=first, count=count, missing=missing)
            job = replace(job, status=JobStatus.PENDING, task_id=None, part=part)

    async def _run_request(self, job: OpenJob, lane: Lane) -> JobResult:
        if job.task_id is not None:
            reserved = price_of(orjson.loads(job.body), lane.operation)
            if job.is_retry:
                return await self._retry(job, job.task_id, lane, reserved)
            return await self._finish_task(job, job.task_id, lane, reserved, fresh=False)
        outcome = await self._submitter.submit(job, lane)
        if isinstance(outcome, JobResult):
            return await self._end(job, outcome, is_counted=True)
        if isinstance(outcome, Answered):
            return await self._finish_now(job, lane.operation, outcome)
        if outcome.doubt is not None:
            job = _found(job, outcome.doubt)
        return await self._finish_task(
            job, outcome.task_id, lane, outcome.reserved, fresh=outcome.is_new
        )

    async def _finish_task(
        self, job: OpenJob, task_id: str, lane: Lane, reserved: Decimal, *, fresh: bool
    ) -> JobResult:
        operation = lane.operation
        answer = await self._poller.wait(job, task_id, lane, fresh=fresh)
        if answer is None:
            return await self._end(job, _unanswered(), operation=operation, reserved=reserved)
        phase = task_phase(answer.payload)
        if phase is not TaskPhase.SUCCEEDED:
            result = _unsuccessful(phase, answer)
            return await self._end(job, result, operation=operation, reserved=reserved)
        try:
            result = await self._collect(job, task_id, lane, answer)
        except _Foreign as foreign:
            return await self._disown(job, task_id, lane, str(foreign))
        return await self._end(job, result, operation=operation, reserved=reserved)

    async def _disown(self, job: OpenJob, task_id: str, lane: Lane, words: str) -> JobResult:
        """A task that was found for the job is another request's: look again."""
        message = f"the task that was found was made by another request: {words}"
        await self._recorder.record_foreign(
            job, task_id=task_id, at=stamp(self._clock.now()), message=message
        )
        job = replace(job, status=JobStatus.SUBMITTING, task_id=None, is_found=False)
        return await self._run_request(job, lane)

    async def _retry(self, job: OpenJob, task_id: str, lane: Lane, reserved: Decimal) -> JobResult:
        """Ask the task of a failed job once more; what it does not have is sent again."""
        operation = lane.operation
        answer = await self._poller.wait(job, task_id, lane, fresh=False)
        if answer is not None and task_phase(answer.payload) is TaskPhase.SUCCEEDED:
            try:
                result = await self._collect(job, task_id, lane, answer)
            except _Foreign as foreign:
                return await self._disown(replace(job, is_retry=False), task_id, lane, str(foreign))
            if result.status is JobStatus.SUCCEEDED:
                return await self._end(job, result, operation=operation, reserved=reserved)
            await self._recorder.record_result(job, result, at=stamp(self._clock.now()))
            job = replace(job, have=(*job.have, *(item.index for item in result.artifacts)))
        self._control.budget.settle(reserved, Decimal(0))
        job = replace(job, status=JobStatus.PENDING, task_id=None, is_retry=False)
        wanted = artifact_count(orjson.loads(job.body), operation)
        missing = tuple(index for index in range(wanted) if index not in job.have)
        if not job.have:
            await self._recorder.forget_task(job)
            return await self._run_request(job, lane)
        first, count = ranges_of(missing)[0]
        await self._recorder.reopen_part(job.job_id, first=first, count=count)
        part = Part(first=first, count=count, missing=missing)
        return await self._run_parts(replace(job, part=part), part, lane)

    async def _collect(self, job: OpenJob, task_id: str, lane: Lane, answer: Answer) -> JobResult:
        """Fetch what a successful task made. Raises Left where a file will not come today.

        Raises _Foreign where a task that was only found shows to be another's.
        """
        operation, request = lane.operation, orjson.loads(job.body)
        if job.is_found and _is_anothers(job, operation, answer):
            raise _Foreign("it says so")
        found = entries(operation, answer.payload)
        kept: list[Artifact] = []
        for refreshes_left in reversed(range(_REFRESHES + 1)):
            fetched = await self._fetcher.download(
                job,
                operation,
                found,
                seed=_first_seed(request, operation),
                first=job.part.first if job.part else 0,
                have={*job.have, *(item.index for item in kept)},
                size=_asked_size(request, operation),
            )
            if fetched.is_anothers:
                raise _Foreign(f"its picture has {fetched.missing}")
            kept += fetched.artifacts
            if not fetched.missing:
                break
            if not (fetched.is_expired and refreshes_left):
                self._control.note_unfetched(fetched.missing)
                raise Left
            # The task names its addresses anew, or says that it is gone.
            named_anew = await self._poller.wait(job, task_id, lane, fresh=False)
            if named_anew is None:
                return replace(_unanswered(), artifacts=tuple(kept))
            answer, phase = named_anew, task_phase(named_anew.payload)
            if phase is not TaskPhase.SUCCEEDED:
                return replace(_unsuccessful(phase, answer), artifacts=tuple(kept))
            found = entries(operation, answer.payload)
        wanted = _Wanted(found, artifact_count(request, operation))
        return _result(job, operation, answer.payload, Fetched(tuple(kept), ""), wanted)

    async def _finish_now(
        self, job: OpenJob, operation: Operation, submitted: Answered
    ) -> JobResult:
        """An operation that answered with its artifact in the body."""
        payload = submitted.answer.payload
        await self._recorder.record_answer(
            job,
            output=outputs(operation, payload),
            units=billed_units(operation, payload, made=1, asked=1),
            request_id=submitted.answer.request_id,
        )
        fetched = await self._fetcher.decode(job, operation, payload)
        found = [Entry(None, "NoAudio", fetched.missing)] if fetched.missing else []
        result = _result(job, operation, payload, fetched, _Wanted(found, 1))
        return await self._end(
            job,
            result,
            operation=operation,
            reserved=submitted.reserved,
            request_id=submitted.answer.request_id,
        )

    async def _end(
        self,
        job: OpenJob,
        result: JobResult,
        *,
        operation: Operation | None = None,
        reserved: Decimal = Decimal(0),
        request_id: str | None = None,
        is_counted: bool = False,
    ) -> JobResult:
        if job.part is not None and result.status in (JobStatus.FAILED, JobStatus.CANCELLED):
            result = _kept(result)
        await self._recorder.record_result(
            job, result, at=stamp(self._clock.now()), request_id=request_id
        )
        if result.error is not None:
            called = self._lanes[job.operation].operation
            await self._uploads.forget_lost(job, called, result.error.code)
        if operation is not None:
            self._control.budget.settle(reserved, operation.price.amount * result.units)
            if result.error is not None:
                self._heed(result.error, operation)
        if result.status is not JobStatus.SUCCEEDED and not is_counted:
            self._control.note_failure()
        return result

    def _heed(self, error: JobError, operation: Operation) -> None:
        """An error inside a task can mean as much as a refused create."""
        decision, words = error_decision(error), f"{error.code}: {error.message}"
        if decision is Decision.STOP:
            self._control.stop(words, ExitCode.INCOMPLETE)
        elif decision is Decision.MODEL:
            self._control.close_operation(operation.name, words)


def _kept(result: JobResult) -> JobResult:
    """Asking again for what is missing failed; what came before is kept."""
    error = result.error and replace(result.error, kind="partial")
    return replace(result, status=JobStatus.PARTIAL, error=error)


class _Wanted(NamedTuple):
    """What an answer names, and how many were asked for."""

    entries: list[Entry]
    number: int


def _result(
    job: OpenJob, operation: Operation, payload: Json, fetched: Fetched, wanted: _Wanted
) -> JobResult:
    came = {*job.have, *(item.index for item in fetched.artifacts)}
    made = len(came)
    refused = gravest(wanted.entries)
    status, error = JobStatus.SUCCEEDED, None
    named = outputs(operation, payload)
    is_whole = made >= wanted.number if job.part is None else came.issuperset(job.part.missing)
    if not is_whole:
        has_some = job.part is not None or made > 0 or (named is not None and any(named.values()))
        status = JobStatus.PARTIAL if has_some else JobStatus.FAILED
        error = JobError(
            code=refused.code if refused else "Incomplete",
            message=refused.message if refused else f"{made} of {wanted.number} results were given",
            kind="partial" if has_some else "job",
        )
    return JobResult(
        status=status,
        artifacts=fetched.artifacts,
        output=named,
        error=error,
        units=billed_units(operation, payload, made=made, asked=wanted.number),
        warning=overbilled(operation, payload, made=made, asked=wanted.number),
    )


def _found(job: OpenJob, doubt: Doubt) -> OpenJob:
    """The job as the ledger has it once its lost create was found."""
    since, lost_at = (datetime.fromtimestamp(at, UTC) for at in (doubt.since, doubt.lost_at))
    return replace(
        job,
        is_found=True,
        submitted_at=stamp(since),
        lost_at=stamp(lost_at) if doubt.is_seen else None,
        request_id=doubt.request_id,
        run_id=doubt.run_id,
    )


def _is_anothers(job: OpenJob, operation: Operation, answer: Answer) -> bool:
    recovery = operation.recovery
    if not isinstance(recovery, TaskList):
        return False
    request = orjson.loads(job.body)
    return weigh(request, answer.payload, recovery) is Evidence.NOT_OURS


def _asked_size(request: Json, operation: Operation) -> tuple[int, int] | None:
    """Width and height that a request asks for, where its operation says where they stand."""
    recovery = operation.recovery
    at = recovery.size if isinstance(recovery, TaskList) else None
    width, _, height = str(resolve(request, at)).partition("*")
    return (int(width), int(height)) if width.isdecimal() and height.isdecimal() else None


def _unanswered() -> JobResult:
    words = "the service has not answered for this task for as long as a task's record lives"
    error = JobError(code="Unanswered", message=words, kind="lost")
    return JobResult(status=JobStatus.UNKNOWN, error=error)


def _unsuccessful(phase: TaskPhase, answer: Answer) -> JobResult:
    if phase is TaskPhase.GONE:
        words = (
            "paid, lost: expired. The service does not know this task any more, or it was made "
            "with the key of another account"
        )
        return JobResult(
            status=JobStatus.UNKNOWN, error=JobError(code="UNKNOWN", message=words, kind="lost")
        )
    if phase is TaskPhase.CANCELLED:
        error = task_error(answer.payload, code="Cancelled", message="its task was cancelled")
        return JobResult(status=JobStatus.CANCELLED, error=error)
    return JobResult(status=JobStatus.FAILED, error=task_error(answer.payload))


def _first_seed(request: Json, operation: Operation) -> int | None:
    seed = value_at(request, operation.artifacts.seed)
    return seed if isinstance(seed, int) else None
