"""An operation file may serve a family of models: it becomes one operation for each.

What differs by model stands in tables (see `tables`) and in `x-dsrun.vary`. Both are worked out
here, so that every other module knows operations of one model only.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from dsrun.common.models import Json
from dsrun.common.pointer import EACH, pointer
from dsrun.service.tables import row_of, specialised


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


def _member(schema: Mapping[str, Json], model: str) -> dict[str, Json]:
    own: dict[str, Any] = copy.deepcopy(dict(schema))
    own["$id"] = f"{schema.get('$id', 'urn:dsrun:operation')}:{model}"
    own["title"] = model
    known = own["properties"]["model"]
    own["properties"]["model"] = {k: v for k, v in known.items() if k != "enum"} | {"const": model}
    rules = own["x-dsrun"].pop("vary", ())
    own["x-dsrun"] = specialised(own["x-dsrun"], model)
    for rule in rules:
        _narrow(own, rule["at"], row_of(rule["table"], model))
    return own


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
