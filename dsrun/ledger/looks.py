"""The sums that every look at a ledger asks for, worked out once when it is closed."""

from contextlib import closing
from pathlib import Path

from dsrun.ledger import history, totals
from dsrun.ledger.reader import LedgerReader
from dsrun.ledger.sums import Answers

_ERRORS_TOLD = (3, 10)  # by a run, by `dsrun status`
_SKIPPED_TOLD = 3
_UNKNOWN_TOLD = 10


def noted_sums(path: Path) -> Answers:
    """What a ledger adds up to that nobody writes to any more. Raises SetupError."""
    with closing(LedgerReader(path, live=True)) as view, view.noting_sums() as answers:
        totals.counts(view)
        totals.job_counts(view)
        totals.left_out(view)
        totals.cached_count(view)
        totals.in_doubt(view)
        totals.repeated(view)
        totals.retried(view)
        totals.compares_models(view)
        for name in (None, *totals.model_counts(view)):
            totals.spent(view, operation=name)
        for money in totals.spent(view):
            totals.committed(view, currency=money.currency)
        for most in _ERRORS_TOLD:
            totals.errors(view, most)
        totals.skipped(view, _SKIPPED_TOLD)
        totals.unknown(view, _UNKNOWN_TOLD)
        history.invocations(view)
        history.spendings(view)
        history.doubts(view)
    return answers
