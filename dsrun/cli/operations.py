"""`dsrun operations`: the catalog with limits and prices."""

from dsrun.common.console import answer, answer_json, table
from dsrun.common.errors import ExitCode
from dsrun.service.catalog import load_catalog
from dsrun.service.operation import Operation


def run(*, as_json: bool) -> int:
    catalog = load_catalog()
    operations = [catalog[name] for name in catalog.names]
    if as_json:
        answer_json([_report(item) for item in operations])
        return ExitCode.OK
    rows = [["operation", "kind", "rate", "running", "price", "as of"]]
    for item in operations:
        price = item.price
        rows.append(
            [
                item.name,
                item.protocol,
                f"{item.rate.requests}/{item.rate.per_s:g}s",
                str(item.running_tasks or "-"),
                f"{price.amount} {price.currency} an {price.unit}"
                if price.unit[0] in "aio"
                else f"{price.amount} {price.currency} a {price.unit}",
                price.as_of,
            ]
        )
    answer(table(rows))
    for item in operations:
        answer("")
        answer(f"{item.name}: {item.description}")
    answer("")
    answer("`dsrun schema NAME` prints every field with its limits.")
    return ExitCode.OK


def _report(item: Operation) -> dict[str, object]:
    return {
        "name": item.name,
        "description": item.description,
        "protocol": item.protocol,
        "method": item.method,
        "path": item.path,
        "requests": item.rate.requests,
        "per_s": item.rate.per_s,
        "running_tasks": item.running_tasks,
        "price": {
            "amount": float(item.price.amount),
            "currency": item.price.currency,
            "unit": item.price.unit,
            "as_of": item.price.as_of,
        },
    }
