"""Money, rates and durations, and their text forms."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from dsrun.common.models import Json

_CURRENCY = "CNY"
_EXACT_BELOW_S = 9.95
_DAYS_FROM_H = 72
_LONGEST_S = 36500 * 86400.0  # longer than anybody waits, and small enough to add to a time
_CURRENCY_CODE = re.compile(r"[A-Z]{3}").fullmatch
_COUNT = re.compile(r"[1-9][0-9]{0,6}").fullmatch
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{0,6})?|\.[0-9]{1,6}").fullmatch
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An exact amount of a currency (ISO 4217)."""

    amount: Decimal
    currency: str

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> "Money":
        """The amount that `as_json` wrote. Raises ArithmeticError or KeyError."""
        return cls(amount=Decimal(str(value["amount"])), currency=value["currency"])

    def __add__(self, other: "Money") -> "Money":
        if self.currency != other.currency:
            raise ValueError(f"{self} and {other} have no sum")
        return Money(amount=self.amount + other.amount, currency=self.currency)

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.currency}"

    def as_json(self) -> dict[str, Json]:
        return {"amount": float(self.amount), "currency": self.currency}


def plain(number: Decimal) -> str:
    """A number without the zeros that end its fraction."""
    return f"{number.normalize():f}"


def sum_money(amounts: Iterable[Money]) -> list[Money]:
    """One sum for each currency, in the order in which the currencies come."""
    sums: dict[str, Money] = {}
    for money in amounts:
        before = sums.get(money.currency)
        sums[money.currency] = money if before is None else before + money
    return list(sums.values())


def first_as_json(amounts: Sequence[Money], *, currency: str = _CURRENCY) -> dict[str, Json]:
    """The first amount, or zero of `currency`: where a key has room for only one amount."""
    zero = Money(amount=Decimal(0), currency=currency)
    return next(iter(amounts), zero).as_json()


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


def duration_words(seconds: float) -> str:
    """`0.8 s`, `3 min 20 s`, `66 h 40 min`, `13 d 21 h`."""
    if seconds < _EXACT_BELOW_S:
        return f"{seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= _DAYS_FROM_H:
        return f"{hours // 24} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
