"""One invocation: validate, expand, run what is missing, write the results."""

import os
import socket
from contextlib import AsyncExitStack, closing, suppress
from dataclasses import replace
from functools import partial

from dsrun import __version__
from dsrun.common.clock import SystemClock
from dsrun.common.console import count_of, say
from dsrun.common.errors import ExitCode, GroundLost, SetupError, UsageError
from dsrun.common.models import JobStatus
from dsrun.common.settings import Settings, read_settings, read_transport
from dsrun.common.units import Money
from dsrun.engine.control import Budget, RunControl
from dsrun.ledger import lookup, totals
from dsrun.ledger.check import LostFacts
from dsrun.ledger.checked_rows import CheckedRows
from dsrun.ledger.reader import LedgerReader
from dsrun.manifest.execution import Execution
from dsrun.planning.job_index import ChosenJobs
from dsrun.planning.plan import Plan, called
from dsrun.planning.selection import chooser_of
from dsrun.report.entries import Entries
from dsrun.report.report import try_report
from dsrun.report.results import write_results
from dsrun.report.ro_crate import writing_crate
from dsrun.service.endpoint import address_of
from dsrun.service.request import ranges_of
from dsrun.session import names, settled
from dsrun.session.catch_up import retire_old_runs, wait_jitter
from dsrun.session.commands import plan_all, run_again
from dsrun.session.comparing import Comparison
from dsrun.session.cost_limits import limit_of, unbounded
from dsrun.session.driver import NOTHING_TO_SEND, Sender
from dsrun.session.host import Ending, Host
from dsrun.session.lockfile import write_manifest
from dsrun.session.notify import reported
from dsrun.session.open_run import OpenRun, open_run
from dsrun.session.opening import open_plan
from dsrun.session.options import RunOptions
from dsrun.session.orders import Bounds
from dsrun.session.permit import Permit
from dsrun.session.preview import Survey
from dsrun.session.shared_budget import keeping_budget
from dsrun.session.steering import Steering
from dsrun.session.summary import exit_code_of, say_summary
from dsrun.storage import orders
from dsrun.storage.files import are_there, make_folder
from dsrun.storage.layout import RunLayout
from dsrun.storage.run_lock import run_lock

_NOT_AGREED = "not confirmed; nothing was sent"
_EMULATED_FIRST_POLL_S = 0.8  # its tasks do not take the minute that real ones may


def run_pipeline(options: RunOptions, host: Host) -> Ending:
    """One invocation, whoever asks for it. Blocks. Raises DsrunError where it cannot begin."""
    plan = open_plan(options)
    permit = Permit(plan.manifest.notify, allow=options.allow_notify, emulate=options.emulate)
    return reported(plan, options, permit, partial(_run, plan, options, permit, host))


def _run(plan: Plan, options: RunOptions, permit: Permit, host: Host) -> Ending:
    _check_currency(plan, options.max_cost)
    layout = RunLayout.for_plan(
        out=options.out, name=plan.manifest.name, digest=plan.digest, emulated=options.emulate
    )
    has_ledger = are_there(layout.run_dir, [layout.ledger.name])
    with closing(CheckedRows(plan.catalog.prices, is_wanted=not has_ledger)) as rows:
        return _run_checked(plan, options, permit, host, layout=layout, rows=rows)


def _run_checked(
    plan: Plan,
    options: RunOptions,
    permit: Permit,
    host: Host,
    *,
    layout: RunLayout,
    rows: CheckedRows,
) -> Ending:
    """`rows` get those of all jobs, where the ledger is still to be made."""
    is_settled = settled.may_be_settled(plan, options, layout)
    chosen, cost, unknown = (None, [], "") if is_settled else _check(plan, options, rows)
    host.warn(() if options.quiet else plan.warnings)
    permit.ask(host.agree)
    read_transport()
    settings = None if options.emulate else _read_settings(plan)
    if cost and not _is_agreed(cost, plan.manifest.execution, host, unknown=unknown):
        say(_NOT_AGREED)
        if chosen is not None:
            chosen.close()
        return Ending(ExitCode.INCOMPLETE, layout, plan.digest, reason=_NOT_AGREED, is_refused=True)
    wait_jitter(options)
    make_folder(layout.run_dir)
    with run_lock(
        layout.lock,
        if_running=options.if_running,
        describe_owner=lambda: _owner_of(layout),
        say=say,
        check=host.check,
    ) as is_held:
        if not is_held:
            return Ending(ExitCode.OK, layout, plan.digest, is_skipped=True)
        ending = host.drive(
            _session(plan, options, layout, settings, chosen, rows=rows, agreed=cost, host=host)
        )
        retire_old_runs(plan, options, layout, ending.code)
        return ending


