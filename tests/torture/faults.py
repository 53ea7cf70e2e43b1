"""What the service and the network do wrong, by name; each fault has dice of its own."""

import random

# A create: refused or lost before it was accepted, or accepted and its answer lost.
BEFORE = ("409-before", "reset-before", "5xx-before", "html-before")
AFTER = ("reset-after", "cut-answer", "5xx-after", "html-after", "garbage", "stall")
# A question: for a task, the list of tasks or the list of voices.
ASKING = ("ask-5xx", "ask-reset", "ask-html", "ask-garbage", "ask-stall")
# A file.
LOADING = ("file-short", "file-wrong", "file-5xx", "file-expired")
# A task.
TASK = ("failed-task", "partial-task")
# Any create or question opens a window in which everything is refused with 429.
STORM = "storm"
LIST_ABSENT = "list-absent"

USUAL = {
    "409-before": 0.1,
    "reset-before": 0.1,
    "5xx-before": 0.1,
    "html-before": 0.05,
    "reset-after": 0.1,
    "cut-answer": 0.1,
    "5xx-after": 0.1,
    "html-after": 0.05,
    "garbage": 0.05,
    "stall": 0.05,
    "ask-5xx": 0.1,
    "ask-reset": 0.1,
    "ask-html": 0.1,
    "ask-garbage": 0.1,
    "ask-stall": 0.02,
    "file-short": 0.2,
    "file-wrong": 0.2,
    "file-5xx": 0.2,
    "file-expired": 0.1,
    "failed-task": 0.1,
    "partial-task": 0.2,
    "storm": 0.02,
    "list-absent": 1.0,
}


class Dice:
    """Rolls for faults. One fault's rolls never shift another's, so a seed repeats a service."""

    def __init__(self, faults, *, seed):
        """`faults`: name to probability, or to the list of the rolls (from 1) that hit."""
        unknown = faults.keys() - USUAL.keys()
        if unknown:
            raise ValueError(
                f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(USUAL)}"
            )
        self._faults = faults
        self._dice = {name: random.Random(f"{seed} {name}") for name in faults}
        self._rolls = dict.fromkeys(faults, 0)
        self.hits = dict.fromkeys(faults, 0)

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
