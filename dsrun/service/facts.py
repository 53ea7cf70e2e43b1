"""Limits and prices in words, as editors and the documentation show them."""

from collections.abc import Mapping

from dsrun.common.models import Json
from dsrun.service.operation import Operation


def limits_of(schema: Mapping[str, Json]) -> str:
    """`integer, 1 to 4`; the values of an enum are left to who shows them."""
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
    return ", ".join(word for word in words if word)


def price_words(operation: Operation) -> str:
    """`0.16 CNY an image (2026-06)`."""
    price = operation.price
    article = "an" if price.unit[0] in "aio" else "a"
    return f"{price.amount} {price.currency} {article} {price.unit} ({price.as_of})"


def rate_words(operation: Operation) -> str:
    """`2 requests a second, 1 task running at once`."""
    rate = operation.rate
    span = "a second" if rate.per_s == 1 else f"in {rate.per_s:g} s"
    words = f"{rate.requests} requests {span}"
    running = operation.running_tasks
    if running is None:
        return words
    return f"{words}, {running} task{'s' * (running > 1)} running at once"
