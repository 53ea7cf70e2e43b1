"""One job's life, from the ledger's row to its result.

Whatever happens becomes a JobResult or leaves the job where the ledger has it; nothing but a
broken ledger, a broken disk or a bug comes out as an exception.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from dsrun.common.clock import Clock, stamp
from dsrun.common.digest import canonical_json
from dsrun.common.doubt import Doubt
from dsrun.common.errors import ExitCode, SetupError
from dsrun.common.models import Artifact, JobError, JobResult, JobStatus, Json, OpenJob, Part
from dsrun.common.pointer import resolve
from dsrun.common.units import Rate
from dsrun.engine.amounts import reserved_before
from dsrun.engine.control import Left, Reserved, RunControl
from dsrun.engine.failed_tasks import FailedTasks
from dsrun.engine.fetch import NOT_WRITTEN, Fetched, Fetcher
from dsrun.engine.limits import Lane, Pace
from dsrun.engine.matching import Evidence, weigh
from dsrun.engine.poll import Poller
from dsrun.engine.ports import JobUploads, LateRequests, Recorder
from dsrun.engine.submit import Answered, Submitter, may_go_by_upload
from dsrun.service.classify import Decision
from dsrun.service.kept_answer import KeptAnswer, read_answer
from dsrun.service.operation import Operation, TaskList
from dsrun.service.replies import (
    Done,
    Ended,
    Failed,
    Gone,
    error_decision,
    gravest,
)
from dsrun.service.request import artifact_count, bill_of, part_request, ranges_of
from dsrun.service.results import Address, Missing

_NOTHING = Reserved(Decimal(0))
_REFRESHES = 2  # of addresses that the file host no longer serves


class _Foreign(Exception):
    """A task that was found for a job was made by another request."""


class _DeadAddress(Exception):
    """The service does not serve a file any more that it has made; the ledger knows."""


class Runner:
    """Runs one job in each call; many calls run side by side."""

    def __init__(
        self,
        *,
        materials: LateRequests,
        uploads: JobUploads,
        submitter: Submitter,
        poller: Poller,
        fetcher: Fetcher,
        failed_tasks: FailedTasks,
        recorder: Recorder,
        lanes: Mapping[str, Lane],
        control: RunControl,
        clock: Clock,
    ) -> None:
        self._materials = materials
        self._uploads = uploads
        self._submitter = submitter
        self._poller = poller
        self._fetcher = fetcher
        self._failed_tasks = failed_tasks
        self._recorder = recorder
        self._lanes = lanes
        self._control = control
        self._clock = clock

    def pace(self, operation: str) -> Pace:
        """How fast creates of an operation may go now."""
        return self._lanes[operation].pace

    def order_rate(self, operation: str, rate: Rate) -> None:
        """Send creates of an operation at this rate at most from now on."""
        if operation in self._lanes:
            self._lanes[operation].order_rate(rate)

    async def run(self, job: OpenJob) -> JobResult | None:
        """How the job ended; None where it is left for a later run."""
        try:
            return await self._run(job)
        except Left:
            return None
        except SetupError as error:
            # The disk takes no more: submit nothing, but let what is under way end.
            self._control.stop(str(error), error.exit_code)
            return None

    async def _run(self, job: OpenJob) -> JobResult:
        lane = self._lanes[job.operation]
        ready = await self._materials.prepare(job, lane.operation)
        if isinstance(ready, JobResult):
            return await self._end(job, ready)
        if ready.part is not None:
            return await self._run_parts(ready, ready.part, lane)
        try:
            return await self._run_request(ready, lane)
        except _DeadAddress:  # once, and uncounted: the file is uploaded
            again = replace(
                job, status=JobStatus.PENDING, task_id=None, answer=None, lost_at=None,
                is_found=False, is_retry=False,
            )  # fmt: skip
            return await self._run(again)

    async def _run_parts(self, job: OpenJob, part: Part, lane: Lane) -> JobResult:
        """Ask for what is missing of a partial job, one request for each gap from `part` on."""
        result = await self._run_part(job, part, lane)
        end = part.first + part.count
        gaps = [gap for gap in ranges_of(part.missing) if gap[0] >= end]
        for first, count in gaps:
            if result.status is not JobStatus.PARTIAL:
                break
            came = {item.index for item in result.artifacts if not item.name}
            missing = tuple(index for index in part.missing if index not in came)
            part = Part(first=first, count=count, missing=missing)
            await self._recorder.reopen_part(job.job_id, first=first, count=count)
            job = replace(job, status=JobStatus.PENDING, task_id=None, answer=None)
            result = await self._run_part(job, part, lane)
        return result

    async def _run_part(self, job: OpenJob, part: Part, lane: Lane) -> JobResult:
        request = part_request(job.request, lane.operation, first=part.first, count=part.count)
        asking = replace(job, body=canonical_json(request), whole=job.body, part=part)
        return await self._run_request(asking, lane)

    async def _run_request(self, job: OpenJob, lane: Lane) -> JobResult:
        if job.task_id is not None:
            reserved = reserved_before(job, lane.operation)
            if job.is_retry:
                return await self._retry(job, job.task_id, lane, reserved)
            return await self._finish_task(job, job.task_id, lane, reserved, fresh=False)
        if job.answer is not None:
            reserved = reserved_before(job, lane.operation)
            return await self._finish_answer(job, lane, read_answer(job.answer), reserved)
        outcome = await self._submitter.submit(job, lane)
        if isinstance(outcome, JobResult):
            return await self._end(job, outcome, is_counted=True)
        if isinstance(outcome, Answered):
            return await self._finish_answer(job, lane, outcome.kept, outcome.reserved)
        if outcome.doubt is not None:
            job = _adopting(job, outcome.doubt)
        return await self._finish_task(
            job, outcome.task_id, lane, outcome.reserved, fresh=outcome.is_new
        )

    async def _finish_task(
        self, job: OpenJob, task_id: str, lane: Lane, reserved: Reserved, *, fresh: bool
    ) -> JobResult:
        operation = lane.operation
        answer = await self._see_out(job, task_id, lane, fresh=fresh)
        if answer is None:
            return await self._end(job, _unanswered(), operation=operation, reserved=reserved)
        if not isinstance(answer, Done):
            result = _unsuccessful(answer, job, operation)
            is_own = fresh or job.run_id is not None
            if is_own and self._failed_tasks.allow(job, operation, result):
                if result.error is not None:  # a dead address would fail each try
                    await self._uploads.forget_lost(job, operation, result.error.code)
                again = await self._failed_tasks.begin(job, operation, result, reserved)
                return await self._run_request(again, lane)
            return await self._end(job, result, operation=operation, reserved=reserved)
        try:
            result = await self._collect(job, task_id, lane, answer)
        except _Foreign as foreign:
            return await self._disown(job, task_id, lane, str(foreign))
        return await self._end(job, result, operation=operation, reserved=reserved)

    async def _see_out(
        self, job: OpenJob, task_id: str, lane: Lane, *, fresh: bool
    ) -> Ended | None:
        """How the task ended; until then it counts as open in its lane."""
        lane.add_task(job)
        answer = await self._poller.wait(job, task_id, lane, fresh=fresh)
        lane.end_task(job)
        return answer

    async def _disown(self, job: OpenJob, task_id: str, lane: Lane, words: str) -> JobResult:
        """Look again, since the task that was found for the job is another request's."""
        message = f"the task that was found was made by another request: {words}"
        await self._recorder.record_foreign(
            job, task_id=task_id, at=stamp(self._clock.now()), message=message
        )
        job = replace(job, status=JobStatus.SUBMITTING, task_id=None, is_found=False)
        return await self._run_request(job, lane)

    async def _retry(self, job: OpenJob, task_id: str, lane: Lane, reserved: Reserved) -> JobResult:
        """Ask for the task of a failed job once more, and send again what it does not have."""
        operation = lane.operation
        answer = await self._see_out(job, task_id, lane, fresh=False)
        if isinstance(answer, Done):
            try:
                result = await self._collect(job, task_id, lane, answer)
            except _Foreign as foreign:
                return await self._disown(replace(job, is_retry=False), task_id, lane, str(foreign))
            if result.status is JobStatus.SUCCEEDED:
                return await self._end(job, result, operation=operation, reserved=reserved)
            await self._recorder.record_result(job, result, at=stamp(self._clock.now()))
            came = (item.index for item in result.artifacts if not item.name)
            job = replace(job, have=(*job.have, *came))
        self._control.budget.settle(reserved, Decimal(0))
        job = replace(job, status=JobStatus.PENDING, task_id=None, is_retry=False)
        wanted = artifact_count(job.request, operation)
        missing = tuple(index for index in range(wanted) if index not in job.have)
        if not job.have:
            await self._recorder.forget_task(job)
            return await self._run_request(job, lane)
        first, count = ranges_of(missing)[0]
        await self._recorder.reopen_part(job.job_id, first=first, count=count)
        part = Part(first=first, count=count, missing=missing)
        return await self._run_parts(replace(job, part=part), part, lane)

    async def _collect(self, job: OpenJob, task_id: str, lane: Lane, done: Done) -> JobResult:
        """Fetch what a successful task made. Raises Left where a file will not come today.

        Raises _Foreign where a task that was only found shows to be another's.
        """
        operation, request = lane.operation, job.request
        if job.is_found and weigh(request, done.echoes) is Evidence.NOT_OURS:
            raise _Foreign("it says so")
        kept: list[Artifact] = []
        fetched = Fetched(())
        for refreshes_left in reversed(range(_REFRESHES + 1)):
            fetched = await self._fetcher.bring(
                job,
                operation,
                done.results,
                have=_had(job, kept),
                size=_asked_size(request, operation),
            )
            if fetched.is_anothers:
                raise _Foreign(f"its picture has {fetched.missing}")
            kept += fetched.artifacts
            if not fetched.missing:
                break
            if fetched.is_main_here and fetched.is_all_expired and not refreshes_left:
                break  # a further kind decides nothing
            if not (fetched.is_expired and refreshes_left):
                self._control.note_unfetched(fetched.missing)
                raise Left
            # The task gives new addresses, or is gone.
            answer = await self._see_out(job, task_id, lane, fresh=False)
            if not isinstance(answer, Done):
                result = _unanswered() if answer is None else _unsuccessful(answer, job, operation)
                return replace(result, artifacts=tuple(kept))
            done = answer
        done = _with_texts(done, self._fetcher.texts(operation, kept))
        return _result(job, operation, done, kept, fetched)

    async def _finish_answer(
        self, job: OpenJob, lane: Lane, answer: KeptAnswer, reserved: Reserved
    ) -> JobResult:
        """Fetch what a create was answered with, now or in an earlier run.

        Raises Left where a file will not come today. Nobody can be asked for another address.
        """
        operation, done = lane.operation, answer.done
        fetched = await self._fetcher.bring(job, operation, done.results, have=_had(job, ()))
        if _is_unwritten(fetched) and (again := await self._submitter.repeat(job, lane)):
            again = replace(again, status=JobStatus.PENDING, answer=None)
            return await self._run_request(again, lane)
        done = _with_texts(done, self._fetcher.texts(operation, fetched.artifacts))
        result = _result(job, operation, done, fetched.artifacts, fetched)
        if fetched.missing:
            if not answer.is_late(operation, now=self._clock.now()):
                self._control.note_unfetched(fetched.missing)
                raise Left
            if not fetched.is_main_here:
                result = _expired(result, fetched.missing)
        return await self._end(
            job,
            result,
            operation=operation,
            reserved=reserved,
            request_id=done.request_id or None,
        )

    async def _end(
        self,
        job: OpenJob,
        result: JobResult,
        *,
        operation: Operation | None = None,
        reserved: Reserved = _NOTHING,
        request_id: str | None = None,
        is_counted: bool = False,
    ) -> JobResult:
        called, error = self._lanes[job.operation].operation, result.error
        if error is not None and not result.units and may_go_by_upload(job, called, error.code):
            self._control.budget.settle(reserved, Decimal(0))
            await self._recorder.record_dead_addresses(
                job, at=stamp(self._clock.now()),
                message=f"the service cannot fetch its own file: {error.code}: {error.message}",
            )  # fmt: skip
            raise _DeadAddress
        if job.part is not None and result.status in (JobStatus.FAILED, JobStatus.CANCELLED):
            result = _kept(result)
        await self._recorder.record_result(
            job, result, at=stamp(self._clock.now()), request_id=request_id
        )
        if error is not None:
            await self._uploads.forget_lost(job, called, error.code)
        if operation is not None:
            if result.status is not JobStatus.UNKNOWN:  # else it may be paid, and stays set aside
                self._control.budget.settle(reserved, operation.price.of(result.units).amount)
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
    """The result where asking for missing artifacts has failed: the others are kept."""
    error = result.error and replace(result.error, kind="partial")
    return replace(result, status=JobStatus.PARTIAL, error=error)


