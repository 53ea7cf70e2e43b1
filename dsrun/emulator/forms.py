"""How operation files say things: tables, and the older forms of artifacts, prices and recovery.

A file is read for one model at a time: its tables lose the level of the model when it is loaded,
and what then still depends on the request is settled for each request.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from dsrun.emulator.pointers import split_pointer

MODEL = "/model"
OTHERS = "*"
MISSING = "-"

Rules = Mapping[str, Any]


def for_model(schema: Rules, model: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A file as it reads for one of its models, and what else its requests are held to."""
    own: dict[str, Any] = json.loads(json.dumps(schema))
    own["properties"]["model"] = {"type": "string", "const": model}
    own["x-dsrun"] = rules = _of_model(own["x-dsrun"], model)
    later = []
    for rule in rules.pop("vary", ()):
        limits = _of_model({"by": rule["by"], "table": rule["table"]}, model)
        if is_table(limits):
            later.append({"at": rule["at"], "limits": limits})
        else:
            _narrow(own, split_pointer(rule["at"]), limits)
    own["x-dsrun"] = _modern(rules)
    return own, later


def is_table(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() >= {"by", "table"} and "at" not in value


def has_tables(value: Any) -> bool:
    if isinstance(value, Mapping):
        return is_table(value) or any(has_tables(item) for item in value.values())
    return isinstance(value, list) and any(has_tables(item) for item in value)


def settle(value: Any, look: Callable[[str], Any]) -> Any:
    """The value with the fitting row in place of each table; `look` reads the request."""
    if isinstance(value, list):
        return [settle(item, look) for item in value]
    if not isinstance(value, dict):
        return value
    if not is_table(value):
        return {key: settle(item, look) for key, item in value.items()}
    leaf = value["table"]
    for pointer in value["by"]:
        leaf = _row(leaf, _as_key(look(pointer)))
    return settle(leaf, look)


def _of_model(value: Any, model: str) -> Any:
    if isinstance(value, list):
        return [_of_model(item, model) for item in value]
    if not isinstance(value, dict):
        return value
    if not is_table(value):
        return {key: _of_model(item, model) for key, item in value.items()}
    by, table = list(value["by"]), value["table"]
    while MODEL in by:
        table = _without_level(table, by.index(MODEL), model)
        by.remove(MODEL)
    return {"by": by, "table": table} if by else _of_model(table, model)


def _without_level(table: Any, depth: int, model: str) -> Any:
    if depth == 0:
        return _row(table, model)
    return {key: _without_level(row, depth - 1, model) for key, row in table.items()}


def _row(table: Any, key: str) -> Any:
    """The first row that fits; None where a table has none."""
    for keys, row in table.items():
        if key in keys.split(" | "):
            return row
    return table.get(OTHERS)


def _as_key(value: Any) -> str:
    if value is None:
        return MISSING
    return value if isinstance(value, str) else json.dumps(value)


def _narrow(schema: dict[str, Any], way: tuple[str, ...], limits: Any) -> None:
    """Hold the value at a place of the request to further limits; False: it must be absent."""
    holder: Any = schema
    for name in way[:-1]:
        holder = holder["items"] if _is_item(name) else holder["properties"][name]
    if _is_item(way[-1]):
        holder["items"] = (holder.get("items") or {}) | limits
    elif limits is not False:
        holder["properties"][way[-1]] |= limits
    elif holder.get("additionalProperties") is False:
        del holder["properties"][way[-1]]
    else:
        holder["properties"][way[-1]] = False


def _is_item(name: str) -> bool:
    return name == OTHERS or name.isdecimal()


def _modern(rules: dict[str, Any]) -> dict[str, Any]:
    """The rules in the form of today, where they have an older one."""
    modern = dict(rules)
    if isinstance(rules["artifacts"], dict):
        modern["artifacts"] = [_kind_of_layout(rules["artifacts"])]
    price = rules.get("price", {})
    if price and "items" not in price:
        modern["price"] = {"items": [_item_of_price(price)]}
    if rules.get("recovery", {}).get("by") == "voice-list":
        modern["recovery"] = rules["recovery"] | {"by": "made-list"}
    modern["outputs"] = {
        name: output["at"] if isinstance(output, dict) else output
        for name, output in rules.get("outputs", {}).items()
        if not (isinstance(output, dict) and "of" in output)  # it stands in a file
    }
    return modern


def _kind_of_layout(layout: Rules) -> dict[str, Any]:
    names = {"count": "asked", "asked": "asked_format", "url": "at", "base64": "at"}
    parts = ("list", "error_code", "error_message")
    kind = {names.get(key, key): value for key, value in layout.items() if key not in parts}
    if "base64" in layout:
        kind |= {"at": layout["base64"], "as": "base64"}
    if "list" in layout:
        kind["each"] = layout["list"] + "/*"
    if "error_code" in layout:
        kind["error"] = [layout["error_code"], layout["error_message"]]
    return kind


def _item_of_price(price: Rules) -> dict[str, Any]:
    counts_text = price.get("unit") == "character"
    units = {"chars": ["/input/text"]} if counts_text else {"count": True}
    billed = [price["billed"]] if "billed" in price else []
    return {"unit": price.get("unit"), "units": units, "billed": billed}
