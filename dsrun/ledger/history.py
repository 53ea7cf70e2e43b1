"""The runs below an output directory over time, and what was paid for them.

They are read from the ledgers, in which nothing is changed, and from `.removed.jsonl` beside the
run directories of a pipeline, where each directory that `keep` removes leaves one line.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple, TypeVar

import orjson

from dsrun.common.console import count_of
from dsrun.common.errors import DsrunError, ExitCode
from dsrun.common.models import JobStatus, Json
from dsrun.common.units import Money
from dsrun.ledger.commitments import Commitment, bucket_of, commitments
from dsrun.ledger.reader import LedgerReader, NoLedger, checked
from dsrun.ledger.rows import Row
from dsrun.ledger.totals import sum_rows
from dsrun.storage.layout import RunLayout, is_emulated, is_run_name, removed_of, run_dirs
from dsrun.storage.run_lock import is_locked

T = TypeVar("T")


_UNDER_WAY = (JobStatus.PENDING, JobStatus.SUBMITTING, JobStatus.SUBMITTED)
# A job that was asked for in parts counts as a whole in the month, and the run, of its last part.
_MONTH = "substr(coalesce(ended_at, submitted_at, ''), 1, 7) AS month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One run of a ledger. `jobs` counts what ended in it, `cost` what was paid for that."""

    started_at: str
    ended_at: str | None
    host: str
    pid: int
    exit_code: int | None
    reason: str | None
    jobs: dict[JobStatus, int]
    cost: tuple[Money, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What jobs of one operation cost that ended, or were sent, in one month (`2026-11`, UTC)."""

    month: str
    operation: str
    jobs: int
    cost: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisSpending:
    """What jobs cost whose axis has one value, as JSON text; None: they have no such axis.

    `may_be_paid`: these jobs may have been accepted and paid without anybody knowing.
    """

    value: str | None
    jobs: int
    cost: Money
    may_be_paid: bool = False


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedRun:
    """What is known of a run directory that is gone; `name` was its own."""

    name: str
    runs: tuple[Invocation, ...]
    paid: tuple[Spending, ...]
    commitments: tuple[Commitment, ...]


class Notes(NamedTuple):
    """What the notes about a pipeline say, and how many of them cannot be read."""

    removed: Sequence[RemovedRun]
    damaged: int


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
        past_runs = [
            PastRun(
                pipeline=directory.parent.name,
                directory=directory,
                outcome=_outcome(run, is_last=run is runs[-1], directory=directory),
                run=run,
            )
            for directory, runs in self.read(
                lambda reader: invocations(reader, counted=counted), lambda removed: removed.runs
            )
            for run in runs
        ]
        return sorted(past_runs, key=lambda past: past.run.started_at)

    def spendings(self) -> Iterator[tuple[str, Spending]]:
        """The name of a pipeline, and what was paid for it."""
        for directory, paid in self.read(spendings, lambda removed: removed.paid):
            for spending in paid:
                yield directory.parent.name, spending

    def doubts(self) -> Iterator[tuple[str, Spending]]:
        """The name of a pipeline, and what may have been paid for it without anybody knowing.

        What a removed run was in doubt of can no longer be looked for.
        """
        for directory, doubted in self.read(doubts, lambda _: ()):
            for spending in doubted:
                yield directory.parent.name, spending

    def of_axis(self, names: Sequence[str]) -> Iterator[AxisSpending]:
        """What was paid, and may have been, by the values of an axis; each job counts once.

        `names` lead to it through the axes of steps above. Of removed runs no axis is known.
        """

        def removed(run: RemovedRun) -> list[AxisSpending]:
            return [AxisSpending(value=None, jobs=one.jobs, cost=one.cost) for one in run.paid]

        for _, found in self.read(lambda reader: axis_spendings(reader, names), removed):
            yield from found

    def each(
        self, ask: Callable[[LedgerReader], Sequence[T]]
    ) -> Iterator[tuple[Path, Sequence[T]]]:
        """What each ledger answers, with its run directory."""
        return self.read(ask, lambda _: ())

    def axes(self) -> set[str]:
        """The names of all axes."""
        return {name for _, names in self.read(axes_of, lambda _: ()) for name in names}

    def read(
        self,
        of_ledger: Callable[[LedgerReader], Sequence[T]],
        of_removed: Callable[[RemovedRun], Sequence[T]],
    ) -> Iterator[tuple[Path, Sequence[T]]]:
        """What is known of every run directory, those that were removed too."""
        for directory in run_dirs(self._out, pipeline=self._pipeline or "*"):
            if is_emulated(directory) != self._emulated:
                continue
            try:
                with closing(LedgerReader(RunLayout.of(directory).ledger)) as reader:
                    answer = of_ledger(reader)
            except NoLedger:
                continue
            except DsrunError as error:
                self.faults.append(f"{directory}: {error}")
                self.is_incomplete = True
                continue
            yield directory, answer
        for directory, removed in self.removed():
            yield directory, of_removed(removed)

    def removed(self) -> Iterator[tuple[Path, RemovedRun]]:
        """Where each run was that was removed, and what is known of it."""
        for folder in sorted(self._out.glob(self._pipeline or "*")):
            yield from self._removed(folder)

    def _removed(self, pipeline_dir: Path) -> Iterator[tuple[Path, RemovedRun]]:
        try:
            notes = read_notes(pipeline_dir)
        except OSError as error:
            self.faults.append(f"{pipeline_dir}: what was removed cannot be read: {error}")
            return
        if notes.damaged:
            number = count_of(notes.damaged, "note")
            self.faults.append(f"{pipeline_dir}: {number} of removed runs cannot be read")
        for removed in notes.removed:
            directory = pipeline_dir / removed.name
            if is_emulated(directory) == self._emulated and not _is_there(directory, removed):
                yield directory, removed


def _is_there(directory: Path, removed: RemovedRun) -> bool:
    """Whether a directory was noted and then not removed. One made there since is another run."""
    try:
        with closing(LedgerReader(RunLayout.of(directory).ledger)) as reader:
            runs = invocations(reader, counted=False)
    except DsrunError:
        return False
    return [run.started_at for run in runs[:1]] == [run.started_at for run in removed.runs[:1]]


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
    return "running" if is_last and is_locked(RunLayout.of(directory).lock) else "killed"


@checked
def invocations(reader: LedgerReader, *, counted: bool = True) -> list[Invocation]:
    """Every run, the oldest first; without jobs and cost where they are not `counted`."""
    ended = _ended_by_run(reader) if counted else {}
    return [
        Invocation(
            started_at=row["started_at"], ended_at=row["ended_at"], host=row["host"],
            pid=row["pid"], exit_code=row["exit_code"], reason=row["reason"],
            jobs=_ended(ended.get(row["run_id"], ())), cost=_spent(ended.get(row["run_id"], ())),
        )
        for row in reader.rows("SELECT * FROM run ORDER BY run_id")
    ]  # fmt: skip


@checked
def spendings(reader: LedgerReader) -> list[Spending]:
    """What was paid, by month and operation."""
    return _spendings(
        reader,
        f"SELECT {_MONTH}, operation, currency, unit_price, count(*) AS jobs, "  # noqa: S608
        f"sum({reader.units.paid}) AS units "
        f"FROM job WHERE {reader.units.paid} > 0 AND NOT cached",
    )


@checked
def doubts(reader: LedgerReader) -> list[Spending]:
    """What jobs would cost that may have been accepted and paid, by month and operation."""
    return _spendings(
        reader,
        f"SELECT {_MONTH}, operation, currency, unit_price, count(*) AS jobs, "  # noqa: S608
        f"sum({reader.units.planned}) AS units FROM job WHERE status IN ('submitting', 'unknown')",
    )


@checked
def axis_spendings(reader: LedgerReader, names: Sequence[str]) -> list[AxisSpending]:
    """By the values of an axis, what was paid and what may have been."""
    path = "$" + "".join(f".{orjson.dumps(name).decode()}" for name in names)
    paid = f"{reader.units.paid} > 0 AND NOT cached"
    found = []
    for units, which, is_doubt in (
        (reader.units.paid, paid, False),
        (reader.units.planned, "status IN ('submitting', 'unknown')", True),
    ):
        rows = reader.rows(
            "SELECT json_quote(json_extract(matrix, ?)) AS value, currency, unit_price, "  # noqa: S608
            f"count(*) AS jobs, sum({units}) AS units FROM job WHERE {which} "
            "GROUP BY value, currency, unit_price ORDER BY min(position)",
            (path,),
        )
        found += [
            AxisSpending(
                value=None if row["value"] == "null" else row["value"],
                jobs=row["jobs"],
                cost=Money(
                    amount=Decimal(row["unit_price"]) * row["units"], currency=row["currency"]
                ),
                may_be_paid=is_doubt,
            )
            for row in rows
        ]
    return found


@checked
def axes_of(reader: LedgerReader) -> list[str]:
    return [row[0] for row in reader.rows("SELECT DISTINCT key FROM job, json_each(job.matrix)")]


def _spendings(reader: LedgerReader, sql: str) -> list[Spending]:
    order = "GROUP BY month, operation, currency, unit_price ORDER BY month, operation"
    return [
        Spending(
            month=row["month"],
            operation=row["operation"],
            jobs=row["jobs"],
            cost=Money(amount=Decimal(row["unit_price"]) * row["units"], currency=row["currency"]),
        )
        for row in reader.sums(f"{sql} {order}")
    ]


def _ended_by_run(reader: LedgerReader) -> Mapping[int, Sequence[Row]]:
    """What the jobs add up to that ended since a run began and before the next, by run."""
    reader.rows(
        "CREATE TEMP TABLE IF NOT EXISTS begin "
        "(started_at TEXT PRIMARY KEY, run_id INTEGER NOT NULL) WITHOUT ROWID"
    )
    reader.rows("INSERT OR REPLACE INTO begin SELECT started_at, run_id FROM run ORDER BY run_id")
    rows = reader.sums(
        "SELECT (SELECT run_id FROM begin WHERE started_at <= job.ended_at "  # noqa: S608  # ours
        "ORDER BY started_at DESC LIMIT 1) AS run_id, status, cached, currency, unit_price, "
        f"count(*) AS jobs, sum({reader.units.paid}) AS units FROM job "
        "WHERE ended_at IS NOT NULL GROUP BY 1, 2, 3, 4, 5"
    )
    by_run: dict[int, list[Row]] = {}
    for row in rows:
        by_run.setdefault(row["run_id"], []).append(row)
    return by_run


def _ended(rows: Iterable[Row]) -> dict[JobStatus, int]:
    numbers = Counter[JobStatus]()
    for row in rows:
        numbers[JobStatus(row["status"])] += row["jobs"]
    return {status: number for status, number in numbers.items() if status not in _UNDER_WAY}


def _spent(rows: Iterable[Row]) -> tuple[Money, ...]:
    paid = sum_rows(
        (row["currency"], row["unit_price"], row["units"]) for row in rows if not row["cached"]
    )
    return tuple(money for money in paid if money.amount)


def note_removal(run_dir: Path, reader: LedgerReader) -> None:
    """Note a directory that is about to be removed. Raises OSError."""
    line = orjson.dumps(
        {
            "directory": run_dir.name,
            "invocations": invocations(reader),
            "spendings": spendings(reader),
            "commitments": [one._asdict() for one in commitments(reader)],
        },
        default=str,  # amounts, which are no floats
        option=orjson.OPT_NON_STR_KEYS,  # statuses
    )
    with removed_of(run_dir.parent).open("ab") as file:
        file.write(b"\n" + line + b"\n")  # a note that was cut off spoils no other
        file.flush()
        os.fsync(file.fileno())


def read_notes(pipeline_dir: Path) -> Notes:
    """What is noted about removed directories. Of two notes about one directory the last counts.

    A directory is noted before it goes, so it may still be there. Raises OSError.
    """
    file = removed_of(pipeline_dir)
    newest: dict[tuple[str, str], RemovedRun] = {}
    damaged = 0
    for line in file.read_bytes().splitlines() if file.is_file() else ():
        if not line:
            continue
        try:
            run = _parse_note(orjson.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError):
            damaged += 1
        else:
            newest[run.name, run.runs[0].started_at if run.runs else ""] = run
    return Notes(tuple(newest.values()), damaged)


def _parse_note(line: Json) -> RemovedRun:
    """Raises ValueError, TypeError, KeyError or AttributeError where it is no note of ours."""
    if not is_run_name(line["directory"]):
        raise ValueError(line["directory"])
    runs = tuple(map(_parse_invocation, line["invocations"]))
    noted = line.get("commitments")
    return RemovedRun(
        name=line["directory"],
        runs=runs,
        paid=tuple(map(_parse_spending, line["spendings"])),
        commitments=_spent_by(runs) if noted is None else tuple(map(_parse_commitment, noted)),
    )


def _spent_by(runs: Sequence[Invocation]) -> tuple[Commitment, ...]:
    """For the notes of an older dsrun: what an invocation paid counts at its end, or a later one's.

    One that was killed has no end, and has sent its last after it began.
    """
    at, found = "", []
    for run in reversed(runs):
        at = run.ended_at or at or run.started_at
        found += [Commitment(bucket_of(at), cost) for cost in run.cost]
    return tuple(found)


def _parse_commitment(item: dict[str, Json]) -> Commitment:
    _check_texts(item["at"])
    return Commitment(item["at"], _parse_money(item["cost"]))


def _parse_invocation(item: dict[str, Json]) -> Invocation:
    jobs = {JobStatus(status): _check_count(number) for status, number in item["jobs"].items()}
    run = Invocation(**{**item, "jobs": jobs, "cost": tuple(map(_parse_money, item["cost"]))})
    for text in (run.started_at, *([] if run.ended_at is None else [run.ended_at])):
        datetime.fromisoformat(text)
    _check_texts(run.host, "" if run.reason is None else run.reason)
    _check_count(run.pid)
    _check_count(0 if run.exit_code is None else run.exit_code)
    return run


def _parse_spending(item: dict[str, Json]) -> Spending:
    spending = Spending(**{**item, "cost": _parse_money(item["cost"])})
    _check_texts(spending.month, spending.operation)
    _check_count(spending.jobs)
    return spending


def _parse_money(item: dict[str, Json]) -> Money:
    money = Money.from_json(item)
    if not money.amount.is_finite() or money.amount < 0:
        raise ValueError(item)
    _check_texts(money.currency)
    return money


def _check_count(number: Json) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ValueError(number)
    return number


def _check_texts(*values: Json) -> None:
    if not all(isinstance(value, str) for value in values):
        raise TypeError(values)
