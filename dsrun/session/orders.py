"""What may be ordered of a run that goes on, in the words of a command line, and what is in force.

The controller and the run read an order with the same code, so that neither takes what the other
would refuse.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsrun.common.console import count_of
from dsrun.common.errors import UsageError
from dsrun.common.messages import nearest
from dsrun.common.models import Json
from dsrun.common.units import Money, Rate, parse_limit, parse_rate
from dsrun.manifest.execution import Execution
from dsrun.planning.plan import Plan, called
from dsrun.session.ranges import CONCURRENCY, ORDER_SETTINGS, ORDERS
from dsrun.storage.orders import read_json

PAUSE, RESUME, STOP, SET = COMMANDS = ORDERS
SETTINGS = ORDER_SETTINGS
_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The bounds of a run that orders may change."""

    concurrency: int
    rates: Mapping[str, Rate]  # of each operation's creates
    max_cost: Money | None = None
    is_paused: bool = False

    @classmethod
    def at_first(cls, plan: Plan, execution: Execution) -> "Bounds":
        used = called(plan.manifest, plan.catalog)
        return cls(
            concurrency=execution.concurrency,
            rates={one.name: execution.limits_of(one).rate for one in used},
            max_cost=execution.max_cost,
        )

    def as_json(self) -> dict[str, Json]:
        return {
            "paused": self.is_paused,
            "concurrency": self.concurrency,
            "rates": {
                name: {"requests": rate.requests, "per_s": rate.per_s}
                for name, rate in self.rates.items()
            },
            "max_cost": None if self.max_cost is None else self.max_cost.as_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What `set` wants; None leaves a bound as it is."""

    concurrency: int | None = None
    rate: Rate | None = None
    max_cost: Money | None = None


def read_changes(settings: Mapping[str, Json]) -> Changes:
    """Raises UsageError: a setting is unknown, or a value cannot be."""
    for name in settings:
        if name not in SETTINGS:
            hint = nearest(name, SETTINGS)
            raise UsageError(f"set {name}{hint}; allowed: {', '.join(SETTINGS)}")
    if not settings:
        raise UsageError(f"set wants one or more of {', '.join(f'{one}=…' for one in SETTINGS)}")
    texts: dict[str, str] = {name: str(value).strip() for name, value in settings.items()}
    return Changes(
        concurrency=_concurrency(texts["concurrency"]) if "concurrency" in texts else None,
        rate=_rate(texts["rate"]) if "rate" in texts else None,
        max_cost=_max_cost(texts["max_cost"]) if "max_cost" in texts else None,
    )


def read_words(words: Sequence[str]) -> dict[str, Json]:
    """The settings of `concurrency=8 rate=1/s`. Raises UsageError."""
    settings: dict[str, Json] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not value.strip():
            raise UsageError(f"set {word}: write it as {SETTINGS[0]}=8, rate=1/s or max_cost=40")
        if name in settings:
            raise UsageError(f"set {name}: it stands there twice; take one of them out")
        settings[name] = value
    return settings


def value_of(settings: Mapping[str, Json]) -> str:
    """The settings as an order keeps them."""
    return json.dumps(settings, ensure_ascii=False)


def settings_in(value: str | None) -> dict[str, Json]:
    """What `value_of` wrote. Raises UsageError."""
    try:
        settings: Any = read_json(value or "")
        value_of(settings).encode()  # no half characters: what is refused is in the ledger
    except ValueError as error:
        raise UsageError("set: its settings cannot be read") from error
    if not isinstance(settings, dict):
        raise UsageError("set: its settings cannot be read")
    return settings


def words_of(command: str, value: str | None) -> str:
    """`set concurrency=8 rate=1/s`, as somebody typed it."""
    if command != SET:
        return command
    return " ".join([SET, *(f"{name}={each}" for name, each in settings_in(value).items())])


def slower(bound: Rate, wanted: Rate) -> Rate:
    """The rate that is wanted, or the bound where that is slower.

    The bound holds all the same: 100/min lets no hundred creates through at once.
    """
    return bound if per_s(wanted) >= per_s(bound) else wanted


def per_s(rate: Rate) -> float:
    return rate.requests / rate.per_s


def rate_words(rate: Rate) -> str:
    """`2 creates in 1 s`."""
    return f"{count_of(rate.requests, 'create')} in {rate.per_s:.4g} s"


def _concurrency(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= _DIGITS
    if not (is_number and CONCURRENCY.holds(int(text))):
        raise UsageError(f"set concurrency={text}; allowed: {CONCURRENCY}")
    return int(text)


def _rate(text: str) -> Rate:
    try:
        return parse_rate(text)
    except ValueError as error:
        hint = "`dsrun control DIR pause` sends nothing"
        raise UsageError(f"set rate: {error}; {hint}") from error


def _max_cost(text: str) -> Money:
    try:
        return parse_limit(text)
    except ValueError as error:
        raise UsageError(f"set max_cost: {error}") from error
