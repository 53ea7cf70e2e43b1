"""What the Python API gives: plans and results as records, read from the ledger when asked."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from dsrun.common.errors import ExitCode, RunFailed
from dsrun.common.models import JobError, JobStatus, Json
from dsrun.ledger.view import LedgerView
from dsrun.manifest.execution import Money
from dsrun.report.results import iter_results


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """A file that a job made, `size` in bytes; `index` counts the files of its job from 0.

    `source_sha256` is of the bytes as the service gave them, before metadata was put in.
    """

    path: Path
    sha256: str
    size: int
    media_type: str
    index: int
    source_sha256: str
    seed: int | None = None
    sample_rate: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """A job as its line of results.jsonl has it; times are UTC, ISO 8601."""

    job_id: str
    step: str
    index: int
    matrix: Mapping[str, Json]
    request: Mapping[str, Json]
    status: JobStatus
    files: tuple[ResultFile, ...]
    output: Mapping[str, Json] | None
    error: JobError | None
    attempts: int
    task_id: str | None
    request_id: str | None
    cost: Money
    cached: bool
    submitted_at: str | None
    ended_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended. `counts` are of the selected jobs, `costs` of all that this directory paid.

    `exit_code` is what the command would exit with, `reason` why it stopped early, if it did.
    `is_skipped`: another run had the directory, and `if_running="skip"` left it alone.
    """

    name: str
    digest: str
    run_dir: Path
    exit_code: ExitCode
    counts: Mapping[JobStatus, int]
    costs: tuple[Money, ...]
    cached: int
    reason: str = ""
    is_skipped: bool = False

    @property
    def ok(self) -> bool:
        """Every selected job has succeeded, now or before."""
        return self.exit_code is ExitCode.OK

    def check(self) -> "RunResult":
        """The result itself. Raises RunFailed where not every selected job has succeeded."""
        if self.ok:
            return self
        parts = ", ".join(f"{number} {status}" for status, number in self.counts.items() if number)
        words = f"{self.name}: {parts or 'no job'}"
        raise RunFailed(f"{words}; {self.reason}" if self.reason else words, self.exit_code)

    def results(self) -> Iterator[JobRecord]:
        """Every job of the run directory in plan order, one at a time. Raises SetupError."""
        with closing(LedgerView(self.run_dir / "ledger.sqlite3")) as view:
            for line in iter_results(view):
                yield _record(line, self.run_dir)

    def files(self) -> Iterator[Path]:
        """Every file that the jobs made. Raises SetupError."""
        for job in self.results():
            for file in job.files:
                yield file.path


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanItem:
    """A job of a plan, and why it would be sent or not."""

    job_id: str
    step: str
    index: int
    matrix: Mapping[str, Json]
    request: Mapping[str, Json]
    reason: str
    to_send: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """What a run would do. Iterate over it for its jobs; the manifest is read anew for that.

    `summary` has all keys of `dsrun plan --json`.
    """

    summary: Mapping[str, Json]
    _items: Callable[[], Iterator[Mapping[str, Json]]] = field(repr=False, compare=False)

    def __iter__(self) -> Iterator[PlanItem]:
        for item in self._items():
            yield PlanItem(**item)

    @property
    def digest(self) -> str:
        return str(self.summary["digest"])

    @property
    def jobs(self) -> int:
        return int(self.summary["jobs"])

    @property
    def done(self) -> int:
        return int(self.summary["done"])

    @property
    def cached(self) -> int:
        return int(self.summary["cached"])

    @property
    def to_send(self) -> int:
        return int(self.summary["to_send"])

    @property
    def cost(self) -> Money:
        return _money(self.summary["cost"])

    @property
    def shortest_time_s(self) -> float:
        return float(self.summary["shortest_time_s"])

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self.summary["warnings"])


def _record(line: dict[str, Any], run_dir: Path) -> JobRecord:
    given = {key: value for key, value in line.items() if key in _SAME}
    error = line["error"]
    return JobRecord(
        **given,
        status=JobStatus(line["status"]),
        files=tuple(_file(item, run_dir) for item in line["artifacts"]),
        error=error and _error(error),
        cost=_money(line["cost"]),
    )


def _error(error: Mapping[str, str]) -> JobError:
    return JobError(code=error["code"], message=error["message"], kind=error["class"])


def _file(item: dict[str, Any], run_dir: Path) -> ResultFile:
    return ResultFile(**{**item, "path": run_dir / item["path"]})


def _money(value: Mapping[str, Any]) -> Money:
    return Money(amount=Decimal(str(value["amount"])), currency=value["currency"])


_SAME = {
    "job_id", "step", "index", "matrix", "request", "output", "attempts", "task_id", "request_id",
    "cached", "submitted_at", "ended_at",
}  # fmt: skip
