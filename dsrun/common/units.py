"""Money, rates and durations: what they are, and how they are written."""

import re
from dataclasses import dataclass
from decimal import Decimal

from dsrun.common.pointer import KeyPath

_CURRENCY = "CNY"
_LONGEST_S = 36500 * 86400.0  # longer than anybody waits, and short enough to reckon with
_CURRENCY_CODE = re.compile(r"[A-Z]{3}").fullmatch
_COUNT = re.compile(r"[1-9][0-9]{0,6}").fullmatch
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{0,6})?|\.[0-9]{1,6}").fullmatch
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} {self.currency}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Cost of one unit; only what succeeds is billed."""

    amount: Decimal
    currency: str
    unit: str
    billed: str | None
    count: KeyPath | None
    as_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most `requests` in any window of `per_s` seconds."""

    requests: int
    per_s: float


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
