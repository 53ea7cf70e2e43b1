"""`dsrun cost`: what was paid below an output directory, from its ledgers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter, itemgetter
from pathlib import Path

from dsrun.common.console import answer, answer_json, answer_table, say
from dsrun.common.digest import parse_json
from dsrun.common.errors import ExitCode, UsageError
from dsrun.common.messages import nearest
from dsrun.common.units import Money, sum_money
from dsrun.ledger.history import History, Spending
from dsrun.report.entries import row_label
from dsrun.storage.layout import is_emulated, run_dirs


@dataclass(slots=True)
class _Row:
    """Paid jobs and their cost, and the cost of jobs that may have been paid: of one currency."""

    cost: Money
    may_be_paid: Money
    jobs: int = 0


KINDS = ("month", "pipeline", "operation")
_NO_VALUE = "-"


def run(*, out: Path, by: str, as_json: bool) -> int:
    """`by` is month, pipeline, operation, or an axis. Emulated runs cost nothing and are left out.

    Raises UsageError where no job has the axis.
    """
    history = History(out)
    rows = _rows(history, by) if by in KINDS else _axis_rows(history, by)
    for fault in dict.fromkeys(history.faults):
        say(f"warning: {fault}")
    code = ExitCode.INCOMPLETE if history.is_incomplete else ExitCode.OK
    if as_json:
        told = [
            {
                by: key,
                "jobs": row.jobs,
                "cost": row.cost.as_json(),
                "may_be_paid": row.may_be_paid.as_json(),
            }
            for key, row in rows
        ]
        answer_json(told)
        return code
    _show(rows, by)
    if not rows and any(map(is_emulated, run_dirs(out))):
        say(f"emulated runs below {out} cost nothing, and are not counted")
    return code


def _rows(history: History, by: str) -> list[tuple[str, _Row]]:
    """A row for each key and currency, sorted."""
    rows: dict[tuple[str, str], _Row] = {}

    def row_of(pipeline: str, spending: Spending) -> _Row:
        key = {"month": spending.month, "pipeline": pipeline, "operation": spending.operation}[by]
        currency = spending.cost.currency
        zero = Money(amount=Decimal(0), currency=currency)
        return rows.setdefault((key, currency), _Row(zero, zero))

    for pipeline, paid in history.spendings():
        row = row_of(pipeline, paid)
        row.jobs += paid.jobs
        row.cost += paid.cost
    for pipeline, doubt in history.doubts():
        row_of(pipeline, doubt).may_be_paid += doubt.cost
    return [(key, row) for (key, _), row in sorted(rows.items(), key=itemgetter(0))]


def _axis_rows(history: History, axis: str) -> list[tuple[str, _Row]]:
    """A row for each value and currency, in the order of the plans; last the jobs without it."""
    rows: dict[tuple[str, str | None, str], _Row] = {}
    for one in history.of_axis(axis.split(".")):
        zero = Money(amount=Decimal(0), currency=one.cost.currency)
        label = _NO_VALUE if one.value is None else row_label(parse_json(one.value))
        row = rows.setdefault((label, one.value, one.cost.currency), _Row(zero, zero))
        if one.may_be_paid:
            row.may_be_paid += one.cost
        else:
            row.jobs += one.jobs
            row.cost += one.cost
    if rows and all(value is None for _, value, _ in rows):
        known = sorted(history.axes())
        words = f"allowed: {', '.join(KINDS)}, or an axis of a run that was paid"
        more = f": {', '.join(known)}" if known else ""
        near = nearest(axis.partition(".")[0], [*KINDS, *known])
        raise UsageError(
            f"--by {axis}: no job has this axis{near}; {words}{more}; below one that runs through "
            "a step, or through rows of a file, such as voice.who.name"
        )
    found = [(label, row) for (label, value, _), row in rows.items() if value is not None]
    return found + [(label, row) for (label, value, _), row in rows.items() if value is None]


def _show(rows: Sequence[tuple[str, _Row]], by: str) -> None:
    """A table; its last column is there only where something may be paid."""
    doubts = _totals(row.may_be_paid for _, row in rows)
    has_doubts = any(money.amount for money in doubts)
    width = 4 if has_doubts else 3
    cells = [(key, str(row.jobs), str(row.cost), str(row.may_be_paid))[:width] for key, row in rows]
    if cells:
        answer_table([(by, "paid jobs", "cost", "may be paid")[:width], *cells], titled=True)
    paid = ", ".join(str(money) for money in _totals(row.cost for _, row in rows) if money.amount)
    more = f"; may be paid: {', '.join(map(str, doubts))}" if has_doubts else ""
    answer(f"total: {paid or 'nothing'}{more}")


def _totals(amounts: Iterable[Money]) -> list[Money]:
    return sorted(sum_money(amounts), key=attrgetter("currency"))
