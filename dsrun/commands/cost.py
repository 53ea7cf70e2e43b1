"""`dsrun cost`: what was paid below an output directory, from its ledgers."""

from decimal import Decimal
from pathlib import Path

import orjson

from dsrun.console import answer, say, table
from dsrun.errors import ExitCode
from dsrun.execution import Money
from dsrun.history import History


def run(*, out: Path, by: str, as_json: bool) -> int:
    """`by` is month, pipeline or operation. Emulated runs cost nothing and are left out."""
    history = History(out)
    sums: dict[tuple[str, str], tuple[int, Decimal]] = {}
    for pipeline, spending in history.spendings():
        key = {"month": spending.month, "pipeline": pipeline, "operation": spending.operation}[by]
        place = (key, spending.cost.currency)
        jobs, amount = sums.get(place, (0, Decimal(0)))
        sums[place] = (jobs + spending.jobs, amount + spending.cost.amount)
    for fault in history.faults:
        say(f"warning: {fault}")
    code = ExitCode.INCOMPLETE if history.is_incomplete else ExitCode.OK
    if as_json:
        told = [
            {by: key, "jobs": jobs, "cost": {"amount": float(amount), "currency": currency}}
            for (key, currency), (jobs, amount) in sorted(sums.items())
        ]
        answer(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
        return code
    rows = [
        (key, str(jobs), str(Money(amount=amount, currency=currency)))
        for (key, currency), (jobs, amount) in sorted(sums.items())
    ]
    totals: dict[str, Decimal] = {}
    for (_, currency), (_, amount) in sums.items():
        totals[currency] = totals.get(currency, Decimal(0)) + amount
    if rows:
        answer(table([(by, "paid jobs", "cost"), *rows]))
    paid = ", ".join(str(Money(amount=a, currency=c)) for c, a in sorted(totals.items()))
    answer(f"total: {paid or 'nothing'}")
    return code
