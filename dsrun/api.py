"""The Python API: what the commands do, for programs that have a loop and a terminal of their own.

Nothing is printed: what a command would say goes to the logger `dsrun`. Errors are DsrunErrors.
"""

import asyncio
import datetime as dt
import logging
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, Unpack

from dsrun.common.console import heard_by
from dsrun.common.digest import json_text
from dsrun.common.errors import ExitCode, Problem, RunFailed, UsageError
from dsrun.common.models import JobError, JobStatus, Json
from dsrun.common.units import Money, parse_limit
from dsrun.ledger.reader import LedgerReader
from dsrun.planning.selection import Selection
from dsrun.report.results import iter_results
from dsrun.session.host import Ending, Host
from dsrun.session.options import DEFAULT_OUT, RunOptions, open_plan
from dsrun.session.preview import ShowOptions, all_warnings, job_list, summary
from dsrun.session.run import run_pipeline
from dsrun.session.survey import Survey
from dsrun.storage.layout import RunLayout


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
        with closing(LedgerReader(RunLayout.of(self.run_dir).ledger)) as view:
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
        return Money.from_json(self.summary["cost"])

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
        cost=Money.from_json(line["cost"]),
    )


def _error(error: Mapping[str, str]) -> JobError:
    return JobError(code=error["code"], message=error["message"], kind=error["class"])


def _file(item: dict[str, Any], run_dir: Path) -> ResultFile:
    return ResultFile(**{**item, "path": run_dir / item["path"]})


_SAME = {
    "job_id", "step", "index", "matrix", "request", "output", "attempts", "task_id", "request_id",
    "cached", "submitted_at", "ended_at",
}  # fmt: skip


_MOST_AT_ONCE = 10_000  # as --max-concurrency


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A pipeline that was read and found valid. Its file is read anew when it is planned or run."""

    path: Path
    set_params: Mapping[str, Json]
    name: str
    digest: str
    warnings: tuple[str, ...]
    allow_files: tuple[Path, ...] = ()


class PlanWords(TypedDict, total=False):
    """Keywords of `plan`; each is the option of that name, `set_params` is --set."""

    set_params: Mapping[str, Json]
    allow_files: Sequence[str | Path]
    out: str | Path
    emulate: bool
    no_cache: bool
    date: dt.date | str | None
    steps: Sequence[str]
    only: str | None
    sample: int | None
    limit: int | None
    max_cost: str | Money | None
    retry_failed: bool
    resubmit_unknown: bool


class RunWords(PlanWords, total=False):
    """Keywords of `run`. `concurrency` is --max-concurrency; `progress` shows a bar on stderr."""

    concurrency: int | None
    fail_fast: bool
    if_running: str
    yes: bool
    allow_notify: bool
    progress: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The keywords of a call, checked."""

    path: Path
    set_params: Mapping[str, Json] = field(default_factory=dict)
    allow_files: Sequence[str | Path] = ()
    out: str | Path = DEFAULT_OUT
    emulate: bool = False
    no_cache: bool = False
    date: dt.date | str | None = None
    steps: Sequence[str] = ()
    only: str | None = None
    sample: int | None = None
    limit: int | None = None
    max_cost: str | Money | None = None
    retry_failed: bool = False
    resubmit_unknown: bool = False
    concurrency: int | None = None
    fail_fast: bool = False
    if_running: str = "fail"
    yes: bool = False
    allow_notify: bool = False
    progress: bool = False

    def for_plan(self) -> ShowOptions:
        again: set[JobStatus] = set()
        if self.retry_failed:
            again |= {JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.PARTIAL}
        if self.resubmit_unknown:
            again.add(JobStatus.UNKNOWN)
        return ShowOptions(**self._common(), max_cost=self._max_cost(), again=frozenset(again))

    def for_run(self) -> RunOptions:
        return RunOptions(
            **self._common(),
            concurrency=self.concurrency,
            max_cost=self._max_cost(),
            retry_failed=self.retry_failed,
            resubmit_unknown=self.resubmit_unknown,
            fail_fast=self.fail_fast,
            if_running=self.if_running,
            yes=self.yes,
            allow_notify=self.allow_notify,
            progress=self.progress,
        )

    def _common(self) -> dict[str, Any]:
        texts = {
            key: value if isinstance(value, str) else json_text(value)
            for key, value in self.set_params.items()
        }
        return {
            "pipeline": self.path,
            "out": Path(self.out),
            "set_params": texts,
            "allow_files": self.folders(),
            "emulate": self.emulate,
            "no_cache": self.no_cache,
            "day": self._day(),
            "selection": Selection(
                steps=tuple(self.steps), only=self.only, sample=self.sample, limit=self.limit
            ),
        }

    def folders(self) -> tuple[Path, ...]:
        """Raises UsageError for one that is not there."""
        given = self.allow_files
        folders = tuple(map(Path, [given] if isinstance(given, str | Path) else given))
        for folder in folders:
            if not folder.is_dir():
                raise UsageError(f"allow_files: {folder} is no folder")
        return folders

    def _day(self) -> dt.date | None:
        day = self.date
        try:
            if isinstance(day, str):
                return dt.date.fromisoformat(day)
            return day.date() if isinstance(day, dt.datetime) else day
        except ValueError as error:
            raise UsageError(f"date: {day!r} is no day such as 2026-11-01") from error

    def _max_cost(self) -> Money | None:
        if not isinstance(self.max_cost, str):
            return self.max_cost
        try:
            return parse_limit(self.max_cost)
        except ValueError as error:
            raise UsageError(f"max_cost: {error}") from error


