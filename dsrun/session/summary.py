"""How a run ended: the exit code and the closing words."""

import sys
from collections.abc import Mapping

from dsrun.common.console import count_of, is_terminal, say
from dsrun.common.errors import ExitCode
from dsrun.common.models import OPEN, JobStatus
from dsrun.common.shell import command_line
from dsrun.engine.control import RunControl
from dsrun.ledger import totals
from dsrun.ledger.reader import LedgerReader
from dsrun.session.options import RunOptions
from dsrun.storage.layout import RunLayout

_UNSUCCESSFUL = (
    JobStatus.FAILED, JobStatus.PARTIAL, JobStatus.CANCELLED, JobStatus.SKIPPED, JobStatus.UNKNOWN,
)  # fmt: skip
_OF_BUDGET = "the budget of"
_FIRST = {  # by how the reason begins why the run has stopped
    "max_cost": "raise max_cost; then ",
    _OF_BUDGET: "once the budget has room again, ",
}
_ERRORS_TOLD = 3
_UNKNOWN_TOLD = 10
_LINES_UNWATCHED = 5
_NONE_LEFT_OUT: Mapping[JobStatus, int] = {}


def exit_code_of(counts: Mapping[JobStatus, int], control: RunControl) -> ExitCode:
    """The code of design 1.2. Open jobs count for more than failed ones.

    What waits for an unknown job does not: another run can do no more for it.
    """
    left = sum(counts.get(status, 0) for status in OPEN) - _in_doubt(counts)
    if control.exit_code is not None and any(counts.get(status) for status in OPEN):
        return control.exit_code
    if left:
        return ExitCode.INCOMPLETE
    if any(counts.get(status) for status in _UNSUCCESSFUL):
        return ExitCode.JOBS_FAILED
    return ExitCode.OK


def _in_doubt(counts: Mapping[JobStatus, int]) -> int:
    """How many jobs wait, where some that others may wait for are unknown."""
    return counts.get(JobStatus.WAITING, 0) if counts.get(JobStatus.UNKNOWN) else 0


def say_summary(
    view: LedgerReader,
    counts: Mapping[JobStatus, int],
    control: RunControl,
    options: RunOptions,
    *,
    layout: RunLayout,
    again: str,
    cached: int,
) -> None:
    """Counts, cost, the commonest errors, and what to do next; five lines where nobody watches.

    `again` is the command that goes on with this run.
    """
    why = [f"stopped: {control.reason}"] if control.reason else []
    why += [f"no more jobs of {name}: {why}" for name, why in control.closed_operations.items()]
    if control.unfetched:
        why.append(f"a paid result could not be fetched yet: {control.unfetched}")
    if options.quiet:
        for line in why:
            say(line)
        return
    head = f"{_head(view, counts, options, cached=cached)}; to look at: {layout.report}"
    errors = [
        f"  {number} x {code}: {words}" for code, words, number in totals.errors(view, _ERRORS_TOLD)
    ]
    details = errors + detail_lines(view)
    models = model_lines(view, emulated=options.emulate)
    advice = _advice(counts, control, again=again)
    budget = _budget_lines(control)
    lines = [head, *models, *details, *why, *budget, *advice]
    if len(lines) > _LINES_UNWATCHED and not is_terminal(sys.stderr):
        # The commonest error and the first advice before all others.
        ranked = [
            head,
            *why,
            *details[:1],
            *advice[:1],
            *details[1:],
            *advice[1:],
            *budget,
            *models,
        ]
        kept = set(ranked[: _LINES_UNWATCHED - 1])
        more = len(lines) - len(kept)
        lines = [line for line in lines if line in kept]
        status = command_line("dsrun", "status", layout.run_dir)
        lines.append(f"{count_of(more, 'more line')}: `{status}`")
    for line in lines:
        say(line)


def _head(
    view: LedgerReader, counts: Mapping[JobStatus, int], options: RunOptions, *, cached: int
) -> str:
    spent = ", ".join(str(money) for money in totals.spent(view)) or "nothing"
    cost = "emulated, nothing was paid" if options.emulate else f"cost so far: {spent}"
    if not options.emulate and (doubtful := totals.in_doubt(view)):
        cost += f"; may be paid: {', '.join(map(str, doubtful))}"
    parts = status_words(counts)
    if cached:
        parts += f" ({cached} from the cache)"
    return f"{count_of(sum(counts.values()), 'job')}: {parts}; {cost}"