def _had(job: OpenJob, kept: Sequence[Artifact]) -> set[tuple[str, int]]:
    """The files that need not be fetched again: by the name of their kind and their index."""
    return {*(("", index) for index in job.have), *((item.name, item.index) for item in kept)}


def _with_texts(done: Done, texts: Mapping[str, Json]) -> Done:
    """With the outputs that stand in files, beside those of the answer."""
    return replace(done, output={**(done.output or {}), **texts}) if texts else done


def _result(
    job: OpenJob, operation: Operation, done: Done, kept: Sequence[Artifact], fetched: Fetched
) -> JobResult:
    """How the job ended, of whose artifacts these were kept; the main kind alone decides."""
    asked = artifact_count(job.request, operation)
    if done.failure is not None:
        return JobResult(
            status=JobStatus.FAILED,
            error=done.failure,
            output=done.output,
            units=_billed_failure(job, operation, done, asked=asked),
        )
    came = {*job.have, *(item.index for item in kept if not item.name)}
    made = len(came)
    status, error = JobStatus.SUCCEEDED, None
    if not _is_whole(job, operation, came, fetched, asked=asked):
        reason = gravest(fetched.lacking)
        was_made = reason is not None and reason.code == NOT_WRITTEN
        has_some = job.part is not None or made > 0 or was_made or any((done.output or {}).values())
        status = JobStatus.PARTIAL if has_some else JobStatus.FAILED
        error = JobError(
            code=reason.code if reason else "Incomplete",
            message=reason.message if reason else f"{made} of {asked} results were given",
            kind="partial" if has_some else "job",
        )
    given = sum(not isinstance(each, Missing) for each in done.main)  # whether they came or not
    bill = bill_of(job.request, operation, done.billed, made=given, reserved=job.planned)
    return JobResult(
        status=status,
        artifacts=tuple(kept),
        output=done.output,
        error=error,
        units=bill.units,
        addresses=_addresses(job, done),
        warning="; ".join(filter(None, (bill.warning, *fetched.warnings))),
    )


