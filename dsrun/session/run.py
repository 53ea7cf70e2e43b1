"""One invocation: validate, expand, run what is missing, write the results."""

import os
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from dsrun import __version__
from dsrun.common.clock import SystemClock, stamp
from dsrun.common.console import count_of, say
from dsrun.common.errors import ExitCode, GroundLost
from dsrun.common.settings import Settings, emulated_settings, read_settings, state_folder
from dsrun.engine.control import Budget, RunControl
from dsrun.ledger.peers import LedgerClaims
from dsrun.ledger.view import LedgerView
from dsrun.ledger.writer import Ledger
from dsrun.planning.job_index import ChosenJobs
from dsrun.planning.plan import Plan
from dsrun.planning.selection import Chooser
from dsrun.report.entries import Entries
from dsrun.report.report import try_report
from dsrun.report.results import write_results
from dsrun.report.ro_crate import writing_crate
from dsrun.session.caching import Reuse
from dsrun.session.catch_up import retire_old_runs, wait_jitter
from dsrun.session.comparing import Comparison
from dsrun.session.conditions import check_currency, check_endpoint, execution_of, owner_of
from dsrun.session.driver import Sender
from dsrun.session.host import Ending, Host
from dsrun.session.lockfile import write_manifest
from dsrun.session.notify import reported
from dsrun.session.opening import open_plan
from dsrun.session.options import RunOptions
from dsrun.session.peers import Neighbours
from dsrun.session.permit import Permit
from dsrun.session.prepare import prepare
from dsrun.session.roots import OutputRoots
from dsrun.session.summary import exit_code_of, say_summary
from dsrun.storage.artifacts import ArtifactStore
from dsrun.storage.files import make_folder
from dsrun.storage.layout import RunLayout
from dsrun.storage.run_lock import run_lock

_TASK_LIFE = timedelta(hours=24)  # of a task's record and its results at the service
_EMULATED_TASK_S = 0.5


def run_pipeline(options: RunOptions, host: Host) -> Ending:
    """One invocation, whoever asks for it. Blocks. Raises DsrunError where it cannot begin."""
    plan = open_plan(options)
    permit = Permit(plan.manifest.notify, allow=options.allow_notify, emulate=options.emulate)
    return reported(plan, options, permit, partial(_run, plan, options, permit, host))


