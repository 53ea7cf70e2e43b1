"""The `execution` section: how a run is made. Never part of the digest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from dsrun.common.models import Json
from dsrun.common.units import Money, Rate, parse_duration, parse_money, parse_rate

T = TypeVar("T")


_REPEAT_BELOW = Money(amount=Decimal("0.05"), currency="CNY")
_POLL_RATE = Rate(requests=15, per_s=1.0)  # the account has 20; others may need some


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """Times are in seconds; None leaves the choice to the operation."""

    concurrency: int = 16
    rate: Rate | None = None
    submit_window: int = 1
    max_attempts: int = 5
    timeout_s: float = 86400.0
    poll_first_s: float | None = None
    poll_max_s: float | None = None
    poll_rate: Rate = _POLL_RATE
    grace_s: float = 5.0  # until an accepted create must be in the service's list
    max_cost: Money | None = None
    confirm_above: Money | None = None
    max_failures: int | None = None
    repeat_below: Money = _REPEAT_BELOW  # no create of another currency is repeated
    prices: Mapping[str, Json] = field(default_factory=dict)  # of the account, by model


def parse_execution(section: Mapping[str, Json]) -> Execution:
    """Read a section that the manifest schema has already accepted."""
    polling = section.get("polling", {})
    settings: dict[str, Any] = {
        "concurrency": section.get("concurrency"),
        "rate": _maybe(parse_rate, section.get("rate")),
        "submit_window": section.get("submit_window"),
        "max_attempts": section.get("max_attempts"),
        "timeout_s": _maybe(parse_duration, section.get("timeout")),
        "poll_first_s": _maybe(parse_duration, polling.get("first")),
        "poll_max_s": _maybe(parse_duration, polling.get("max")),
        "poll_rate": _maybe(parse_rate, polling.get("rate")),
        "grace_s": _maybe(parse_duration, section.get("grace")),
        "max_cost": _maybe(parse_money, section.get("max_cost")),
        "confirm_above": _maybe(parse_money, section.get("confirm_above")),
        "max_failures": section.get("max_failures"),
        "repeat_below": _maybe(parse_money, section.get("repeat_below")),
        "prices": section.get("prices"),
    }
    return Execution(**{key: value for key, value in settings.items() if value is not None})


def _maybe(parse: Callable[[str], T], text: str | None) -> T | None:
    return None if text is None else parse(text)
