"""Limits, prices and rates of an operation in words, for people."""

from collections.abc import Mapping

from dsrun.common.models import Json
from dsrun.common.picture_size import KEYWORD as SIZE
from dsrun.common.picture_size import size_words
from dsrun.service.operation import Fill, Operation
from dsrun.service.tables import Table


def limits_of(schema: Mapping[str, Json]) -> str:
    """`integer, 1 to 4`; an enum's values are shown by the caller."""
    kind = schema.get("type", "")
    words = [kind if isinstance(kind, str) else " or ".join(kind)]
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        words.append(f"{low} to {high}")
    elif low is not None or high is not None:
        words.append(f"at least {low}" if high is None else f"at most {high}")
    if "minItems" in schema and "maxItems" in schema:
        words.append(f"{schema['minItems']} to {schema['maxItems']} items")
    if "maxLength" in schema:
        words.append(f"at most {schema['maxLength']} characters")
    if SIZE in schema:
        words.append(size_words(schema[SIZE]))
    return ", ".join(word for word in words if word)


def fill_words(fill: Fill) -> str:
    """What dsrun adds where a request has nothing: `1`, `720P or 1080P`, `derived`."""
    if fill.derive:
        return "derived"
    if not isinstance(fill.value, Table):
        return str(fill.value)
    values = dict.fromkeys(str(leaf) for leaf in fill.value.leaves() if leaf is not None)
    return " or ".join(values)


def price_words(operation: Operation) -> str:
    """`0.16 CNY an image (2026-06)`."""
    price = operation.price
    return f"{price} ({price.as_of})"


def rate_words(operation: Operation) -> str:
    """`2 requests a second, 1 task running at once`."""
    rate = operation.rate
    span = "a second" if rate.per_s == 1 else f"in {rate.per_s:g} s"
    words = f"{rate.requests} request{'s' * (rate.requests > 1)} {span}"
    running = operation.running_tasks
    if running is None:
        return words
    return f"{words}, {running} task{'s' * (running > 1)} running at once"