def read_words(function: str, pipeline: Pipeline | str | Path, words: Mapping[str, Any]) -> Asked:
    """Raises UsageError for a keyword that is not there or a value that cannot be."""
    known = (
        {*RunWords.__annotations__} if function.startswith("run") else {*PlanWords.__annotations__}
    )
    for name in words.keys() - known:
        raise UsageError(f"{function}: unknown keyword {name}; allowed: {', '.join(sorted(known))}")
    given = dict(words)
    if isinstance(pipeline, Pipeline):
        given["set_params"] = {**pipeline.set_params, **given.get("set_params", {})}
        given.setdefault("allow_files", pipeline.allow_files)
        pipeline = pipeline.path
    asked = Asked(path=Path(pipeline), **given)
    for name in ("sample", "limit", "concurrency"):
        number = getattr(asked, name)
        most = _MOST_AT_ONCE if name == "concurrency" else None
        if number is not None and (number < 1 or (most and number > most)):
            allowed = f"1 to {most}" if most else "at least 1"
            raise UsageError(f"{function}: {name}={number}; allowed: {allowed}")
    if asked.if_running not in ("fail", "skip", "wait"):
        raise UsageError(f"{function}: if_running={asked.if_running!r}; allowed: fail, skip, wait")
    return asked


_log = logging.getLogger("dsrun")
_WARNING = "warning: "


def load(
    path: str | Path,
    *,
    set_params: Mapping[str, Json] | None = None,
    allow_files: Sequence[str | Path] = (),
) -> Pipeline:
    """Read a pipeline and check every job of it. Raises ManifestError with every problem.

    `allow_files`: folders beside the pipeline's own that it may read files of.
    """
    words = {"set_params": set_params or {}, "allow_files": allow_files}
    options = read_words("load", path, words)
    with heard_by(_log_line):
        plan = open_plan(options.for_run())
        plan.check()
    return Pipeline(
        path=options.path,
        set_params=options.set_params,
        name=plan.manifest.name,
        digest=plan.digest,
        warnings=tuple(map(str, plan.warnings)),
        allow_files=options.folders(),
    )


def plan(pipeline: Pipeline | str | Path, **words: Unpack[PlanWords]) -> PlannedRun:
    """What a run would do; touches nothing. Raises ManifestError, UsageError or SetupError."""
    options = read_words("plan", pipeline, words).for_plan()
    with heard_by(_log_line):
        opened = open_plan(options)
        with Survey(opened, options, again=options.again) as survey:
            survey.take()
            told = summary(opened, survey, options, all_warnings(opened, survey, options))
    return PlannedRun(summary=told, _items=lambda: _items(options))


