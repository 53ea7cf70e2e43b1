"""The runs below an output directory, over time, from their ledgers. Nothing is touched."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from dsrun.errors import DsrunError, ExitCode
from dsrun.execution import Money
from dsrun.ledger_history import Invocation, LedgerHistory, Spending
from dsrun.ledger_reader import NoLedger
from dsrun.lockfile import is_locked

_EMULATED = "emulated-"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One run of a pipeline; `outcome` is one word, as `dsrun history` shows it."""

    pipeline: str
    directory: Path
    outcome: str
    run: Invocation

    @property
    def duration_s(self) -> float | None:
        """Seconds, None where nobody knows its end."""
        return seconds_between(self.run.started_at, self.run.ended_at)

    @property
    def cost(self) -> tuple[Money, ...]:
        """What it paid for; an emulated run pays nothing."""
        return () if self.directory.name.startswith(_EMULATED) else self.run.cost


class History:
    """Reads every ledger below `out`; a ledger that cannot be read is noted in `faults`."""

    def __init__(self, out: Path, *, pipeline: str | None = None, emulated: bool = False) -> None:
        self._out = out
        self._pipeline = pipeline
        self._emulated = emulated
        self.faults: list[str] = []

    def runs(self, *, counted: bool = True) -> list[PastRun]:
        """Every run, the oldest first; without jobs and cost where they are not `counted`."""
        found = [
            PastRun(
                pipeline=directory.parent.name,
                directory=directory,
                outcome=_outcome(run, is_last=run is runs[-1], directory=directory),
                run=run,
            )
            for directory, runs in self._read(lambda ledger: ledger.invocations(counted=counted))
            for run in runs
        ]
        return sorted(found, key=lambda past: past.run.started_at)

    def spendings(self) -> Iterator[tuple[str, Spending]]:
        """The name of a pipeline, and what was paid for it."""
        for directory, spendings in self._read(LedgerHistory.spendings):
            for spending in spendings:
                yield directory.parent.name, spending

    def _read(self, ask: Callable[[LedgerHistory], T]) -> Iterator[tuple[Path, T]]:
        """Every run directory, and what its ledger answers."""
        for path in sorted(self._out.glob(f"{self._pipeline or '*'}/*/ledger.sqlite3")):
            directory = path.parent
            if directory.is_symlink() or directory.name.startswith(_EMULATED) != self._emulated:
                continue
            try:
                with closing(LedgerHistory(path)) as ledger:
                    answer = ask(ledger)
            except NoLedger:
                continue
            except DsrunError as error:
                self.faults.append(f"{directory}: {error}")
                continue
            yield directory, answer


def outcome_of(code: int) -> str:
    """One word for an exit code."""
    words = {
        ExitCode.OK: "succeeded",
        ExitCode.JOBS_FAILED: "failed",
        ExitCode.INTERRUPTED: "interrupted",
        ExitCode.TERMINATED: "terminated",
    }
    return words.get(ExitCode(code), "incomplete") if code in set(ExitCode) else "incomplete"


def seconds_between(started_at: str, ended_at: str | None) -> float | None:
    """The time between two stamps, in seconds."""
    if ended_at is None:
        return None
    start, end = datetime.fromisoformat(started_at), datetime.fromisoformat(ended_at)
    return (end - start).total_seconds()


def _outcome(run: Invocation, *, is_last: bool, directory: Path) -> str:
    if run.exit_code is not None:
        return outcome_of(run.exit_code)
    return "running" if is_last and is_locked(directory / ".lock") else "killed"
