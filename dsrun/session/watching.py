"""What somebody who watches a run wants to know of it, from its ledger alone.

The ledger is opened for a moment only: a reader that stays would keep a run that ends from putting
its log away. So a run can be watched from anywhere, and nothing of it waits for the watcher.
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from dsrun.common.clock import SystemClock
from dsrun.common.models import OPEN, JobStatus
from dsrun.common.units import Money
from dsrun.ledger import totals
from dsrun.ledger.orders import last_taken
from dsrun.ledger.pulse import Failure, Pulse, last_failures, pulse
from dsrun.ledger.reader import LedgerReader
from dsrun.storage.layout import RunLayout
from dsrun.storage.run_lock import is_locked

_FAILURES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A run at one moment."""

    run_dir: Path
    emulated: bool
    is_running: bool
    started_at: str
    running_s: float
    steps: Mapping[str, Mapping[JobStatus, int]]
    pulse: Pulse
    in_force: Mapping[str, Any]
    spent: tuple[Money, ...]
    left_of_max_cost: Money | None  # less what is spent and under way; None without a max_cost
    failures: tuple[Failure, ...]
    least_s: float  # that the rates in force need for what is left

    @property
    def is_paused(self) -> bool:
        return self.is_running and bool(self.in_force.get("paused"))

    @property
    def counts(self) -> dict[JobStatus, int]:
        return {
            status: number
            for status in JobStatus
            if (number := sum(step.get(status, 0) for step in self.steps.values()))
        }

    @property
    def done(self) -> int:
        """Jobs that have ended, however."""
        return sum(number for status, number in self.counts.items() if status not in OPEN)

    @property
    def max_cost(self) -> Money | None:
        limit = self.in_force.get("max_cost")
        return None if limit is None else Money.from_json(limit)

    @property
    def to_go_s(self) -> float | None:
        """How long the rest takes at the pace of now, and the rates; None where nobody can tell."""
        now = self.pulse
        if self.is_paused or not self.is_running or not now.ended:
            return None
        return max(self.least_s, now.left * now.seconds / now.ended)


def look(run_dir: Path) -> Sight:
    """A run as it is now. Raises SetupError."""
    layout, now = RunLayout.of(run_dir), SystemClock().now()
    is_running = is_locked(layout.lock)
    with closing(LedgerReader(layout.ledger)) as view:
        last, newest = view.last_run(), last_taken(view)
        in_force = dict(newest.in_force) if newest else {}
        started_at = last.started_at if last else ""
        return Sight(
            run_dir=run_dir,
            emulated=layout.emulated,
            is_running=is_running,
            started_at=started_at,
            running_s=_seconds_since(started_at, now),
            steps=totals.step_counts(view),
            pulse=pulse(view, now),
            in_force=in_force,
            spent=tuple(totals.spent(view)),
            left_of_max_cost=_left(view, in_force.get("max_cost")),
            failures=tuple(last_failures(view, _FAILURES)),
            least_s=_least_s(view, in_force.get("rates", {})),
        )


def _least_s(view: LedgerReader, rates: Mapping[str, Any]) -> float:
    jobs = Counter[str]()
    for step in totals.open_steps(view):
        jobs.update(step.operations)
    return max(
        (jobs[name] * rate["per_s"] / rate["requests"] for name, rate in rates.items()), default=0.0
    )


def _left(view: LedgerReader, limit: Mapping[str, Any] | None) -> Money | None:
    if limit is None:
        return None
    most = Money.from_json(limit)
    left = most.amount - sum(totals.committed(view, currency=most.currency))
    return Money(amount=max(Decimal(0), left), currency=most.currency)


def _seconds_since(moment: str, now: datetime) -> float:
    return max(0.0, (now - datetime.fromisoformat(moment)).total_seconds()) if moment else 0.0
