"""What is known of run directories that `keep` has removed: their runs, and what they paid.

One line a directory, in `.removed.jsonl` beside the run directories of its pipeline.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import orjson

from dsrun.common.models import JobStatus, Json
from dsrun.common.units import Money
from dsrun.ledger.invocations import Invocation, LedgerHistory, Spending
from dsrun.storage.layout import is_run_name

_FILE = ".removed.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedRun:
    """Answers what `LedgerHistory` does. `name` is that of the directory."""

    name: str
    runs: tuple[Invocation, ...]
    paid: tuple[Spending, ...]

    def invocations(self, *, counted: bool = True) -> list[Invocation]:
        """Every run, the oldest first. They have been `counted` long ago."""
        del counted
        return list(self.runs)

    def spendings(self) -> list[Spending]:
        """What was paid, by month and operation."""
        return list(self.paid)

    def doubts(self) -> list[Spending]:
        """Nobody can look for them any more."""
        return []


def remember(run_dir: Path, ledger: LedgerHistory) -> None:
    """Note a directory that is about to be removed. Raises OSError."""
    line = orjson.dumps(
        {
            "directory": run_dir.name,
            "invocations": ledger.invocations(),
            "spendings": ledger.spendings(),
        },
        default=str,  # amounts, which are no floats
        option=orjson.OPT_NON_STR_KEYS,  # statuses
    )
    with (run_dir.parent / _FILE).open("ab") as file:
        file.write(b"\n" + line + b"\n")  # a note that was cut off spoils no other
        file.flush()
        os.fsync(file.fileno())


class Removed(NamedTuple):
    """What the notes say, and how many of them cannot be read."""

    runs: Sequence[RemovedRun]
    damaged: int


def removed_runs(pipeline_dir: Path) -> Removed:
    """The directories that were removed; of one that was noted twice the last note.

    One is noted before it goes, so it may still be there. Raises OSError.
    """
    file = pipeline_dir / _FILE
    found, damaged = {}, 0
    for line in file.read_bytes().splitlines() if file.is_file() else ():
        if not line:
            continue
        try:
            run = _run(orjson.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError):
            damaged += 1
        else:
            found[run.name, run.runs[0].started_at if run.runs else ""] = run
    return Removed(tuple(found.values()), damaged)


def _run(line: Json) -> RemovedRun:
    """Raises ValueError, TypeError, KeyError or AttributeError where it is no note of ours."""
    if not is_run_name(line["directory"]):
        raise ValueError(line["directory"])
    return RemovedRun(
        name=line["directory"],
        runs=tuple(map(_invocation, line["invocations"])),
        paid=tuple(map(_spending, line["spendings"])),
    )


def _invocation(item: dict[str, Json]) -> Invocation:
    jobs = {JobStatus(status): _count(number) for status, number in item["jobs"].items()}
    run = Invocation(**{**item, "jobs": jobs, "cost": tuple(map(_money, item["cost"]))})
    for text in (run.started_at, *([] if run.ended_at is None else [run.ended_at])):
        datetime.fromisoformat(text)
    _check_texts(run.host, "" if run.reason is None else run.reason)
    _count(run.pid)
    _count(0 if run.exit_code is None else run.exit_code)
    return run


def _spending(item: dict[str, Json]) -> Spending:
    found = Spending(**{**item, "cost": _money(item["cost"])})
    _check_texts(found.month, found.operation)
    _count(found.jobs)
    return found


def _money(item: dict[str, Json]) -> Money:
    money = Money.from_json(item)
    if not money.amount.is_finite() or money.amount < 0:
        raise ValueError(item)
    _check_texts(money.currency)
    return money


def _count(number: Json) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ValueError(number)
    return number


def _check_texts(*values: Json) -> None:
    if not all(isinstance(value, str) for value in values):
        raise TypeError(values)
