"""`dsrun cost`: what was paid below an output directory, from its ledgers."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from dsrun.common.console import answer, answer_json, say, table
from dsrun.common.errors import ExitCode
from dsrun.common.units import Money
from dsrun.ledger.history import History
from dsrun.ledger.invocations import Spending


class _Sum(NamedTuple):
    """Jobs and their cost, and the cost of those that may have been paid."""

    jobs: int = 0
    cost: Decimal = Decimal(0)
    may_be_paid: Decimal = Decimal(0)


def run(*, out: Path, by: str, as_json: bool) -> int:
    """`by` is month, pipeline or operation. Emulated runs cost nothing and are left out."""
    history = History(out)
    sums = _sums(history, by)
    for fault in dict.fromkeys(history.faults):
        say(f"warning: {fault}")
    code = ExitCode.INCOMPLETE if history.is_incomplete else ExitCode.OK
    if as_json:
        rows = [
            {
                by: key,
                "jobs": row.jobs,
                "cost": {"amount": float(row.cost), "currency": currency},
                "may_be_paid": {"amount": float(row.may_be_paid), "currency": currency},
            }
            for (key, currency), row in sums.items()
        ]
        answer_json(rows)
        return code
    _show(sums, by)
    return code


def _sums(history: History, by: str) -> dict[tuple[str, str], _Sum]:
    """The sums by key and currency, sorted."""
    sums: dict[tuple[str, str], _Sum] = {}

    def place(pipeline: str, spending: Spending) -> tuple[str, str]:
        key = {"month": spending.month, "pipeline": pipeline, "operation": spending.operation}[by]
        return key, spending.cost.currency

    for pipeline, paid in history.spendings():
        at = place(pipeline, paid)
        row = sums.get(at, _Sum())
        sums[at] = row._replace(jobs=row.jobs + paid.jobs, cost=row.cost + paid.cost.amount)
    for pipeline, doubt in history.doubts():
        at = place(pipeline, doubt)
        row = sums.get(at, _Sum())
        sums[at] = row._replace(may_be_paid=row.may_be_paid + doubt.cost.amount)
    return dict(sorted(sums.items()))


def _show(sums: Mapping[tuple[str, str], _Sum], by: str) -> None:
    """A table; its last column is there only where something may be paid."""
    has_doubts = any(row.may_be_paid for row in sums.values())
    width = 4 if has_doubts else 3
    rows = [
        (key, str(row.jobs), _money(row.cost, currency), _money(row.may_be_paid, currency))[:width]
        for (key, currency), row in sums.items()
    ]
    if rows:
        answer(table([(by, "paid jobs", "cost", "may be paid")[:width], *rows]))
    totals: dict[str, _Sum] = {}
    for (_, currency), row in sums.items():
        total = totals.get(currency, _Sum())
        totals[currency] = _Sum(0, total.cost + row.cost, total.may_be_paid + row.may_be_paid)
    paid = [_money(row.cost, name) for name, row in sorted(totals.items()) if row.cost]
    doubts = [_money(row.may_be_paid, name) for name, row in sorted(totals.items())]
    more = f"; may be paid: {', '.join(doubts)}" if has_doubts else ""
    answer(f"total: {', '.join(paid) or 'nothing'}{more}")


def _money(amount: Decimal, currency: str) -> str:
    return str(Money(amount=amount, currency=currency))
