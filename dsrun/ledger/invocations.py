"""What a ledger says of the past: its invocations, and what was paid when and for what."""

import sqlite3
from dataclasses import dataclass
from decimal import Decimal

from dsrun.common.models import JobStatus
from dsrun.common.units import Money, sum_money
from dsrun.ledger.reader import LedgerReader, taking_apart
from dsrun.ledger.schema import PAID_UNITS

# Of a part that is asked for again the first pictures count where the last ones do.
_PAID = f"sum({PAID_UNITS})"
_MONTH = "substr(coalesce(ended_at, submitted_at, ''), 1, 7) AS month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One run of a ledger. `jobs` and `cost` are of what ended in it, the cache's left out."""

    started_at: str
    ended_at: str | None
    host: str
    pid: int
    exit_code: int | None
    reason: str | None
    jobs: dict[JobStatus, int]
    cost: tuple[Money, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What jobs of one operation cost that ended, or were sent, in one month (`2026-11`, UTC)."""

    month: str
    operation: str
    jobs: int
    cost: Money


class LedgerHistory(LedgerReader):
    """A ledger as those read it who ask about the past."""

    @taking_apart
    def invocations(self, *, counted: bool = True) -> list[Invocation]:
        """Every run, the oldest first; without jobs and cost where they are not `counted`."""
        rows = self._all("SELECT * FROM run ORDER BY run_id")
        starts = [row["started_at"] for row in rows]
        return [
            Invocation(
                started_at=row["started_at"], ended_at=row["ended_at"], host=row["host"],
                pid=row["pid"], exit_code=row["exit_code"], reason=row["reason"],
                jobs=self._ended(row["started_at"], until) if counted else {},
                cost=self._spent(row["started_at"], until) if counted else (),
            )
            for row, until in zip(rows, [*starts[1:], "~"], strict=True)
        ]  # fmt: skip

    @taking_apart
    def spendings(self) -> list[Spending]:
        """What was paid, by month and operation."""
        return self._spendings(
            f"SELECT {_MONTH}, operation, currency, unit_price, count(*) AS jobs, {_PAID} AS units "  # noqa: S608
            f"FROM job WHERE {PAID_UNITS} > 0 AND NOT cached"
        )

    @taking_apart
    def doubts(self) -> list[Spending]:
        """What jobs would cost that may have been accepted and paid, by month and operation."""
        return self._spendings(
            f"SELECT {_MONTH}, operation, currency, unit_price, count(*) AS jobs, "  # noqa: S608
            "sum(wanted) AS units FROM job WHERE status IN ('submitting', 'unknown')"
        )

    def _spendings(self, sql: str) -> list[Spending]:
        order = "GROUP BY month, operation, currency, unit_price ORDER BY month, operation"
        return [
            Spending(
                month=row["month"],
                operation=row["operation"],
                jobs=row["jobs"],
                cost=_cost(row),
            )
            for row in self._all(f"{sql} {order}")
        ]

    @taking_apart
    def step_counts(self) -> dict[str, dict[JobStatus, int]]:
        """Number of jobs by step, in plan order, and status."""
        found: dict[str, dict[JobStatus, int]] = {}
        for row in self._all(
            "SELECT step, status, count(*) AS jobs, min(position) AS first FROM job "
            "GROUP BY step, status ORDER BY first"
        ):
            found.setdefault(row["step"], {})[JobStatus(row["status"])] = row["jobs"]
        return found

    def _ended(self, since: str, until: str) -> dict[JobStatus, int]:
        rows = self._all(
            "SELECT status, count(*) FROM job WHERE ended_at >= ? AND ended_at < ? "
            "AND status NOT IN ('pending', 'submitting', 'submitted') GROUP BY status",
            (since, until),
        )
        return {JobStatus(status): number for status, number in rows}

    def _spent(self, since: str, until: str) -> tuple[Money, ...]:
        rows = self._all(
            f"SELECT currency, unit_price, {_PAID} AS units FROM job "  # noqa: S608
            "WHERE ended_at >= ? AND ended_at < ? AND NOT cached GROUP BY currency, unit_price",
            (since, until),
        )
        return tuple(money for money in sum_money(map(_cost, rows)) if money.amount)


def _cost(row: sqlite3.Row) -> Money:
    return Money(amount=Decimal(row["unit_price"]) * row["units"], currency=row["currency"])
