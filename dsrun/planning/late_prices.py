"""What requests with late values cost at most, before these are known.

What a late text still lacks counts at the limit of its field, or at the length that `truncate`
leaves of it; without either nobody can tell.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from dsrun.common.late import Late, LateText, longest
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath, fits, pointer, put_at
from dsrun.planning.late_requests import LateValues
from dsrun.service.operation import Operation
from dsrun.service.operation_file import schema_at
from dsrun.service.price import Measure
from dsrun.service.tables import each_table

_WIDEST = {"chars": "\u4e00", "tokens": "\U0001f600"}  # no letter counts more
_MAY_BE_LATE = frozenset({*_WIDEST, "media_seconds"})


class Priced(NamedTuple):
    """A request as its price sees it; `is_bound`: it may cost less."""

    request: Json
    is_bound: bool


class LatePrices:
    """Fills requests of one operation as far as its price counts them."""

    def __init__(self, operation: Operation) -> None:
        self._schema = operation.schema
        self._texts = [
            (at, _WIDEST[measure.kind])
            for item in operation.price.items
            for measure in _measures(item.units)
            if measure.kind in _WIDEST
            for at in measure.at
        ]

    def priced(self, request: Mapping[str, Json], late: LateValues) -> Priced:
        """`request` has the JSON forms of the late values, and keeps those that have no limit."""
        counted = [
            (at, value, letter)
            for at, value in late.items()
            for place, letter in self._texts
            if fits(at, place)
        ]
        if not counted:
            return Priced(request, is_bound=False)
        filled: Any = copy.deepcopy(request)
        for at, value, letter in counted:
            text = _dearest(value, letter, limit=_limit_of(schema_at(self._schema, at)))
            if text is not None:
                put_at(filled, at, text)
        return Priced(filled, is_bound=True)


def needed_now(operation: Operation) -> Iterator[KeyPath]:
    """The places of a request whose value must be known before the run.

    They say how many files come, of which kind they are, what a request costs, or what they belong
    to.
    """
    for kind in operation.artifacts:
        yield from (at for at in (kind.count, kind.seed) if at)
        yield from (pointer(at) or () for at in (kind.asked_format, kind.asked_rate) if at)
    for item in operation.price.items:
        for measure in _measures(item.units):
            yield from () if measure.kind in _MAY_BE_LATE else measure.at
    for _, table in each_table(operation.schema["x-dsrun"], ()):
        yield from (pointer(at) or () for at in table["by"])
    for rule in operation.output_rules.values():
        yield from rule.binds


def _measures(measure: Measure | None) -> Iterator[Measure]:
    while measure is not None:
        yield measure
        measure = measure.times


def _limit_of(schema: Mapping[str, Json]) -> int | None:
    parts = [schema, *(part for part in schema.get("allOf", ()) if isinstance(part, Mapping))]
    return min((part["maxLength"] for part in parts if "maxLength" in part), default=None)


def _dearest(value: Late | LateText, letter: str, *, limit: int | None) -> str | None:
    """The text that costs most of those that a late value may become; None for any length."""
    parts = value.parts if isinstance(value, LateText) else (value,)
    known = "".join(part for part in parts if isinstance(part, str))
    lengths = [longest(part) for part in parts if isinstance(part, Late)]
    most = None if None in lengths else sum(length for length in lengths if length is not None)
    rest = None if limit is None else max(0, limit - len(known))
    bounds = [bound for bound in (most, rest) if bound is not None]
    return known + letter * min(bounds) if bounds else None
