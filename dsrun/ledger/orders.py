"""What a run was told while it went on, and what was in force afterwards: the table `control`."""

import asyncio
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from dsrun.common.digest import json_text
from dsrun.common.models import Json
from dsrun.ledger.reader import LedgerReader, checked
from dsrun.ledger.schema import SINCE_CONTROL
from dsrun.ledger.writes import Row, Statement
from dsrun.storage.orders import Order

_TAKEN = (
    "INSERT INTO control (token, run_id, at, taken_at, given_by, pid, command, value, refused, "
    "in_force) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_BEGUN = (
    "INSERT INTO control (token, run_id, at, taken_at, given_by, pid, command, in_force) "
    "SELECT 'run-' || run_id, run_id, started_at, started_at, '', pid, 'begin', ? FROM run "
    "ORDER BY run_id DESC LIMIT 1"
)


class Taken(NamedTuple):
    """An order as the run has taken it; `refused` says why it did not obey."""

    command: str
    value: str | None
    at: str
    taken_at: str
    given_by: str
    pid: int
    refused: str | None
    in_force: Mapping[str, Json]  # afterwards


def begun(in_force: Mapping[str, Json]) -> Statement:
    """What is in force when the newest run begins."""
    return Statement(_BEGUN, (json_text(dict(in_force)),))


class OrderRows:
    """What `Ledger` can do with orders."""

    @abstractmethod
    def _write(self, *write: Row | Statement) -> "asyncio.Future[None]": ...

    async def record_order(
        self, order: Order, *, at: str, refused: str, in_force: Mapping[str, Json]
    ) -> None:
        """An order that the run has taken; `refused`: why it does not obey, or an empty text."""
        values = (
            order.token, order.run_id, order.at, at, order.given_by, order.pid, order.command,
            order.value, refused or None, json_text(dict(in_force)),
        )  # fmt: skip
        await self._write(Statement(_TAKEN, values))


@checked
def taken(reader: LedgerReader, token: str) -> Taken | None:
    """The order of this name; None where the run has not taken it."""
    return _first(reader, "WHERE token = ?", token)


@checked
def last_taken(reader: LedgerReader) -> Taken | None:
    """The newest order that the newest run has taken, or its beginning.

    None in a ledger that an older dsrun wrote.
    """
    newest = "WHERE run_id = (SELECT max(run_id) FROM run) ORDER BY control_id DESC LIMIT 1"
    return _first(reader, newest)


def _first(reader: LedgerReader, which: str, *values: str) -> Taken | None:
    if reader.row("PRAGMA user_version")[0] < SINCE_CONTROL:
        return None
    columns = ", ".join(Taken._fields)
    row: Any = reader.row(f"SELECT {columns} FROM control {which}", values)  # noqa: S608  # ours
    return None if row is None else Taken(*row)._replace(in_force=orjson.loads(row["in_force"]))
