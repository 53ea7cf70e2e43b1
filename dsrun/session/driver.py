"""Sends what is open in a ledger, and sees it through to files."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsrun.common.clock import SystemClock
from dsrun.common.console import say
from dsrun.common.errors import ExitCode
from dsrun.common.models import JobResult, JobStatus, OpenJob
from dsrun.common.settings import Settings
from dsrun.engine.control import RunControl
from dsrun.engine.scheduler import run_jobs
from dsrun.ledger import totals
from dsrun.ledger.peers import LedgerClaims
from dsrun.ledger.totals import StepTotal
from dsrun.ledger.writer import Ledger
from dsrun.manifest.execution import Execution
from dsrun.planning.plan import Plan
from dsrun.report.background_thumbs import BackgroundThumbs
from dsrun.session.caching import Reuse
from dsrun.session.host import Host, draining_signals
from dsrun.session.options import RunOptions
from dsrun.session.peers import Neighbours
from dsrun.session.progress import Progress
from dsrun.storage.artifacts import ArtifactStore
from dsrun.storage.layout import RunLayout

if TYPE_CHECKING:
    from dsrun.service.transport import Transport

_GARBAGE = 20_000  # objects between two looks of the collector: jobs leave few cycles
_LOOK_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Runs the open jobs of one invocation, with what that has opened."""

    ledger: Ledger
    store: ArtifactStore
    reuse: Reuse
    claims: LedgerClaims
    neighbours: Neighbours
    plan: Plan
    options: RunOptions
    execution: Execution
    settings: Settings
    control: RunControl
    layout: RunLayout
    clock: SystemClock
    host: Host

    async def send(self) -> None:
        """Every open job; those that a run beside this one has in hand when it has left them."""
        steps = totals.open_steps(self.ledger.view)
        if not steps and not self.neighbours.held:
            if not self.options.quiet:
                say("nothing to send: every job of the plan has ended")
            return
        if self.host.owns_process:
            gc.freeze()  # what is loaded by now stays, so the collector need not look at it again
            gc.set_threshold(_GARBAGE, 50, 50)
        with self._on_firm_ground():
            if steps:
                await self._send(steps)
            while await self._wait_for_others():
                self._recount()
                await self._send(totals.open_steps(self.ledger.view))

    async def _wait_for_others(self) -> bool:
        with draining_signals(self.control, enabled=self.host.takes_signals, say=say):
            try:
                return await self.neighbours.released(self.ledger, self.reuse, self.control)
            except asyncio.CancelledError:
                self._stop_at_once()
                return False

    def _recount(self) -> None:
        """What another run had sent and left may be paid, and is this run's now."""
        limit = self.execution.max_cost
        if limit is not None:
            spent, under_way = totals.committed(self.ledger.view, currency=limit.currency)
            self.control.budget.recount(spent=spent, under_way=under_way)

    async def _send(self, steps: list[StepTotal]) -> None:
        # Imported here: a run that has nothing to do should not wait for aiohttp.
        from dsrun.service.transport import Transport  # noqa: PLC0415

        progress = Progress(
            steps, clock=self.clock, quiet=self.options.quiet, bar=self.options.progress,
            costs=not self.options.emulate,
        )  # fmt: skip
        self._keep_room()
        takes_signals, fresh = self.host.takes_signals, self.execution.submit_window == 1
        aside = BackgroundThumbs(self.layout.run_dir, clock=self.clock)
        with progress, draining_signals(self.control, enabled=takes_signals, say=progress.note):
            try:
                async with Transport(fresh_creates=fresh) as transport:
                    await self._run_jobs(transport, progress, aside)
            except asyncio.CancelledError:
                self._stop_at_once()
            finally:
                aside.close()

    def _keep_room(self) -> None:
        """Nothing is sent whose answer may find no room. Raises SetupError."""
        counts = totals.counts(self.ledger.view)
        if counts.get(JobStatus.PENDING) or counts.get(JobStatus.SUBMITTING):
            at_once = self.execution.submit_window * len(self.ledger.view.operations())
            self.ledger.keep_room(min(at_once, self.execution.concurrency))

    async def _run_jobs(
        self, transport: "Transport", progress: Progress, aside: BackgroundThumbs
    ) -> None:
        from dsrun.session.wiring import build_runner, ledger_source  # noqa: PLC0415  # as above

        view = self.ledger.view
        operations = view.operations()
        runner = build_runner(
            transport=transport, settings=self.settings, ledger=self.ledger, store=self.store,
            catalog=self.plan.catalog, operations=operations, control=self.control,
            execution=self.execution, files=self.plan.files, claims=self.claims,
            metadata=self.plan.manifest.metadata, resubmit_unknown=self.options.resubmit_unknown,
        )  # fmt: skip
        progress.watch(runner.pace)

        async def run_job(job: OpenJob) -> JobResult | None:
            progress.job_started(job)
            return await runner.run(job)

        def on_end(job: OpenJob, result: JobResult | None) -> None:
            self.reuse.note_end(job, result)
            aside.note_end(result)
            progress.job_ended(job, result)
            if result is not None and result.warning:
                progress.note(f"warning: {job.stems[0][0]}: {result.warning}")
            if result is not None and result.error is not None:
                error = result.error
                words = f"{error.code}: {error.message}"
                progress.note(f"{result.status}: {job.stems[0][0]}: {words}")

        with progress.kept_current():
            await run_jobs(
                [ledger_source(view, name) for name in operations],
                run_job=run_job, on_end=on_end, concurrency=self.execution.concurrency,
                control=self.control,
            )  # fmt: skip

    def _stop_at_once(self) -> None:
        self.control.stop("stopped at once", ExitCode.INTERRUPTED)

    @contextmanager
    def _on_firm_ground(self) -> Iterator[None]:
        """In here a run whose directory is taken away ends at once, whatever it waits for."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle | None = None

        def look() -> None:
            nonlocal timer
            if words := self.ledger.lost() or self.store.lost():
                self.control.stop(words, ExitCode.INCOMPLETE)
                self.control.end_grace()
            else:
                timer = loop.call_later(_LOOK_S, look)

        look()
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
