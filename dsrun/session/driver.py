"""Sends the open jobs of a ledger and follows each until its files are there."""

import asyncio
import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsrun.common.collector import collect_seldom
from dsrun.common.console import say
from dsrun.common.errors import ExitCode, SetupError
from dsrun.common.models import JobResult, JobStatus, OpenJob
from dsrun.engine.control import Left, RunControl
from dsrun.engine.scheduler import run_jobs
from dsrun.ledger import totals
from dsrun.ledger.totals import StepTotal
from dsrun.report.background_thumbs import BackgroundThumbs
from dsrun.session.host import draining_signals
from dsrun.session.names import other_names
from dsrun.session.open_run import OpenRun
from dsrun.session.progress import Progress
from dsrun.session.sources import Sources
from dsrun.session.steering import Steering

if TYPE_CHECKING:
    from dsrun.engine.job_runner import Runner
    from dsrun.service.client import HttpTransport
    from dsrun.session.still_there import StillThere

_LOOK_S = 0.5
NOTHING_TO_SEND = "nothing to send: every job of the plan has ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Runs the open jobs of one invocation."""

    run: OpenRun
    control: RunControl
    steering: Steering

    async def send(self) -> None:
        """Send every open job; jobs that another run has in hand, once it has left them."""
        steps = totals.open_steps(self.run.ledger.view)
        if not steps and not self.run.neighbours.held:
            if not self.run.options.quiet and not self.run.ledger.view.has_barred:
                say(NOTHING_TO_SEND)
            return
        with _collecting_seldom(enabled=self.run.host.owns_process), self._on_firm_ground():
            if steps:
                await self._send(steps)
            while await self._wait_for_others():
                self._recount()
                await self._send(totals.open_steps(self.run.ledger.view))

    async def _wait_for_others(self) -> bool:
        run = self.run
        with draining_signals(self.control, enabled=run.host.takes_signals, say=say):
            try:
                return await run.neighbours.released(run.ledger, run.reuse, self.control)
            except asyncio.CancelledError:
                self._stop_at_once()
                return False

    def _recount(self) -> None:
        """Count what another run sent and left: it may be paid, and belongs to this run now."""
        budget = self.control.budget
        if (currency := self.run.currency) is not None:
            spent, under_way = totals.committed(self.run.ledger.view, currency=currency)
            budget.recount(spent=spent, under_way=under_way)
        if budget.shared is not None:
            budget.shared.recount()

    async def _send(self, steps: list[StepTotal]) -> None:
        # Imported here: a run that has nothing to do should not wait for aiohttp.
        from dsrun.service.transports import open_transport  # noqa: PLC0415

        run = self.run
        progress = Progress(
            steps, prices=run.plan.catalog.prices, clock=run.clock, quiet=run.options.quiet,
            bar=run.options.progress, costs=not run.options.emulate,
        )  # fmt: skip
        self._keep_room()
        takes_signals, fresh = run.host.takes_signals, run.execution.submit_window == 1
        aside = BackgroundThumbs(run.layout.run_dir, clock=run.clock)
        with progress, draining_signals(self.control, enabled=takes_signals, say=progress.note):
            try:
                async with open_transport(fresh_creates=fresh) as transport:
                    await self._run_jobs(transport, progress, aside)
            except asyncio.CancelledError:
                self._stop_at_once()
            finally:
                aside.close()

    def _keep_room(self) -> None:
        """Reserve disk space for the answers of what is sent. Raises SetupError."""
        counts = totals.counts(self.run.ledger.view)
        if counts.get(JobStatus.PENDING) or counts.get(JobStatus.SUBMITTING):
            at_once = self.run.execution.submit_window * len(self.run.ledger.view.operations())
            self.run.ledger.keep_room(at_once)  # concurrency may be raised meanwhile

    async def _run_jobs(
        self, transport: "HttpTransport", progress: Progress, aside: BackgroundThumbs
    ) -> None:
        from dsrun.session.still_there import StillThere  # noqa: PLC0415  # as above
        from dsrun.session.wiring import build_lister, build_runner  # noqa: PLC0415  # as above

        view = self.run.ledger.view
        operations = view.operations()
        runner = build_runner(transport, self.run, self.control, operations=operations)
        still_there = StillThere(
            self.run, self.control, build_lister(transport, self.run, self.control)
        )
        progress.watch(runner.pace)
        self.steering.steer(runner)
        sources = Sources(
            self.run.ledger, self.control, operations=operations, lives=self.run.lives,
            now=self.run.now,
        )  # fmt: skip

        async def run_job(job: OpenJob) -> JobResult | None:
            sources.begin()
            progress.job_started(job)
            result = await self._see_through(job, runner, still_there)
            progress.jobs_skipped(job, list(map(view.job, await self._wake(sources, job, result))))
            return result

        def on_end(job: OpenJob, result: JobResult | None) -> None:
            self.run.reuse.note_end(view, job, result)
            aside.note_end(result)
            progress.job_ended(job, result)
            for words in _news(job, result):
                progress.note(words)

        with progress.kept_current():
            await run_jobs(
                sources.all,
                run_job=run_job, on_end=on_end, concurrency=self.steering.concurrency,
                ahead=self.run.execution.submit_window + 1, control=self.control,
                on_places=self.steering.place,
            )  # fmt: skip

    async def _see_through(
        self, job: OpenJob, runner: "Runner", still_there: "StillThere"
    ) -> JobResult | None:
        """How a job ended; one that has waited may be in the cache, or cannot succeed any more."""
        try:
            early = None
            if job.late:
                early = await self.run.reuse.bring_late(self.run.ledger, job)
                early = early or await still_there.fail_if_gone(job)
        except Left:
            return None
        except SetupError as error:
            self.control.stop(str(error), error.exit_code)
            return None
        return early or await runner.run(job)

    async def _wake(
        self, sources: Sources, job: OpenJob, result: JobResult | None
    ) -> Sequence[str]:
        """Wake what waits for a job. Where the ledger cannot, what is under way goes on."""
        try:
            return await sources.end(job, result)
        except SetupError as error:
            self.control.stop(str(error), error.exit_code)
            return ()

    def _stop_at_once(self) -> None:
        self.control.stop("stopped at once", ExitCode.INTERRUPTED)

    @contextmanager
    def _on_firm_ground(self) -> Iterator[None]:
        """End the run at once if its directory is taken away, whatever it waits for."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle | None = None

        def look() -> None:
            nonlocal timer
            if words := self.run.ledger.lost() or self.run.store.lost():
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


@contextmanager
def _collecting_seldom(*, enabled: bool) -> Iterator[None]:
    """Jobs leave few cycles, and what is loaded by now stays: look at neither again and again."""
    if not enabled:
        yield
        return
    before = gc.get_threshold()
    gc.freeze()
    collect_seldom()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _news(job: OpenJob, result: JobResult | None) -> Iterator[str]:
    """The lines to show about a job that has ended; none where all is well."""
    name = job.stems[0][0]
    if result is not None:
        yield from other_names(job, result)
    if result is not None and result.warning:
        yield f"warning: {name}: {result.warning}"
    if result is not None and result.error is not None:
        yield f"{result.status}: {name}: {result.error.code}: {result.error.message}"
