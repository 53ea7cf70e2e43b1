"""The create request of a job: intent first, then the request, then the task id, on disk."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import NamedTuple

import orjson

from dsrun.common.clock import stamp
from dsrun.common.doubt import Doubt, doubt_of
from dsrun.common.errors import AnswerLost, ExitCode, NotSent, ProxyRefused, SetupError
from dsrun.common.models import JobError, JobResult, JobStatus, Json, OpenJob
from dsrun.common.pointer import resolve
from dsrun.engine.backoff import retry_delay
from dsrun.engine.control import Left, RunControl
from dsrun.engine.limits import Lane
from dsrun.engine.matching import Trace
from dsrun.engine.ports import Clock, GenerationApi, JobUploads, KnownTasks, Recorder
from dsrun.engine.reconcile import Reconciler, Undecided
from dsrun.service.classify import Decision, Verdict
from dsrun.service.operation import MadeList, Operation
from dsrun.service.replies import Answer, holds_result, name_of_made, task_id_of
from dsrun.service.request import price_of


class Submitted(NamedTuple):
    """A task that was accepted; `doubt` where its answer was lost, and the service listed it."""

    task_id: str
    reserved: Decimal
    doubt: Doubt | None = None

    @property
    def is_new(self) -> bool:
        """Accepted just now, so that its result takes a while."""
        return self.doubt is None


class Answered(NamedTuple):
    """A create of an operation that answers at once, accepted."""

    answer: Answer
    reserved: Decimal


class Lost(NamedTuple):
    """A create that may have been accepted."""

    words: str
    request_id: str | None = None
    is_foreign: bool = False  # what answered may not be the API
    is_slow: bool = False  # nobody waited for it to the end


Outcome = Submitted | Answered | JobResult


_IS_IT_RIGHT = "is the base URL right?"
_STOPPED = "dsrun was stopped before the answer came"


class Refused(Exception):
    """The service said no, for more than this job."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.message)
        self.verdict = verdict


class _InDoubt(NamedTuple):
    """A lost create that is to be looked for, with what is set aside for it."""

    lost: Lost
    doubt: Doubt
    reserved: Decimal


