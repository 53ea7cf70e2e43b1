"""Another program on the same account. Its tasks are made when somebody looks at them."""

import math
import uuid

from tests.torture.marks import picture_mark
from tests.torture.task import Task

OURS = "wanx-v1"
OTHER = "wanx2.1-t2i-turbo"
_DAY_S = 86400
_TASK_S = 0.3
_MIDDLE = 1 << 40  # of the numbers that stand in a task's id


class Neighbour:
    """Task 0, 1, 2 ... is made every so many seconds; tasks -1, -2 ... were made the day before."""

    def __init__(self, *, since, every_s=0.0, count=3, history=0, history_model=OURS):
        self._since = since
        self._every_s = every_s
        self._count = count
        self._step_s = _DAY_S / history if history else 0.0
        self._history = history
        self._history_model = history_model

    def recent(self, *, start, end, model_name, status, now):
        """Tasks made since this program began, in any order."""
        if not self._every_s or (model_name and model_name != OURS):
            return []
        first = max(0, math.ceil((start - self._since) / self._every_s))
        last = math.floor((min(end, now) - self._since) / self._every_s)
        tasks = [self._task(number) for number in range(first, last + 1)]
        return [task for task in tasks if not status or task.status(now) == status]

    def older(self, *, start, end, model_name, status):
        """Numbers of the tasks before, newest first; a range, for there may be many."""
        wrong_model = model_name and model_name != self._history_model
        if not self._history or wrong_model or status not in (None, "", "SUCCEEDED"):
            return range(0)
        newest = max(1, math.ceil((self._since - end) / self._step_s))
        oldest = min(self._history, math.floor((self._since - start) / self._step_s))
        return range(-newest, -oldest - 1, -1)

    def tasks(self, numbers):
        return [self._task(number) for number in numbers]

    def find(self, task_id):
        """The task of this program with this id, or None."""
        try:
            fields = uuid.UUID(task_id).fields
        except ValueError:
            return None
        number = fields[5] - _MIDDLE
        if not -self._history <= number < _MIDDLE:
            return None
        task = self._task(number)
        return task if task.task_id == task_id else None

    def _task(self, number):
        if number < 0:
            made_at, model = self._since + number * self._step_s, self._history_model
        else:
            made_at, model = self._since + number * self._every_s, OURS
        body = {
            "model": model,
            "input": {"prompt": f"another program's picture {number}"},
            "parameters": {"size": "720*1280", "n": self._count, "seed": abs(number)},
        }
        mixed = abs(number) * 2654435761 & 0xFFFFFFFF
        return Task(
            task_id=f"{mixed:08x}-5eed-4000-8000-{number + _MIDDLE:012x}",
            request_id=f"{mixed:08x}-0000-4000-9000-{number + _MIDDLE:012x}",
            body=body,
            made_at=made_at,
            listed_at=made_at,
            starts_at=made_at,
            ends_at=made_at + _TASK_S,
            marks=[picture_mark(body, index) for index in range(self._count)],
        )
