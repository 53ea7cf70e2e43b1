"""The `execution` section: how a run is made. Never part of the digest."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeVar

from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath
from dsrun.common.units import Money, Rate, parse_duration, parse_money, parse_rate
from dsrun.manifest.schedule import zone_fault
from dsrun.service.operation import Limits, Operation

S = TypeVar("S")
T = TypeVar("T")


_REPEAT_BELOW = Money(amount=Decimal("0.05"), currency="CNY")
_POLL_RATE = Rate(requests=15, per_s=1.0)  # the account has 20; others may need some


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodBudget:
    """What all runs of an output root may spend together in each period."""

    amount: Money
    per: str  # day, week, month or total
    timezone: str | None = None  # None: the machine's own

    def __str__(self) -> str:
        return f"{self.amount} in all" if self.per == "total" else f"{self.amount} per {self.per}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often a task that failed at the service is tried again; `codes` None: the default."""

    failed_tasks: int = 0
    codes: tuple[str, ...] | None = None


_NO_RETRY = Retry()


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """Times are in seconds; None leaves the choice to the operation."""

    concurrency: int = 16
    rate: Rate | None = None
    limits: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)  # by model
    submit_window: int = 1
    max_attempts: int = 5
    timeout_s: float = 86400.0
    poll_first_s: float | None = None
    poll_max_s: float | None = None
    poll_rate: Rate = _POLL_RATE
    grace_s: float = 5.0  # until an accepted create must be in the service's list
    max_cost: Money | None = None
    budget: PeriodBudget | None = None
    retry: Retry = _NO_RETRY
    confirm_above: Money | None = None
    max_failures: int | None = None
    repeat_below: Money = _REPEAT_BELOW  # no create of another currency is repeated
    prices: Mapping[str, Json] = field(default_factory=dict)  # of the account, by model

    def limits_of(self, operation: Operation) -> Limits:
        """The limits that hold for this account: those published, with what the manifest says."""
        own, published = self.limits.get(operation.name, {}), operation.limits
        rate = self.rate or published.rate
        tokens = published.tokens
        if own.keys() & {"requests", "per_s"}:
            rate = _changed(published.rate, own.get("requests"), own.get("per_s"))
        if own.keys() & {"tokens", "tokens_s"}:
            tokens = _changed(tokens, own.get("tokens"), own.get("tokens_s"))
        rest = {key: value for key, value in own.items() if key in _NUMBERS}
        return replace(published, rate=rate, tokens=tokens, **rest)


_NUMBERS = ("running_tasks", "queued_tasks", "group_running")


def _changed(rate: Rate | None, requests: int | None, per_s: float | None) -> Rate:
    """A rate of which one or both numbers are others."""
    rate = rate or Rate(requests=1, per_s=1.0)
    return Rate(
        requests=rate.requests if requests is None else requests,
        per_s=rate.per_s if per_s is None else per_s,
    )


def parse_execution(section: Mapping[str, Json]) -> Execution:
    """Read a section that the manifest schema has already accepted."""
    polling = section.get("polling", {})
    settings: dict[str, Any] = {
        "concurrency": section.get("concurrency"),
        "rate": _maybe(parse_rate, section.get("rate")),
        "limits": section.get("limits"),
        "submit_window": section.get("submit_window"),
        "max_attempts": section.get("max_attempts"),
        "timeout_s": _maybe(parse_duration, section.get("timeout")),
        "poll_first_s": _maybe(parse_duration, polling.get("first")),
        "poll_max_s": _maybe(parse_duration, polling.get("max")),
        "poll_rate": _maybe(parse_rate, polling.get("rate")),
        "grace_s": _maybe(parse_duration, section.get("grace")),
        "max_cost": _maybe(parse_money, section.get("max_cost")),
        "budget": _maybe(_parse_budget, section.get("budget")),
        "retry": _maybe(_parse_retry, section.get("retry")),
        "confirm_above": _maybe(parse_money, section.get("confirm_above")),
        "max_failures": section.get("max_failures"),
        "repeat_below": _maybe(parse_money, section.get("repeat_below")),
        "prices": section.get("prices"),
    }
    return Execution(**{key: value for key, value in settings.items() if value is not None})


def budget_faults(execution: Execution) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong with the budget of a section that the schema has accepted."""
    if execution.budget and (words := zone_fault(execution.budget.timezone)):
        yield ("execution", "budget", "timezone"), words


def _parse_budget(section: Mapping[str, Json]) -> PeriodBudget:
    return PeriodBudget(
        amount=parse_money(section["amount"]),
        per=section["per"],
        timezone=section.get("timezone"),
    )


def _parse_retry(section: Mapping[str, Json]) -> Retry:
    codes = section.get("codes")
    return Retry(
        failed_tasks=section["failed_tasks"], codes=None if codes is None else tuple(codes)
    )


def _maybe(parse: Callable[[S], T], value: S | None) -> T | None:
    return None if value is None else parse(value)
