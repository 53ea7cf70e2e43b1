"""An operation file may serve a family of models: it becomes one operation for each.

What differs by model stands in tables (see `tables`) and in `x-dsrun.vary`; both are worked out here,
so that every other module knows operations of one model only.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from dsrun.common.models import Json
from dsrun.common.pointer import pointer
from dsrun.service.tables import for_model, is_table, specialised


def models_of(schema: Mapping[str, Json]) -> tuple[str, ...]:
    """The models of a family; empty for a file of one model."""
    properties = schema.get("properties")
    model = properties.get("model") if isinstance(properties, Mapping) else None
    names = model.get("enum") if isinstance(model, Mapping) else None
    return tuple(names) if isinstance(names, list) else ()


def members(schema: Mapping[str, Json]) -> Iterator[tuple[str, dict[str, Json]]]:
    """Each model of a family, with the operation file that it would have on its own.

    Raises KeyError where a table has no row for a model, and ValueError for a wrong `vary`.
    """
    for model in models_of(schema):
        yield model, _member(schema, model)


def _member(schema: Mapping[str, Json], model: str) -> dict[str, Json]:
    own: dict[str, Any] = copy.deepcopy(dict(schema))
    own["$id"] = f"{schema.get('$id', 'urn:dsrun:operation')}:{model}"
    own["title"] = model
    known = own["properties"]["model"]
    own["properties"]["model"] = {k: v for k, v in known.items() if k != "enum"} | {"const": model}
    about = specialised(own["x-dsrun"], model)
    for rule in about.pop("vary", ()):
        _vary(own, rule)
    own["x-dsrun"] = about
    return own


def _vary(schema: dict[str, Any], rule: Mapping[str, Json]) -> None:
    """Write what holds for one model into its schema. Raises ValueError."""
    leaf = for_model({"by": rule["by"], "table": rule["table"]}, schema["title"])
    if is_table(leaf):
        raise ValueError(f"vary: {rule['at']} may hang on the model alone")
    *way, key = pointer(rule["at"]) or ()
    holder = schema
    for name in way:
        holder = holder["properties"][name]
    if leaf is False:
        holder["properties"].pop(key)
    else:
        holder["properties"][key] = {**holder["properties"][key], **leaf}