def _run(plan: Plan, options: RunOptions, permit: Permit, host: Host) -> Ending:
    check_currency(plan, options.max_cost)
    chosen = _check(plan, options)
    host.warn(() if options.quiet else plan.warnings)
    permit.ask(host.agree)
    settings = None if options.emulate else read_settings()
    for warning in settings.warnings if settings else ():
        say(f"warning: {warning}")
    wait_jitter(options)
    layout = RunLayout(
        out=options.out, name=plan.manifest.name, digest=plan.digest, emulated=options.emulate
    )
    make_folder(layout.run_dir)
    with run_lock(
        layout.lock,
        if_running=options.if_running,
        describe_owner=lambda: owner_of(layout),
        say=say,
        check=host.check,
    ) as is_held:
        if not is_held:
            return Ending(ExitCode.OK, layout, is_skipped=True)
        session = _Session(plan, options, layout, settings, chosen, host=host)
        ending = host.drive(session.run())
        retire_old_runs(plan, options, layout, ending.code)
        return ending


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
        *,
        host: Host,
    ) -> None:
        self._host = host
        self._plan = plan
        self._chosen = chosen
        self._options = options
        self._layout = layout
        self._settings = settings
        self._execution = execution_of(plan.manifest.execution, options)
        self._clock = SystemClock()
        self._began_at = self._clock.monotonic()

    async def run(self) -> Ending:
        async with AsyncExitStack() as stack:
            if self._chosen is not None:
                stack.callback(self._chosen.close)
            settings = self._settings or await self._start_emulator(stack)
            ledger = Ledger(self._layout.ledger)
            stack.callback(ledger.close)
            stack.enter_context(_naming_tasks(ledger))
            live_since = stamp(self._clock.now() - _TASK_LIFE)
            if not self._options.emulate:
                check_endpoint(
                    ledger.view, settings, since=live_since,
                    resubmit_unknown=self._options.resubmit_unknown,
                )  # fmt: skip
            if not self._options.emulate:
                OutputRoots(state_folder()).note(self._layout.out)
            claims = LedgerClaims(
                self._layout.ledger, out=self._layout.out, endpoint=settings.base_url,
                other_roots=self._other_roots,
            )  # fmt: skip
            neighbours = Neighbours(
                self._layout, claims, since=live_since, clock=self._clock,
                quiet=self._options.quiet, holds=not self._options.no_cache,
            )  # fmt: skip
            stack.callback(neighbours.leave)  # once the cache has what was made
            store = ArtifactStore(self._layout.run_dir)
            stack.callback(store.close)
            reuse = Reuse(
                self._layout, clock=self._clock, enabled=not self._options.no_cache,
                metadata=self._plan.manifest.metadata,
            )  # fmt: skip
            stack.callback(reuse.close)
            write_manifest(self._plan, self._layout, settings)
            await ledger.start_run(
                at=self._now(), version=__version__, endpoint=settings.base_url,
                host=socket.gethostname(), pid=os.getpid(), live_since=live_since,
            )  # fmt: skip
            await prepare(
                ledger, store, reuse, plan=self._plan, options=self._options,
                run_dir=self._layout.run_dir, chosen=self._chosen, at=self._now(),
                live_since=live_since,
            )  # fmt: skip
            is_agreed = self._confirm(ledger.view)
            if is_agreed:
                await neighbours.enter(ledger, reuse)
            control = self._control(ledger.view)
            if is_agreed and await self._find_lost(ledger, claims, control, settings):
                await Sender(
                    ledger=ledger, store=store, reuse=reuse, claims=claims, neighbours=neighbours,
                    plan=self._plan, options=self._options, execution=self._execution,
                    settings=settings, control=control, layout=self._layout, clock=self._clock,
                    host=self._host,
                ).send()  # fmt: skip
            elif not is_agreed:
                control.stop("not confirmed; nothing was sent", ExitCode.INCOMPLETE)
            return await self._finish(ledger, store, control)

    async def _find_lost(
        self, ledger: Ledger, claims: LedgerClaims, control: RunControl, settings: Settings
    ) -> bool:
        """Whether jobs may be sent: a ledger that has lost facts is compared with the service."""
        if ledger.mark.put_back:
            say(
                f"the log of {self._layout.ledger} was gone or damaged: "
                f"{count_of(ledger.mark.put_back, 'fact')} were put back, nothing is lost"
            )
        if ledger.mark.lost is None:
            return True
        if not self._options.emulate:  # an emulator is gone with all that it made
            comparison = Comparison(
                ledger=ledger, claims=claims, catalog=self._plan.catalog, settings=settings,
                execution=self._execution, control=control, clock=self._clock,
            )  # fmt: skip
            await comparison.take_files(self._layout.run_dir)
            if not await comparison.find_rest(resubmit=self._options.resubmit_unknown):
                return False
        if self._options.emulate or self._options.selection.is_all:
            await ledger.settle_loss()  # else other jobs are still to be compared
        return True

    async def _finish(self, ledger: Ledger, store: ArtifactStore, control: RunControl) -> Ending:
        for words in ledger.unrecorded():
            say(f"warning: the ledger could not take this: {words}")
        if lost := ledger.lost() or store.lost():
            raise GroundLost(lost)
        counts = ledger.view.counts()
        code = exit_code_of(counts, control)
        cached = ledger.view.cached_count()
        say_summary(ledger.view, counts, control, self._options, cached=cached)
        await ledger.end_run(at=self._now(), exit_code=code, reason=control.reason)
        entries, layout = Entries(), self._layout
        with writing_crate(
            layout.run_dir, name=layout.name, version=__version__, at=self._now()
        ) as crate:
            write_results(ledger.view, layout.results, readers=(crate.add, entries.add))
        took_s = self._clock.monotonic() - self._began_at
        try_report(layout, entries.rows, is_stopped=control.is_stopping, took_s=took_s)
        return Ending(
            code, self._layout, counts, tuple(ledger.view.spent()), control.reason, cached
        )

    def _other_roots(self) -> list[Path]:
        """Other output roots of this machine, whose runs may use the same key."""
        if self._options.emulate:
            return []
        return OutputRoots(state_folder()).others(self._layout.out)

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
        return self._host.confirm(words)

    async def _start_emulator(self, stack: AsyncExitStack) -> Settings:
        from dsrun.emulator import EmulatorOptions, start_emulator  # noqa: PLC0415  # start-up

        own = self._plan.catalog.own_schemas()
        emulator = await start_emulator(
            EmulatorOptions(task_time_s=_EMULATED_TASK_S, operations=own)
        )
        stack.push_async_callback(emulator.aclose)
        if not self._options.quiet:
            say(f"emulated: nothing is sent to DashScope, nothing is paid ({emulator.base_url})")
        return emulated_settings(emulator.base_url)

    def _now(self) -> str:
        return stamp(self._clock.now())


@contextmanager
def _naming_tasks(ledger: Ledger) -> Iterator[None]:
    """Who may lose the ledger of a run is told what is paid and has not ended."""
    try:
        yield
    except GroundLost as lost:
        raise GroundLost(
            f"{lost}, so the run stops and writes nothing more. {ledger.under_way()} Put back what "
            "was moved and run the same command again: nothing is lost; what is gone for good is "
            "made and paid again, unless the cache or another run has it."
        ) from lost
