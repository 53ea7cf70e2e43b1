"""Prices of the user's account, which replace the published ones: `execution.prices` by model."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from dsrun.common.json_schema import shipped_validator
from dsrun.common.messages import nearest, show
from dsrun.common.models import Json
from dsrun.service.agreement import disagreements
from dsrun.service.catalog import Catalog
from dsrun.service.operation import Operation
from dsrun.service.operation_file import parse_price
from dsrun.service.price import Price
from dsrun.service.self_contained import Fault
from dsrun.service.table_faults import table_faults
from dsrun.service.tables import specialised

_PRICE = ("x-dsrun", "price")


def own_prices(
    prices: Mapping[str, Mapping[str, Json]], catalog: Catalog
) -> tuple[Catalog, list[Fault]]:
    """The catalog with these prices in it, and what is wrong with any, below the mapping."""
    faults: list[Fault] = []
    parsed: dict[str, Price] = {}
    for name, about in prices.items():
        if name not in catalog:
            faults.append(Fault((name,), _unknown(name, catalog)))
            continue
        operation = catalog[name]
        found = list(_faults(about, operation))
        faults += [Fault((name, *fault.path), fault.message) for fault in found]
        if not found:
            parsed[name] = parse_price(_written_out(about, operation), is_own=True)
    return (catalog.with_prices(parsed) if parsed else catalog), faults


def _unknown(name: str, catalog: Catalog) -> str:
    if name in catalog.families:
        models = ", ".join(catalog.families[name])
        return f"found {show(name)}, which has several models; allowed: one of {models}"
    return f"found {show(name)}{nearest(name, catalog.names)}; `dsrun operations` lists the models"


def _faults(about: Mapping[str, Json], operation: Operation) -> Iterator[Fault]:
    if ("amount" in about) == ("items" in about):
        yield Fault((), "has to have either amount or items")
        return
    number = len(operation.price.items)
    if "amount" in about and number > 1:
        words = f"{operation.name} is paid for in {number} items; allowed: all of them, as items"
        yield Fault(("amount",), words)
        return
    price = _written_out(about, operation)
    changed = _file_with(price, operation)
    frame = shipped_validator("operation.json")
    faults = [Fault(problem.path, problem.message) for problem in frame.problems(changed)]
    faults = faults or list(table_faults(changed, frame)) or list(disagreements(changed))
    for fault in faults:
        if fault.path[:2] == _PRICE:
            yield Fault(_place(fault.path[2:], about), fault.message)
    if not faults:
        try:
            parse_price(price)
        except ValueError as error:
            yield Fault((), str(error))


def _place(path: tuple[str | int, ...], about: Mapping[str, Json]) -> tuple[str | int, ...]:
    """Where a part of a whole price stands in what the manifest says of it."""
    return path[2:] if "amount" in about and path[:1] == ("items",) else path


def _file_with(price: Mapping[str, Json], operation: Operation) -> dict[str, Any]:
    """The operation's file with another price."""
    return {**operation.schema, "x-dsrun": {**operation.schema["x-dsrun"], "price": price}}


def _written_out(about: Mapping[str, Json], operation: Operation) -> dict[str, Json]:
    """A whole price as an operation file has it; numbers are amounts too."""
    published = operation.schema["x-dsrun"]["price"]
    items = about.get("items") or [{**published["items"][0], "amount": about["amount"]}]
    return {
        "currency": about["currency"],
        "as_of": about.get("as_of", published["as_of"]),
        "items": [_with_texts(specialised(item, operation.name)) for item in items],
        "$comment": "the manifest's execution.prices",
    }


def _with_texts(item: Json) -> Json:
    if not isinstance(item, Mapping) or "amount" not in item:
        return item
    return {**item, "amount": _text(item["amount"])}


def _text(amount: Json) -> Json:
    """Every number of an amount as the text that it has in an operation file."""
    if isinstance(amount, Mapping):
        return {key: part if key == "by" else _text(part) for key, part in amount.items()}
    if isinstance(amount, int | float) and not isinstance(amount, bool):
        return f"{Decimal(str(amount)):f}"
    return amount
