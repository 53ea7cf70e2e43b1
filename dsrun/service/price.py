"""What a request costs before it is sent, and what its answer bills.

A price counts in grains: the largest amount of which whatever an operation may bill is a whole
multiple. So every cost is a whole number of grains, and sums of any length are exact.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal
from functools import cached_property
from math import gcd
from typing import Any, NamedTuple

from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath, iter_paths, value_at
from dsrun.common.units import Money, plain
from dsrun.service.tables import Table, lookup

EXACT, AT_MOST, ABOUT, UNKNOWN = "exact", "at_most", "about", "unknown"
SURE = (EXACT, AT_MOST, ABOUT, UNKNOWN)  # from the surest
SIGNS = {EXACT: "=", AT_MOST: "≤", ABOUT: "≈"}
MOST_GRAINS = 10**12 - 1  # of a job: twelve digits, so that sums stay within SQLite's 64 bits
_MOST_UNITS = 10**9
_LARGEST = 2**53  # of a float that is a number of something
_PART = Decimal("0.000001")  # of a unit that may be billed: a second's
_BEYOND_REASON = 10  # times what was planned, where that was no promise
_HAN = re.compile(r"[\u2e80-\u2fd5\u3005\u3007\u3021-\u3029\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff"
                  r"\uf900-\ufaff\U00020000-\U0003ffff]")  # fmt: skip
_EXACTLY = Context(prec=60)

Seconds = Callable[[Json], Decimal | None]  # the length of a file that a request names


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How the units of a request are counted. `kind`: a key of `_COUNTERS`."""

    kind: str
    at: tuple[KeyPath, ...] = ()
    absent: Decimal | None = None  # the value where the request has none
    wide: int = 1  # what a Han character counts
    most: Decimal | None = None  # a bound where the request tells nothing
    times: "Measure | None" = None

    @property
    def is_whole(self) -> bool:
        """Whether it counts things, and not seconds."""
        return self.kind in _WHOLE and (self.times is None or self.times.is_whole)

    def of(self, request: Json, *, asked: int, seconds: Seconds) -> Decimal | None:
        """The units of a request that asks for `asked` artifacts; None where nobody can tell."""
        count = _COUNTERS[self.kind](self, request, asked, seconds)
        if count is None:
            count = self.most
        if count is None or self.times is None:
            return count
        times = self.times.of(request, asked=asked, seconds=seconds)
        return None if times is None else count * times


_COUNT = Measure(kind="count")


@dataclass(frozen=True, kw_only=True)
class PriceItem:
    """One of the things that a request pays for: `amount` for every `per` units."""

    unit: str
    amount: Decimal | Table
    per: int = 1
    units: Measure
    billed: tuple[str, ...] = ()  # pointers into the answer; the first positive number counts
    sure: str = EXACT
    is_free_on_failure: bool = True

    def claim(self, value: Json) -> Decimal | None:
        """The units that a value of an answer claims; None where it is no such number."""
        number = number_in(value)
        is_sound = number is not None and (number == int(number) or not self.units.is_whole)
        return number if is_sound else None

    @cached_property
    def amounts(self) -> tuple[Decimal, ...]:
        """Every amount that a request may be charged, from the lowest."""
        leaves = self.amount.leaves() if isinstance(self.amount, Table) else [self.amount]
        return tuple(sorted(set(leaves)))

    @cached_property
    def part(self) -> Decimal:
        """The smallest part of a unit that is billed."""
        return Decimal(1) if self.units.is_whole else _PART

    def amount_for(self, request: Json) -> Decimal | None:
        """The amount of its table; None where that has no row for the request."""
        try:
            return Decimal(lookup(self.amount, request))
        except KeyError:
            return None


class Bill(NamedTuple):
    """What a job has cost, in grains; `warning` where the answer claims something else."""

    units: int
    warning: str = ""


