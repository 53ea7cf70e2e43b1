"""One account at the service: its tasks and voices, and what was paid. Knows nothing of dsrun."""

import asyncio
import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from tests.torture.faults import STORM, Dice
from tests.torture.marks import canonical, picture_mark, voice_mark

SERVICE_ZONE = timezone(timedelta(hours=8))
MOST_A_PAGE = 100
_DAY_S = 86400


@dataclass
class Task:
    task_id: str
    request_id: str
    body: dict
    made_at: float  # epoch seconds, as all times here
    listed_at: float
    starts_at: float
    ends_at: float
    marks: list  # of its pictures; None where one fails

    @property
    def is_failure(self):
        return not any(self.marks)

    def status(self, now):
        if now < self.starts_at:
            return "PENDING"
        if now < self.ends_at:
            return "RUNNING"
        return "FAILED" if self.is_failure else "SUCCEEDED"


class World:
    """Everything that one key can see. Time is the computer's."""

    def __init__(
        self, *, faults, seed, task_s=0.2, lag_s=0.2, think_s=0.02, storm_s=0.3, stall_s=3.0
    ):
        self.dice = Dice(faults, seed=seed)
        self.stall_s = stall_s
        self.tasks = {}
        self.voices = []
        self.creates = {}  # by canonical request: accepted, failed, voices
        self.paid = Counter()  # by mark: pictures and voices that were made, so billed
        self.calls = Counter()
        self.leaks = 0  # requests for a file that carried the key
        self._timing = random.Random(f"{seed} timing")
        self._task_s = task_s
        self._lag_s = lag_s
        self._think_s = think_s
        self._storm_s = storm_s
        self._storm_until = 0.0
        self._pulse = asyncio.Condition()

    @property
    def events(self):
        return self.calls.total()

    async def note(self, call):
        """A request has come in; wakes who waits for it."""
        self.calls[call] += 1
        async with self._pulse:
            self._pulse.notify_all()

    async def reach(self, events):
        """Wait until so many requests have come in."""
        async with self._pulse:
            await self._pulse.wait_for(lambda: self.events >= events)

    async def think(self):
        """The time that a create takes, in which its client may die."""
        await asyncio.sleep(self._timing.uniform(0, self._think_s / 2))

    def is_storm(self):
        if self.dice.hit(STORM):
            self._storm_until = time.time() + self._storm_s
        return time.time() < self._storm_until

    def accept_task(self, body, request_id):
        """From here on it is paid, whether its answer arrives or not."""
        now, timing = time.time(), self._timing
        starts_at = now + timing.uniform(0, self._task_s / 2)
        task = Task(
            task_id=str(uuid.UUID(bytes=timing.randbytes(16), version=4)),
            request_id=request_id,
            body=body,
            made_at=now,
            listed_at=now + timing.uniform(0, self._lag_s),
            starts_at=starts_at,
            ends_at=starts_at + timing.uniform(0, self._task_s / 2),
            marks=self._outcome(body),
        )
        self.tasks[task.task_id] = task
        self._count(body, failed=task.is_failure)
        self.paid.update(mark for mark in task.marks if mark)
        return task

    def accept_voice(self, body):
        now = datetime.now(SERVICE_ZONE)
        given = body["input"]
        tail = self._timing.randbytes(4).hex()
        name = f"qwen-tts-vd-{given['preferred_name']}-voice-{now:%Y%m%d%H%M%S}-{tail}"
        self.voices.append(
            {
                "voice": name,
                "target_model": given["target_model"],
                "language": given.get("language", "zh"),
                "voice_prompt": given["voice_prompt"],
                "preview_text": given["preview_text"],
                "gmt_create": f"{now:%Y-%m-%d %H:%M:%S}",
                "gmt_modified": f"{now:%Y-%m-%d %H:%M:%S}",
            }
        )
        self._count(body, failed=False)["voices"].append(name)
        self.paid[voice_mark(body)] += 1
        return name

    def listed(self, *, start_time=None, end_time=None, model_name=None, status=None):
        """Tasks as the list call shows them, newest first. Raises ValueError."""
        now = time.time()
        end = _instant(end_time) if end_time else now
        start = _instant(start_time) if start_time else end - _DAY_S
        if end - start > _DAY_S:
            raise ValueError("the window is longer than 24 hours")
        found = [
            task
            for task in self.tasks.values()
            if task.listed_at <= now
            and start <= task.made_at <= end
            and (not model_name or task.body["model"] == model_name)
            and (not status or task.status(now) == status)
        ]
        return sorted(found, key=lambda task: task.made_at, reverse=True)

    def state(self):
        """What the judge wants to know."""
        return {
            "creates": self.creates,
            "paid": dict(self.paid),
            "calls": dict(self.calls),
            "events": self.events,
            "hits": self.dice.hits,
            "leaks": self.leaks,
        }

    def _outcome(self, body):
        count = body["parameters"].get("n", 4)
        if self.dice.hit("failed-task"):
            return [None] * count
        marks = [picture_mark(body, index) for index in range(count)]
        if count > 1 and self.dice.hit("partial-task"):
            marks[self._timing.randrange(count)] = None
        return marks

    def _count(self, body, *, failed):
        found = self.creates.setdefault(canonical(body), {"accepted": 0, "failed": 0, "voices": []})
        found["accepted"] += 1
        found["failed"] += failed
        return found


def _instant(text):
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=SERVICE_ZONE).timestamp()


def clock_text(at):
    """A time as a task's answer writes it: UTC+8, without saying so."""
    moment = datetime.fromtimestamp(at, UTC).astimezone(SERVICE_ZONE)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"
