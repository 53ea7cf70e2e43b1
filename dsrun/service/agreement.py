"""Whether the parts of an operation file agree: its `x-dsrun` with its schema, and with itself."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from dsrun.common.json_schema import SchemaValidator
from dsrun.common.media import extensions_of
from dsrun.common.messages import nearest, show
from dsrun.common.models import Json
from dsrun.common.pointer import EACH, KeyPath, dotted, pointer, value_at
from dsrun.service.price import MEASURES
from dsrun.service.self_contained import Fault
from dsrun.service.table_faults import uncovered
from dsrun.service.tables import each_table, is_table, leaves_of

_SCALARS = {"string", "integer", "number", "boolean", "null"}

_READABLE = ("text", "json", "captions")
_OF_TEXTS = ("string", ["string"])
_RECOVERY = {"task-list": "task", "made-list": "sync", "repeat": "sync"}
_RECOVERY_NEEDS = {
    "task-list": (),
    "made-list": ("body", "page", "page_size", "items", "made_at", "outputs"),
    "repeat": ("times",),
}
_RECOVERY_KEYS = {
    "task-list": ("model_name", "confirm", "size"),
    "made-list": (
        *_RECOVERY_NEEDS["made-list"],
        *("total", "match", "holds", "filter", "lost", "query", "delete", "most"),
    ),
    "repeat": ("times",),
}


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
    yield from _kind_faults(about["artifacts"])
    yield from _output_faults(about["outputs"])
    yield from _file_output_faults(about["outputs"], about["artifacts"])
    yield from _count_faults(about, schema)
    yield from _language_faults(about.get("languages", ()))
    yield from _price_faults(about["price"])
    yield from uncovered(schema)
    yield from limit_faults(about["limits"], about["protocol"])
    yield from _upload_faults(about.get("uploads"))
    yield from _recovery_faults(about.get("recovery"), about["protocol"], schema)


def _places(about: Mapping[str, Json]) -> Iterator[_Place]:
    for number, fill in enumerate(about["fill"]):
        path = ("x-dsrun", "fill", number)
        kind = {"seed": "integer", "name": "string"}.get(fill.get("derive"), "")
        yield _Place((*path, "at"), fill["at"], kind)
        yield from _named(fill, path, span="integer")
    for number, rule in enumerate(about.get("languages", ())):
        yield from _named(rule, ("x-dsrun", "languages", number), at="string", named_by="string")
    for number, kind in enumerate(about["artifacts"]):
        path = ("x-dsrun", "artifacts", number)
        yield from _named(kind, path, seed="integer", asked_format="string", asked_rate="integer")
        yield from _asked(kind, path)
    for name, output in about["outputs"].items():
        for at in output.get("binds", ()) if isinstance(output, Mapping) else ():
            yield _Place(("x-dsrun", "outputs", name, "binds", at), at)
    for number, item in enumerate(about["price"]["items"]):
        yield from _measured(item["units"], ("x-dsrun", "price", "items", number, "units"))
    yield from _looked_up(about)
    for number, field in enumerate(about.get("uploads", {}).get("fields", ())):
        yield from _named(field, ("x-dsrun", "uploads", "fields", number), at="string")
    recovery = about.get("recovery", {})
    yield from _named(recovery, ("x-dsrun", "recovery"), size="string")
    for key in ("confirm", "match", "holds", "filter"):
        for at in recovery.get(key, ()):
            yield _Place(("x-dsrun", "recovery", key, at), at)


def _output_faults(outputs: Mapping[str, Json]) -> Iterator[Fault]:
    """An output with `*` is a list."""
    for name, output in outputs.items():
        if not isinstance(output, Mapping) or EACH not in (pointer(output.get("at")) or ()):
            continue
        type_ = output.get("schema", {}).get("type", "array")
        if type_ not in ("array", ["array"]):
            path = ("x-dsrun", "outputs", name, "schema", "type")
            words = f"found {show(type_)}, and {output['at']} gives a list; allowed: array"
            yield Fault(path, words)


def _file_output_faults(
    outputs: Mapping[str, Json], kinds: Sequence[Mapping[str, Json]]
) -> Iterator[Fault]:
    """An output stands in the answer, or is the text of a file."""
    named = [kind.get("name", "") for kind in kinds if kind["media"] in _READABLE]
    for name, output in outputs.items():
        if not isinstance(output, Mapping):
            continue
        path = ("x-dsrun", "outputs", name)
        if ("at" in output) is ("of" in output):
            yield Fault(path, "an output has either at, its place in the answer, or of, its file")
        elif "of" in output and output["of"] not in named:
            words = (
                f"found {show(output['of'])}; allowed: the name of a kind that is a text or JSON"
            )
            yield Fault((*path, "of"), f"{words}: {', '.join(map(show, named)) or 'there is none'}")
        elif "of" in output and output.get("schema", {}).get("type", "string") not in _OF_TEXTS:
            found = show(output["schema"]["type"])
            yield Fault((*path, "schema", "type"), f"found {found}; allowed: string, for a file")


def _measured(measure: Mapping[str, Json], path: KeyPath) -> Iterator[_Place]:
    """The places that a measure of units counts at."""
    yield from _named(measure, path, value="number", media_seconds="string", items="")
    for key in ("chars", "tokens"):
        for number, at in enumerate(measure.get(key, ())):
            yield _Place((*path, key, number), at, "string")
    if "times" in measure:
        yield from _measured(measure["times"], (*path, "times"))


def _looked_up(about: Mapping[str, Json]) -> Iterator[_Place]:
    """The places by which tables go."""
    for path, table in each_table(about, ("x-dsrun",)):
        for number, at in enumerate(table["by"]):
            yield _Place((*path, "by", number), at)


def _named(part: Mapping[str, Json], path: KeyPath, **kinds: str) -> Iterator[_Place]:
    for key, kind in kinds.items():
        if key in part:
            yield _Place((*path, key), part[key], kind)


def _asked(kind: Mapping[str, Json], path: KeyPath) -> Iterator[_Place]:
    """Where a request says how many results it asks for."""
    asked: Json = kind.get("asked")
    is_bound = isinstance(asked, Mapping) and "at" in asked
    at = asked["at"] if isinstance(asked, Mapping) and is_bound else asked
    if isinstance(at, str):
        yield _Place((*path, "asked", "at") if is_bound else (*path, "asked"), at, "integer")


def _place_fault(place: _Place, schema: Mapping[str, Json]) -> Fault | None:
    """A pointer that no request can have, or that leads to a value of another type."""
    here: Json = schema
    for number, step in enumerate(pointer(place.at) or ()):
        known = here.get("properties", {})
        if step == EACH and isinstance(here.get("items"), Mapping):
            here = here["items"]
        elif step in known:
            here = known[step]
        elif isinstance(here.get("items"), Mapping) and _is_item(step):
            here = here["items"]
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
        return step == EACH or _is_item(step)
    is_closed = schema.get("additionalProperties") is False
    return not is_closed or "patternProperties" in schema


def _is_item(step: str) -> bool:
    return step == EACH or step.isdecimal()


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


_CAPTION = ("each", "begin", "end", "text")
_TEXTS = ("text", "json")  # what can stand in an answer as a value


def _kind_faults(kinds: Sequence[Mapping[str, Json]]) -> Iterator[Fault]:
    """The main kind is the first, and the only one without a name."""
    names: list[str] = []
    for number, kind in enumerate(kinds):
        path, name = ("x-dsrun", "artifacts", number), kind.get("name", "")
        if (name == "") is not (number == 0):
            words = "the first kind is the main one, which has no name; every other one has a name"
            yield Fault((*path, "name") if name else path, words)
        elif name in names:
            yield Fault((*path, "name"), f"found {show(name)} twice; allowed: a name of its own")
        yield from _derived_faults(kind, path, names) if "of" in kind else _given_faults(kind, path)
        names.append(name)


def _given_faults(kind: Mapping[str, Json], path: KeyPath) -> Iterator[Fault]:
    """Of a kind that stands in the answer."""
    if "at" not in kind:
        yield Fault((*path, "at"), "missing; it says where the result stands in the answer")
    if kind.get("as") == "value" and kind["media"] not in _TEXTS:
        words = f"found value for {kind['media']}; allowed: url, base64; a value is a text or JSON"
        yield Fault((*path, "as"), words)
    if kind["media"] == "captions":
        yield Fault((*path, "of"), "missing; captions are made of another kind's file")


def _derived_faults(
    kind: Mapping[str, Json], path: KeyPath, names: Sequence[str]
) -> Iterator[Fault]:
    """Of a kind that is made of the file of another one."""
    if kind["of"] not in names:
        allowed = ", ".join(map(show, names)) or "nothing here, since it is the main kind"
        words = f"found {show(kind['of'])}; allowed: the name of a kind above: {allowed}"
        yield Fault((*path, "of"), words)
    if kind["media"] not in (*_TEXTS, "captions"):
        words = f"found {kind['media']}; allowed where it is made of another: text, json, captions"
        yield Fault((*path, "media"), words)
    for key in _CAPTION if kind["media"] == "captions" else ("at",):
        if key not in kind:
            yield Fault((*path, key), f"missing; {kind['media']} made of another kind needs it")


def _count_of(artifacts: Sequence[Mapping[str, Json]]) -> str | None:
    """The place of a request that says how many results of the main kind it asks for."""
    return next((place.at for place in _asked(artifacts[0], ())), None)


def _count_faults(about: Mapping[str, Json], schema: Mapping[str, Json]) -> Iterator[Fault]:
    """The service must not make another number of results than the one that is planned."""
    at = _count_of(about["artifacts"])
    default = _field(schema, at).get("default", 1) if at else 1
    if default != 1 and at not in [fill["at"] for fill in about["fill"]]:
        words = f"has no value for {at}, where the service makes {default} when none is given"
        yield Fault(("x-dsrun", "fill"), words)
    for number, fill in enumerate(about["fill"]):
        if "span" in fill and fill["span"] != at:
            allowed = "nothing, since the artifacts ask for no number of the request"
            allowed = f"{show(at)}, which the artifacts ask for" if at else allowed
            words = f"found {show(fill['span'])}; allowed: {allowed}"
            yield Fault(("x-dsrun", "fill", number, "span"), words)


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
    kinds = [kind for kind in MEASURES if kind in measure and kind not in ("most", "else")]
    if len(kinds) > 1:
        yield Fault(path, f"found {' and '.join(kinds)}; allowed: one of {', '.join(MEASURES)}")
    elif not kinds and not {"most", "else"} & measure.keys():
        yield Fault(path, f"missing; allowed: one of {', '.join(MEASURES)}")
    if "else" in measure and (kinds or "most" in measure) and not {"value", "items"} & set(kinds):
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
        yield from _order_faults(field, path)
        known = extensions_of(field["media"])
        for index, name in enumerate(field["formats"]):
            if name not in known:
                words = f"found {show(name)}{nearest(name, known)}; allowed: {', '.join(known)}"
                yield Fault((*path, "formats", index), words)


def _order_faults(field: Mapping[str, Json], path: KeyPath) -> Iterator[Fault]:
    """Bounds that no file is within."""
    for least, most in (("min_side", "max_side"), ("min_s", "max_s")):
        if field.get(least) and field.get(most) and field[most] < field[least]:
            words = f"found {field[most]}; allowed: at least {least}, {field[least]}"
            yield Fault((*path, most), words)
    for key in ("ratio", "fps"):
        if field.get(key) and field[key][0] > field[key][1]:
            yield Fault((*path, key), f"found {show(field[key])}; allowed: the smaller one first")


def _recovery_faults(recovery: Json, protocol: str, schema: Mapping[str, Json]) -> Iterator[Fault]:
    if recovery is None:
        return
    by = recovery["by"]
    path = ("x-dsrun", "recovery")
    if _RECOVERY[by] != protocol:
        words = f"found {by} with the protocol {protocol}; it is for what {_RECOVERY[by]} makes"
        yield Fault((*path, "by"), words)
        return
    for key in _RECOVERY_NEEDS[by]:
        if key not in recovery:
            yield Fault((*path, key), f"missing; recovery by {by} needs it")
    allowed = _RECOVERY_KEYS[by]
    for key in recovery:
        if key not in ("by", "$comment", *allowed):
            words = f"recovery by {by} has no such key; allowed: {', '.join(allowed)}"
            yield Fault((*path, key), words)
    yield from _BY[by](recovery, path, schema)


def _task_list_faults(
    recovery: Mapping[str, Json], path: KeyPath, schema: Mapping[str, Json]
) -> Iterator[Fault]:
    """Tasks are listed under the model of their request; under another, none is ours."""
    model, named = _field(schema, "/model").get("const"), recovery.get("model_name")
    if named is not None and isinstance(model, str) and named != model:
        words = f"found {show(named)}; allowed: {show(model)}, the model of the request, or nothing"
        yield Fault((*path, "model_name"), words)


def _made_list_faults(
    recovery: Mapping[str, Json], path: KeyPath, _: Mapping[str, Json]
) -> Iterator[Fault]:
    """Without a text of the request in it, any item could be this request's."""
    if not recovery.get("match") and not recovery.get("holds"):
        words = "needs match or holds; without either, nothing tells whose an item of the list is"
        yield Fault(path, words)
    for verb in ("query", "delete"):
        if verb in recovery:
            yield from _by_name_faults(recovery[verb], (*path, verb), verb)
    asked = [recovery, *(recovery[verb] for verb in ("query", "delete") if verb in recovery)]
    bodies = [one["body"] for one in asked if "body" in one]
    if any(body in bodies[:number] for number, body in enumerate(bodies)):
        words = "found one body for two of listing, query and delete; allowed: one of each"
        yield Fault(path, words)


def _by_name_faults(asking: Mapping[str, Json], path: KeyPath, verb: str) -> Iterator[Fault]:
    """A name has a place of its own in the body; what is deleted tells of no row."""
    *above, last = pointer(asking["name"]) or ("",)
    room = value_at(asking["body"], tuple(above))
    if not isinstance(room, Mapping) or last in room:
        words = f"found {asking['name']}; allowed: a free place in an object of body"
        yield Fault((*path, "name"), words)
    if verb == "delete" and "row" in asking:
        yield Fault((*path, "row"), "found in delete; allowed: in query alone")


def _no_faults(
    _recovery: Mapping[str, Json], _path: KeyPath, _schema: Mapping[str, Json]
) -> Iterator[Fault]:
    return iter(())


_BY = {"task-list": _task_list_faults, "made-list": _made_list_faults, "repeat": _no_faults}
