"""Sends what is open in a ledger, and sees it through to files."""

import asyncio
import gc
from typing import TYPE_CHECKING

from dsrun.clock import SystemClock
from dsrun.commands.common import RunOptions
from dsrun.commands.conditions import execution_of
from dsrun.commands.host import Host
from dsrun.commands.neighbours import Neighbours
from dsrun.commands.reuse import Reuse
from dsrun.commands.signals import draining_signals
from dsrun.console import say
from dsrun.control import RunControl
from dsrun.engine import run_jobs
from dsrun.errors import ExitCode
from dsrun.layout import RunLayout
from dsrun.ledger import Ledger
from dsrun.ledger_claims import LedgerClaims
from dsrun.ledger_view import StepTotal
from dsrun.plan import Plan
from dsrun.progress import Progress
from dsrun.records import JobResult, OpenJob
from dsrun.report.aside import ThumbsAside
from dsrun.settings import Settings
from dsrun.store import ArtifactStore

if TYPE_CHECKING:
    from dsrun.transport import Transport

_GARBAGE = 20_000  # objects between two looks of the collector: jobs leave few cycles


class Sender:
    """Runs the open jobs of one invocation."""

    def __init__(
        self, ledger: Ledger, store: ArtifactStore, reuse: Reuse, claims: LedgerClaims, *,
        plan: Plan, options: RunOptions, settings: Settings, control: RunControl,
        layout: RunLayout, clock: SystemClock, host: Host,
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._store = store
        self._reuse = reuse
        self._claims = claims
        self._plan = plan
        self._options = options
        self._settings = settings
        self._control = control
        self._layout = layout
        self._clock = clock
        self._host = host
        self._execution = execution_of(plan.manifest.execution, options)

    async def send(self, neighbours: Neighbours) -> None:
        """Every open job; those that a run beside this one has in hand when it has left them."""
        steps = self._ledger.view.open_steps()
        if not steps and not neighbours.held:
            if not self._options.quiet:
                say("nothing to send: every job of the plan has ended")
            return
        if self._host.owns_process:
            gc.freeze()  # what is loaded by now stays, so the collector need not look at it again
            gc.set_threshold(_GARBAGE, 50, 50)
        if steps:
            await self._send(steps)
        while await self._wait_for(neighbours):
            self._recount()
            await self._send(self._ledger.view.open_steps())

    async def _wait_for(self, neighbours: Neighbours) -> bool:
        with draining_signals(self._control, enabled=self._host.takes_signals, say=say):
            try:
                return await neighbours.released(self._ledger, self._reuse, self._control)
            except asyncio.CancelledError:
                self._stop_at_once()
                return False

    def _recount(self) -> None:
        """What another run had sent and left may be paid, and is this run's now."""
        limit = self._execution.max_cost
        if limit is not None:
            spent, under_way = self._ledger.view.committed(currency=limit.currency)
            self._control.budget.recount(spent=spent, under_way=under_way)

    async def _send(self, steps: list[StepTotal]) -> None:
        # Imported here: a run that has nothing to do should not wait for aiohttp.
        from dsrun.transport import Transport  # noqa: PLC0415

        progress = Progress(
            steps, clock=self._clock, quiet=self._options.quiet, bar=self._options.progress,
            costs=not self._options.emulate,
        )  # fmt: skip
        takes_signals, fresh = self._host.takes_signals, self._execution.submit_window == 1
        aside = ThumbsAside(self._layout.run_dir, clock=self._clock)
        with progress, draining_signals(self._control, enabled=takes_signals, say=progress.note):
            try:
                async with Transport(fresh_creates=fresh) as transport:
                    await self._run_jobs(transport, progress, aside)
            except asyncio.CancelledError:
                self._stop_at_once()
            finally:
                aside.close()

    async def _run_jobs(
        self, transport: "Transport", progress: Progress, aside: ThumbsAside
    ) -> None:
        from dsrun.commands.wiring import build_runner, ledger_source  # noqa: PLC0415  # as above

        view = self._ledger.view
        operations = view.operations()
        runner = build_runner(
            transport=transport, settings=self._settings, ledger=self._ledger, store=self._store,
            catalog=self._plan.catalog, operations=operations, control=self._control,
            execution=self._execution, files=self._plan.files, claims=self._claims,
            metadata=self._plan.manifest.metadata, resubmit_unknown=self._options.resubmit_unknown,
        )  # fmt: skip
        progress.watch(runner.pace)

        async def run_job(job: OpenJob) -> JobResult | None:
            progress.job_started(job)
            return await runner.run(job)

        def on_end(job: OpenJob, result: JobResult | None) -> None:
            self._reuse.note_end(job, result)
            aside.note_end(result)
            progress.job_ended(job, result)
            if result is not None and result.error is not None:
                error = result.error
                words = f"{error.code}: {error.message}"
                progress.note(f"{result.status}: {job.stems[0][0]}: {words}")

        with progress.kept_current():
            await run_jobs(
                [ledger_source(view, name) for name in operations],
                run_job=run_job, on_end=on_end, concurrency=self._execution.concurrency,
                control=self._control,
            )  # fmt: skip

    def _stop_at_once(self) -> None:
        self._control.stop("stopped at once", ExitCode.INTERRUPTED)