async def run(pipeline: Pipeline | str | Path, **words: Unpack[RunWords]) -> RunResult:
    """Run a pipeline, or go on with it, on a thread and a loop of its own.

    Where the caller is cancelled the run stops at once, records what is under way, and then
    raises CancelledError: the next run goes on with it. Signals are left to the caller.

    Raises DsrunError where the run cannot begin; how its jobs ended is in the result.
    """
    asked, wanted = read_words("run", pipeline, words), _Wanted()
    executor = ThreadPoolExecutor(1, thread_name_prefix="dsrun")
    work = asyncio.get_running_loop().run_in_executor(executor, _run, asked, wanted, False)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        wanted.end()
        await asyncio.wait([work])
        work.exception()  # its own end by our wish is no news
        raise
    finally:
        executor.shutdown(wait=False)


def run_sync(pipeline: Pipeline | str | Path, **words: Unpack[RunWords]) -> RunResult:
    """`run` for a program without a loop.

    In the main thread the first Ctrl-C or SIGTERM lets the run submit nothing more and finish
    what is nearly done, the second stops it at once. After Ctrl-C with jobs left it raises
    KeyboardInterrupt; after SIGTERM the result says so. Elsewhere signals are left alone.

    Raises DsrunError where the run cannot begin.
    """
    asked = read_words("run_sync", pipeline, words)
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        raise UsageError("run_sync: a loop is running in this thread; use `await dsrun.run(...)`")
    is_main = threading.current_thread() is threading.main_thread()
    result = _run(asked, _Wanted(), is_main)
    if result.exit_code is ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    return result


def _run(asked: Asked, wanted: "_Wanted", takes_signals: bool) -> RunResult:
    host = Host(
        owns_process=False,
        takes_signals=takes_signals,
        agree=lambda _: False,
        confirm=_decline,
        warn=_log_warnings,
        drive=wanted.drive,
        check=wanted.check,
    )
    with heard_by(_log_line):
        ending = run_pipeline(asked.for_run(), host)
    return RunResult(
        name=ending.layout.name,
        digest=ending.digest,
        run_dir=ending.layout.run_dir,
        exit_code=ending.code,
        counts=dict(ending.counts),
        costs=ending.spent,
        cached=ending.cached,
        reason=ending.reason,
        is_skipped=ending.is_skipped,
    )


class _Wanted:
    """Whether a run is still wanted; another thread may end that."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._is_over = False
        self._session: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None

    def check(self) -> None:
        if self._is_over:
            raise asyncio.CancelledError

    def drive(self, session: Coroutine[Any, Any, Ending]) -> Ending:
        return asyncio.run(self._drive(session))

    def end(self) -> None:
        with self._guard:
            self._is_over = True
            if self._session is not None:
                loop, task = self._session
                with suppress(RuntimeError):  # its loop is closed: the run has ended by itself
                    loop.call_soon_threadsafe(task.cancel)

    async def _drive(self, session: Coroutine[Any, Any, Ending]) -> Ending:
        task = asyncio.ensure_future(session)
        with self._guard:
            self._session = asyncio.get_running_loop(), task
            if self._is_over:
                task.cancel()
        return await task


def _items(options: ShowOptions) -> Iterator[dict[str, Json]]:
    with ExitStack() as stack:
        with heard_by(_log_line):  # not while the caller has its turn
            survey = Survey(open_plan(options), options, again=options.again)
            stack.enter_context(survey).take()
        yield from job_list(survey)


def _decline(words: str) -> bool:
    _log_line(f"{_WARNING}{words}; yes=True agrees")
    return False


def _log_warnings(warnings: Iterable[Problem]) -> None:
    for warning in warnings:
        _log_line(f"{_WARNING}{warning}")


def _log_line(text: str) -> None:
    level = logging.WARNING if text.startswith(_WARNING) else logging.INFO
    _log.log(level, "%s", text.removeprefix(_WARNING))