def _check_currency(plan: Plan, max_cost: Money | None) -> None:
    known = {one.price.currency for one in called(plan.manifest, plan.catalog)}
    if max_cost is not None and known != {max_cost.currency}:
        raise UsageError(f"--max-cost {max_cost}: prices are in {', '.join(sorted(known))}")


def _check(
    plan: Plan, options: RunOptions, rows: CheckedRows
) -> tuple[ChosenJobs | None, list[Money], str]:
    """Validate every job. Returns the jobs to run, or None for all, and what they cost.

    The cost is left out where nobody has to agree to it, and no limit needs it; the last is what
    nobody can tell of it, in words. Raises UsageError where a limit cannot hold for that.
    `rows` get all jobs.
    """
    if _wants_consent(plan.manifest.execution, options) or _may_be_unbounded(plan, options):
        # A ledger that has lost something is put right by the run, which then looks at the cost.
        with (
            suppress(LostFacts),
            rows.taking() as visits,
            Survey(plan, options, compares=False) as survey,
        ):
            survey.take(*visits)
            unknown = survey.outlook.unknown_words
            if unknown and limit_of(plan, options) is not None:
                raise UsageError(unbounded(plan, options, unknown))
            cost = survey.outlook.costs if _wants_consent(plan.manifest.execution, options) else []
            return survey.take_chosen(), cost, unknown
    chooser = chooser_of(plan, options.selection, shows_all=plan_all(plan, options))
    with rows.taking() as visits:
        plan.check(*visits, *([] if chooser is None else [chooser.visit]))
    return None if chooser is None else chooser.end(), [], ""


def _may_be_unbounded(plan: Plan, options: RunOptions) -> bool:
    """Whether there is a limit, and a price that may not be known before the answer."""
    used = (operation.price for step in plan.steps for operation in step.operations)
    return limit_of(plan, options) is not None and any(price.steady is None for price in used)


def _wants_consent(execution: Execution, options: RunOptions) -> bool:
    return execution.confirm_above is not None and not (options.yes or options.emulate)


def _is_agreed(cost: list[Money], execution: Execution, host: Host, *, unknown: str = "") -> bool:
    """Ask where the run costs more than `confirm_above`; without a terminal --yes decides.

    That is before anything is made: a run that is refused leaves nothing behind.
    """
    above = execution.confirm_above
    if above is None or (_is_within(cost, [above]) and not unknown):
        return True
    words = f"this run costs {_sum(cost)}, more than confirm_above ({above})"
    if unknown:
        words = f"{unknown}, and confirm_above is {above}; the rest costs {_sum(cost)}"
    return host.confirm(words)


def _sum(cost: list[Money]) -> str:
    return ", ".join(map(str, cost))


def _is_within(cost: list[Money], limits: list[Money]) -> bool:
    """Whether no amount is above all limits in its currency."""
    return all(
        any(one.currency == limit.currency and one.amount <= limit.amount for limit in limits)
        for one in cost
    )


def _read_settings(plan: Plan) -> Settings:
    """Raises SetupError, also where the base URL does not tell where an operation is called."""
    settings = read_settings()
    for operation in called(plan.manifest, plan.catalog):
        address_of(operation, settings.base_url)
    for warning in settings.warnings:
        say(f"warning: {warning}")
    return settings


def _owner_of(layout: RunLayout) -> str:
    """Host, process and start of the run that holds the lock, from its ledger."""
    try:
        view = LedgerReader(layout.ledger)
    except SetupError:
        return "it is just starting"
    last = view.last_run()
    view.close()
    return (
        f"process {last.pid} on {last.host} since {last.started_at}"
        if last
        else "it is just starting"
    )


