"""An answer as the ledger keeps it until its files are there: a text that is read back the same.

A create that is answered at once leaves nothing at the service that could be asked for again, so
this text is to such a job what a task id is to others.
"""

import base64
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import orjson

from dsrun.common.clock import stamp
from dsrun.common.digest import json_text
from dsrun.common.models import JobError, Json
from dsrun.service.operation import Operation
from dsrun.service.replies import Done
from dsrun.service.results import Address, Content, Missing, Result, Unkept

# Bytes of files in the text itself, so that it fits into the room that the ledger keeps for an
# answer when its disk is full.
_MOST_BYTES = 16 << 10


class KeptAnswer(NamedTuple):
    """What a create was answered with, and when."""

    done: Done
    at: datetime

    def is_late(self, operation: Operation, *, now: datetime) -> bool:
        """Whether the file host has promised to keep its files no longer than until now."""
        return now >= _until(operation, self.at)


def write_answer(done: Done, operation: Operation, *, at: datetime) -> str:
    """The text of an answer. Files that are too large for it become results `Unkept`."""
    left = _MOST_BYTES
    rows = []
    for result in done.results:
        if isinstance(result, Content):
            left -= len(result.data)
            if left < 0:
                result = Unkept(*result[1:])  # noqa: PLW2901  # it is written in this form
        rows.append(_row(result))
    failure = done.failure and [done.failure.code, done.failure.message, done.failure.kind]
    return json_text(
        {
            "at": stamp(at),
            "until": stamp(_until(operation, at)),  # from then on nothing can be fetched
            "whole": not any(row[0] == "unkept" for row in rows),  # whoever has it has all
            "files": any(row[0] in ("content", "unkept") for row in rows),  # not for a second time
            "results": rows,
            "output": done.output,
            "billed": _bill_text(done.billed),
            "failure": failure,
            "request_id": done.request_id,
        }
    )


def read_answer(text: str) -> KeptAnswer:
    """The answer that a text was made of. Raises ValueError, TypeError or LookupError."""
    kept = orjson.loads(text)
    failure = kept["failure"]
    done = Done(
        results=tuple(map(_result, kept["results"])),
        output=kept["output"],
        billed=_bill_of(kept["billed"]),
        echoes={},
        request_id=kept["request_id"],
        failure=None
        if failure is None
        else JobError(code=failure[0], message=failure[1], kind=failure[2]),
    )
    return KeptAnswer(done, datetime.fromisoformat(kept["at"]))


def addresses_of(text: str) -> list[str]:
    """The addresses that a kept answer names, for a user who may lose the ledger."""
    return [item.url for item in read_answer(text).done.results if isinstance(item, Address)]


def _bill_text(billed: Sequence[Decimal | None]) -> Json:
    """What an answer bills, by item of the price, as JSON."""
    return [None if units is None else str(units) for units in billed]


def _bill_of(kept: Json) -> tuple[Decimal | None, ...]:
    """What `_bill_text` was made of; a ledger of an older version has a plain number."""
    numbers = kept if isinstance(kept, list) else [kept]
    return tuple(None if units is None else Decimal(units) for units in numbers)


def _until(operation: Operation, at: datetime) -> datetime:
    return at + timedelta(hours=operation.main.url_hours)


def _row(result: Result) -> Sequence[Json]:
    if isinstance(result, Content):
        data = base64.b64encode(result.data).decode()
        return ["content", *result._replace(data=data)]  # type: ignore[arg-type]  # JSON has none
    names = {Address: "address", Unkept: "unkept", Missing: "missing"}
    return [names[type(result)], *result]


def _result(row: Sequence[Json]) -> Result:
    name, *values = row
    match name:
        case "address":
            return Address(*values)
        case "content":
            return Content(base64.b64decode(values[0]), *values[1:])
        case "unkept":
            return Unkept(*values)
        case "missing":
            return Missing(*values)
    raise ValueError(f"an answer has no result of the kind {name!r}")