@dataclass(frozen=True, kw_only=True)
class Price:
    """What requests of one operation cost. `grain` times a number of grains is an amount."""

    currency: str
    as_of: str
    items: tuple[PriceItem, ...]
    source: str = ""
    is_own: bool = False  # the manifest's, in place of the published one

    def __post_init__(self) -> None:
        if _spread(self) > _MOST_UNITS:
            raise ValueError("amounts: too far apart to be summed exactly")

    @property
    def unit(self) -> str:
        return self.items[0].unit

    @cached_property
    def sure(self) -> str:
        """How well a plan knows what requests cost: as well as its least sure item."""
        return max((item.sure for item in self.items), key=SURE.index)

    @cached_property
    def grain(self) -> Decimal:
        """Zero where nothing costs anything."""
        return _grain([(amount * item.part, item.per) for item in self.items
                       for amount in item.amounts])  # fmt: skip

    @cached_property
    def steady(self) -> int | None:
        """Grains of each artifact, where that is all that a request pays for."""
        item = self.items[0]
        is_steady = (
            len(self.items) == 1 and item.units == _COUNT and isinstance(item.amount, Decimal)
        )
        return self._grains(item, item.amounts[0], Decimal(1)) if is_steady else None

    def of(self, units: int) -> Money:
        """The amount of so many grains."""
        return Money(amount=self.grain * units, currency=self.currency)

    def planned(self, request: Json, *, asked: int, seconds: Seconds | None = None) -> int | None:
        """Grains that a request will cost, as surely as `sure` says; None where nobody can tell."""
        if self.steady is not None:
            return self.steady * asked
        total = 0
        for item in self.items:
            amount, units = item.amount_for(request), self._units(item, request, asked, seconds)
            if amount == 0:
                continue
            if amount is None or units is None:
                return None
            total += self._grains(item, amount, units)
        return total if total <= MOST_GRAINS else None

    def billed(
        self, request: Json, claimed: Sequence[Decimal | None], *, asked: int, made: int,
        reserved: int = 0, is_failed: bool = False,
    ) -> Bill:  # fmt: skip
        """What an answer bills, by item as it claims, for `made` of `asked` artifacts.

        What is beyond reason is not paid: that ends at what was asked for where the price is exact,
        and elsewhere far above it. `reserved`: what the plan knew, of files too, in grains.
        `is_failed`: the task has failed, and made nothing.
        """
        total, warnings = 0, []
        for number, item in enumerate(self.items):
            if is_failed and item.is_free_on_failure:
                continue
            claim = claimed[number] if number < len(claimed) else None
            planned = self._units(item, request, asked, None)
            if reserved and (planned is None or item.units.kind == "media_seconds"):
                known = self.counted(reserved)
                if known is not None:
                    planned = known if planned is None else min(planned, known)
            units, warning = _billed(item, claim, planned, asked=asked, made=made)
            amount = item.amount_for(request)
            dearest = item.amounts[-1]  # where nobody can tell
            total += self._grains(item, dearest if amount is None else amount, units)
            warnings += [warning] if warning else []
        return Bill(min(total, MOST_GRAINS), "; ".join(warnings))

    def counted(self, units: int) -> Decimal | None:
        """How many of the price's own units so many grains are, where they all cost the same."""
        if self.amount is None or not self.amount:
            return Decimal(units) if self.amount is not None else None
        return _EXACTLY.divide(self.grain * units * self.items[0].per, self.amount).normalize()

    @property
    def amount(self) -> Decimal | None:
        """The amount of a unit, where there is only one."""
        amounts = self.items[0].amounts
        return amounts[0] if len(self.items) == 1 and len(amounts) == 1 else None

    def __str__(self) -> str:
        return " + ".join(_item_words(item, self.currency) for item in self.items)

    def as_json(self) -> dict[str, Json]:
        """`amount` is null where the price has several."""
        amount = self.amount
        return {
            "amount": None if amount is None else float(amount),
            "currency": self.currency,
            "unit": self.unit,
            "as_of": self.as_of,
        }

    def details(self) -> dict[str, Json]:
        """All that is known of the price."""
        return {
            **self.as_json(),
            "sure": self.sure,
            "source": self.source,
            "own": self.is_own,
            "items": [_item_json(item) for item in self.items],
        }

    def _units(
        self, item: PriceItem, request: Json, asked: int, seconds: Seconds | None
    ) -> Decimal | None:
        return item.units.of(request, asked=asked, seconds=seconds or _nobody_knows)

    def _grains(self, item: PriceItem, amount: Decimal, units: Decimal) -> int:
        """So many units in grains, the last part of a unit as a whole one."""
        parts = int((units / item.part).to_integral_value(ROUND_CEILING))
        if not self.grain:
            return parts  # free, and counted all the same
        each = _EXACTLY.divide(amount * item.part, self.grain * item.per)
        return int(each) * parts


def weakest(sures: Sequence[str]) -> str:
    """How sure a sum is of costs of which each is as sure as these."""
    return max(sures, key=SURE.index, default=EXACT)


def common_grain(first: Decimal, second: Decimal) -> Decimal:
    """The largest amount of which both are whole multiples."""
    return _grain([(first, 1), (second, 1)])


