"""Waiting for a paid task, within the account's rate of questions."""

from datetime import datetime
from random import Random
from typing import NamedTuple, NoReturn

from dsrun.common.clock import Clock, stamp
from dsrun.common.errors import AnswerLost, ExitCode, NotSent, ProxyRefused
from dsrun.common.models import OpenJob
from dsrun.engine.backoff import next_poll_delay
from dsrun.engine.control import Left, RunControl
from dsrun.engine.limits import Lane, RateLimiter
from dsrun.engine.ports import GenerationApi, Recorder
from dsrun.service.classify import Decision, Verdict
from dsrun.service.operation import Operation
from dsrun.service.replies import Done, Ended, Gone, Refused, Running
from dsrun.service.request import artifact_count
from dsrun.service.results import Missing

_ODD_ASKED = 3  # times in a row that a task must be gone, or empty, to be believed
_FOREIGN_IN_A_ROW = 30  # answers that are not the API's, about several tasks: it is not there
_UNANSWERED = 40  # questions in a row without a usable answer, before it is left to a later run
_JITTER = 0.1  # only longer: a question just before the expected end is put in vain
_FACTOR = 1.5  # between two questions, where the operation names none
_RECORD_LIFE_S = 86400.0  # of a task at the service, from its create
_LAST_CALL_S = 3600.0  # before the end of its life, from which a task is asked for first


