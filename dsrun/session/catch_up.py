"""Dated batches: runs the days that a schedule has missed, each with its own date."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from itertools import islice, takewhile
from pathlib import Path
from random import Random

from dsrun.common.clock import SystemClock, stamp
from dsrun.common.console import count_of, say
from dsrun.common.errors import ExitCode, SetupError, UsageError
from dsrun.common.lockfile import read_lockfile
from dsrun.common.models import OPEN, Json
from dsrun.ledger import totals
from dsrun.ledger.reader import LedgerReader
from dsrun.manifest.model import Manifest
from dsrun.planning.plan import Plan
from dsrun.session.opening import open_plan, today
from dsrun.session.options import RunOptions
from dsrun.session.retention import prune
from dsrun.storage.layout import RunLayout, is_emulated, run_dirs

_NEEDED = "--catch-up needs a template that uses run.date: without it every day is the same run"


def wait_jitter(options: RunOptions) -> None:
    """Wait at random, so that not all machines begin at once; the day is that of the start."""
    if options.jitter_s:
        pause = Random().uniform(0, options.jitter_s)  # noqa: S311  # no secret
        if not options.quiet:
            say(f"waiting {pause:.0f} s (--jitter)")
        asyncio.run(SystemClock().sleep(pause))


def retire_old_runs(plan: Plan, options: RunOptions, layout: RunLayout, code: int) -> None:
    """Apply `keep` after a whole run has succeeded. A run that cannot be removed is a warning."""
    keep = plan.manifest.keep
    if keep is None or code != ExitCode.OK or not options.selection.is_all:
        return
    try:
        removed = prune(layout, keep=keep, now=stamp(SystemClock().now()), say=say)
    except SetupError as error:
        say(f"warning: {error}")
        return
    if removed and not options.quiet:
        say(f"keep {keep}: {count_of(len(removed), 'old run')} removed")


def run_missed(options: RunOptions, *, most: int, run_day: Callable[[RunOptions], int]) -> int:
    """Run the days since the last success, the oldest first, and then today's.

    At most `most` days are caught up. A day that fails does not hold up the next one; what stops
    a run (exit code 2 and above) does. Returns the worst exit code.
    """
    *missed, now = days_to_run(options, most=most)
    wait_jitter(options)
    options, worst = replace(options, jitter_s=0.0), 0
    for day in missed:
        if not options.quiet:
            say(f"catching up {day.isoformat()}")
        worst = max(worst, run_day(replace(options, day=day)))
        if worst > ExitCode.JOBS_FAILED:
            return worst
    return max(worst, run_day(replace(options, day=now)))


def days_to_run(options: RunOptions, *, most: int) -> list[date]:
    """The scheduled days since the last one that succeeded, and today.

    None are missed where no run of the pipeline has ever succeeded. Raises UsageError where
    days make no difference.
    """
    plan = open_plan(options)
    if plan.problems:  # today's run reports them, with the notices that it sends
        return [today(plan.manifest)]
    if "date" not in plan.run_values:
        raise UsageError(_NEEDED)
    if also := sorted(plan.run_values.keys() - {"date"}):
        raise UsageError(
            f"--catch-up: run.{also[0]} is another at every start, so no day can be found again; "
            "use run.date alone"
        )
    now, done = today(plan.manifest), _days_done(options, plan.manifest)
    before = _days_before(plan.manifest, now, most=most) if done else []
    missed = list(takewhile(lambda day: day.isoformat() not in done, before))
    return [*missed[::-1], now]


def _days_before(manifest: Manifest, now: date, *, most: int) -> list[date]:
    """The last days before `now` on which the schedule starts a run, the newest first."""
    if manifest.schedule is None:
        return [now - timedelta(days=back) for back in range(1, most + 1)]
    return list(islice(manifest.schedule.days_before(now), most))


def _days_done(options: RunOptions, manifest: Manifest) -> frozenset[Json]:
    """The days on which a whole run has succeeded, also of an older version of the pipeline.

    A later edit is no reason to pay for past days again.
    """
    days = (
        read_lockfile(run_dir).get("run", {}).get("date")
        for run_dir in run_dirs(options.out, pipeline=manifest.name)
        if is_emulated(run_dir) == options.emulate and _ended_well(RunLayout.of(run_dir).ledger)
    )
    return frozenset(day for day in days if day)


def _ended_well(ledger: Path) -> bool:
    try:
        with closing(LedgerReader(ledger)) as view:
            last, counts = view.last_run(), totals.counts(view)
    except SetupError:
        return False
    is_whole = not any(counts.get(status) for status in OPEN)
    return last is not None and last.exit_code == ExitCode.OK and is_whole