def number_in(value: Json) -> Decimal | None:
    """A number from 0 of a request or an answer; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        return None
    if isinstance(value, float) and not value <= _LARGEST:
        return None
    return Decimal(str(value)) if isinstance(value, float) else Decimal(value)


def _billed(
    item: PriceItem, claim: Decimal | None, planned: Decimal | None, *, asked: int, made: int
) -> tuple[Decimal, str]:
    """Units of an item that are paid, and a warning where that is not what the answer claims."""
    by_count = item.units == _COUNT
    if claim is None:
        if by_count:
            return Decimal(made if made or item.is_free_on_failure else asked), ""
        is_paid = made > 0 or not item.is_free_on_failure
        return (planned or Decimal(0)) if is_paid else Decimal(0), ""
    reason = Decimal(_MOST_UNITS) if planned is None else planned
    if by_count:
        reason = Decimal(max(made, asked))
    if item.sure != EXACT:
        reason *= _BEYOND_REASON
    if claim <= reason:
        return claim, ""
    promised = planned if planned is not None and not by_count else reason
    words = (
        f"the answer bills {plain(claim)} x {item.unit}, and {plain(promised)} x {item.unit} "
        f"was asked for; {plain(promised)} counts"
    )
    return promised, words


def _item_words(item: PriceItem, currency: str) -> str:
    low, high = item.amounts[0], item.amounts[-1]
    amount = f"{low}" if low == high else f"{low} to {high}"
    article = "an" if item.unit[0] in "aio" else "per" if item.unit[0].isdigit() else "a"
    return f"{amount} {currency} {article} {item.unit}"


def _item_json(item: PriceItem) -> dict[str, Json]:
    return {
        "unit": item.unit,
        "per": item.per,
        "amounts": [float(amount) for amount in item.amounts],
        "sure": item.sure,
        "free_on_failure": item.is_free_on_failure,
    }


def _spread(price: Price) -> int:
    """Grains of the dearest unit."""
    if not price.grain:
        return 0
    return max(int(item.amounts[-1] / item.per / price.grain) for item in price.items)


def _grain(amounts: Sequence[tuple[Decimal, int]]) -> Decimal:
    """The largest amount of which each of these, divided by its number, is a whole multiple."""
    exact = [_EXACTLY.divide(amount, Decimal(per)) for amount, per in amounts if amount]
    if not exact:
        return Decimal(0)
    places = min(0, *(_exponent(amount) for amount in exact))
    whole = (int(amount.scaleb(-places, _EXACTLY)) for amount in exact)
    return Decimal(gcd(*whole)).scaleb(places, _EXACTLY)


def _exponent(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int)  # noqa: S101  # amounts are finite
    return exponent


def _values(measure: Measure, request: Json) -> Iterator[Json]:
    """The values of a measure's places that are there."""
    for at in measure.at:
        for path in iter_paths(request, at):
            value = value_at(request, path)
            if value is not None:
                yield value


def _texts(measure: Measure, request: Json) -> list[str] | None:
    """The texts of a measure's places; None where one is late, and stands as a mapping."""
    values = list(_values(measure, request))
    if any(isinstance(value, Mapping) for value in values):
        return None
    return [value for value in values if isinstance(value, str)]


def _count_artifacts(_: Measure, _request: Json, asked: int, _seconds: Seconds) -> Decimal | None:
    return Decimal(asked)


def _count_value(measure: Measure, request: Json, _asked: int, _seconds: Seconds) -> Decimal | None:
    number = number_in(next(_values(measure, request), None))
    return measure.absent if number is None else number


def _count_chars(measure: Measure, request: Json, _asked: int, _seconds: Seconds) -> Decimal | None:
    texts = _texts(measure, request)
    if texts is None:
        return None
    wide = sum(len(_HAN.findall(text)) for text in texts) if measure.wide != 1 else 0
    return Decimal(sum(map(len, texts)) + wide * (measure.wide - 1))


def _count_tokens(
    measure: Measure, request: Json, _asked: int, _seconds: Seconds
) -> Decimal | None:
    texts = _texts(measure, request)
    return None if texts is None else Decimal(sum(map(_most_tokens, texts)))


def _most_tokens(text: str) -> int:
    """One a character, but as many as it has bytes where a tokenizer may know no more of it."""
    others = _HAN.sub("", text)
    return len(text) - len(others) + len(others.encode(errors="surrogatepass"))


def _count_items(measure: Measure, request: Json, _asked: int, _seconds: Seconds) -> Decimal | None:
    values = list(_values(measure, request))
    if not values:
        return measure.absent
    return Decimal(sum(len(value) if isinstance(value, list) else 1 for value in values))


def _count_seconds(
    measure: Measure, request: Json, _asked: int, seconds: Seconds
) -> Decimal | None:
    lengths = [seconds(value) for value in _values(measure, request)]
    if not lengths or None in lengths:
        return None
    return sum((length for length in lengths if length is not None), Decimal(0))


def _count_most(_: Measure, _request: Json, _asked: int, _seconds: Seconds) -> Decimal | None:
    return None  # the bound counts


def _nobody_knows(_: Json) -> Decimal | None:
    return None


_COUNTERS: Mapping[str, Callable[[Measure, Json, int, Seconds], Decimal | None]] = {
    "count": _count_artifacts,
    "value": _count_value,
    "chars": _count_chars,
    "tokens": _count_tokens,
    "items": _count_items,
    "media_seconds": _count_seconds,
    "most": _count_most,
    "else": _count_value,
}
_WHOLE = {"count", "chars", "tokens", "items"}
MEASURES: tuple[str, ...] = tuple(_COUNTERS)


def measure_kind(about: Mapping[str, Any]) -> str:
    """Which measure a part of an operation file is: its own key, else the bound."""
    return next((kind for kind in MEASURES if kind in about), "")
