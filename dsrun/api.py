"""The Python API: what the commands do, for programs that have a loop and a terminal of their own.

Nothing is printed: what a command would say goes to the logger `dsrun`. Errors are DsrunErrors.
"""

import asyncio
import logging
import threading
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Unpack

from dsrun.api_records import PlannedRun, RunResult
from dsrun.api_words import Asked, Pipeline, PlanWords, RunWords, read_words
from dsrun.cli.plan import ShowOptions, all_warnings, job_list, summary
from dsrun.common.console import heard_by
from dsrun.common.errors import ExitCode, Problem, UsageError
from dsrun.common.models import Json
from dsrun.session.host import Ending, Host
from dsrun.session.options import open_plan
from dsrun.session.run import run_pipeline
from dsrun.session.survey import Survey

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
        digest=ending.layout.digest,
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