def _addresses(job: OpenJob, done: Done) -> dict[int, str]:
    """Where the service keeps the files of the main kind, by their index in the job."""
    first = job.part.first if job.part else 0
    return {
        first + item.place: item.url
        for item in done.results
        if isinstance(item, Address) and item.kind == 0
    }


def _is_unwritten(fetched: Fetched) -> bool:
    """Whether an answer's files were lost with the run that had it, all of them."""
    has_some = any(not item.name for item in fetched.artifacts)
    return not has_some and any(each.code == NOT_WRITTEN for each in fetched.lacking)


def _is_whole(
    job: OpenJob, operation: Operation, came: set[int], fetched: Fetched, *, asked: int
) -> bool:
    """Whether nothing is missing of what was asked for."""
    if job.part is not None:
        return came.issuperset(job.part.missing)
    if operation.main.asked.at_most:
        return bool(came) and not fetched.lacking
    return len(came) >= asked


def _billed_failure(job: OpenJob, operation: Operation, done: Done, *, asked: int) -> int:
    if operation.success is None or not operation.success.billed:
        return 0
    request = job.request
    return bill_of(request, operation, done.billed, made=asked, reserved=job.planned).units


def _expired(result: JobResult, why: str) -> JobResult:
    """The result where the file host no longer keeps what an answer has named."""
    words = f"paid, lost: expired. Its address lives no longer, and nobody names another ({why})"
    is_some = bool(result.artifacts)
    return replace(
        result,
        status=JobStatus.PARTIAL if is_some else JobStatus.UNKNOWN,
        error=JobError(code="Expired", message=words, kind="partial" if is_some else "lost"),
        units=result.units if is_some else 0,  # what is unknown is in doubt, as a task would be
    )


