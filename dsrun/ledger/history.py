"""The runs below an output directory, over time, from their ledgers and from what `keep` noted.

Nothing is touched.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from dsrun.common.console import count_of
from dsrun.common.errors import DsrunError, ExitCode
from dsrun.common.units import Money
from dsrun.ledger.invocations import Invocation, LedgerHistory, Spending
from dsrun.ledger.reader import NoLedger
from dsrun.ledger.removed import RemovedRun, removed_runs
from dsrun.storage.layout import is_emulated, lock_of
from dsrun.storage.run_lock import is_locked

T = TypeVar("T")


class Past(Protocol):
    """A ledger, or what is known of one."""

    def invocations(self, *, counted: bool = True) -> list[Invocation]: ...
    def spendings(self) -> list[Spending]: ...
    def doubts(self) -> list[Spending]: ...


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
        return () if is_emulated(self.directory) else self.run.cost


class History:
    """Reads every ledger below `out`; a ledger that cannot be read is noted in `faults`."""

    def __init__(self, out: Path, *, pipeline: str | None = None, emulated: bool = False) -> None:
        self._out = out
        self._pipeline = pipeline
        self._emulated = emulated
        self.faults: list[str] = []
        self.is_incomplete = False  # a ledger could not be read, so its runs are left out

    def runs(self, *, counted: bool = True) -> list[PastRun]:
        """Every run, the oldest first; without jobs and cost where they are not `counted`."""
        found = [
            PastRun(
                pipeline=directory.parent.name,
                directory=directory,
                outcome=_outcome(run, is_last=run is runs[-1], directory=directory),
                run=run,
            )
            for directory, runs in self._read(lambda past: past.invocations(counted=counted))
            for run in runs
        ]
        return sorted(found, key=lambda past: past.run.started_at)

    def spendings(self) -> Iterator[tuple[str, Spending]]:
        """The name of a pipeline, and what was paid for it."""
        for directory, spendings in self._read(lambda past: past.spendings()):
            for spending in spendings:
                yield directory.parent.name, spending

    def doubts(self) -> Iterator[tuple[str, Spending]]:
        """The name of a pipeline, and what may have been paid for it and nobody can tell."""
        for directory, spendings in self._read(lambda past: past.doubts()):
            for spending in spendings:
                yield directory.parent.name, spending

    def _read(self, ask: Callable[[Past], T]) -> Iterator[tuple[Path, T]]:
        """Every run directory, those that were removed too, and what is known of it."""
        for path in sorted(self._out.glob(f"{self._pipeline or '*'}/*/ledger.sqlite3")):
            directory = path.parent
            if directory.is_symlink() or is_emulated(directory) != self._emulated:
                continue
            try:
                with closing(LedgerHistory(path)) as ledger:
                    answer = ask(ledger)
            except NoLedger:
                continue
            except DsrunError as error:
                self.faults.append(f"{directory}: {error}")
                self.is_incomplete = True
                continue
            yield directory, answer
        for folder in sorted(self._out.glob(self._pipeline or "*")):
            for directory, past in self._removed(folder):
                yield directory, ask(past)

    def _removed(self, pipeline_dir: Path) -> Iterator[tuple[Path, RemovedRun]]:
        try:
            found = removed_runs(pipeline_dir)
        except OSError as error:
            self.faults.append(f"{pipeline_dir}: what was removed cannot be read: {error}")
            return
        if found.damaged:
            notes = count_of(found.damaged, "note")
            self.faults.append(f"{pipeline_dir}: {notes} of removed runs cannot be read")
        for past in found.runs:
            directory = pipeline_dir / past.name
            if is_emulated(directory) == self._emulated and not _is_there(directory, past):
                yield directory, past


def _is_there(directory: Path, past: RemovedRun) -> bool:
    """Noted, and not removed; what was made there since is another run."""
    try:
        with closing(LedgerHistory(directory / "ledger.sqlite3")) as ledger:
            runs = ledger.invocations(counted=False)
    except DsrunError:
        return False
    return [run.started_at for run in runs[:1]] == [run.started_at for run in past.runs[:1]]


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
    """The time between two stamps, in seconds; nothing where a clock was set back in between."""
    if ended_at is None:
        return None
    start, end = datetime.fromisoformat(started_at), datetime.fromisoformat(ended_at)
    return max(0.0, (end - start).total_seconds())


def _outcome(run: Invocation, *, is_last: bool, directory: Path) -> str:
    if run.exit_code is not None:
        return outcome_of(run.exit_code)
    return "running" if is_last and is_locked(lock_of(directory)) else "killed"
