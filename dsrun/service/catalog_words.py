"""Limits, prices and rates of an operation in words, for people."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from dsrun.common.console import count_of
from dsrun.common.models import Json
from dsrun.common.picture_size import KEYWORD as SIZE
from dsrun.common.picture_size import size_words
from dsrun.common.pointer import KeyPath
from dsrun.common.units import Rate
from dsrun.service.operation import Fill, Limits, Operation
from dsrun.service.operation_file import schema_at
from dsrun.service.tables import MISSING, OTHERS, Table, key_values


def limits_of(schema: Mapping[str, Json]) -> str:
    """`integer, 1 to 4`; an enum's values are shown by the caller."""
    kind = schema.get("type", "")
    words = [kind if isinstance(kind, str) else " or ".join(kind)]
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        words.append(f"{low}" if low == high else f"{low} to {high}")
    elif low is not None or high is not None:
        words.append(f"at least {low}" if high is None else f"at most {high}")
    if "minItems" in schema and "maxItems" in schema:
        least, most = schema["minItems"], schema["maxItems"]
        words.append(count_of(most, "item") if least == most else f"{least} to {most} items")
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


def price_tables(operation: Operation) -> Iterator[list[list[str]]]:
    """A table with titles for each price that hangs on fields; the model takes all its values."""
    price = operation.price
    for item in price.items:
        if not isinstance(item.amount, Table):
            continue
        table, known = item.amount, [_values_at(operation, at) for at in item.amount.by]
        named = [set[str]() for _ in known]
        for keys, _ in table.keyed():
            for names, key in zip(named, keys, strict=True):
                names.update(key_values(key))
        rows = [[str(at[-1]) for at in table.by] + [f"{price.currency} for each {item.unit}"]]
        for keys, amount in table.keyed():
            words = list(map(_key_words, keys, known, named))
            if all(words):
                rows.append([*words, str(amount)])
        yield rows


def _values_at(operation: Operation, at: KeyPath) -> list[str]:
    """The values that a field may have, as the keys of tables are written; empty for any."""
    schema = schema_at(operation.schema, at)
    return ["true", "false"] if schema.get("type") == "boolean" else _texts(schema.get("enum", ()))


def _texts(values: Iterable[Json]) -> list[str]:
    return [str(value) for value in values if value is not None]


def _key_words(key: str, known: Collection[str], named: Collection[str]) -> str:
    """`720P or 1080P`; empty where the model takes none of the values of a key."""
    if key == MISSING:
        return "none"
    if key != OTHERS:
        return " or ".join(one for one in key_values(key) if not known or one in known)
    others = [value for value in known if value not in named]
    none = "" if MISSING in named else "none"
    if not known:
        return f"any other{', or none' if none else ''}"
    return ", or ".join(filter(None, [" or ".join(others), none]))


def rate_words(operation: Operation) -> str:
    """`2 requests a second, 1 task running at once`."""
    words = f"{count_of(operation.limits.rate.requests, 'request')} {each(operation.limits.rate)}"
    running = operation.limits.running_tasks
    if running is None:
        return words
    return f"{words}, {count_of(running, 'task')} running at once"


def limit_words(limits: Limits) -> str:
    """`2 requests a second; 1 task running, 500 open`."""
    parts = [f"{count_of(limits.rate.requests, 'request')} {each(limits.rate)}"]
    if limits.tokens is not None:
        parts.append(f"{count_of(limits.tokens.requests, 'token')} {each(limits.tokens)}")
    if limits.running_tasks is not None:
        parts.append(f"{count_of(limits.running_tasks, 'task')} running at once")
    if limits.queued_tasks is not None:
        parts.append(f"{limits.queued_tasks} open, waiting or running")
    if limits.group:
        most = f", {limits.group_running} open together" if limits.group_running else ""
        parts.append(f"shared by all models of {limits.group}{most}")
    return f"{', '.join(parts)}; counted by {limits.scope}"


def each(rate: Rate) -> str:
    """`a second`, `in 6 s`."""
    named = {1.0: "a second", 60.0: "a minute", 3600.0: "an hour"}
    return named.get(rate.per_s, f"in {rate.per_s:g} s")


def rate_text(rate: Rate) -> str:
    """`2/s`, `5/min`, `30/6s`."""
    named = {1.0: "s", 60.0: "min", 3600.0: "h"}
    return f"{rate.requests}/{named.get(rate.per_s, f'{rate.per_s:g}s')}"
