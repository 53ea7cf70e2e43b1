"""The ranges of the options of a run, and the errors for values outside them.

The command line imports this when it starts, so it stays light.
"""

import re
from typing import NamedTuple

from dsrun.common.errors import UsageError


class Range(NamedTuple):
    """Whole numbers from `least` to `most`; without `most` there is no upper end."""

    least: int
    most: int | None = None

    def holds(self, number: int) -> bool:
        return self.least <= number and (self.most is None or number <= self.most)

    def __str__(self) -> str:
        return f"at least {self.least}" if self.most is None else f"{self.least} to {self.most}"


CONCURRENCY = Range(1, 10_000)
SAMPLE = LIMIT = Range(1)
CATCH_UP_DAYS = Range(1, 366)
YEARS = Range(1970, 2999)
IF_RUNNING = ("fail", "skip", "wait")
ORDERS = ("pause", "resume", "stop", "set")
ORDER_SETTINGS = ("concurrency", "rate", "max_cost")

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/").match
_FLAGS = {"concurrency": "--max-concurrency"}  # whose keyword is another word


class OutOfRange(UsageError):
    """An option has a value that it cannot have. The message names the flag."""

    def __init__(self, keyword: str, value: str | int, allowed: object) -> None:
        super().__init__(f"{_flag(keyword)} {value}; allowed: {allowed}")
        self._in_python = f"{keyword}={value!r}; allowed: {allowed}"

    def in_call(self, function: str) -> str:
        """The same for a caller of the Python API: it names the keyword."""
        return f"{function}: {self._in_python}"


class Unreadable(UsageError):
    """The text of an option cannot be read. The message names the flag."""

    def __init__(self, keyword: str, words: object) -> None:
        super().__init__(f"{_flag(keyword)}: {words}")
        self._in_python = f"{keyword}: {words}"

    def in_call(self, function: str) -> str:
        """The same for a caller of the Python API: it names the keyword."""
        del function  # the keyword alone is clear enough
        return self._in_python


def check_number(keyword: str, number: int | None, allowed: Range) -> None:
    """None is the default. Raises OutOfRange."""
    if number is not None and not allowed.holds(number):
        raise OutOfRange(keyword, number, allowed)


def address_problem(path: object) -> str:
    """Why nothing can be written there, if that is an address such as s3://bucket; else empty.

    A Path has only one of the slashes. The drives of Windows have one letter.
    """
    if not _ADDRESS(str(path)):
        return ""
    return (
        f"{path} is an address, and dsrun writes to folders of this machine alone: name one, and "
        "copy it there afterwards, or mount the store (a folder of that very name: write its "
        "absolute path)"
    )


def check_place(keyword: str, path: object) -> None:
    """Raises Unreadable for an address."""
    if words := address_problem(path):
        raise Unreadable(keyword, words)


def _flag(keyword: str) -> str:
    return _FLAGS.get(keyword, f"--{keyword.replace('_', '-')}")
