"""Which jobs made what the service lists by name, such as a voice: read from their ledgers."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from dsrun.common.models import Json
from dsrun.ledger.history import History
from dsrun.ledger.reader import LedgerReader, checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """A job whose output has the name; `is_cached`: another made it, and this one took it over."""

    directory: Path
    step: str
    index: int
    job_id: str
    operation: str
    request: Json
    is_cached: bool
    ended_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Makers:
    """The jobs of each name, the one that made it first; `faults`: ledgers that were not read."""

    by_name: dict[str, list[Maker]]
    faults: list[str]


def find_makers(roots: Iterable[Path], output: str, names: Collection[str]) -> Makers:
    """The jobs below these output directories that have one of the names as this output."""
    by_name: dict[str, list[Maker]] = {}
    faults: list[str] = []
    for root in dict.fromkeys(path.resolve() for path in roots):
        history = History(root)
        for directory, rows in history.each(partial(_made, output=output)):
            for row in rows:
                if row["made"] in names:
                    by_name.setdefault(row["made"], []).append(_maker(row, directory))
        faults += history.faults
    for makers in by_name.values():
        makers.sort(key=lambda one: (one.is_cached, one.ended_at or "", str(one.directory)))
    return Makers(by_name=by_name, faults=faults)


@checked
def _made(reader: LedgerReader, *, output: str) -> list[Any]:
    return reader.rows(
        "SELECT json_extract(output, ?) AS made, step, idx, job_id, operation, request, cached, "
        "ended_at "
        "FROM job WHERE output IS NOT NULL AND made IS NOT NULL ORDER BY position",
        (f'$."{output}"',),
    )


def _maker(row: Any, directory: Path) -> Maker:
    return Maker(
        directory=directory, step=row["step"], index=row["idx"], job_id=row["job_id"],
        operation=row["operation"], request=orjson.loads(row["request"]),
        is_cached=bool(row["cached"]), ended_at=row["ended_at"],
    )  # fmt: skip
