"""`dsrun operations`: the catalog with limits and prices."""

from pathlib import Path

from dsrun.cli.schema import catalog_of
from dsrun.common.console import answer, answer_json, table
from dsrun.common.errors import ExitCode
from dsrun.common.shell import command_line, option
from dsrun.service.operation import Operation


def run(*, where: Path, allow_files: tuple[Path, ...], as_json: bool) -> int:
    """List those of dsrun and of `where`, a pipeline or a folder. Raises UsageError for another."""
    catalog = catalog_of(where, allow_files)
    operations = [catalog[name] for name in catalog.names]
    if as_json:
        answer_json([_report(item) for item in operations])
        return ExitCode.OK
    head = ["operation", "kind", "rate", "running", "price", "as of"]
    answer(table([head, *map(_row, operations)]))
    for item in operations:
        answer("")
        answer(f"{item.name}: {item.description}")
        if item.price.source:
            answer(f"  price of {item.price.as_of}: {item.price.source}")
    answer("")
    folders = [option("allow-files", folder) for folder in allow_files]
    place = [where] if where != Path() else []
    command = command_line("dsrun", "schema", catalog.names[0], *place, *folders)
    answer(f"`{command}` prints every field of {catalog.names[0]} with its limits.")
    return ExitCode.OK


def _row(item: Operation) -> list[str]:
    return [
        item.name,
        item.protocol,
        f"{item.rate.requests}/{item.rate.per_s:g}s",
        str(item.running_tasks or "-"),
        str(item.price),
        item.price.as_of,
    ]


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
        "price": item.price.details(),
    }
