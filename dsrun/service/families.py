"""An operation file may serve a family of models: it becomes one operation for each.

What differs by model stands in tables (see `tables`) and in `x-dsrun.vary`. Both are worked out
here, so that every other module knows operations of one model only.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from dsrun.common.models import Json
from dsrun.common.pointer import EACH, KeyPath, pointer
from dsrun.service.tables import is_table, row_of, specialised, without


def models_of(schema: Mapping[str, Json]) -> tuple[str, ...]:
    """The models of a family; empty for a file of one model."""
    properties = schema.get("properties")
    model = properties.get("model") if isinstance(properties, Mapping) else None
    names = model.get("enum") if isinstance(model, Mapping) else None
    return tuple(names) if isinstance(names, list) else ()


def members(schema: Mapping[str, Json]) -> Iterator[tuple[str, dict[str, Json]]]:
    """Each model of a family, with the operation file that it would have on its own.

    Raises ValueError where a table has no row for a model, or a `vary` is wrong.
    """
    for model in models_of(schema):
        try:
            yield model, _member(schema, model)
        except KeyError as missing:
            words = f"{missing.args[0]} has no row for {model}, and none for `*`"
            raise ValueError(words) from missing


def each_model(name: str, schema: Mapping[str, Json]) -> Iterable[tuple[str, Mapping[str, Json]]]:
    """The operations of a file by name: those of its family, else the one that the file is.

    Raises what `members` raises.
    """
    return members(schema) if models_of(schema) else [(name, schema)]


def _member(schema: Mapping[str, Json], model: str) -> dict[str, Json]:
    own: dict[str, Any] = orjson.loads(orjson.dumps(dict(schema)))  # quicker than deepcopy
    own["$id"] = f"{schema.get('$id', 'urn:dsrun:operation')}:{model}"
    own["title"] = model
    known = own["properties"]["model"]
    own["properties"]["model"] = {k: v for k, v in known.items() if k != "enum"} | {"const": model}
    rules = own["x-dsrun"].pop("vary", ())
    written = own["x-dsrun"]
    own["x-dsrun"] = specialised(written, model)
    own["x-dsrun"]["fill"] = [
        fill
        for fill, table in zip(own["x-dsrun"]["fill"], written["fill"], strict=True)
        if fill.get("value") is not None or not is_table(table.get("value"))
    ]
    for rule in rules:
        leaf = row_of(rule["table"], model)
        _narrow(own, rule["at"], leaf)
        if leaf is False:
            _forget(own["x-dsrun"], pointer(rule["at"]) or ())
    return own


def _forget(about: dict[str, Any], gone: KeyPath) -> None:
    """Read what a file says of a place as it holds for a model that has no such place."""
    _forget_uploads(about, gone)
    about["price"] = without(about["price"], lambda at: _is_within(pointer(at) or (), gone))
    for item in about["price"]["items"]:
        item["units"] = _counted_without(item["units"], gone)
    if "languages" in about:
        rules = about["languages"]
        about["languages"] = [r for r in rules if not _is_within(pointer(r["at"]) or (), gone)]


def _counted_without(measure: Mapping[str, Json], gone: KeyPath) -> dict[str, Json]:
    """A measure that counts by `else` where no request has its value."""
    own = dict(measure)
    for key in ("value", "items"):
        if "else" in own and _is_within(pointer(own.get(key)) or (), gone):
            del own[key]
    if "times" in own:
        own["times"] = _counted_without(own["times"], gone)
    return own


def _forget_uploads(about: dict[str, Any], gone: KeyPath) -> None:
    """A place that a model does not have takes no file."""
    if "uploads" not in about:
        return
    fields = about["uploads"]["fields"]
    left = [field for field in fields if not _is_within(pointer(field["at"]) or (), gone)]
    if left:
        about["uploads"]["fields"] = left
    else:
        del about["uploads"]


def _is_within(at: KeyPath, above: KeyPath) -> bool:
    """Whether one place is another one, or below it."""
    pairs = zip(at, above, strict=False)
    return len(at) >= len(above) and all(over in (key, EACH) for key, over in pairs)


def _narrow(schema: dict[str, Any], at: str, leaf: Json) -> None:
    """Write what holds for one model at a place of its request; False: it has no such place."""
    *way, key = pointer(at) or ()
    holder: Any = schema
    for name in way:
        holder = holder.get("items" if name == EACH else "properties", {})
        holder = holder if name == EACH else holder.get(name, {})
    fields = holder.get("properties", {})
    if key not in fields:
        raise ValueError(f"vary: {at} is no place of the request")
    if leaf is False:
        del fields[key]
    else:
        fields[key] = {**fields[key], **leaf}
