"""What is known of run directories that `keep` has removed: their runs, and what they paid.

One line a directory, in `.removed.jsonl` beside the run directories of its pipeline.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import orjson

from dsrun.execution import Money
from dsrun.ledger_history import Invocation, LedgerHistory, Spending
from dsrun.records import JobStatus, Json

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
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())


def removed_runs(pipeline_dir: Path) -> Iterator[RemovedRun]:
    """The directories that were removed; of one that was noted twice the last note.

    One is noted before it goes, so it may still be there. Raises OSError, or ValueError where the
    file is damaged.
    """
    file = pipeline_dir / _FILE
    lines = file.read_bytes().splitlines() if file.is_file() else []
    found = {}
    for line in map(orjson.loads, lines):
        run = _run(line)
        found[run.name, run.runs[0].started_at if run.runs else ""] = run
    yield from found.values()


def _run(line: dict[str, Json]) -> RemovedRun:
    return RemovedRun(
        name=line["directory"],
        runs=tuple(map(_invocation, line["invocations"])),
        paid=tuple(
            Spending(**{**item, "cost": _money(item["cost"])}) for item in line["spendings"]
        ),
    )


def _invocation(item: dict[str, Json]) -> Invocation:
    jobs = {JobStatus(status): number for status, number in item["jobs"].items()}
    return Invocation(**{**item, "jobs": jobs, "cost": tuple(map(_money, item["cost"]))})


def _spending(item: dict[str, Json]) -> Spending:
    return Spending(**{**item, "cost": _money(item["cost"])})


def _money(item: dict[str, Json]) -> Money:
    return Money(amount=Decimal(item["amount"]), currency=item["currency"])
