"""What must be so for a run to begin, and the settings that it begins with."""

from dataclasses import replace

from dsrun.common.console import count_of
from dsrun.common.errors import SetupError, UsageError
from dsrun.common.settings import Settings
from dsrun.common.units import Money
from dsrun.ledger import totals
from dsrun.ledger.reader import LedgerReader
from dsrun.manifest.execution import Execution
from dsrun.planning.plan import Plan
from dsrun.session.options import RunOptions
from dsrun.storage.layout import RunLayout

_RESUBMIT_HINT = (
    "; or, where that address was wrong and is not the API, send those that have no task again "
    "with --resubmit-unknown"
)
_EMULATED_FIRST_POLL_S = 0.8  # its tasks do not take the minute that real ones may


def execution_of(execution: Execution, options: RunOptions) -> Execution:
    if options.max_cost is not None:
        execution = replace(execution, max_cost=options.max_cost)
    if options.concurrency is not None:
        execution = replace(execution, concurrency=options.concurrency)
    if options.emulate and execution.poll_first_s is None:
        execution = replace(execution, poll_first_s=_EMULATED_FIRST_POLL_S)
    return execution


def check_endpoint(
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


def check_currency(plan: Plan, max_cost: Money | None) -> None:
    known = {plan.catalog[step.operation].price.currency for step in plan.manifest.steps}
    if max_cost is not None and known != {max_cost.currency}:
        raise UsageError(f"--max-cost {max_cost}: prices are in {', '.join(sorted(known))}")


def owner_of(layout: RunLayout) -> str:
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