class Submitter:
    """Sends creates. Never sends one whose predecessor may have been accepted."""

    def __init__(
        self,
        *,
        api: GenerationApi,
        recorder: Recorder,
        reconciler: Reconciler,
        uploads: JobUploads,
        control: RunControl,
        clock: Clock,
        rng: Random,
        max_attempts: int,
        is_valid: Callable[[str, Json], bool],
        ledger: KnownTasks,
        run_id: int,
        resubmit_unknown: bool = False,
    ) -> None:
        """`resubmit_unknown`: send again what an earlier run left in doubt and nobody finds."""
        self._ledger = ledger
        self._run_id = run_id
        self._heard: set[str] = set()  # operations to which the API itself has answered
        self._being_recorded: set[str] = set()  # task ids on their way to the ledger
        self._made: dict[str, set[str]] = {}  # names of what was made at once, by operation
        self._api = api
        self._reconciler = reconciler
        self._uploads = uploads
        self._resubmit_unknown = resubmit_unknown
        self._recorder = recorder
        self._control = control
        self._clock = clock
        self._rng = rng
        self._max_attempts = max_attempts
        self._is_valid = is_valid
        self._began_at = stamp(clock.now())

    async def submit(self, job: OpenJob, lane: Lane) -> Outcome:
        """The accepted create, or how the job ended. Raises Left when the run stops first."""
        attempt = 0
        if job.status is JobStatus.SUBMITTING:
            earlier = await self._settle_earlier(job, lane)
            if not isinstance(earlier, Verdict):
                return earlier
        while True:
            ready = await self._uploads.prepare(job, lane.operation)
            if isinstance(ready, JobResult):
                return ready
            outcome = await self._try_once(ready, lane)
            if isinstance(outcome, _InDoubt):
                outcome = await self._settle(ready, lane, outcome)
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

    async def _settle_earlier(self, job: OpenJob, lane: Lane) -> Outcome | Verdict:
        """A create of an earlier run whose answer nobody has; a Verdict where it was not paid."""
        reserved = price_of(orjson.loads(job.body), lane.operation)  # counted when the run began
        doubt = doubt_of(
            job.job_id,
            job.submitted_at or "",
            job.lost_at,
            job.request_id,
            run_id=job.run_id,
            next_run_at=self._began_at,
        )
        lost = Lost("its answer was lost in an earlier run" if job.lost_at else _STOPPED)
        resubmit = self._resubmit_unknown
        return await self._look(job, lane, _InDoubt(lost, doubt, reserved), resubmit=resubmit)

    async def _settle(self, job: OpenJob, lane: Lane, doubt: _InDoubt) -> Outcome | Verdict:
        """What became of a create that was lost just now."""
        try:
            return await self._look(job, lane, doubt)
        finally:
            lane.end_doubt()

    async def _try_once(self, job: OpenJob, lane: Lane) -> Outcome | Verdict | _InDoubt:
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
            outcome: Outcome | Verdict | _InDoubt | None = None
            try:
                began = self._clock.now()
                await self._recorder.record_intent(job, at=stamp(began))
                sent = await self._send(job, lane, reserved)
                if not isinstance(sent, Lost):
                    outcome = sent
                else:
                    outcome = await self._note_lost(job, sent, began, reserved)
                    lane.begin_doubt()  # before the next create can have its turn
            except Refused as refused:
                outcome = refused.verdict
                raise Left from refused
            else:
                return outcome
            finally:
                if not _may_be_paid(outcome):
                    self._control.budget.settle(reserved, Decimal(0))

    async def _note_lost(
        self, job: OpenJob, lost: Lost, began: datetime, reserved: Decimal
    ) -> _InDoubt:
        at = stamp(self._clock.now())
        await self._recorder.record_lost(job, at=at, message=lost.words, request_id=lost.request_id)
        doubt = doubt_of(
            job.job_id,
            stamp(began),
            at,
            lost.request_id,
            run_id=self._run_id,
            is_slow=lost.is_slow,
        )
        return _InDoubt(lost, doubt, reserved)

    async def _look(
        self, job: OpenJob, lane: Lane, in_doubt: _InDoubt, *, resubmit: bool = False
    ) -> Outcome | Verdict:
        """Find the create at the service; a Verdict says that it is not there.

        `resubmit`: the user wants it sent where the service cannot tell.
        """
        lost, doubt, reserved = in_doubt
        found = await self._reconciler.find(job, lane, doubt)
        while isinstance(found, Trace):
            if found.name not in self._being_recorded and not self._ledger.has_task(found.name):
                return await self._adopt(job, lane.operation, found, in_doubt)
            found = await self._reconciler.find(job, lane, doubt)  # another has it meanwhile
        is_silent = found is not None and self._is_silent(found, lost, lane)
        if found is None or (resubmit and (found.is_foreign or not is_silent)):
            verdict = Verdict(
                decision=Decision.RETRY, code="AnswerLost", message=f"{lost.words}; not accepted"
            )
            self._control.budget.settle(reserved, Decimal(0))
            if found is not None:
                await self._recorder.record_abandoned(job)
            return await self._refused(job, lane, verdict)
        words = f"{lost.words}; {found.reason}"
        if is_silent:
            is_elsewhere = lost.is_foreign or found.is_foreign
            hint = f"; {_IS_IT_RIGHT}" if is_elsewhere else ""
            self._control.stop(f"{words}{hint}", ExitCode.INCOMPLETE)
            raise Left
        return self._unknown(words, lost.request_id)

    def _is_silent(self, undecided: Undecided, lost: Lost, lane: Lane) -> bool:
        """Whether a later run may find out, since nothing has answered as the API does."""
        if not undecided.is_foreign:
            return undecided.is_silent
        name = lane.operation.name
        is_heard = name in self._heard or self._ledger.has_accepted(name)
        return lost.is_foreign and not is_heard

    async def _adopt(
        self, job: OpenJob, operation: Operation, found: Trace, in_doubt: _InDoubt
    ) -> Outcome:
        """The create was accepted: what it made is this job's."""
        reserved = in_doubt.reserved
        recovery = operation.recovery
        if not isinstance(recovery, MadeList):
            self._being_recorded.add(found.name)
            try:
                await self._record_task(job, found.name, found.request_id, found=True)
            finally:
                self._being_recorded.discard(found.name)
            return Submitted(found.name, reserved, in_doubt.doubt)
        self._control.budget.settle(reserved, reserved)
        self._control.note_failure()
        words = f"it was made, but its answer was lost and with it {recovery.lost}"
        return JobResult(
            status=JobStatus.PARTIAL,
            output={name: resolve(found.item, at) for name, at in recovery.outputs.items()},
            error=JobError(code="AnswerLost", message=words, kind="partial"),
            units=1,
        )

    async def _record_task(
        self, job: OpenJob, task_id: str, request_id: str | None, *, found: bool = False
    ) -> None:
        try:
            await self._recorder.record_task(
                job,
                task_id=task_id,
                request_id=request_id,
                at=stamp(self._clock.now()),
                found=found,
            )
        except SetupError as error:
            # The ledger has the intent alone, so the words are all that names the task.
            raise SetupError(f"{error} Job {job.job_id[:12]} is task {task_id}.") from error

    async def _send(self, job: OpenJob, lane: Lane, reserved: Decimal) -> Outcome | Verdict | Lost:
        """One create; what it became is on disk before anything else happens to the job."""
        try:
            answer = await self._api.create(lane.operation, job.body)
        except NotSent as error:
            tries = 1 if isinstance(error, ProxyRefused) else None
            verdict = Verdict(
                decision=Decision.RETRY, code="NotSent", message=str(error), tries=tries
            )
            return await self._refused(job, lane, verdict)
        except AnswerLost as error:
            return Lost(str(error), is_slow=isinstance(error.__cause__, TimeoutError))
        verdict, request_id = answer.verdict, answer.request_id or None
        lane.learn(verdict, self._control)
        if verdict.decision is Decision.AMBIGUOUS:
            words = f"{verdict.code}: {verdict.message}"
            if verdict.is_foreign:  # its request id, too, may be that of a gateway
                return Lost(words, is_foreign=True)
            return Lost(words, request_id, is_slow=True)
        if verdict.decision is not Decision.ACCEPTED:
            self._heard.add(lane.operation.name)
            return await self._refused(job, lane, verdict)
        if lane.operation.protocol != "task":
            return self._take_answer(lane.operation, answer, reserved)
        task_id = task_id_of(answer.payload)
        if task_id is None:
            return Lost("the answer names no task", is_foreign=True)
        return await self._take_task(job, lane, task_id, request_id, reserved)

    def _take_answer(
        self, operation: Operation, answer: Answer, reserved: Decimal
    ) -> Answered | Lost:
        """What an answer brings at once, unless a create before this one has brought it."""
        if not holds_result(operation, answer.payload):
            return Lost("the answer holds nothing that was made", is_foreign=True)
        name = name_of_made(operation, answer.payload)
        if name is not None:
            if operation.name not in self._made:
                output = next(iter(operation.outputs))
                self._made[operation.name] = self._ledger.made_names(operation.name, output)
            if name in self._made[operation.name]:
                return Lost(f"the answer names {name}, which an earlier create was given")
            self._made[operation.name].add(name)
        self._heard.add(operation.name)
        return Answered(answer, reserved)

    async def _take_task(
        self, job: OpenJob, lane: Lane, task_id: str, request_id: str | None, reserved: Decimal
    ) -> Outcome | Lost:
        """The task that an answer names, unless a create before this one was given it."""
        if task_id in self._being_recorded or self._ledger.has_task(task_id):
            return Lost(f"the answer names task {task_id}, which an earlier create was given")
        self._heard.add(lane.operation.name)
        self._being_recorded.add(task_id)
        try:
            await self._record_task(job, task_id, request_id)
        finally:
            self._being_recorded.discard(task_id)
        return Submitted(task_id, reserved)

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

    def _unknown(self, words: str, request_id: str | None) -> JobResult:
        """It may have been accepted and paid; sending it again is the user's decision."""
        self._control.note_failure()
        error = JobError(code="AnswerLost", message=words, kind="unknown")
        return JobResult(status=JobStatus.UNKNOWN, error=error, request_id=request_id)

    def _failed(self, code: str, message: str) -> JobResult:
        """Counted while this job still holds the turn, so that the next one sees it."""
        self._control.note_failure()
        error = JobError(code=code, message=message, kind="job")
        return JobResult(status=JobStatus.FAILED, error=error)


def _may_be_paid(outcome: Outcome | Verdict | _InDoubt | None) -> bool:
    if isinstance(outcome, JobResult):
        return outcome.status in (JobStatus.UNKNOWN, JobStatus.PARTIAL)
    return not isinstance(outcome, Verdict)
