"""`dsrun run`: validate, expand, run what is missing, write the results."""

import asyncio
import gc
import os
import socket
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial

from dsrun import __version__
from dsrun.clock import SystemClock, stamp
from dsrun.commands.common import RunOptions, open_plan
from dsrun.commands.prepare import prepare
from dsrun.commands.problems import warn
from dsrun.commands.record import write_manifest
from dsrun.commands.reuse import Reuse
from dsrun.commands.signals import draining_signals
from dsrun.commands.summary import exit_code_of, say_summary
from dsrun.console import Progress, answer, count_of, say
from dsrun.control import Budget, RunControl
from dsrun.engine import run_jobs
from dsrun.errors import ExitCode, SetupError, UsageError
from dsrun.execution import Execution, Money
from dsrun.layout import RunLayout
from dsrun.ledger import Ledger
from dsrun.ledger_claims import LedgerClaims
from dsrun.ledger_view import LedgerView
from dsrun.lockfile import run_lock
from dsrun.plan import Plan
from dsrun.planindex import ChosenJobs
from dsrun.records import OPEN, JobResult, OpenJob
from dsrun.report.early import EarlyThumbs
from dsrun.report.write import try_report
from dsrun.results import write_results
from dsrun.selection import Chooser
from dsrun.settings import Settings, emulated_settings, read_settings
from dsrun.store import ArtifactStore, make_folder

_TASK_LIFE = timedelta(hours=24)  # of a task's record and its results at the service
_EMULATED_TASK_S = 0.5
_GARBAGE = 20_000  # objects between two looks of the collector: jobs leave few cycles
_EMULATED_FIRST_POLL_S = 0.8  # its tasks do not take the minute that real ones may


def run(options: RunOptions) -> int:
    """The exit code of design 1.2. Raises DsrunError where the run cannot begin."""
    plan = open_plan(options)
    _check_currency(plan, options.max_cost)
    chosen = _check(plan, options)
    warn(() if options.quiet else plan.warnings)
    settings = None if options.emulate else read_settings()
    layout = RunLayout(
        out=options.out, name=plan.manifest.name, digest=plan.digest, emulated=options.emulate
    )
    make_folder(layout.run_dir)
    with run_lock(
        layout.lock,
        if_running=options.if_running,
        describe_owner=lambda: _owner(layout),
        say=say,
    ) as is_held:
        if not is_held:
            return ExitCode.OK
        session = _Session(plan, options, layout, settings, chosen)
        return asyncio.run(session.run())


def _check(plan: Plan, options: RunOptions) -> ChosenJobs | None:
    """Validate every job; those to run, or None for all."""
    if options.selection.is_all:
        plan.check()
        return None
    chooser = Chooser(plan, options.selection)
    plan.check(chooser.visit)
    return chooser.end()


