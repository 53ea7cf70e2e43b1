"""Tasks and their life: waiting, running, ended, forgotten.

Nothing here waits or wakes up: every call passes the time, and the schedule is computed up to it.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dsrun.emulator.faults import FaultDice
from dsrun.emulator.operations import Operation

RECORD_LIFE_S = 86400.0
SLOW_FACTOR = 10


class Status(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailment:
    """Why a task or one part of it fails."""

    code: str
    message: str


PART_AILMENTS = (
    Ailment(code="InternalError.Timeout", message="The picture was not produced in time."),
    Ailment(code="DataInspectionFailed", message="Output data may contain inappropriate content."),
)
TASK_AILMENT = Ailment(
    code="InternalError.Timeout", message="An internal timeout error has occurred during execution."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of a task; decided when it is accepted."""

    ailment: Ailment | None = None
    failed_parts: Mapping[int, Ailment] = field(default_factory=dict)
    is_stuck: bool = False
    is_slow: bool = False
    has_expired_urls: bool = False


@dataclass(slots=True, kw_only=True)
class Task:
    """`started_at` and `ended_at` are set once the task has a running place."""

    task_id: str
    request_id: str
    operation: Operation
    body: Mapping[str, Any]
    key_id: str
    parts: int
    seed: int
    fate: Fate
    submitted_at: float
    reference: bytes = b""
    started_at: float | None = None
    ended_at: float | None = None

    def status_at(self, now: float) -> Status:
        if self.started_at is None:
            return Status.PENDING if self.ended_at is None else Status.CANCELED
        if self.ended_at is None or now < self.ended_at:
            return Status.RUNNING
        return Status.FAILED if self.fate.ailment else Status.SUCCEEDED


class Lane:
    """The tasks of one operation in order of arrival, and its number of running places."""

    def __init__(self, *, places: int | None) -> None:
        self._places = places
        self._waiting: deque[Task] = deque()
        self._busy_until: list[float] = []

    def join(self, task: Task) -> None:
        self._waiting.append(task)

    def advance(self, now: float, *, queue_time_s: float, task_time_s: float) -> None:
        """Start every task whose start lies before `now`."""
        while self._waiting:
            task = self._waiting[0]
            if task.ended_at is None:
                start = max(task.submitted_at + queue_time_s, self._next_free())
                if start > now:
                    return
                self._start(task, start, task_time_s)
            self._waiting.popleft()

    def _next_free(self) -> float:
        is_full = self._places is not None and len(self._busy_until) >= self._places
        return self._busy_until[0] if is_full else -math.inf

    def _start(self, task: Task, start: float, task_time_s: float) -> None:
        task.started_at = start
        if task.fate.is_stuck:
            return
        task.ended_at = start + task_time_s * (SLOW_FACTOR if task.fate.is_slow else 1)
        if self._places is None:
            return
        if len(self._busy_until) >= self._places:
            heapq.heappop(self._busy_until)
        heapq.heappush(self._busy_until, task.ended_at)


class TaskStore:
    """All tasks of the last 24 hours, oldest first."""

    def __init__(self, *, queue_time_s: float, task_time_s: float, limits: bool) -> None:
        self._queue_time_s = queue_time_s
        self._task_time_s = task_time_s
        self._limits = limits
        self._tasks: dict[str, Task] = {}
        self._lanes: dict[str, Lane] = {}

    def add(self, task: Task) -> None:
        self._tasks[task.task_id] = task
        model = task.operation.model
        if model not in self._lanes:
            places = task.operation.running_tasks if self._limits else None
            self._lanes[model] = Lane(places=places)
        self._lanes[model].join(task)

    def find(self, task_id: str, *, now: float) -> Task | None:
        self._advance(now)
        return self._tasks.get(task_id)

    def newest_first(self, *, now: float) -> Iterator[Task]:
        self._advance(now)
        return reversed(self._tasks.values())

    def cancel(self, task_id: str, *, now: float) -> bool:
        """Cancel a waiting task; False where it is not waiting."""
        task = self.find(task_id, now=now)
        if task is None or task.status_at(now) is not Status.PENDING:
            return False
        task.ended_at = now
        return True

    def _advance(self, now: float) -> None:
        for lane in self._lanes.values():
            lane.advance(now, queue_time_s=self._queue_time_s, task_time_s=self._task_time_s)
        while self._tasks:
            oldest = next(iter(self._tasks.values()))
            if oldest.submitted_at + RECORD_LIFE_S > now:
                return
            del self._tasks[oldest.task_id]


def draw_fate(dice: FaultDice, *, parts: int, ailment: Ailment | None) -> Fate:
    """Roll the dice for the faults of tasks; a request with an ailment fails in any case."""
    if ailment is None and dice.strikes("failed-task"):
        ailment = TASK_AILMENT
    failed_parts: dict[int, Ailment] = {}
    if parts > 1 and dice.strikes("partial-task"):
        kept = dice.pick("partial-task", parts)
        count = 1 + dice.pick("partial-task", parts - 1)
        others = [part for part in range(parts) if part != kept]
        chosen = others[:count]
        failed_parts = {part: PART_AILMENTS[at % 2] for at, part in enumerate(chosen)}
    return Fate(
        ailment=ailment,
        failed_parts=failed_parts,
        is_stuck=dice.strikes("stuck-task"),
        is_slow=dice.strikes("slow-task"),
        has_expired_urls=dice.strikes("expired-url"),
    )
