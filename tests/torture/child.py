"""dsrun that kills itself: `child.py POINT NUMBER ARGUMENTS...` dies the NUMBERth time at POINT.

A script by itself, outside of dsrun, which has no hooks for tests: the methods are wrapped here,
when the process starts. A point is `before` or `after` a public coroutine of a door (so a new
one is a new point), or stands inside a write to the disk.
"""

import inspect
import os
import signal
import sys

import dsrun.ledger.writer
import dsrun.report.results
import dsrun.storage.artifacts
import dsrun.storage.files
from dsrun.cli.main import main
from dsrun.ledger.transactions import Transactions
from dsrun.ledger.writer import Ledger
from dsrun.service.client import ApiClient
from dsrun.storage.artifacts import ArtifactStore
from dsrun.storage.cache import ResultCache

DOORS = {door.__name__: door for door in (Ledger, ApiClient, ArtifactStore)}
CALLS = ("write", "fsync", "replace")
CACHE = ("bring", "sync", "keep")


def points():
    """Every place where a job's life can be cut, by name."""
    around = [
        f"{name}.{method}"
        for name, door in DOORS.items()
        for method, value in vars(door).items()
        if inspect.iscoroutinefunction(value) and not method.startswith("_")
    ]
    around += ["Ledger.commit", *(f"store.{call}" for call in CALLS)]
    around += [f"ResultCache.{name}" for name in CACHE]
    return [f"{when} {what}" for what in around for when in ("before", "after")] + [
        "inside store.write",
        "inside results",
    ]


class Trap:
    """Counts what passes, and ends the process with no chance to clean up."""

    def __init__(self, point, number):
        self.when, self.what = point.split(" ", 1)
        self._left = number

    def pass_by(self, when):
        if when == self.when and self.is_due():
            os.kill(os.getpid(), signal.SIGKILL)

    def is_due(self):
        self._left -= 1
        return self._left == 0


def set_trap(trap):
    owner, _, name = trap.what.partition(".")
    if owner in DOORS and name != "commit":
        around_coroutine(DOORS[owner], name, trap)
    elif owner == "Ledger":
        around_call(Transactions, "commit", trap)
    elif owner == "ResultCache":
        around_call(ResultCache, name, trap)
    elif trap.what == "store.write":
        dsrun.storage.artifacts.write_all = cut_write(dsrun.storage.artifacts.write_all, trap)
    elif owner == "store":
        dsrun.storage.artifacts.os = dsrun.storage.files.os = TrappedOs(name, trap)
    else:
        dsrun.report.results.iter_results = cut_lines(dsrun.report.results.iter_results, trap)


def around_coroutine(owner, name, trap):
    original = getattr(owner, name)

    async def wrapped(*args, **kwargs):
        trap.pass_by("before")
        try:
            return await original(*args, **kwargs)
        finally:
            trap.pass_by("after")

    setattr(owner, name, wrapped)


def around_call(owner, name, trap):
    original = getattr(owner, name)

    def wrapped(*args, **kwargs):
        trap.pass_by("before")
        result = original(*args, **kwargs)
        trap.pass_by("after")
        return result

    setattr(owner, name, wrapped)


def cut_lines(original, trap):
    def wrapped(view):
        for line in original(view):
            trap.pass_by("inside")
            yield line

    return wrapped


def cut_write(original, trap):
    def wrapped(descriptor, parts):
        if trap.when == "inside" and trap.is_due():
            data = b"".join(parts)
            os.write(descriptor, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        trap.pass_by("before")
        original(descriptor, parts)
        trap.pass_by("after")

    return wrapped


class TrappedOs:
    """The module `os` as the store sees it, with a trap at one of its calls."""

    def __init__(self, name, trap):
        self._name = name
        self._trap = trap

    def __getattr__(self, name):
        original = getattr(os, name)
        if name != self._name:
            return original

        def wrapped(*args, **kwargs):
            self._trap.pass_by("before")
            result = original(*args, **kwargs)
            self._trap.pass_by("after")
            return result

        return wrapped


if __name__ == "__main__":
    set_trap(Trap(sys.argv[1], int(sys.argv[2])))
    sys.exit(main(sys.argv[3:]))
