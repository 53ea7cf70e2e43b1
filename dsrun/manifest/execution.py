"""The `execution` section: how a run is made. Never part of the digest."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from dsrun.common.models import Json, Rate

T = TypeVar("T")

_CURRENCY = "CNY"
_LONGEST_S = 36500 * 86400.0  # longer than anybody waits, and short enough to reckon with
_CURRENCY_CODE = re.compile(r"[A-Z]{3}").fullmatch
_COUNT = re.compile(r"[1-9][0-9]{0,6}").fullmatch
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{0,6})?|\.[0-9]{1,6}").fullmatch
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


_POLL_RATE = Rate(requests=15, per_s=1.0)  # the account has 20; others may need some


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} {self.currency}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """Times are seconds; None means that the operation's own advice holds."""

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


def parse_execution(section: Mapping[str, Json]) -> Execution:
    """Read a section that the manifest schema has already accepted."""
    polling = section.get("polling", {})
    given: dict[str, Any] = {
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
    }
    return Execution(**{key: value for key, value in given.items() if value is not None})


def parse_rate(text: str) -> Rate:
    """`2/s`, `100/min`. Raises ValueError."""
    number, _, unit = text.partition("/")
    if unit.strip() not in _SECONDS or not _COUNT(number.strip()):
        raise ValueError(f"{text!r} is no rate; write it as 2/s or 100/min")
    return Rate(requests=int(number), per_s=_SECONDS[unit.strip()])


def parse_duration(text: str) -> float:
    """Seconds of `90s`, `1.5h`. Raises ValueError."""
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text[len(number) :]
    if unit not in _SECONDS or not _NUMBER(number.strip()):
        raise ValueError(f"{text!r} is no duration; write it as 90s, 30m or 24h")
    return min(float(number) * _SECONDS[unit], _LONGEST_S)


def parse_money(text: str) -> Money:
    """`40 CNY`. Raises ValueError."""
    amount, currency = text[:-3].strip(), text[-3:]
    if not _CURRENCY_CODE(currency) or not _NUMBER(amount):
        raise ValueError(f"{text!r} is no amount; write it as 40 CNY")
    return Money(amount=Decimal(amount), currency=currency)


def parse_limit(text: str) -> Money:
    """`40 CNY`, or `40` where the currency is that of the bundled prices. Raises ValueError."""
    is_bare = _NUMBER(text.strip())
    return parse_money(f"{text.strip()} {_CURRENCY}" if is_bare else text)


def _maybe(parse: Callable[[str], T], text: str | None) -> T | None:
    return None if text is None else parse(text)