class _Session:
    """One invocation, from an open ledger to the results."""

    def __init__(
        self,
        plan: Plan,
        options: RunOptions,
        layout: RunLayout,
        settings: Settings | None,
        chosen: ChosenJobs | None,
    ) -> None:
        self._plan = plan
        self._chosen = chosen
        self._options = options
        self._layout = layout
        self._settings = settings
        self._execution = _execution(plan.manifest.execution, options)
        self._clock = SystemClock()

    async def run(self) -> int:
        async with AsyncExitStack() as stack:
            if self._chosen is not None:
                stack.callback(self._chosen.close)
            settings = self._settings or await self._start_emulator(stack)
            ledger = Ledger(self._layout.ledger)
            stack.callback(ledger.close)
            live_since = stamp(self._clock.now() - _TASK_LIFE)
            if not self._options.emulate:
                _check_endpoint(ledger.view, settings, since=live_since)
            store = ArtifactStore(self._layout.run_dir)
            stack.callback(store.close)
            reuse = Reuse(self._layout, clock=self._clock, enabled=not self._options.no_cache)
            stack.callback(reuse.close)
            write_manifest(self._plan, self._layout, settings)
            await ledger.start_run(
                at=self._now(),
                version=__version__,
                endpoint=settings.base_url,
                host=socket.gethostname(),
                pid=os.getpid(),
                live_since=live_since,
            )
            claims = LedgerClaims(self._layout.ledger, out=self._layout.out)
            await prepare(
                ledger, store, reuse, claims, plan=self._plan, options=self._options,
                endpoint=settings.base_url, run_dir=self._layout.run_dir, chosen=self._chosen,
                at=self._now(), live_since=live_since,
            )  # fmt: skip
            control = self._control(ledger.view)
            if self._confirm(ledger.view):
                await self._run_open_jobs(ledger, store, reuse, settings=settings, control=control)
            else:
                control.stop("not confirmed; nothing was sent", ExitCode.INCOMPLETE)
            return await self._finish(ledger, control)

    async def _run_open_jobs(
        self,
        ledger: Ledger,
        store: ArtifactStore,
        reuse: Reuse,
        *,
        settings: Settings,
        control: RunControl,
    ) -> None:
        counts = ledger.view.counts()
        total = sum(counts.get(status, 0) for status in OPEN)
        if not total:
            if not self._options.quiet:
                say("nothing to send: every job of the plan has ended")
            return
        # Imported here: a run that has nothing to do should not wait for aiohttp.
        from dsrun.commands.wiring import build_runner, ledger_source  # noqa: PLC0415
        from dsrun.transport import Transport  # noqa: PLC0415

        operations = ledger.view.operations()
        sources = [ledger_source(ledger.view, name) for name in operations]
        progress = Progress(
            total=total,
            clock=self._clock,
            quiet=self._options.quiet,
            bar=self._options.progress,
        )

        gc.freeze()  # what is loaded by now stays, so the collector need not look at it again
        gc.set_threshold(_GARBAGE, 50, 50)
        with progress, draining_signals(control), EarlyThumbs(self._layout.run_dir) as thumbs:
            fresh = self._execution.submit_window == 1
            async with Transport(fresh_creates=fresh) as transport:
                runner = build_runner(
                    transport=transport, settings=settings, ledger=ledger, store=store,
                    catalog=self._plan.catalog, operations=operations, control=control,
                    execution=self._execution, files=self._plan.files,
                    claims=LedgerClaims(self._layout.ledger, out=self._layout.out),
                    resubmit_unknown=self._options.resubmit_unknown,
                )  # fmt: skip
                try:
                    await run_jobs(
                        sources, run_job=runner.run, on_end=partial(_tell, progress, reuse, thumbs),
                        concurrency=self._execution.concurrency, control=control,
                    )  # fmt: skip
                except asyncio.CancelledError:
                    control.stop("stopped at once", ExitCode.INTERRUPTED)

    async def _finish(self, ledger: Ledger, control: RunControl) -> int:
        counts = ledger.view.counts()
        code = exit_code_of(counts, control)
        cached = ledger.view.cached_count()
        say_summary(ledger.view, counts, control, self._options, cached=cached)
        await ledger.end_run(at=self._now(), exit_code=code, reason=control.reason)
        write_results(ledger.view, self._layout.results)
        try_report(self._layout, is_stopped=bool(control.reason))
        answer(str(self._layout.run_dir))
        return code

    def _control(self, view: LedgerView) -> RunControl:
        limit = self._execution.max_cost
        budget = Budget()
        if limit is not None:
            spent, under_way = view.committed(currency=limit.currency)
            budget = Budget(limit=limit.amount, spent=spent, under_way=under_way)
        failures = 1 if self._options.fail_fast else self._execution.max_failures
        return RunControl(max_failures=failures, budget=budget)

    def _confirm(self, view: LedgerView) -> bool:
        """Ask where the run costs more than `confirm_above`; without a terminal --yes decides."""
        above = self._execution.confirm_above
        if above is None or self._options.yes or self._options.emulate:
            return True
        costs = view.cost_to_send()
        if all(cost.amount <= above.amount for cost in costs if cost.currency == above.currency):
            return True
        words = f"this run costs {', '.join(map(str, costs))}, more than confirm_above ({above})"
        if not sys.stdin.isatty():
            say(f"{words}; add --yes to agree")
            return False
        import click  # noqa: PLC0415  # start-up

        return click.confirm(f"{words}. Go on?", err=True)

    async def _start_emulator(self, stack: AsyncExitStack) -> Settings:
        from dsrun.emulator import EmulatorOptions, start_emulator  # noqa: PLC0415  # start-up

        own = tuple(self._plan.catalog.own.values())
        emulator = await start_emulator(
            EmulatorOptions(task_time_s=_EMULATED_TASK_S, operations=own)
        )
        stack.push_async_callback(emulator.aclose)
        if not self._options.quiet:
            say(f"emulated: nothing is sent to DashScope, nothing is paid ({emulator.base_url})")
        return emulated_settings(emulator.base_url)

    def _now(self) -> str:
        return stamp(self._clock.now())


def _tell(
    progress: Progress, reuse: Reuse, thumbs: EarlyThumbs, job: OpenJob, result: JobResult | None
) -> None:
    reuse.note_end(job, result)
    thumbs.note_end(result)
    progress.job_ended(result)
    if result is not None and result.error is not None:
        error = result.error
        progress.note(f"{result.status}: {job.stems[0][0]}: {error.code}: {error.message}")


def _execution(execution: Execution, options: RunOptions) -> Execution:
    if options.max_cost is not None:
        execution = replace(execution, max_cost=options.max_cost)
    if options.concurrency is not None:
        execution = replace(execution, concurrency=options.concurrency)
    if options.emulate and execution.poll_first_s is None:
        execution = replace(execution, poll_first_s=_EMULATED_FIRST_POLL_S)
    return execution


def _check_endpoint(view: LedgerView, settings: Settings, *, since: str) -> None:
    """Paid tasks can be asked for only where they were made."""
    last, waiting = view.last_run(), view.may_be_paid(since=since)
    if last and waiting and last.endpoint != settings.base_url:
        raise SetupError(
            f"{count_of(waiting, 'job')} of this run that may be paid wait at {last.endpoint}, and "
            f"the base URL is now {settings.base_url}; set DASHSCOPE_HTTP_BASE_URL back and run "
            "again to fetch them"
        )


def _check_currency(plan: Plan, max_cost: Money | None) -> None:
    known = {plan.catalog[step.operation].price.currency for step in plan.manifest.steps}
    if max_cost is not None and known != {max_cost.currency}:
        raise UsageError(f"--max-cost {max_cost}: prices are in {', '.join(sorted(known))}")


def _owner(layout: RunLayout) -> str:
    """Host, process and start of the run that holds the lock, from its ledger."""
    try:
        view = LedgerView(layout.ledger)
    except SetupError:
        return "it is just starting"
    last = view.last_run()
    view.close()
    return (
        f"process {last.pid} on {last.host} since {last.started_at}"
        if last
        else "it is just starting"
    )
