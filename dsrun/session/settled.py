"""A run that has nothing to do: every job of the plan was made, and stands in a sealed ledger.

Then no job is checked again, for none can be sent, and no view of the ledger is written again that
is as the last run left it. A million finished jobs cost a look at their files.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from dsrun import __version__
from dsrun.common.errors import SetupError
from dsrun.common.models import JobStatus
from dsrun.ledger import totals
from dsrun.ledger.reader import LedgerReader
from dsrun.ledger.writer import Ledger
from dsrun.planning.plan import Plan
from dsrun.session.options import RunOptions
from dsrun.storage.layout import RunLayout


def may_be_settled(plan: Plan, options: RunOptions, layout: RunLayout) -> bool:
    """Whether the run will have nothing to send, as far as a look can tell.

    The digest of the plan names the directory, and the version of dsrun stands in the ledger, so
    its jobs are those that the plan has, and were checked. A plan with problems tells them.
    """
    if needs_check(plan) or not options.selection.is_all:
        return False
    try:
        with closing(LedgerReader(layout.ledger)) as view:
            return is_settled(view)
    except SetupError:  # the run itself tells what is wrong
        return False


def needs_check(plan: Plan) -> bool:
    """Whether a plan has to be checked even where its run has made all jobs."""
    return bool(plan.problems) or any(step.matrix.picks for step in plan.manifest.steps)


def is_settled(view: LedgerReader) -> bool:
    """Whether every job has succeeded, by what was noted when the ledger was closed."""
    if not view.known or not view.is_planned(__version__):
        return False
    return totals.counts(view).keys() == {JobStatus.SUCCEEDED}


def are_views_current(ledger: Ledger, layout: RunLayout, *, again: str) -> bool:
    """Whether results, crate and report are as a run has left them that wrote this ledger last.

    `again`: the command that the report names.
    """
    note = ledger.note
    is_same = bool(ledger.view.known) and (note.version, note.again) == (__version__, again)
    return is_same and note.views == _stamps(layout)


def note_views(ledger: Ledger, layout: RunLayout, *, again: str) -> None:
    """Remember the views, which have just been written."""
    ledger.note = replace(ledger.note, version=__version__, again=again, views=_stamps(layout))


def forget_views(ledger: Ledger) -> None:
    """The next run writes them again: something is missing in them."""
    ledger.note = replace(ledger.note, views={})


def _stamps(layout: RunLayout) -> Mapping[str, Sequence[int]]:
    """Size and time of each view; none where one is not there."""
    try:
        stats = {path.name: path.stat() for path in (layout.results, layout.crate, layout.report)}
    except OSError:
        return {"missing": ()}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}
