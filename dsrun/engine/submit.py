"""Sends the create request of a job: the intent is on disk before it, the task id right after."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import NamedTuple

import orjson

from dsrun.common.clock import Clock, stamp
from dsrun.common.doubt import LATE_S, Doubt, doubt_of
from dsrun.common.errors import AnswerLost, ExitCode, FileChanged, NotSent, ProxyRefused, SetupError
from dsrun.common.models import JobError, JobResult, JobStatus, Json, OpenJob
from dsrun.common.units import Money, plain
from dsrun.engine.amounts import planned_amount, reserved_before
from dsrun.engine.backoff import retry_delay
from dsrun.engine.control import Left, Reserved, RunControl
from dsrun.engine.limits import Lane
from dsrun.engine.matching import Listed
from dsrun.engine.places import come_back, step_aside
from dsrun.engine.ports import GenerationApi, JobUploads, KnownTasks, Recorder
from dsrun.engine.reconcile import Reconciler, Undecided
from dsrun.service.classify import Decision, Verdict
from dsrun.service.kept_answer import KeptAnswer, addresses_of, write_answer
from dsrun.service.lists import TaskRow
from dsrun.service.operation import MadeList, Operation, Repeat
from dsrun.service.replies import Accepted, Done, Lost, Refused, verdict_of
from dsrun.service.request import bill_of, planned_units
from dsrun.service.results import Address


class Submitted(NamedTuple):
    """An accepted task; `doubt` where its answer was lost and the task was found in a list."""

    task_id: str
    reserved: Reserved
    doubt: Doubt | None = None

    @property
    def is_new(self) -> bool:
        """Whether it was accepted just now, so that its result takes a while."""
        return self.doubt is None


class Answered(NamedTuple):
    """An accepted create that was answered with its results; the ledger has them."""

    kept: KeptAnswer
    reserved: Reserved


Outcome = Submitted | Answered | JobResult


_FOR_MORE_THAN_THIS_JOB = (Decision.STOP, Decision.MODEL)
_IS_IT_RIGHT = "is the base URL right?"
_STOPPED = "dsrun was stopped before the answer came"
_MOST_GIVEN = 10_000


class _InDoubt(NamedTuple):
    """A lost create, with what is needed to look for it and what its price has set aside."""

    lost: Lost
    doubt: Doubt
    reserved: Reserved


class Submitter:
    """Sends creates, and never one again that may have been accepted."""

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
        broken_rules: Callable[[str, Json], str],
        ledger: KnownTasks,
        run_id: int,
        repeat_below: Money,
        resubmit_unknown: bool = False,
    ) -> None:
        """`broken_rules`: in words, what a request breaks of an operation's schema, if anything.

        `resubmit_unknown`: send again what an earlier run left in doubt and nobody finds.
        What costs more than `repeat_below` is never sent again because its operation repeats.
        """
        self._repeat_below = repeat_below
        self._ledger = ledger
        self._run_id = run_id
        self._heard: set[str] = set()  # operations to which the API itself has answered
        self._being_recorded: set[str] = set()  # task ids on their way to the ledger
        self._made: dict[str, set[str]] = {}  # names of what was made at once, by operation
        self._given: dict[int, None] = {}  # the latest answers with addresses, by their hashes
        self._api = api
        self._reconciler = reconciler
        self._uploads = uploads
        self._resubmit_unknown = resubmit_unknown
        self._recorder = recorder
        self._control = control
        self._clock = clock
        self._rng = rng
        self._max_attempts = max_attempts
        self._broken_rules = broken_rules
        self._began_at = stamp(clock.now())

    async def submit(self, job: OpenJob, lane: Lane) -> Outcome:
        """The accepted create, or how the job ended. Raises Left when the run stops first."""
        attempt = 0
        if job.status is JobStatus.SUBMITTING:
            earlier = await self._settle_earlier(job, lane)
            if isinstance(earlier, OpenJob):
                job = earlier
            elif not isinstance(earlier, Verdict):
                return earlier
        while True:
            outcome = await self._attempt(job, lane, attempt)
            if not isinstance(outcome, Submitted):
                lane.end_task(job)
            if isinstance(outcome, OpenJob):
                job, attempt = outcome, attempt + 1
                continue
            if not isinstance(outcome, Verdict):
                return outcome
            if outcome.decision is Decision.THROTTLE:
                continue
            attempt += 1
            if attempt >= min(self._max_attempts, outcome.tries or self._max_attempts):
                return self._give_up(outcome)
            with self._control.interruptible():
                await self._clock.sleep(
                    retry_delay(attempt, rng=self._rng, retry_after_s=outcome.retry_after_s)
                )

    async def _attempt(self, job: OpenJob, lane: Lane, number: int) -> Outcome | Verdict | OpenJob:
        """What becomes of one create; an OpenJob is sent once more, a Verdict after a pause."""
        await self._while_paused()
        ready = await self._uploads.prepare(job, lane.operation)
        if isinstance(ready, JobResult):
            return ready
        outcome = await self._try_once(ready, lane)
        if not isinstance(outcome, _InDoubt):
            return outcome
        try:
            if number + 1 < self._max_attempts and self._may_repeat(job, lane.operation):
                return await self._repeat(job, lane)
            return await self._look(ready, lane, outcome)
        finally:
            lane.end_doubt()

    async def _while_paused(self) -> None:
        """Upload nothing while creates are held back, and leave the place to what is under way."""
        if self._control.is_paused:
            step_aside()
            with self._control.interruptible():
                await self._control.unpaused()
                await come_back()

    async def _settle_earlier(self, job: OpenJob, lane: Lane) -> Outcome | Verdict | OpenJob:
        """What became of a create whose answer an earlier run lost; a Verdict: nothing was paid."""
        if self._may_repeat(job, lane.operation):
            return await self._repeat(job, lane)
        reserved = reserved_before(job, lane.operation)  # counted when the run began
        doubt = doubt_of(
            job.job_id,
            job.submitted_at or "",
            job.lost_at,
            job.request_id,
            run_id=job.run_id,
            next_run_at=self._began_at,
        )
        self._keep_apart(lane, doubt)
        lost = Lost("its answer was lost in an earlier run" if job.lost_at else _STOPPED)
        resubmit = self._resubmit_unknown
        return await self._look(job, lane, _InDoubt(lost, doubt, reserved), resubmit=resubmit)

    def _keep_apart(self, lane: Lane, doubt: Doubt) -> None:
        """Keep the creates of this run away from one that an earlier run has lost."""
        gone_at = doubt.lost_at if doubt.is_seen else doubt.until - LATE_S
        is_dated = self._reconciler.is_dated(lane.operation, doubt.run_id)
        lane.keep_apart(self._clock.now().timestamp() - gone_at, is_dated=is_dated)

    def _may_repeat(self, job: OpenJob, operation: Operation) -> bool:
        """Whether a lost create may be sent again although nobody can tell what became of it."""
        recovery, most = operation.recovery, self._repeat_below
        if not isinstance(recovery, Repeat) or job.repeats >= recovery.times:
            return False
        if not job.planned and planned_units(job.request, operation) is None:
            return False  # what nobody can tell may be dear
        price = planned_amount(job, operation)
        return operation.price.currency == most.currency and price <= most.amount

    async def repeat(self, job: OpenJob, lane: Lane) -> OpenJob | None:
        """The job, to be sent again since what its answer held is lost; None where it may not."""
        return await self._repeat(job, lane) if self._may_repeat(job, lane.operation) else None

    async def _repeat(self, job: OpenJob, lane: Lane) -> OpenJob:
        """Have it sent again; what was set aside for it stays so, since it may be paid."""
        self._control.check(lane.operation.name)
        await self._recorder.record_repeat(job, at=stamp(self._clock.now()))
        return replace(job, repeats=job.repeats + 1)

    async def _try_once(self, job: OpenJob, lane: Lane) -> Outcome | Verdict | _InDoubt:
        """Send one create; a Verdict asks for another try.

        The money set aside for it is released only once it is certain that nothing was paid.
        """
        operation = lane.operation
        async with lane.turn(self._control, job):
            self._control.check(operation.name)
            try:
                body = self._uploads.body(job, operation)
            except FileChanged as error:
                return self._failed("FileChanged", str(error))
            request = orjson.loads(body)
            if broken := self._broken_rules(operation.name, request):
                return self._failed("InvalidRequest", broken)
            began = self._clock.now()
            reserved = self._reserve(job, operation, at=stamp(began))
            await self._recorder.record_intent(job, at=stamp(began))
            sent = await self._send(job, body, lane, reserved)
            if isinstance(sent, Lost):
                in_doubt = await self._note_lost(job, sent, began, reserved)
                # Before the next create can have its turn.
                lane.begin_doubt(is_foreign=sent.is_foreign)
                return in_doubt
            if not _may_be_paid(sent):
                self._control.budget.settle(reserved, Decimal(0))
            if isinstance(sent, Verdict) and sent.decision in _FOR_MORE_THAN_THIS_JOB:
                raise Left
            return sent

    async def _note_lost(
        self, job: OpenJob, lost: Lost, began: datetime, reserved: Reserved
    ) -> _InDoubt:
        at = stamp(self._clock.now())
        request_id = lost.request_id or None
        await self._recorder.record_lost(job, at=at, message=lost.words, request_id=request_id)
        doubt = doubt_of(
            job.job_id,
            stamp(began),
            at,
            request_id,
            run_id=self._run_id,
            is_slow=lost.is_slow,
        )
        return _InDoubt(lost, doubt, reserved)

    async def _look(
        self, job: OpenJob, lane: Lane, in_doubt: _InDoubt, *, resubmit: bool = False
    ) -> Outcome | Verdict:
        """Look for the create at the service; a Verdict says that it is not there.

        `resubmit`: the user wants it sent again where nobody can decide.
        """
        lost, doubt, reserved = in_doubt
        fate = await self._reconciler.find(job, lane, doubt)
        while not isinstance(fate, Undecided | None):
            if not self._is_taken(fate.name):
                return await self._adopt(job, fate, lane.operation, in_doubt)
            fate = await self._reconciler.find(job, lane, doubt)
        is_silent = fate is not None and self._is_silent(fate, lost, lane)
        if fate is None or (resubmit and (fate.is_foreign or not is_silent)):
            verdict = Verdict(
                decision=Decision.RETRY, code="AnswerLost", message=f"{lost.words}; not accepted"
            )
            if fate is None:
                self._control.budget.settle(reserved, Decimal(0))
            else:
                self._control.budget.give_up(reserved)
                await self._recorder.record_abandoned(job)
            return await self._refused(job, lane, verdict)
        words = f"{lost.words}; {fate.reason}"
        if is_silent:
            is_elsewhere = lost.is_foreign or fate.is_foreign
            hint = f"; {_IS_IT_RIGHT}" if is_elsewhere else ""
            self._control.stop(f"{words}{hint}", ExitCode.INCOMPLETE)
            raise Left
        return self._unknown(words, lost.request_id or None)

    def _is_taken(self, task_id: str) -> bool:
        """Whether another job has the task, or is about to."""
        return task_id in self._being_recorded or self._ledger.has_task(task_id)

    def _is_silent(self, undecided: Undecided, lost: Lost, lane: Lane) -> bool:
        """Whether a later run may find out, since nothing has answered as the API does."""
        if not undecided.is_foreign:
            return undecided.is_silent
        name = lane.operation.name
        is_heard = name in self._heard or self._ledger.has_accepted(name)
        return lost.is_foreign and not is_heard

    async def _adopt(
        self, job: OpenJob, listed: Listed, operation: Operation, in_doubt: _InDoubt
    ) -> Outcome:
        """Give the job what the service lists as made by its create."""
        reserved = in_doubt.reserved
        units = bill_of(job.request, operation, (), made=1, reserved=job.planned).units
        if isinstance(listed, TaskRow):
            await self._take(job, listed.name, listed.request_id, is_found=True)
            return Submitted(listed.name, reserved, in_doubt.doubt)
        self._control.budget.settle(reserved, operation.price.of(units).amount)
        if not listed.lost:
            return JobResult(status=JobStatus.SUCCEEDED, output=listed.output, units=units)
        self._control.note_failure()
        words = f"it was made, but its answer was lost and with it {listed.lost}"
        return JobResult(
            status=JobStatus.PARTIAL,
            output=listed.output,
            error=JobError(code="AnswerLost", message=words, kind="partial"),
            units=units,
        )

    async def _take(
        self, job: OpenJob, task_id: str, request_id: str | None, *, is_found: bool = False
    ) -> None:
        """Record the task as this job's; no other job takes it while the ledger writes."""
        self._being_recorded.add(task_id)
        try:
            await self._recorder.record_task(
                job,
                task_id=task_id,
                request_id=request_id,
                at=stamp(self._clock.now()),
                found=is_found,
            )
        except SetupError as error:
            # The ledger has the intent alone, so the words are all that names the task.
            raise SetupError(f"{error} Job {job.job_id[:12]} is task {task_id}.") from error
        finally:
            self._being_recorded.discard(task_id)

    async def _send(
        self, job: OpenJob, body: bytes, lane: Lane, reserved: Reserved
    ) -> Outcome | Verdict | Lost:
        """Send one create; what became of it is on disk before anything else happens to the job."""
        try:
            answer = await self._api.create(lane.operation, body)
        except NotSent as error:
            tries = 1 if isinstance(error, ProxyRefused) else None
            verdict = Verdict(
                decision=Decision.RETRY, code="NotSent", message=str(error), tries=tries
            )
            return await self._refused(job, lane, verdict)
        except AnswerLost as error:
            return Lost(str(error), is_slow=isinstance(error.__cause__, TimeoutError))
        lane.learn(verdict_of(answer), self._control)
        if isinstance(answer, Lost):
            return answer
        if isinstance(answer, Refused):
            self._heard.add(lane.operation.name)
            return await self._refused(job, lane, answer.verdict)
        if isinstance(answer, Done):
            return await self._take_done(job, lane.operation, answer, reserved)
        return await self._take_task(job, lane, answer, reserved)

    async def _take_done(
        self, job: OpenJob, operation: Operation, done: Done, reserved: Reserved
    ) -> Answered | Lost:
        """Take the result of an answer, unless an earlier create was given the same one."""
        name = _name_of_made(operation, done)
        if name is not None:
            if operation.name not in self._made:
                output = next(iter(operation.outputs))
                self._made[operation.name] = self._ledger.made_names(operation.name, output)
            if name in self._made[operation.name]:
                return Lost(f"the answer names {name}, which an earlier create was given")
            self._made[operation.name].add(name)
        if self._is_given(done):
            return Lost("the answer is one that an earlier create was given")
        self._heard.add(operation.name)
        now = self._clock.now()
        answer = write_answer(done, operation, at=now)
        try:
            await self._recorder.record_answer(
                job,
                answer=answer,
                output=done.output,
                request_id=done.request_id or None,
                at=stamp(now),
            )
        except SetupError as error:
            # The ledger has the intent alone, so the words are all that names the files.
            named = ", ".join(addresses_of(answer)) or "files in the answer itself, which are lost"
            words = f"Job {job.job_id[:12]} was answered with {named}."
            raise SetupError(f"{error} {words}") from error
        return Answered(KeptAnswer(done, now), reserved)

    def _is_given(self, done: Done) -> bool:
        """Whether what answered, such as a proxy, has given this very answer before.

        A file host may give equal files one address, so the id of the request counts too.
        """
        addresses = tuple(each.url for each in done.results if isinstance(each, Address))
        if not (addresses and done.request_id):
            return False
        key = hash((done.request_id, addresses))
        if key in self._given:
            return True
        self._given[key] = None
        if len(self._given) > _MOST_GIVEN:
            del self._given[next(iter(self._given))]
        return False

    async def _take_task(
        self, job: OpenJob, lane: Lane, accepted: Accepted, reserved: Reserved
    ) -> Submitted | Lost:
        """Take the task that an answer names, unless an earlier create was given it."""
        task_id = accepted.task_id
        if self._is_taken(task_id):
            return Lost(f"the answer names task {task_id}, which an earlier create was given")
        self._heard.add(lane.operation.name)
        lane.note_task()
        await self._take(job, task_id, accepted.request_id or None)
        return Submitted(task_id, reserved)

    async def _refused(self, job: OpenJob, lane: Lane, verdict: Verdict) -> JobResult | Verdict:
        """Record that the service said no, or never heard of it: nothing was paid."""
        await self._recorder.record_refusal(
            job,
            at=stamp(self._clock.now()),
            code=verdict.code,
            message=verdict.message,
            counts=verdict.decision is not Decision.THROTTLE,
        )
        if verdict.decision is Decision.STOP:
            self._control.stop(verdict.words, ExitCode.INCOMPLETE)
        if verdict.decision is Decision.MODEL:
            self._control.close_operation(lane.operation.name, verdict.words)
        if verdict.decision is Decision.JOB and may_go_by_upload(job, lane.operation, verdict.code):
            error = JobError(code=verdict.code, message=verdict.message, kind="job")
            return JobResult(status=JobStatus.FAILED, error=error)  # no failure yet
        if verdict.decision is Decision.JOB:
            return self._failed(verdict.code, verdict.message)
        return verdict

    def _give_up(self, verdict: Verdict) -> JobResult:
        """End the job after its last try; one that could not be sent is no fault of the job."""
        if verdict.code == "NotSent":
            self._control.stop(verdict.message, ExitCode.INCOMPLETE)
            raise Left
        return self._failed(verdict.code, verdict.message)

    def _reserve(self, job: OpenJob, operation: Operation, *, at: str) -> Reserved:
        amount, budget = planned_amount(job, operation), self._control.budget
        reserved = budget.reserve(amount, at=at)
        if reserved is None:
            self._control.stop_sending(
                budget.refusal
                or f"max_cost of {budget.limit} {operation.price.currency} would be passed: "
                f"{plain(budget.spent)} spent, {plain(budget.under_way)} under way, "
                f"the next job costs {plain(amount)}"
            )
            raise Left
        return reserved

    def _unknown(self, words: str, request_id: str | None) -> JobResult:
        """It may have been accepted and paid, so only the user can decide to send it again."""
        self._control.note_failure()
        error = JobError(code="AnswerLost", message=words, kind="unknown")
        return JobResult(status=JobStatus.UNKNOWN, error=error, request_id=request_id)

    def _failed(self, code: str, message: str) -> JobResult:
        """Counted while this job still holds the turn, so that the next one sees it."""
        self._control.note_failure()
        error = JobError(code=code, message=message, kind="job")
        return JobResult(status=JobStatus.FAILED, error=error)


def may_go_by_upload(job: OpenJob, operation: Operation, code: str) -> bool:
    """Whether a job failed since the service could not fetch its own file, and may upload it."""
    uploads = operation.uploads
    is_whole = job.part is None
    return job.has_addresses and is_whole and uploads is not None and code in uploads.lost


def _may_be_paid(outcome: Outcome | Verdict) -> bool:
    if isinstance(outcome, JobResult):
        return outcome.status in (JobStatus.UNKNOWN, JobStatus.PARTIAL)
    return not isinstance(outcome, Verdict)


def _name_of_made(operation: Operation, done: Done) -> str | None:
    """The name, such as that of a voice, under which a list shows what was made."""
    if not isinstance(operation.recovery, MadeList) or not done.output:
        return None
    name = next(iter(done.output.values()))
    return name if isinstance(name, str) and name else None
