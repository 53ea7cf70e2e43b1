"""Whether the parts of an operation file agree: its `x-dsrun` with its schema, and with itself."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from dsrun.common.json_schema import SchemaValidator
from dsrun.common.media import extensions_of
from dsrun.common.messages import nearest, show
from dsrun.common.models import Json
from dsrun.common.pointer import EACH, KeyPath, dotted, pointer
from dsrun.service.price import MEASURES
from dsrun.service.self_contained import Fault
from dsrun.service.table_faults import uncovered
from dsrun.service.tables import is_table, leaves_of

_SCALARS = {"string", "integer", "number", "boolean", "null"}

_RECOVERY = {"task-list": "task", "voice-list": "sync"}
_RECOVERY_NEEDS = {
    "task-list": (),
    "voice-list": (
        "body", "page", "page_size", "items", "total", "match", "holds", "made_at", "outputs",
        "lost",
    ),
}  # fmt: skip


class _Place(NamedTuple):
    """A pointer into the request, and where it stands in the file."""

    path: KeyPath
    at: str
    kind: str = ""  # the type that it must lead to


def disagreements(schema: Mapping[str, Json]) -> Iterator[Fault]:
    """What does not agree in a file with a sound frame, whose references are written out."""
    about = schema["x-dsrun"]
    faults = [fault for place in _places(about) if (fault := _place_fault(place, schema))]
    yield from faults
    if not faults:
        for number, fill in enumerate(about["fill"]):
            yield from _fill_faults(fill, ("x-dsrun", "fill", number), schema)
    yield from _count_faults(about, schema)
    yield from _language_faults(about.get("languages", ()))
    yield from _price_faults(about["price"])
    yield from uncovered(schema)
    yield from limit_faults(about["limits"], about["protocol"])
    yield from _upload_faults(about.get("uploads"))
    yield from _recovery_faults(about.get("recovery"), about["protocol"])


def _places(about: Mapping[str, Json]) -> Iterator[_Place]:
    for number, fill in enumerate(about["fill"]):
        path = ("x-dsrun", "fill", number)
        kind = {"seed": "integer", "name": "string"}.get(fill.get("derive"), "")
        yield _Place((*path, "at"), fill["at"], kind)
        yield from _named(fill, path, span="integer")
    for number, rule in enumerate(about.get("languages", ())):
        yield from _named(rule, ("x-dsrun", "languages", number), at="string", named_by="string")
    yield from _named(
        about["artifacts"], ("x-dsrun", "artifacts"),
        count="integer", seed="integer", asked="string", asked_rate="integer",
    )  # fmt: skip
    for number, item in enumerate(about["price"]["items"]):
        yield from _measured(item["units"], ("x-dsrun", "price", "items", number, "units"))
    yield from _looked_up(about, ("x-dsrun",))
    for number, field in enumerate(about.get("uploads", {}).get("fields", ())):
        yield from _named(field, ("x-dsrun", "uploads", "fields", number), at="string")
    recovery = about.get("recovery", {})
    yield from _named(recovery, ("x-dsrun", "recovery"), size="string")
    for key in ("confirm", "match", "holds"):
        for at in recovery.get(key, ()):
            yield _Place(("x-dsrun", "recovery", key, at), at)


def _measured(measure: Mapping[str, Json], path: KeyPath) -> Iterator[_Place]:
    """The places that a measure of units counts at."""
    yield from _named(measure, path, value="number", media_seconds="string", items="")
    for key in ("chars", "tokens"):
        for number, at in enumerate(measure.get(key, ())):
            yield _Place((*path, key, number), at, "string")
    if "times" in measure:
        yield from _measured(measure["times"], (*path, "times"))


def _looked_up(value: Json, path: KeyPath) -> Iterator[_Place]:
    """The places by which tables go."""
    if is_table(value):
        for number, at in enumerate(value["by"]):
            yield _Place((*path, "by", number), at)
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _looked_up(part, (*path, key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _looked_up(part, (*path, number))


def _named(part: Mapping[str, Json], path: KeyPath, **kinds: str) -> Iterator[_Place]:
    for key, kind in kinds.items():
        if key in part:
            yield _Place((*path, key), part[key], kind)


def _place_fault(place: _Place, schema: Mapping[str, Json]) -> Fault | None:
    """A pointer that no request can have, or that leads to a value of another type."""
    here: Json = schema
    for number, step in enumerate(pointer(place.at) or ()):
        known = here.get("properties", {})
        if step == EACH and isinstance(here.get("items"), Mapping):
            here = here["items"]
        elif step in known:
            here = known[step]
        elif _may_hold(here, step):
            return None  # a request may have it: nothing is known about it
        else:
            words = f"found {show(place.at)}, which no request can have"
            above = dotted((pointer(place.at) or ())[:number])
            names = f"{nearest(step, known)}; allowed{above and f' below {above}'}: "
            return Fault(place.path, words + names + (", ".join(known) or "nothing"))
        if not isinstance(here, Mapping):
            return None
    kinds = _kinds(here)
    if place.kind and kinds and not _fits(place.kind, kinds):
        words = f"found {show(place.at)}, which is of type {' or '.join(kinds)}; allowed: a place "
        return Fault(place.path, f"{words}of type {place.kind}")
    return None


def _may_hold(schema: Mapping[str, Json], step: str) -> bool:
    kinds = _kinds(schema)
    if kinds and _SCALARS.issuperset(kinds):
        return False
    if kinds == ["array"]:
        return step == EACH or step.isdecimal()
    is_closed = schema.get("additionalProperties") is False
    return not is_closed or "patternProperties" in schema


def _kinds(schema: Mapping[str, Json]) -> list[str]:
    kinds = schema.get("type", [])
    return [kinds] if isinstance(kinds, str) else list(kinds)


def _fits(kind: str, kinds: list[str]) -> bool:
    return kind in kinds or {kind, *kinds} >= {"integer", "number"}


def _fill_faults(
    fill: Mapping[str, Json], path: KeyPath, schema: Mapping[str, Json]
) -> Iterator[Fault]:
    if ("value" in fill) == ("derive" in fill):
        yield Fault(path, "has to have either value or derive")
        return
    field = _field(schema, fill["at"])
    if "value" in fill:
        validator = SchemaValidator(field, is_foreign=True)
        for below, value in _leaves(fill["value"]):
            for problem in validator.problems(value)[:1]:
                words = f"not valid at {fill['at']}: {problem.message}"
                yield Fault((*path, "value", *below), words)
    elif fill["derive"] == "seed":
        if "maximum" not in field:
            yield Fault((*path, "derive"), f"the schema of {fill['at']} must state its maximum")
    elif "length" not in fill:
        yield Fault((*path, "length"), "missing; a derived name has a length")
    elif fill["length"] > field.get("maxLength", fill["length"]):
        words = f"found {fill['length']}; allowed: at most {field['maxLength']}, the maxLength of "
        yield Fault((*path, "length"), words + fill["at"])


def _leaves(value: Json) -> Iterator[tuple[KeyPath, Json]]:
    """A value, or each that a table may give but null, with its place below."""
    if not is_table(value):
        yield (), value
        return
    for below, leaf in leaves_of(value):
        if leaf is not None:
            yield below, leaf


def _field(schema: Mapping[str, Json], at: str) -> Mapping[str, Json]:
    """The schema of a place; an empty one where nothing is known about it."""
    here: Json = schema
    for step in pointer(at) or ():
        here = here.get("properties", {}).get(step) if isinstance(here, Mapping) else None
    return here if isinstance(here, Mapping) else {}


def _count_faults(about: Mapping[str, Json], schema: Mapping[str, Json]) -> Iterator[Fault]:
    """A request without a count must not mean another number than the one that is planned."""
    at = about["artifacts"].get("count")
    default = _field(schema, at).get("default", 1) if at else 1
    if default != 1 and at not in [fill["at"] for fill in about["fill"]]:
        words = f"has no value for {at}, where the service makes {default} when none is given"
        yield Fault(("x-dsrun", "fill"), words)


def _language_faults(rules: Json) -> Iterator[Fault]:
    for number, rule in enumerate(rules):
        if not rule.get("languages") and "named_by" not in rule:
            words = "has to have either languages, with at least one, or named_by"
            yield Fault(("x-dsrun", "languages", number), words)


def _price_faults(price: Json) -> Iterator[Fault]:
    for number, item in enumerate(price["items"]):
        path = ("x-dsrun", "price", "items", number)
        yield from _measure_faults(item["units"], (*path, "units"))
        if item.get("sure", "exact") == "exact" and _has_bound(item["units"]):
            words = "found exact with a bound (`most`); allowed: at_most, about"
            yield Fault((*path, "sure"), words)


def _measure_faults(measure: Json, path: KeyPath) -> Iterator[Fault]:
    kinds = [kind for kind in MEASURES if kind in measure and kind != "most"]
    if len(kinds) > 1:
        yield Fault(path, f"found {' and '.join(kinds)}; allowed: one of {', '.join(MEASURES)}")
    elif not kinds and "most" not in measure:
        yield Fault(path, f"missing; allowed: one of {', '.join(MEASURES)}")
    if "else" in measure and not {"value", "items"} & set(kinds):
        yield Fault((*path, "else"), "found without value or items, which may be absent")
    if "times" in measure:
        yield from _measure_faults(measure["times"], (*path, "times"))


def _has_bound(measure: Json) -> bool:
    return "most" in measure or ("times" in measure and _has_bound(measure["times"]))


def limit_faults(limits: Json, protocol: str) -> Iterator[Fault]:
    """What contradicts itself in the limits of one model."""
    path = ("x-dsrun", "limits")
    for key in ("running_tasks", "queued_tasks"):
        if key in limits and protocol != "task":
            words = f"found with the protocol {protocol}, which makes no tasks; take it out"
            yield Fault((*path, key), words)
    running, queued = limits.get("running_tasks", 0), limits.get("queued_tasks")
    if queued is not None and queued < running:
        words = (
            f"queued_tasks is {queued} and running_tasks {running}; allowed: at least as many "
            "queued_tasks, since running ones count"
        )
        yield Fault((*path, "queued_tasks"), words)


def _upload_faults(uploads: Json) -> Iterator[Fault]:
    for number, field in enumerate(uploads["fields"] if uploads else ()):
        path = ("x-dsrun", "uploads", "fields", number)
        known = extensions_of(field["media"])
        for index, name in enumerate(field["formats"]):
            if name not in known:
                words = f"found {show(name)}{nearest(name, known)}; allowed: {', '.join(known)}"
                yield Fault((*path, "formats", index), words)
        if 0 < field.get("max_side", 0) < field.get("min_side", 0):
            words = f"found {field['max_side']}; allowed: at least min_side, {field['min_side']}"
            yield Fault((*path, "max_side"), words)


def _recovery_faults(recovery: Json, protocol: str) -> Iterator[Fault]:
    if recovery is None:
        return
    by = recovery["by"]
    if _RECOVERY[by] != protocol:
        words = f"found {by} with the protocol {protocol}; it finds what {_RECOVERY[by]} makes"
        yield Fault(("x-dsrun", "recovery", "by"), words)
        return
    for key in _RECOVERY_NEEDS[by]:
        if key not in recovery:
            words = f"missing; recovery by {by} needs it"
            yield Fault(("x-dsrun", "recovery", key), words)
