"""The create request of a job: intent first, then the request, then the task id, on disk."""

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import NamedTuple

import orjson

from dsrun.answers import Answer, task_id_of
from dsrun.backoff import retry_delay
from dsrun.clock import stamp
from dsrun.control import Left, RunControl
from dsrun.errors import AnswerLost, ExitCode, NotSent, SetupError
from dsrun.fills import price_of
from dsrun.lane import Lane
from dsrun.ports import Clock, GenerationApi, Recorder
from dsrun.records import JobError, JobResult, JobStatus, Json, OpenJob, Operation
from dsrun.verdict import Decision, Verdict


class Submitted(NamedTuple):
    """An accepted create. `task_id` is None for an operation that answers at once."""

    answer: Answer
    task_id: str | None
    reserved: Decimal


class Refused(Exception):
    """The service said no, for more than this job."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.message)
        self.verdict = verdict


class Submitter:
    """Sends creates. Never sends one whose predecessor may have been accepted."""

    def __init__(
        self,
        *,
        api: GenerationApi,
        recorder: Recorder,
        control: RunControl,
        clock: Clock,
        rng: Random,
        max_attempts: int,
        is_valid: Callable[[str, Json], bool],
    ) -> None:
        self._api = api
        self._recorder = recorder
        self._control = control
        self._clock = clock
        self._rng = rng
        self._max_attempts = max_attempts
        self._is_valid = is_valid

    async def submit(self, job: OpenJob, lane: Lane) -> Submitted | JobResult:
        """The accepted create, or how the job ended. Raises Left when the run stops first."""
        attempt = 0
        while True:
            outcome = await self._try_once(job, lane)
            if not isinstance(outcome, Verdict):
                return outcome
            if outcome.decision is Decision.THROTTLE:
                continue
            attempt += 1
            if attempt >= min(self._max_attempts, outcome.tries or self._max_attempts):
                return self._give_up(outcome)
            async with self._control.interruptible():
                await self._clock.sleep(
                    retry_delay(attempt, rng=self._rng, retry_after_s=outcome.retry_after_s)
                )

    async def _try_once(self, job: OpenJob, lane: Lane) -> Submitted | JobResult | Verdict:
        """One create; a Verdict asks for another try."""
        operation = lane.operation
        async with lane.turn(self._control):
            self._control.check(operation.name)
            request = orjson.loads(job.body)
            if not self._is_valid(operation.name, request):
                return self._failed(
                    "InvalidRequest", "the request does not meet the operation's schema"
                )
            reserved = self._reserve(request, operation)
            outcome: Submitted | JobResult | Verdict | None = None
            try:
                await self._recorder.record_intent(job, at=stamp(self._clock.now()))
                answer = await self._send(job, lane)
                outcome = await self._accept(job, operation, answer, reserved)
            except Refused as refused:
                outcome = refused.verdict
                raise Left from refused
            else:
                return outcome
            finally:
                if not _may_be_paid(outcome):
                    self._control.budget.settle(reserved, Decimal(0))

    async def _accept(
        self,
        job: OpenJob,
        operation: Operation,
        answer: Answer | JobResult | Verdict,
        reserved: Decimal,
    ) -> Submitted | JobResult | Verdict:
        """Commit the task of an accepted create before anything else happens to the job."""
        if not isinstance(answer, Answer):
            return answer
        task_id = task_id_of(answer.payload) if operation.protocol == "task" else None
        if task_id is not None:
            await self._record_task(job, task_id, answer.request_id)
        elif operation.protocol == "task":
            return self._unknown("the answer names no task", answer.request_id)
        return Submitted(answer, task_id, reserved)

    async def _record_task(self, job: OpenJob, task_id: str, request_id: str) -> None:
        try:
            await self._recorder.record_task(
                job, task_id=task_id, request_id=request_id, at=stamp(self._clock.now())
            )
        except SetupError as error:
            # The ledger has the intent alone, so the words are all that names the task.
            raise SetupError(f"{error} Job {job.job_id[:12]} is task {task_id}.") from error

    async def _send(self, job: OpenJob, lane: Lane) -> Answer | JobResult | Verdict:
        try:
            answer = await self._api.create(lane.operation, job.body)
        except NotSent as error:
            verdict = Verdict(decision=Decision.RETRY, code="NotSent", message=str(error))
            return await self._refused(job, lane, verdict)
        except AnswerLost as error:
            return self._unknown(str(error))
        verdict = answer.verdict
        lane.learn(verdict, self._control)
        if verdict.decision is Decision.ACCEPTED:
            return answer
        if verdict.decision is Decision.AMBIGUOUS:
            if verdict.is_foreign:
                self._control.stop(
                    f"{verdict.message}; is the base URL right?", ExitCode.INCOMPLETE
                )
            return self._unknown(f"{verdict.code}: {verdict.message}", answer.request_id)
        return await self._refused(job, lane, verdict)

    async def _refused(self, job: OpenJob, lane: Lane, verdict: Verdict) -> JobResult | Verdict:
        """The service said no, or never heard of it: nothing was paid."""
        await self._recorder.record_refusal(
            job,
            at=stamp(self._clock.now()),
            code=verdict.code,
            message=verdict.message,
            counts=verdict.decision is not Decision.THROTTLE,
        )
        words = f"{verdict.code}: {verdict.message}"
        if verdict.decision is Decision.STOP:
            self._control.stop(words, ExitCode.INCOMPLETE)
            raise Refused(verdict)
        if verdict.decision is Decision.MODEL:
            self._control.close_operation(lane.operation.name, words)
            raise Refused(verdict)
        if verdict.decision is Decision.JOB:
            return self._failed(verdict.code, verdict.message)
        return verdict

    def _give_up(self, verdict: Verdict) -> JobResult:
        """No answer came in all tries: the surroundings are broken, not the job."""
        if verdict.code == "NotSent":
            self._control.stop(verdict.message, ExitCode.INCOMPLETE)
            raise Left
        return self._failed(verdict.code, verdict.message)

    def _reserve(self, request: Json, operation: Operation) -> Decimal:
        amount = price_of(request, operation)
        budget = self._control.budget
        if not budget.reserve(amount):
            self._control.stop(
                f"max_cost of {budget.limit} {operation.price.currency} would be passed: "
                f"{budget.spent} spent, {budget.under_way} under way, the next job costs {amount}",
                ExitCode.INCOMPLETE,
            )
            raise Left
        return amount

    def _unknown(self, words: str, request_id: str = "") -> JobResult:
        """It may have been accepted and paid; sending it again is the user's decision."""
        self._control.note_failure()
        error = JobError(code="AnswerLost", message=words, kind="unknown")
        return JobResult(status=JobStatus.UNKNOWN, error=error, request_id=request_id or None)

    def _failed(self, code: str, message: str) -> JobResult:
        """Counted while this job still holds the turn, so that the next one sees it."""
        self._control.note_failure()
        error = JobError(code=code, message=message, kind="job")
        return JobResult(status=JobStatus.FAILED, error=error)


def _may_be_paid(outcome: Submitted | JobResult | Verdict | None) -> bool:
    if isinstance(outcome, JobResult):
        return outcome.status is JobStatus.UNKNOWN
    return outcome is None or isinstance(outcome, Submitted)
