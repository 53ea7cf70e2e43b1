"""Orders to a run that goes on, from other processes: one file each, in a folder of its directory.

Only the run itself writes to its ledger. A controller that is killed, stopped or slow would hold
SQLite's lock while the run wants to record what it has paid for; a file that appears whole, by one
rename, holds up nobody.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from dsrun.common.clock import stamp
from dsrun.common.errors import SetupError
from dsrun.common.systems import PLAIN, flag
from dsrun.storage.files import own_folder, write_whole
from dsrun.storage.layout import RunLayout

_ENDING = ".json"
_MOST_BYTES = 4096  # an order is far shorter
_MOST_ORDERS = 100  # that wait: a run that takes none would fill its folder
_OWN = os.O_RDONLY | PLAIN | flag("O_NOFOLLOW") | flag("O_NONBLOCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What somebody wants of a run. `run_id`: of this invocation alone, never of a later one."""

    token: str  # the name of its file; tokens sort by the time of their orders
    run_id: int
    at: str
    given_by: str
    pid: int
    command: str
    value: str | None = None


def token_of(moment: datetime, *, pid: int, salt: str) -> str:
    """A name that no other order has, and that sorts by time.

    It begins with a digit: the ledger has names of its own for what is no order.
    """
    return f"{round(moment.timestamp() * 1e6):018d}-{pid}-{salt}"


def give(layout: RunLayout, order: Order) -> None:
    """Put an order where the run looks for it. Raises SetupError."""
    own_folder(layout.orders)
    if len(_names(layout)) >= _MOST_ORDERS:
        raise SetupError(
            f"{_MOST_ORDERS} orders wait in {layout.orders} already, and the run has taken none of "
            "them; is its process stopped? Nothing was ordered"
        )
    data = json.dumps(asdict(order)).encode()
    try:
        write_whole(_file_of(layout, order.token), [data])
    except SetupError:
        if layout.orders.exists():
            raise
        own_folder(layout.orders)  # a run that began or ended has just cleared it
        write_whole(_file_of(layout, order.token), [data])


def take_back(layout: RunLayout, token: str) -> bool:
    """Whether an order could be taken back: nobody will take it any more."""
    try:
        _file_of(layout, token).unlink()
    except OSError:
        return False
    return True


def is_waiting(layout: RunLayout, token: str) -> bool:
    return _file_of(layout, token).exists()


def waiting(layout: RunLayout) -> Iterator[Order | str]:
    """The orders that wait, the first one first; the name of a file where that is none."""
    for name in _names(layout):
        token = name.removesuffix(_ENDING)
        try:
            yield _read(_file_of(layout, token), token)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            yield token


def read_json(text: str | bytes) -> Any:
    """What a JSON text says. Raises ValueError, also for one that nests too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it nests too deeply") from error


def clear(layout: RunLayout) -> None:
    """Remove what is left of orders to earlier runs, and the folder if it is empty then."""
    for name in _entries(layout):
        with suppress(OSError):
            (layout.orders / name).unlink()
    with suppress(OSError):
        layout.orders.rmdir()


def _names(layout: RunLayout) -> list[str]:
    """Of whole orders: what begins with a dot is still being written."""
    return sorted(name for name in _entries(layout) if name.endswith(_ENDING) and name[0] != ".")


def _entries(layout: RunLayout) -> list[str]:
    """What is in the folder; nothing where a link leads to somebody else's."""
    try:
        return [] if layout.orders.is_symlink() else os.listdir(layout.orders)  # noqa: PTH208
    except OSError:
        return []


def _file_of(layout: RunLayout, token: str) -> Path:
    return layout.orders / f"{token}{_ENDING}"


def _read(path: Path, token: str) -> Order:
    """Raises OSError, or ValueError, TypeError or KeyError for what is no order."""
    descriptor = os.open(path, _OWN)
    with os.fdopen(descriptor, "rb") as file:
        values: Any = read_json(file.read(_MOST_BYTES))
    order = Order(**{field.name: values[field.name] for field in fields(Order)})
    texts = (order.token, order.at, order.given_by, order.command)
    numbers = (order.run_id, order.pid)
    if order.token != token or not token[0].isdecimal() or not isinstance(order.value, str | None):
        raise ValueError(token)
    if not order.at.endswith("Z") or stamp(datetime.fromisoformat(order.at)) != order.at:
        raise ValueError(order.at)  # a ledger with such a moment counts as damaged
    for text in (*texts, order.value or ""):
        text.encode()  # half a character, or no text at all, would break the ledger's commit
    if not all(type(each) is int and 0 <= each < 2**62 for each in numbers):
        raise ValueError(token)
    return order