async def _session(
    plan: Plan,
    options: RunOptions,
    layout: RunLayout,
    settings: Settings | None,
    chosen: ChosenJobs | None,
    *,
    rows: CheckedRows,
    agreed: list[Money],
    host: Host,
) -> Ending:
    """From an open ledger to the results. Without `settings` it is emulated.

    `agreed` is what the run costs as far as the user knows.
    """
    began_at = SystemClock().monotonic()
    async with AsyncExitStack() as stack:
        run = await open_run(
            stack, plan=plan, options=options, layout=layout, settings=settings, chosen=chosen,
            execution=_execution_of(plan.manifest.execution, options), host=host,
        )  # fmt: skip
        in_force = Bounds.at_first(plan, run.execution)
        await _record_start(run, in_force)
        if await _is_settled(run):
            return await _finish(run, _control(run), began_at=began_at)
        refused = await _prepare(run, rows)
        dearer = _dearer(run, agreed)
        if not dearer:
            await run.neighbours.enter(run.ledger, run.reuse)
        control = _control(run)
        if dearer:
            control.stop(dearer, ExitCode.INCOMPLETE)
        elif await _find_lost(run, control):
            steering = Steering(run, control)
            with keeping_budget(run, control):
                async with steering.followed():
                    await Sender(run=run, control=control, steering=steering).send()
        if refused:
            control.stop(refused, ExitCode.INCOMPLETE)
        return await _finish(run, control, began_at=began_at)


def _execution_of(execution: Execution, options: RunOptions) -> Execution:
    if options.max_cost is not None:
        execution = replace(execution, max_cost=options.max_cost)
    if options.concurrency is not None:
        execution = replace(execution, concurrency=options.concurrency)
    if options.emulate and execution.poll_first_s is None:
        execution = replace(execution, poll_first_s=_EMULATED_FIRST_POLL_S)
    return execution


async def _record_start(run: OpenRun, in_force: Bounds) -> None:
    def warn(words: str) -> None:
        if not run.options.quiet:
            say(f"warning: {words}")

    command = run_again(run.plan, run.options, run.layout)
    write_manifest(run.plan, run.layout, run.settings, command=command, warn=warn)
    orders.clear(run.layout)
    await run.ledger.start_run(
        at=run.now(), version=__version__, endpoint=run.settings.base_url,
        host=socket.gethostname(), pid=os.getpid(), live_since=run.live_since,
        in_force=in_force.as_json(),
    )  # fmt: skip


async def _is_settled(run: OpenRun) -> bool:
    """Whether there is nothing to send, and nothing to bring back. Raises SetupError."""
    view = run.ledger.view
    if run.chosen is not None or run.ledger.mark.lost is not None or not settled.is_settled(view):
        return False
    await _find_lost_files(run)
    run.reuse.catch_up(view)
    if not settled.is_settled(view):
        return False
    if not run.options.quiet:
        say(NOTHING_TO_SEND)
    return True


async def _prepare(run: OpenRun, rows: CheckedRows) -> str:
    """Bring the ledger to where an invocation starts: the plan, lost files, what is sent again.

    Returns why jobs have to wait, if any. Raises SetupError.
    """
    plan, ledger, view = run.plan, run.ledger, run.ledger.view
    await ledger.load_plan(
        plan.jobs(), prices=plan.catalog.prices, version=__version__, checked=rows
    )
    rows.close()
    await ledger.reprice(plan.jobs())
    if run.chosen is not None:
        view.choose(run.chosen.ids())
    await ledger.leave_out(None if run.chosen is None else run.chosen.ids())
    await _find_lost_files(run)
    run.reuse.catch_up(view)
    if run.options.emulate:
        # The emulator of an earlier run is gone with its tasks; nothing was paid there.
        await ledger.reopen([JobStatus.SUBMITTING, JobStatus.SUBMITTED, JobStatus.UNKNOWN])
        await ledger.forget_uploads()
    if run.options.retry_failed:
        await _reopen_failed(run)
    if run.options.resubmit_unknown:
        await ledger.reopen(
            [JobStatus.UNKNOWN], among=None if run.chosen is None else run.chosen.ids()
        )
    refused = names.bar_refused(view, run.layout, plan.catalog)
    await run.reuse.bring_in(ledger)  # and wakes what the last run could not wake any more
    return refused


async def _find_lost_files(run: OpenRun) -> None:
    """Files of finished jobs that are gone come back from the cache or from the service."""
    view = run.ledger.view
    if all(map(partial(are_there, run.layout.run_dir), lookup.artifact_paths(view))):
        return
    for job_id, place, path, sha256 in view.artifacts():
        if (run.layout.run_dir / path).exists():
            continue
        if run.reuse.restore(view.job(job_id), place, path, sha256):
            say(f"{path} is missing; brought back from the cache")
        elif view.can_be_fetched(job_id, since=run.live_since, now=run.now()):
            say(f"{path} is missing; asking the service for it again")
            await run.ledger.reopen_lost(job_id)
        else:
            say(f"warning: {path} is missing, and the service has not kept it")


