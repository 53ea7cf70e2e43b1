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

from dsrun.common import fast
from dsrun.common.console import heard_by
from dsrun.common.errors import ExitCode, Problem, RunFailed, UsageError
from dsrun.common.models import JobError, JobStatus, Json
from dsrun.common.units import Money
from dsrun.ledger.reader import LedgerReader
from dsrun.report.results import iter_results
from dsrun.session.cost_limits import all_warnings
from dsrun.session.host import STOPPED_BY_ORDER, Ending, Host
from dsrun.session.opening import open_plan
from dsrun.session.options import RunOptions, run_options
from dsrun.session.plan_json import job_list, summary
from dsrun.session.preview import Survey
from dsrun.session.ranges import OutOfRange, Unreadable
from dsrun.session.run import run_pipeline
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
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    name: str = ""  # of its kind, where it is not the operation's main one


@dataclass(frozen=True, slots=True, kw_only=True)
class JobParent:
    """A row of an earlier step that a job is made of; `file`: the number of the one it takes."""

    axis: str
    step: str
    index: int
    job_id: str
    file: int | None = None


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
    parents: tuple[JobParent, ...] = ()


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
    parents: Sequence[Mapping[str, Json]] = ()  # what it is made of, as in results.jsonl
    changes: Sequence[Mapping[str, Json]] = ()  # to the job that it replaces, field by field


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
        """Of all that determines the requests; its first 12 digits name the run directory."""
        return str(self.summary["digest"])

    @property
    def jobs(self) -> int:
        """The selected jobs."""
        return int(self.summary["jobs"])

    @property
    def done(self) -> int:
        """Those of them that this run directory has already."""
        return int(self.summary["done"])

    @property
    def cached(self) -> int:
        """Those that come from the cache, for nothing."""
        return int(self.summary["cached"])

    @property
    def to_send(self) -> int:
        """Those that would be sent, and paid."""
        return int(self.summary["to_send"])

    @property
    def cost(self) -> Money:
        """What these cost, as far as it is known."""
        return Money.from_json(self.summary["cost"])

    @property
    def shortest_time_s(self) -> float:
        """The least time that the rates allow."""
        return float(self.summary["shortest_time_s"])

    @property
    def estimated_time_s(self) -> float | None:
        """From what earlier runs took; None where none tells how long a task takes."""
        seconds = self.summary["estimated_time_s"]
        return None if seconds is None else float(seconds)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may be intended, in the words of the command."""
        return tuple(self.summary["warnings"])


def _record(line: dict[str, Any], run_dir: Path) -> JobRecord:
    unchanged = {key: value for key, value in line.items() if key in _SAME}
    error = line["error"]
    return JobRecord(
        **unchanged,
        status=JobStatus(line["status"]),
        files=tuple(_file(item, run_dir) for item in line["artifacts"]),
        error=error and _error(error),
        cost=Money.from_json(line["cost"]),
        parents=tuple(JobParent(**parent) for parent in line.get("parents", ())),
    )


def _error(error: Mapping[str, str]) -> JobError:
    return JobError(code=error["code"], message=error["message"], kind=error["class"])


def _file(item: dict[str, Any], run_dir: Path) -> ResultFile:
    return ResultFile(**{**item, "path": run_dir / item["path"]})


_SAME = {
    "job_id", "step", "index", "matrix", "request", "output", "attempts", "task_id", "request_id",
    "cached", "submitted_at", "ended_at",
}  # fmt: skip


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


def _options(
    function: str, pipeline: Pipeline | str | Path, words: Mapping[str, Any]
) -> RunOptions:
    """Raises UsageError for a keyword that is not there or a value that cannot be."""
    takes = RunWords if function.startswith("run") else PlanWords
    known = {*takes.__annotations__}
    for name in words.keys() - known:
        raise UsageError(f"{function}: unknown keyword {name}; allowed: {', '.join(sorted(known))}")
    if isinstance(pipeline, Pipeline):
        set_params = {**pipeline.set_params, **words.get("set_params", {})}
        words = {"allow_files": pipeline.allow_files, **words, "set_params": set_params}
        pipeline = pipeline.path
    try:
        return run_options(pipeline=pipeline, **words)
    except (OutOfRange, Unreadable) as error:
        raise UsageError(error.in_call(function)) from error


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
    options = _options("load", path, words)
    with heard_by(_log_line):
        plan = open_plan(options)
        plan.check()
    return Pipeline(
        path=options.pipeline,
        set_params=set_params or {},
        name=plan.manifest.name,
        digest=plan.digest,
        warnings=tuple(map(str, plan.warnings)),
        allow_files=options.allow_files,
    )


def plan(pipeline: Pipeline | str | Path, **words: Unpack[PlanWords]) -> PlannedRun:
    """What a run would do; touches nothing. Raises ManifestError, UsageError or SetupError."""
    options = _options("plan", pipeline, words)
    with heard_by(_log_line), Survey(open_plan(options), options) as survey:
        survey.take()
        answer = summary(survey, all_warnings(survey))
    return PlannedRun(summary=answer, _items=lambda: _items(options))


async def run(pipeline: Pipeline | str | Path, **words: Unpack[RunWords]) -> RunResult:
    """Run a pipeline, or go on with it, on a thread and a loop of its own.

    Where the caller is cancelled the run stops at once, records what is under way, and then
    raises CancelledError: the next run goes on with it. Signals are left to the caller.

    Raises DsrunError where the run cannot begin; how its jobs ended is in the result.
    """
    options, wanted = _options("run", pipeline, words), _Wanted()
    executor = ThreadPoolExecutor(1, thread_name_prefix="dsrun")
    work = asyncio.get_running_loop().run_in_executor(executor, _run, options, wanted, False)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        wanted.end()
        await asyncio.wait([work])
        work.exception()  # it ended because we asked: nothing to report
        raise
    finally:
        executor.shutdown(wait=False)


def run_sync(pipeline: Pipeline | str | Path, **words: Unpack[RunWords]) -> RunResult:
    """`run` for a program without a loop.

    In the main thread the first Ctrl-C or SIGTERM lets the run submit nothing more and finish
    what is nearly done, the second stops it at once. After Ctrl-C with jobs left it raises
    KeyboardInterrupt; after SIGTERM, or `dsrun control DIR stop`, the result says so. Elsewhere
    signals are left alone.

    Raises DsrunError where the run cannot begin.
    """
    options = _options("run_sync", pipeline, words)
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        raise UsageError("run_sync: a loop is running in this thread; use `await dsrun.run(...)`")
    is_main = threading.current_thread() is threading.main_thread()
    result = _run(options, _Wanted(), is_main)
    if result.exit_code is ExitCode.INTERRUPTED and result.reason != STOPPED_BY_ORDER:
        raise KeyboardInterrupt
    return result


def _run(options: RunOptions, wanted: "_Wanted", takes_signals: bool) -> RunResult:
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
        ending = run_pipeline(options, host)
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
        return fast.run(self._drive(session))

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


def _items(options: RunOptions) -> Iterator[dict[str, Json]]:
    with ExitStack() as stack:
        with heard_by(_log_line):  # not while the caller has its turn
            survey = stack.enter_context(Survey(open_plan(options), options))
            survey.take()
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