def _adopting(job: OpenJob, doubt: Doubt) -> OpenJob:
    """The job as the ledger has it once its lost create is found."""
    since, lost_at = (datetime.fromtimestamp(at, UTC) for at in (doubt.since, doubt.lost_at))
    return replace(
        job,
        is_found=True,
        submitted_at=stamp(since),
        lost_at=stamp(lost_at) if doubt.is_seen else None,
        request_id=doubt.request_id,
        run_id=doubt.run_id,
    )


def _asked_size(request: Json, operation: Operation) -> tuple[int, int] | None:
    """The width and height that a request asks for, where the operation file says where."""
    recovery = operation.recovery
    at = recovery.size if isinstance(recovery, TaskList) else None
    width, _, height = str(resolve(request, at)).partition("*")
    return (int(width), int(height)) if width.isdecimal() and height.isdecimal() else None


def _unanswered() -> JobResult:
    words = "the service has not answered for this task for as long as a task's record lives"
    error = JobError(code="Unanswered", message=words, kind="lost")
    return JobResult(status=JobStatus.UNKNOWN, error=error)


def _unsuccessful(answer: Failed | Gone, job: OpenJob, operation: Operation) -> JobResult:
    if isinstance(answer, Gone):
        words = (
            "paid, lost: expired. The service does not know this task any more, or it was made "
            "with the key of another account"
        )
        return JobResult(
            status=JobStatus.UNKNOWN, error=JobError(code="UNKNOWN", message=words, kind="lost")
        )
    if answer.is_cancelled:
        return JobResult(status=JobStatus.CANCELLED, error=answer.error)
    bill = bill_of(
        job.request, operation, answer.billed, made=0, reserved=job.planned,
        is_failed=True,
    )  # fmt: skip
    return JobResult(
        status=JobStatus.FAILED, error=answer.error, units=bill.units, warning=bill.warning
    )
