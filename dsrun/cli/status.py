"""`dsrun status`: where a run stands, from its ledger, also while it runs."""

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from dsrun.cli.control import in_force_words
from dsrun.common.console import answer, answer_json, count_of
from dsrun.common.errors import ExitCode, UsageError
from dsrun.common.models import JobStatus
from dsrun.common.units import first_as_json
from dsrun.ledger import totals
from dsrun.ledger.orders import last_taken
from dsrun.ledger.reader import LedgerReader
from dsrun.ledger.rows import RunRow
from dsrun.report.resuming import resuming_command
from dsrun.session.budget_standing import recorded_standing
from dsrun.session.opening import find_run_dir
from dsrun.session.summary import detail_lines, model_lines, status_words
from dsrun.storage.layout import RunLayout, is_emulated
from dsrun.storage.run_lock import is_locked


def run(
    where: Path,
    *,
    out: Path,
    emulate: bool,
    set_params: Mapping[str, str],
    allow_files: tuple[Path, ...],
    as_json: bool,
    watches: bool = False,
) -> int:
    """`where` is a run directory, a directory that holds `latest`, or a pipeline."""
    if watches and as_json:
        raise UsageError("--watch is a view for people, and --json an answer: take one of them")
    run_dir = find_run_dir(
        where, out=out, emulate=emulate, set_params=set_params, allow_files=allow_files
    )
    layout = RunLayout.of(run_dir)
    if watches:
        from dsrun.cli.watch import watch  # noqa: PLC0415  # start-up: rich

        watch(run_dir, is_live=partial(is_locked, layout.lock))
    with closing(LedgerReader(layout.ledger)) as view:
        running = is_locked(layout.lock)
        if as_json:
            answer_json(_report(view, run_dir, running=running))
        else:
            _answer_text(view, run_dir, running=running)
    return ExitCode.OK


def _report(view: LedgerReader, run_dir: Path, *, running: bool) -> dict[str, Any]:
    counts, last = totals.counts(view), view.last_run()
    emulated = is_emulated(run_dir)
    repeats, repeats_cost = totals.repeated(view)
    in_force = _in_force(view)
    left_out = totals.left_out(view)
    budget = recorded_standing(run_dir)
    return {
        "directory": str(run_dir),
        "emulated": emulated,
        "jobs": {status.value: counts.get(status, 0) for status in JobStatus},
        "left_out": sum(sum(of_model.values()) for of_model in left_out.values()),
        "running": running,
        "cost": first_as_json(() if emulated else totals.spent(view)),
        "by_model": _by_model(view, emulated=emulated),
        "may_be_paid": first_as_json(() if emulated else totals.in_doubt(view)),
        "repeated": {
            "creates": repeats,
            "at_most": first_as_json(() if emulated else repeats_cost),
        },
        "retried": totals.retried(view),
        "budget": budget and budget.as_json(),
        "started_at": last and last.started_at,
        "ended_at": last and last.ended_at,
        "exit_code": last and last.exit_code,
        "paused": running and bool(in_force.pop("paused", False)),
        "in_force": in_force or None,
    }


def _in_force(view: LedgerReader) -> dict[str, Any]:
    """The bounds of the newest run; empty in a ledger that an older dsrun wrote."""
    newest = last_taken(view)
    return dict(newest.in_force) if newest else {}


def _by_model(view: LedgerReader, *, emulated: bool) -> dict[str, Any]:
    left_out = totals.left_out(view)
    return {
        name: {
            "jobs": {status.value: number for status, number in counts.items()},
            "left_out": sum(left_out.get(name, {}).values()),
            "cost": first_as_json(() if emulated else totals.spent(view, operation=name)),
        }
        for name, counts in totals.model_counts(view).items()
    }


def _answer_text(view: LedgerReader, run_dir: Path, *, running: bool) -> None:
    counts, last = totals.counts(view), view.last_run()
    left_out = sum(map(Counter, totals.left_out(view).values()), Counter[JobStatus]())
    parts = status_words(counts, left_out)
    paid = "emulated, nothing was paid" if is_emulated(run_dir) else _cost_words(view)
    in_force = _in_force(view)
    state = "paused" if in_force.get("paused") else "running"
    answer(f"{run_dir}: {state if running else 'not running'}")
    if running and in_force:
        answer(f"in force: {in_force_words(in_force)}")
    answer(f"{count_of(sum(counts.values()), 'job')}: {parts}; {paid}")
    for line in model_lines(view, emulated=is_emulated(run_dir)):
        answer(line)
    for code, message, number in totals.errors(view, 10):
        answer(f"  {number} x {code}: {message}")
    for line in detail_lines(view):
        answer(line)
    if budget := recorded_standing(run_dir):
        answer(budget.words)
    if last:
        answer(f"last run: started {last.started_at}{_end_of(last, run_dir, running=running)}")


def _cost_words(view: LedgerReader) -> str:
    words = f"cost so far: {', '.join(map(str, totals.spent(view))) or 'nothing'}"
    if doubtful := totals.in_doubt(view):
        words += f"; may be paid: {', '.join(map(str, doubtful))}"
    return words


def _end_of(last: RunRow, run_dir: Path, *, running: bool) -> str:
    if last.ended_at:
        return f" ended {last.ended_at} with exit code {last.exit_code}"
    return "" if running else f", and was killed: `{resuming_command(run_dir)}` goes on with it"
