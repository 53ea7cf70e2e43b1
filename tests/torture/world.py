"""One account at the service: its tasks and voices, and what was paid. Knows nothing of dsrun."""

import asyncio
import random
import time
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone

from tests.torture.between import Deck, gateway_deck, refusal_deck
from tests.torture.faults import MUTE, STORM, Dice
from tests.torture.marks import canonical, picture_mark, voice_mark
from tests.torture.neighbour import OTHER, OURS, Neighbour
from tests.torture.task import Task

SERVICE_ZONE = timezone(timedelta(hours=8))
_DAY_S = 86400
_HISTORY = 300_000
_LATE_S = 8.0
_CLOCKS = tuple(hours * 3600 for hours in (7, -7, 72, -72))
_COUNTS = (2**63 - 1, 2**63, 2**64, 10**30, -1, 1e308, "many", None, True, 2.5, [], {})


class World:
    """Everything that one key can see. Time is the computer's."""

    def __init__(
        self, *, faults, seed, task_s=0.2, lag_s=0.2, think_s=0.02, storm_s=0.3, stall_s=3.0,
        miss_s=3.0, page_s=1.5, page_most=100, clock_s=None, date_s=0.0, foreign_s=0.0, foreign_n=3,
        history=_HISTORY,
    ):  # fmt: skip
        self.dice = Dice(faults, seed=seed)
        self.stall_s = stall_s
        self.page_s = page_s
        self.page_most = page_most
        self.date_s = date_s
        self.tasks = {}
        self.voices = []
        self.creates = {}  # by canonical request: accepted, failed, voices
        self.paid = Counter()  # by mark: pictures and voices that were made, so billed
        self.tale = {}  # by mark: what befell its creates, in words
        self.calls = Counter()
        self.leaks = 0  # requests for a file that carried the key
        self.gateway = gateway_deck(seed)
        self.refusals = refusal_deck(seed)
        self.counts = Deck(_COUNTS, seed=f"{seed} counts")
        self.answers = {}  # by address: the last answer of a create that was delivered
        self._timing = random.Random(f"{seed} timing")
        self._task_s = task_s
        self._lag_s = lag_s
        self._miss_s = miss_s
        self._think_s = think_s
        self._storm_s = storm_s
        self._storm_until = 0.0
        self._pulse = asyncio.Condition()
        self.clock_s = clock_s or 0.0
        if clock_s is None and self.dice.has("list-clock"):
            self.clock_s = random.Random(f"{seed} clock").choice(_CLOCKS)
        has_history = self.dice.has("list-huge") or self.dice.has("list-huge-other")
        self._neighbour = Neighbour(
            since=time.time(),
            every_s=foreign_s,
            count=foreign_n,
            history=history if has_history else 0,
            history_model=OURS if self.dice.has("list-huge") else OTHER,
        )

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
            listed_at=now + self._lag(),
            starts_at=starts_at,
            ends_at=starts_at + timing.uniform(0, self._task_s / 2),
            marks=self._outcome(body),
            hidden_until=now + self._miss_s if self.dice.hit("list-misses") else 0.0,
            is_mute=self.dice.hit(MUTE),
        )
        self.tasks[task.task_id] = task
        self._count(body, failed=task.is_failure)
        self.paid.update(mark for mark in task.marks if mark)
        return task

    def accept_voice(self, body):
        now = datetime.fromtimestamp(time.time() + self.clock_s, SERVICE_ZONE)
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

    def find(self, task_id):
        """The task with this id, whose ever it is, or None."""
        return self.tasks.get(task_id) or self._neighbour.find(task_id)

    def listed(
        self, *, start_time=None, end_time=None, model_name=None, status=None, page_no, page_size
    ):
        """How many tasks the list call has, and those of a page, newest first. Raises ValueError.

        The window is read by the service's clock.
        """
        now = time.time()
        end = _instant(end_time) - self.clock_s if end_time else now
        start = _instant(start_time) - self.clock_s if start_time else end - _DAY_S
        if end - start > _DAY_S:
            raise ValueError("the window is longer than 24 hours")
        asked = {"start": start, "end": end, "model_name": model_name, "status": status}
        recent = [
            task
            for task in self.tasks.values()
            if task.is_listed(now)
            and start <= task.made_at <= end
            and (not model_name or task.body["model"] == model_name)
            and (not status or task.status(now) == status)
        ]
        recent += self._neighbour.recent(**asked, now=now)
        recent.sort(key=lambda task: task.made_at, reverse=True)
        older = self._neighbour.older(**asked)
        first = (page_no - 1) * page_size
        page = recent[first : first + page_size]
        skipped = max(0, first - len(recent))
        page += self._neighbour.tasks(older[skipped : skipped + page_size - len(page)])
        return len(recent) + len(older), page

    def befell(self, body, words):
        """Remember what befell a create of this request, for the judge's words."""
        count = body["parameters"].get("n", 4) if "prompt" in body["input"] else 0
        marks = [picture_mark(body, index) for index in range(count)] or [voice_mark(body)]
        for mark in marks:
            self.tale.setdefault(mark, []).append(words)

    def state(self):
        """What the judge wants to know."""
        return {
            "creates": self.creates,
            "paid": dict(self.paid),
            "calls": dict(self.calls),
            "events": self.events,
            "hits": self.dice.hits,
            "leaks": self.leaks,
            "tale": self.tale,
            "mute": [mark for task in self.tasks.values() if task.is_mute for mark in task.marks],
        }

    def _lag(self):
        return _LATE_S if self.dice.hit("list-lag") else self._timing.uniform(0, self._lag_s)

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