async def _reopen_failed(run: OpenRun) -> None:
    # The emulator of an earlier run cannot be asked.
    asking_since = None if run.options.emulate else run.live_since
    among = None if run.chosen is None else run.chosen.ids()
    failed = [JobStatus.FAILED, JobStatus.CANCELLED]
    await run.ledger.reopen(failed, among=among, asking_since=asking_since)
    await _reopen_partial(run, asking_since=asking_since)


async def _reopen_partial(run: OpenRun, *, asking_since: str | None) -> None:
    """Ask again for what is missing, where an operation can make it alone."""
    ledger = run.ledger
    for job_id, operation, missing in ledger.view.partial_jobs():
        if not (run.plan.catalog[operation].fills_gaps and missing):
            continue
        if asking_since and ledger.view.can_be_asked(job_id, since=asking_since):
            await ledger.reopen_task(job_id)
        else:
            first, count = ranges_of(missing)[0]
            await ledger.reopen_part(job_id, first=first, count=count)


def _dearer(run: OpenRun, agreed: list[Money]) -> str:
    """Why nothing is sent, where the run costs more than was known when the user agreed.

    A cached file may have turned out to be damaged. It is too late to ask: a question would hold
    up the loop that answers Ctrl-C.
    """
    above = run.execution.confirm_above
    if above is None or not _wants_consent(run.execution, run.options):
        return ""
    cost = totals.cost_to_send(run.ledger.view)
    if _is_within(cost, [above, *agreed]):
        return ""
    return (
        f"the run costs {', '.join(map(str, cost))} now, more than was known before; nothing was "
        "sent. Run the same command again to be asked about it"
    )


def _control(run: OpenRun) -> RunControl:
    """The budget counts from the start, also where nothing bounds it: a bound may be ordered."""
    limit, budget = run.execution.max_cost, Budget()
    if (currency := run.currency) is not None:
        spent, under_way = totals.committed(run.ledger.view, currency=currency)
        amount = None if limit is None else limit.amount
        budget = Budget(limit=amount, spent=spent, under_way=under_way)
    failures = 1 if run.options.fail_fast else run.execution.max_failures
    return RunControl(max_failures=failures, budget=budget)


async def _find_lost(run: OpenRun, control: RunControl) -> bool:
    """Whether jobs may be sent: a ledger that has lost facts is compared with the service."""
    ledger, options = run.ledger, run.options
    if ledger.mark.put_back:
        say(
            f"the log of {run.layout.ledger} was gone or damaged: "
            f"{count_of(ledger.mark.put_back, 'fact')} were put back, nothing is lost"
        )
    if ledger.mark.lost is None:
        return True
    if not options.emulate:  # an emulator is gone with all that it made
        comparison = Comparison(run, control)
        await comparison.take_files()
        if not await comparison.find_rest():
            return False
    if options.emulate or options.selection.is_all:
        await ledger.settle_loss()  # else other jobs are still to be compared
    return True


async def _finish(run: OpenRun, control: RunControl, *, began_at: float) -> Ending:
    ledger, view, layout = run.ledger, run.ledger.view, run.layout
    for words in ledger.unrecorded():
        say(f"warning: the ledger could not take this: {words}")
    if lost := ledger.lost() or run.store.lost():
        raise GroundLost(lost)
    counts, cached = totals.counts(view), totals.cached_count(view)
    code = exit_code_of(counts, control)
    again = run_again(run.plan, run.options, layout)
    say_summary(view, counts, control, run.options, layout=layout, again=again, cached=cached)
    await ledger.end_run(at=run.now(), exit_code=code, reason=control.reason)
    if not settled.are_views_current(ledger, layout, again=again):
        _write_views(run, control, again=again, began_at=began_at)
    spent = () if run.options.emulate else tuple(totals.spent(view))
    return Ending(code, layout, run.plan.digest, counts, spent, control.reason, cached)


def _write_views(run: OpenRun, control: RunControl, *, again: str, began_at: float) -> None:
    """Write results, crate and report, all in one reading. Raises SetupError."""
    ledger, layout = run.ledger, run.layout
    settled.forget_views(ledger)
    entries = Entries(again=again)
    with writing_crate(
        layout.run_dir, name=layout.name, version=__version__, at=run.now(),
        path_of=partial(lookup.path_of, ledger.view),
    ) as crate:  # fmt: skip
        write_results(ledger.view, layout.results, readers=(crate.add, entries.add))
    took_s = run.clock.monotonic() - began_at
    if try_report(layout, entries.rows, is_stopped=control.is_stopping, took_s=took_s):
        settled.note_views(ledger, layout, again=again)