def status_words(
    counts: Mapping[JobStatus, int], left_out: Mapping[JobStatus, int] = _NONE_LEFT_OUT
) -> str:
    """`2 succeeded, 1 failed`, and how many of them the last run was not about."""
    numbers = {status: counts.get(status, 0) - left_out.get(status, 0) for status in JobStatus}
    parts = [f"{number} {status}" for status, number in numbers.items() if number]
    if left_out:
        parts.append(f"{sum(left_out.values())} left out of the last run")
    return ", ".join(parts)


def model_lines(view: LedgerReader, *, emulated: bool) -> list[str]:
    """What became of the jobs of each model of the run, where a step compares several."""
    if not totals.compares_models(view):
        return []
    lines = []
    left_out = totals.left_out(view)
    for name, counts in totals.model_counts(view).items():
        parts = status_words(counts, left_out.get(name, {}))
        spent = ", ".join(map(str, totals.spent(view, operation=name))) or "nothing"
        lines.append(f"  {name}: {parts}{'' if emulated else f'; cost so far: {spent}'}")
    return lines


def _budget_lines(control: RunControl) -> list[str]:
    """Where the budget stands that the run shared with others, unless the stop has told it."""
    if control.budget.shared is None or control.reason.startswith(_OF_BUDGET):
        return []
    return [words] if (words := control.budget.shared.words()) else []


def detail_lines(view: LedgerReader) -> list[str]:
    """What was skipped, is in doubt, was repeated, and was tried again."""
    return [
        *_skipped_lines(view), *_unknown_lines(view), *_repeated_lines(view), *_retried_lines(view)
    ]  # fmt: skip


def _skipped_lines(view: LedgerReader) -> list[str]:
    """How many jobs were skipped for each job that did not give what they build on."""
    return [f"  {number} skipped: {why}" for why, number in totals.skipped(view, _ERRORS_TOLD)]


def _unknown_lines(view: LedgerReader) -> list[str]:
    """The first jobs that may be paid, by name, and why."""
    return [
        f"  unknown: {name}, sent {at}: {reason}"
        for name, at, reason in totals.unknown(view, _UNKNOWN_TOLD)
    ]


def _repeated_lines(view: LedgerReader) -> list[str]:
    """How often an answer was asked for again that was lost, and what that may have cost."""
    number, most = totals.repeated(view)
    if not number:
        return []
    lost = "1 create was" if number == 1 else f"{number} creates were"
    words = (
        f"  repeated: {lost} sent again after a lost answer, as the operation allows; the lost "
        f"may have cost {', '.join(map(str, most))} at most"
    )
    return [words]


def _retried_lines(view: LedgerReader) -> list[str]:
    """How many failed tasks were tried again, and why they had failed."""
    codes = ", ".join(f"{number} x {code}" for code, number in totals.retried(view).items())
    return [f"  tried again after failed tasks: {codes}"] if codes else []


def _goes_on(control: RunControl, again: str) -> str:
    if control.reason.startswith("max_cost") and control.budget.is_lowered:
        return (
            "this max_cost was set by `dsrun control` for this run alone; "
            f"`{again}` goes on without it"
        )
    first = next((does for why, does in _FIRST.items() if control.reason.startswith(why)), "")
    return f"{first}`{again}` goes on where this run stopped"


def _advice(counts: Mapping[JobStatus, int], control: RunControl, *, again: str) -> list[str]:
    advice = []
    waiting = 0 if control.exit_code else _in_doubt(counts)
    left = sum(counts.get(status, 0) for status in OPEN) - waiting
    if left:
        advice.append(f"{left} left: {_goes_on(control, again)}")
    if counts.get(JobStatus.UNKNOWN):
        advice.append(
            "unknown jobs may have been accepted and paid: the console's records and bill of the "
            f"time of each tell; each run looks for them again, and `{again} --resubmit-unknown` "
            "sends those that it does not find"
        )
    if waiting:
        advice.append(f"{count_of(waiting, 'job')} may wait for unknown ones, and go on after them")
    if counts.get(JobStatus.FAILED) or counts.get(JobStatus.CANCELLED):
        skipped = ", and what was skipped for them" if counts.get(JobStatus.SKIPPED) else ""
        advice.append(f"`{again} --retry-failed` sends failed and cancelled jobs again{skipped}")
    if counts.get(JobStatus.PARTIAL):
        advice.append(
            f"partial jobs keep the files that came; `{again} --retry-failed` asks again for "
            "missing pictures alone, but a voice that was made is not made twice"
        )
    return advice
