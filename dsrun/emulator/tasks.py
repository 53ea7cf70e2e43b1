"""Tasks and their life: waiting, running, ended, forgotten.

Nothing here waits or wakes up: every call passes the time, and the schedule is computed up to it.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dsrun.emulator.faults import FaultDice
from dsrun.emulator.operations import Operation
from dsrun.emulator.wire import Refusal

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
    path: str
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


class Places:
    """Running places; None stands for any number of them."""

    def __init__(self, places: int | None) -> None:
        self._places = places
        self._busy_until: list[float] = []

    def next_free(self) -> float:
        is_full = self._places is not None and len(self._busy_until) >= self._places
        return self._busy_until[0] if is_full else -math.inf

    def take(self, until: float) -> None:
        if self._places is None:
            return
        if len(self._busy_until) >= self._places:
            heapq.heappop(self._busy_until)
        heapq.heappush(self._busy_until, until)


@dataclass(slots=True, kw_only=True)
class Lane:
    """The waiting tasks of a model in order of arrival; `places` are its own, then its group's."""

    places: Sequence[Places]
    waiting: deque[Task] = field(default_factory=deque)
    ends: list[float] = field(default_factory=list)

    def next_start(self, queue_time_s: float) -> tuple[float, float]:
        """When the next task starts, and when it came; infinite where none waits."""
        while self.waiting and self.waiting[0].ended_at is not None:
            self.waiting.popleft()
        if not self.waiting:
            return math.inf, math.inf
        submitted_at = self.waiting[0].submitted_at
        free = max(places.next_free() for places in self.places)
        return max(submitted_at + queue_time_s, free), submitted_at

    def start(self, moment: float, task_time_s: float) -> None:
        task = self.waiting.popleft()
        task.started_at = moment
        if not task.fate.is_stuck:
            task.ended_at = moment + task_time_s * (SLOW_FACTOR if task.fate.is_slow else 1)
            for places in self.places:
                places.take(task.ended_at)
        self._forget_ended(moment)
        heapq.heappush(self.ends, math.inf if task.ended_at is None else task.ended_at)

    def count_open(self, now: float) -> int:
        """How many tasks wait or run."""
        self._forget_ended(now)
        return len(self.ends) + sum(task.ended_at is None for task in self.waiting)

    def _forget_ended(self, now: float) -> None:
        while self.ends and self.ends[0] <= now:
            heapq.heappop(self.ends)


class TaskStore:
    """All tasks of the last 24 hours, oldest first."""

    def __init__(self, *, queue_time_s: float, task_time_s: float, limits: bool) -> None:
        self._queue_time_s = queue_time_s
        self._task_time_s = task_time_s
        self._limits = limits
        self._tasks: dict[str, Task] = {}
        self._lanes: dict[str, Lane] = {}
        self._groups: dict[str, Places] = {}

    def check_queue(self, limits: Mapping[str, Any], *, now: float) -> None:
        """Refuse a task of a lane where as many wait and run as its file allows."""
        most, lane = limits.get("queued_tasks"), limits["lane"]
        if not self._limits or most is None or lane not in self._lanes:
            return
        self._advance(now)
        if self._lanes[lane].count_open(now) >= most:
            raise Refusal(429, "Throttling", f"Too many tasks are waiting, at most {most} may.")

    def add(self, task: Task, limits: Mapping[str, Any]) -> None:
        """`limits` name the task's lane, and its group where it has one."""
        self._tasks[task.task_id] = task
        lane = limits["lane"]
        if lane not in self._lanes:
            self._lanes[lane] = Lane(places=self._places(limits if self._limits else {}))
        self._lanes[lane].waiting.append(task)

    def _places(self, limits: Mapping[str, Any]) -> list[Places]:
        places = [Places(limits.get("running_tasks"))]
        if "group_running" in limits:
            shared = Places(limits["group_running"])
            places.append(self._groups.setdefault(limits["group"], shared))
        return places

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
        while True:
            # One start at a time, the earliest first: lanes of a group wait for each other.
            starts = {name: one.next_start(self._queue_time_s) for name, one in self._lanes.items()}
            name = min(starts, key=lambda one: starts[one], default=None)
            if name is None or starts[name][0] > now:
                break
            self._lanes[name].start(starts[name][0], self._task_time_s)
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
