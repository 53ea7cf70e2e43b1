"""Waiting for a paid task, within the account's rate of questions."""

from datetime import datetime
from random import Random
from typing import NoReturn

import orjson

from dsrun.common.clock import stamp
from dsrun.common.errors import AnswerLost, ExitCode, NotSent, ProxyRefused
from dsrun.common.models import OpenJob
from dsrun.engine.backoff import next_poll_delay
from dsrun.engine.control import Left, RunControl
from dsrun.engine.limits import Lane, RateLimiter
from dsrun.engine.ports import Clock, GenerationApi, Recorder
from dsrun.service.classify import Decision, Verdict
from dsrun.service.operation import Operation
from dsrun.service.replies import (
    Answer,
    TaskPhase,
    entries,
    names_task_status,
    task_duration_s,
    task_phase,
)
from dsrun.service.request import artifact_count

_ODD_ASKED = 3  # a task is believed gone, or empty, when it was so many times in a row
_FOREIGN_IN_A_ROW = 30  # answers to questions for several tasks: the API is not there
_UNANSWERED = 40  # questions without a usable answer before a later run is left to ask
_JITTER = 0.1
_RECORD_LIFE_S = 86400.0  # of a task at the service, from its create
_LAST_CALL_S = 3600.0  # a task so near the end of its life is asked for before the others


class Poller:
    """Asks for tasks until they end. All jobs of a run share one, and its rate."""

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
        self._trouble = ""  # the last, of any task
        self._foreign: list[str] = []  # tasks of the last answers that were not the API's

    async def wait(self, job: OpenJob, task_id: str, lane: Lane, *, fresh: bool) -> Answer | None:
        """The answer of an ended task; None where it got none for as long as a task lives.

        Raises Left when the run or the time ends first. `fresh`: the task was made just now, so
        that a first question can wait.
        """
        advised = lane.estimate.first_s()
        delay = advised if fresh else 0.0
        born = self._clock.monotonic() - self._age_s(job, fresh=fresh)
        deadline, last_call = born + self._timeout_s, born + _RECORD_LIFE_S - _LAST_CALL_S
        factor = lane.operation.polling.factor if lane.operation.polling else 1.5
        odd = unanswered = 0
        while True:
            answer = await self._ask(job, task_id, delay, last_call=last_call)
            unanswered = unanswered + 1 if answer is None else 0
            if answer is not None:
                phase = task_phase(answer.payload)
                odd = odd + 1 if _is_odd(job, phase, answer, lane.operation) else 0
                if phase is not TaskPhase.WAITING and odd in (0, _ODD_ASKED):
                    self._learn(lane, answer)
                    return answer
            now = self._clock.monotonic()
            if unanswered >= _ODD_ASKED and now >= born + _RECORD_LIFE_S:
                return None
            if now >= deadline:
                self._leave(f"task {task_id} has not ended within {self._timeout_s:g} s")
            if unanswered == _UNANSWERED:
                self._leave(f"the service does not answer for task {task_id}: {self._trouble}")
            delay = next_poll_delay(delay, factor=factor, max_s=lane.max_poll_s)
            if odd or not fresh:
                # A task that is made or missed already gets the operation's own pace.
                delay = max(delay, advised)

    def _leave(self, reason: str) -> NoReturn:
        self._control.note_unfetched(reason)
        raise Left

    async def _ask(
        self, job: OpenJob, task_id: str, delay: float, *, last_call: float
    ) -> Answer | None:
        """One question; None where it got no usable answer and must be put again."""
        async with self._control.interruptible(paid=True):
            await self._clock.sleep(delay * self._rng.uniform(1 - _JITTER, 1 + _JITTER))
            try:
                answer = await self._query(task_id, last_call)
            except (NotSent, AnswerLost) as error:
                await self._note(job, str(error))
                if isinstance(error, ProxyRefused):
                    self._control.stop(str(error), ExitCode.INCOMPLETE)
                    raise Left from error
                return None
        verdict = answer.verdict
        # An ended task may carry its error at the top, where a refused query has its own.
        if verdict.decision is Decision.ACCEPTED or names_task_status(answer.payload):
            self._limiter.speed_up()
            self._foreign.clear()
            return answer
        words = f"{verdict.code}: {verdict.message}"
        await self._note(job, words)
        self._heed_foreign(task_id, verdict, words)
        if verdict.decision in (Decision.STOP, Decision.MODEL):
            self._control.stop(words, ExitCode.INCOMPLETE)
            raise Left
        return None

    def _heed_foreign(self, task_id: str, verdict: Verdict, words: str) -> None:
        """One task may be answered for by a gateway; where all are, nobody can be asked."""
        if not verdict.is_foreign:
            self._foreign.clear()
            return
        self._foreign.append(task_id)
        if len(self._foreign) >= _FOREIGN_IN_A_ROW and len(set(self._foreign)) > 1:
            hint = "is the base URL right, or does a proxy or firewall stand before the API?"
            self._control.stop(f"{words}; {hint}", ExitCode.INCOMPLETE)
            self._control.end_grace()
            raise Left

    async def _query(self, task_id: str, last_call: float) -> Answer:
        """One answer that is no refusal for the rate: such ones slow all questions down."""
        while True:
            urgent = self._clock.monotonic() >= last_call
            await self._limiter.take(urgent=urgent)
            try:
                answer = await self._api.query(task_id)
            finally:
                self._limiter.give_back()
            verdict = answer.verdict
            if not verdict.is_crowded or names_task_status(answer.payload):
                return answer
            self._limiter.slow_down(verdict.retry_after_s)
            if reason := self._limiter.hopeless():
                words = f"{verdict.code}: {verdict.message} Task queries are throttled: {reason}"
                self._control.stop(words, ExitCode.INCOMPLETE)
                self._control.end_grace()  # else thousands would each wait for a turn to be refused
                raise Left

    async def _note(self, job: OpenJob, words: str) -> None:
        self._trouble = words
        await self._recorder.record_trouble(
            job, at=stamp(self._clock.now()), phase="query", message=words
        )

    def _age_s(self, job: OpenJob, *, fresh: bool) -> float:
        """A task of an earlier run has used up part of its time."""
        if fresh or not job.submitted_at:
            return 0.0
        made = datetime.fromisoformat(job.submitted_at)
        return max(0.0, (self._clock.now() - made).total_seconds())

    def _learn(self, lane: Lane, answer: Answer) -> None:
        duration = task_duration_s(answer.payload)
        if duration is not None:
            lane.estimate.learn(duration)


def _is_odd(job: OpenJob, phase: TaskPhase, answer: Answer, operation: Operation) -> bool:
    """Whether the same question may be answered differently a moment later."""
    if phase is not TaskPhase.SUCCEEDED:
        return phase is TaskPhase.GONE
    told = sum(entry.is_told for entry in entries(operation, answer.payload))
    return told < artifact_count(orjson.loads(job.body), operation)
