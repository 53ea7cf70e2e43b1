"""What one invocation holds open, from its ledger to the runs beside it, and how that is opened."""

from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from dsrun.common.clock import SystemClock, stamp
from dsrun.common.console import count_of, say
from dsrun.common.errors import GroundLost, SetupError
from dsrun.common.settings import Settings, emulated_settings, state_folder
from dsrun.ledger import totals
from dsrun.ledger.peers import LedgerClaims
from dsrun.ledger.reader import LedgerReader
from dsrun.ledger.waiting import Lives
from dsrun.ledger.writer import Ledger
from dsrun.manifest.execution import Execution
from dsrun.planning.job_index import ChosenJobs
from dsrun.planning.plan import Plan, called
from dsrun.session.caching import Reuse
from dsrun.session.host import Host
from dsrun.session.options import RunOptions
from dsrun.session.peers import Neighbours
from dsrun.session.roots import OutputRoots
from dsrun.storage.artifacts import ArtifactStore
from dsrun.storage.layout import RunLayout

_TASK_LIFE = timedelta(hours=24)  # of a task's record and its results at the service
_EMULATED_TASK_S = 0.5
_RESUBMIT_HINT = (
    "; or, where that address was wrong and is not the API, send those that have no task again "
    "with --resubmit-unknown"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """The parts of one invocation, and what it was asked for."""

    plan: Plan
    options: RunOptions
    execution: Execution
    chosen: ChosenJobs | None  # None: every job of the plan
    host: Host
    layout: RunLayout
    settings: Settings
    clock: SystemClock
    live_since: str  # what was sent later can still be fetched
    ledger: Ledger
    store: ArtifactStore
    reuse: Reuse
    claims: LedgerClaims
    neighbours: Neighbours

    def now(self) -> str:
        return stamp(self.clock.now())

    @property
    def currency(self) -> str | None:
        """That of all prices of the plan; None where they have several."""
        known = {one.price.currency for one in called(self.plan.manifest, self.plan.catalog)}
        return known.pop() if len(known) == 1 else None

    @property
    def lives(self) -> Lives:
        """How long the addresses live that the service gives for what was made."""
        catalog = self.plan.catalog
        hours = {name: catalog[name].main.url_hours for name in catalog.names}
        return Lives(self.settings.base_url, hours)


async def open_run(
    stack: AsyncExitStack,
    *,
    plan: Plan,
    options: RunOptions,
    execution: Execution,
    chosen: ChosenJobs | None,
    host: Host,
    layout: RunLayout,
    settings: Settings | None,
) -> OpenRun:
    """Open everything; `stack` closes it, the last part first. Raises SetupError.

    Without `settings` an emulator is started.
    """
    clock = SystemClock()
    if chosen is not None:
        stack.callback(chosen.close)
    settings = settings or await _start_emulator(stack, plan, quiet=options.quiet)
    ledger = Ledger(layout.ledger)
    stack.callback(ledger.close)
    stack.enter_context(_naming_tasks(ledger))
    live_since = stamp(clock.now() - _TASK_LIFE)
    if not options.emulate:
        _check_endpoint(
            ledger.view, settings, since=live_since, resubmit_unknown=options.resubmit_unknown
        )
        OutputRoots(state_folder()).note(layout.out)
    claims = LedgerClaims(
        layout.ledger, out=layout.out, endpoint=settings.base_url,
        other_roots=partial(_other_roots, layout),
    )  # fmt: skip
    neighbours = Neighbours(
        layout, claims, since=live_since, clock=clock, quiet=options.quiet,
        holds=not options.no_cache,
    )  # fmt: skip
    stack.callback(neighbours.leave)  # once the cache has what was made
    store = ArtifactStore(layout.run_dir)
    stack.callback(store.close)
    reuse = Reuse(
        layout, catalog=plan.catalog, clock=clock, enabled=not options.no_cache,
        metadata=plan.manifest.metadata,
    )  # fmt: skip
    stack.callback(reuse.close)
    return OpenRun(
        plan=plan, options=options, execution=execution, chosen=chosen, host=host, layout=layout,
        settings=settings, clock=clock, live_since=live_since, ledger=ledger, store=store,
        reuse=reuse, claims=claims, neighbours=neighbours,
    )  # fmt: skip


async def _start_emulator(stack: AsyncExitStack, plan: Plan, *, quiet: bool) -> Settings:
    from dsrun.emulator import EmulatorOptions, start_emulator  # noqa: PLC0415  # start-up

    own = plan.catalog.own_schemas({one.name for one in called(plan.manifest, plan.catalog)})
    emulator = await start_emulator(EmulatorOptions(task_time_s=_EMULATED_TASK_S, operations=own))
    stack.push_async_callback(emulator.aclose)
    if not quiet:
        say(f"emulated: nothing is sent to DashScope, nothing is paid ({emulator.base_url})")
    return emulated_settings(emulator.base_url)


@contextmanager
def _naming_tasks(ledger: Ledger) -> Iterator[None]:
    """When the ledger is lost in here, the error says what is paid and has not ended."""
    try:
        yield
    except GroundLost as lost:
        raise GroundLost(
            f"{lost}, so the run stops and writes nothing more. {ledger.under_way()} Put back what "
            "was moved and run the same command again: nothing is lost; what is gone for good is "
            "made and paid again, unless the cache or another run has it."
        ) from lost


def _check_endpoint(
    view: LedgerReader, settings: Settings, *, since: str, resubmit_unknown: bool
) -> None:
    """Paid tasks can be asked for only where they were made.

    Creates that nobody can find are the user's to send again, anywhere: `resubmit_unknown`.
    """
    last = view.last_run()
    if last is None or last.endpoint == settings.base_url:
        return
    waiting = totals.may_be_paid(view, since=since, only_tasks=resubmit_unknown)
    if waiting:
        hint = "" if resubmit_unknown else _RESUBMIT_HINT
        raise SetupError(
            f"{count_of(waiting, 'job')} of this run that may be paid wait at {last.endpoint}, and "
            f"the base URL is now {settings.base_url}; set DASHSCOPE_HTTP_BASE_URL back and run "
            f"again to fetch them{hint}"
        )


def _other_roots(layout: RunLayout) -> list[Path]:
    """Other output roots of this machine, whose runs may use the same key."""
    return [] if layout.emulated else OutputRoots(state_folder()).others(layout.out)
