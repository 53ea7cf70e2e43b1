"""Where a budget stands in the period that goes on."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from dsrun.common.clock import SystemClock, stamp
from dsrun.common.console import say
from dsrun.common.lockfile import read_lockfile
from dsrun.common.models import Json
from dsrun.common.periods import Period, period_at
from dsrun.common.units import Money
from dsrun.ledger.commitments import bucket_of, commitments
from dsrun.ledger.history import History
from dsrun.manifest.execution import PeriodBudget, parse_execution
from dsrun.storage.layout import RunLayout


@dataclass(frozen=True, slots=True)
class BudgetStanding:
    """Where a budget stands: what is spent of it, or may be, in the period that goes on."""

    budget: PeriodBudget
    spent: Money
    period: Period
    emulated: bool = False  # emulated runs have a budget of their own

    @property
    def left(self) -> Money:
        amount = max(Decimal(0), self.budget.amount.amount - self.spent.amount)
        return Money(amount=amount, currency=self.spent.currency)

    @property
    def words(self) -> str:
        return f"budget{' of emulated runs' if self.emulated else ''}: {self.state}"

    @property
    def state(self) -> str:
        since, until = self.period
        spent = f"{self.spent} spent or under way{f' since {told(since)}' if since else ''}"
        left = f"{self.left} left{f' until {told(until)}' if until else ''}"
        return f"{self.budget}: {spent}; {left}"

    def as_json(self) -> Json:
        since, until = self.period
        return {
            "amount": self.budget.amount.as_json(),
            "per": self.budget.per,
            "spent": self.spent.as_json(),
            "left": self.left.as_json(),
            "since": since and since.isoformat(),
            "until": until and until.isoformat(),
        }


def standing_of(budget: PeriodBudget, layout: RunLayout) -> BudgetStanding:
    """From all ledgers beside that of a run, in which nothing is changed."""
    period = period_at(SystemClock().now(), budget.per, timezone=budget.timezone)
    since, currency = start_of(period), budget.amount.currency
    history = History(layout.out, emulated=layout.emulated)
    spent = sum(
        (
            one.cost.amount
            for _, found in history.read(commitments, lambda removed: removed.commitments)
            for one in found
            if one.at >= since and one.cost.currency == currency
        ),
        Decimal(0),
    )
    for fault in dict.fromkeys(history.faults):
        say(f"warning: the budget leaves out what cannot be read: {fault}")
    money = Money(amount=spent, currency=currency)
    return BudgetStanding(budget, money, period, layout.emulated)


def recorded_standing(run_dir: Path) -> BudgetStanding | None:
    """Where the budget stands that a run was begun with; None where it had none."""
    layout = RunLayout.of(run_dir)
    manifest = read_lockfile(run_dir).get("manifest", {})
    try:
        budget = parse_execution(manifest.get("execution") or {}).budget
    except (ValueError, TypeError, LookupError, AttributeError):  # somebody has edited the file
        return None
    return None if budget is None else standing_of(budget, layout)


def start_of(period: Period) -> str:
    """From which ten minutes on a period counts."""
    return "" if period.since is None else bucket_of(stamp(period.since))


def told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M %Z}"