class Poller:
    """Asks for tasks until they end. All jobs of a run share one poller, and its rate."""

    def __init__(
        self,
        *,
        api: GenerationApi,
        recorder: Recorder,
        control: RunControl,
        clock: Clock,
        rng: Random,
        limiter: RateLimiter,
        timeout_s: float,
    ) -> None:
        self._api = api
        self._recorder = recorder
        self._control = control
        self._clock = clock
        self._rng = rng
        self._limiter = limiter
        self._timeout_s = timeout_s
        self._trouble = ""  # the latest, of any task
        self._foreign: list[str] = []  # tasks of the latest answers that were not the API's

    async def wait(self, job: OpenJob, task_id: str, lane: Lane, *, fresh: bool) -> Ended | None:
        """How the task ended; None where nobody answered for it for as long as a task lives.

        Raises Left when the run or the time ends first. `fresh`: the task was made just now, so
        that a first question can wait.
        """
        operation, advised_s = lane.operation, lane.estimate.first_s()
        delay_s = advised_s if fresh else 0.0
        life = self._life(job, fresh=fresh)
        odd = unanswered = 0  # answers in a row
        while True:
            answer = await self._ask(job, task_id, operation, delay_s, last_call=life.last_call)
            if answer is None:
                unanswered += 1
            else:
                unanswered = 0
                odd = odd + 1 if _is_odd(job, answer, operation) else 0
                # An answer that may change in a moment is believed once it has come several times.
                if not isinstance(answer, Running) and odd in (0, _ODD_ASKED):
                    _learn(lane, answer)
                    return answer
            now = self._clock.monotonic()
            if unanswered >= _ODD_ASKED and now >= life.end:
                return None
            if now >= life.deadline:
                self._leave(f"task {task_id} has not ended within {self._timeout_s:g} s")
            if unanswered == _UNANSWERED:
                self._leave(f"the service does not answer for task {task_id}: {self._trouble}")
            delay_s = next_poll_delay(delay_s, factor=_factor(operation), max_s=lane.max_poll_s)
            if odd or not fresh:
                # A task that may have ended already is asked for at the operation's own pace.
                delay_s = max(delay_s, advised_s)

    def _leave(self, reason: str) -> NoReturn:
        self._control.note_unfetched(reason)
        raise Left

    async def _ask(
        self, job: OpenJob, task_id: str, operation: Operation, delay_s: float, *, last_call: float
    ) -> Running | Ended | None:
        """Ask once; None where there was no usable answer and the question must be put again."""
        with self._control.interruptible(paid=True):
            if delay_s > 0:
                await self._clock.sleep(delay_s * self._rng.uniform(1, 1 + _JITTER))
            try:
                answer = await self._query(operation, task_id, last_call)
            except (NotSent, AnswerLost) as error:
                await self._note(job, str(error))
                if isinstance(error, ProxyRefused):
                    self._control.stop(str(error), ExitCode.INCOMPLETE)
                    raise Left from error
                return None
        if not isinstance(answer, Refused):
            self._limiter.speed_up()
            self._foreign.clear()
            return answer
        verdict = answer.verdict
        await self._note(job, verdict.words)
        self._heed_foreign(task_id, verdict)
        if verdict.decision in (Decision.STOP, Decision.MODEL):
            self._control.stop(verdict.words, ExitCode.INCOMPLETE)
            raise Left
        return None

    def _heed_foreign(self, task_id: str, verdict: Verdict) -> None:
        """A gateway may answer for one task; where it answers for all, there is nobody to ask."""
        if not verdict.is_foreign:
            self._foreign.clear()
            return
        self._foreign.append(task_id)
        if len(self._foreign) >= _FOREIGN_IN_A_ROW and len(set(self._foreign)) > 1:
            hint = "is the base URL right, or does a proxy or firewall stand before the API?"
            self._control.stop(f"{verdict.words}; {hint}", ExitCode.INCOMPLETE)
            self._control.end_grace()
            raise Left

    async def _query(
        self, operation: Operation, task_id: str, last_call: float
    ) -> Running | Ended | Refused:
        """Ask until it is not refused for the rate; each such refusal slows all questions down."""
        while True:
            urgent = self._clock.monotonic() >= last_call
            await self._limiter.take(urgent=urgent)
            try:
                answer = await self._api.query(operation, task_id)
            finally:
                self._limiter.give_back()
            if not isinstance(answer, Refused) or not answer.verdict.is_crowded:
                return answer
            verdict = answer.verdict
            self._limiter.slow_down(verdict.retry_after_s)
            if reason := self._limiter.hopeless():
                words = f"{verdict.words} Task queries are throttled: {reason}"
                self._control.stop(words, ExitCode.INCOMPLETE)
                self._control.end_grace()  # else thousands would each wait for a turn to be refused
                raise Left

    async def _note(self, job: OpenJob, words: str) -> None:
        self._trouble = words
        await self._recorder.record_trouble(
            job, at=stamp(self._clock.now()), phase="query", message=words
        )

    def _life(self, job: OpenJob, *, fresh: bool) -> "_Life":
        """The times of the job's task; one of an earlier run has used up part of its life."""
        age_s = 0.0
        if job.submitted_at and not fresh:
            made_at = datetime.fromisoformat(job.submitted_at)
            age_s = max(0.0, (self._clock.now() - made_at).total_seconds())
        born = self._clock.monotonic() - age_s
        return _Life(
            deadline=born + self._timeout_s,
            last_call=born + _RECORD_LIFE_S - _LAST_CALL_S,
            end=born + _RECORD_LIFE_S,
        )


class _Life(NamedTuple):
    """The times of a task, by the monotonic clock."""

    deadline: float  # until when a run waits for it
    last_call: float  # from when it is asked for before the others
    end: float  # when the service forgets it


def _factor(operation: Operation) -> float:
    return operation.polling.factor if operation.polling else _FACTOR


def _learn(lane: Lane, answer: Ended) -> None:
    if answer.took_s is not None:
        lane.estimate.learn(answer.took_s)


def _is_odd(job: OpenJob, answer: Running | Ended, operation: Operation) -> bool:
    """Whether the same question may be answered differently a moment later."""
    if not isinstance(answer, Done):
        return isinstance(answer, Gone)
    if answer.failure is not None:
        return False
    untold = sum(isinstance(each, Missing) and not each.is_told for each in answer.main)
    is_bound = operation.main.asked.at_most
    asked = 1 if is_bound else artifact_count(job.request, operation)
    return len(answer.main) - untold < asked
