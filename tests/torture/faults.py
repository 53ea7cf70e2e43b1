"""What the service and the network do wrong, by name; each fault has dice of its own."""

import random

# A create: refused or lost before it was accepted, or accepted and its answer lost.
BEFORE = ("409-before", "reset-before", "5xx-before", "html-before")
AFTER = ("reset-after", "cut-answer", "5xx-after", "html-after", "garbage", "stall")
# Who stands between answers in the API's place; the API refuses; a cache answers with another's
# answer; an answer is beyond all measure.
STRANGE_BEFORE = ("gateway-before", "refused", "same-id-before")
STRANGE_AFTER = ("gateway-after", "same-id-after", "big-create")
# A question: for a task, the list of tasks or the list of voices.
ASKING = ("ask-5xx", "ask-reset", "ask-html", "ask-garbage", "ask-stall")
STRANGE_ASKING = ("big-answer",)
# The answer of a task that has succeeded.
ANSWERS = ("no-results", "huge-count")
# A file.
LOADING = ("file-short", "file-wrong", "file-5xx")
TRICKLE = "trickle"
EXPIRED = "file-expired"
# A task.
TASK = ("failed-task", "partial-task")
MUTE = "html-404"  # every question for this task is answered by a proxy
# Any create or question opens a window in which everything is refused with 429.
STORM = "storm"
# The list of tasks.
LIST_ABSENT = "list-absent"
LIST = (
    LIST_ABSENT, "list-no-date", "list-clock", "list-lag", "list-misses", "list-slow-page",
    "list-huge", "list-huge-other",
)  # fmt: skip
# Where the list tells not enough.
DARK = {LIST_ABSENT, "list-huge"}

USUAL = {
    "409-before": 0.1,
    "reset-before": 0.1,
    "5xx-before": 0.1,
    "html-before": 0.05,
    "gateway-before": 0.2,
    "refused": 0.2,
    "same-id-before": 0.05,
    "reset-after": 0.1,
    "cut-answer": 0.1,
    "5xx-after": 0.1,
    "html-after": 0.05,
    "garbage": 0.05,
    "stall": 0.05,
    "gateway-after": 0.2,
    "same-id-after": 0.05,
    "big-create": 0.02,
    "ask-5xx": 0.1,
    "ask-reset": 0.1,
    "ask-html": 0.1,
    "ask-garbage": 0.1,
    "ask-stall": 0.02,
    "big-answer": 0.02,
    "no-results": 0.1,
    "huge-count": 0.1,
    "file-short": 0.2,
    "file-wrong": 0.2,
    "file-5xx": 0.2,
    "trickle": 0.02,
    "file-expired": 0.1,
    "failed-task": 0.1,
    "partial-task": 0.2,
    "html-404": 0.01,
    "storm": 0.02,
    "list-absent": 1.0,
    "list-no-date": 1.0,
    "list-clock": 1.0,
    "list-lag": 1.0,
    "list-misses": 0.2,
    "list-slow-page": 1.0,
    "list-huge": 1.0,
    "list-huge-other": 1.0,
}

# Of the world, by the names that a command line gives them: seconds, or numbers.
SETTINGS = {
    "foreign": "foreign_s",  # another program's task of the same model every so often
    "foreign-n": "foreign_n",  # pictures of such a task
    "lag": "lag_s",  # a task is listed so late at most
    "clock": "clock_s",  # the times of tasks and lists are ahead
    "date": "date_s",  # the HTTP date is ahead
    "history": "history",  # foreign tasks of the last day, with list-huge
    "miss": "miss_s",  # list-misses hides a task for so long
    "page": "page_s",  # list-slow-page takes so long
    "page-most": "page_most",  # rows of a page, whatever was asked for
    "task": "task_s",
}


class Dice:
    """Rolls for faults. One fault's rolls never shift another's, so a seed repeats a service."""

    def __init__(self, faults, *, seed):
        """`faults`: name to probability, or to the list of the rolls (from 1) that hit."""
        unknown = faults.keys() - USUAL.keys()
        if unknown:
            raise ValueError(
                f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(USUAL)}, "
                f"and the settings {', '.join(SETTINGS)}"
            )
        self._faults = faults
        self._dice = {name: random.Random(f"{seed} {name}") for name in faults}
        self._rolls = dict.fromkeys(faults, 0)
        self.hits = dict.fromkeys(faults, 0)

    def has(self, name):
        return name in self._faults

    def hit(self, name):
        chance = self._faults.get(name, 0)
        if not chance:
            return False
        self._rolls[name] += 1
        if isinstance(chance, list):
            hit = self._rolls[name] in chance
        else:
            hit = self._dice[name].random() < chance
        self.hits[name] += hit
        return hit

    def first(self, names):
        """The first of these faults that hits, or None."""
        return next((name for name in names if self.hit(name)), None)
