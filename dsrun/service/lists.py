"""What the service lists, read once into rows: the account's tasks, and what an API has made.

Pure. Times are seconds since the epoch.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Generic, NamedTuple, TypeVar

from dsrun.common.digest import json_text
from dsrun.common.models import Json
from dsrun.common.pointer import resolve
from dsrun.service.classify import Decision, words
from dsrun.service.operation import ByName, MadeList
from dsrun.service.replies import HttpReply, Refused, Unreadable, judged
from dsrun.service.results import count_in

_SERVICE_ZONE = timezone(timedelta(hours=8))  # of the service's times that name no zone
_UNPAID = ("FAILED", "CANCELED", "CANCELLED")


class Caller(NamedTuple):
    """Who made a task, as far as the list tells."""

    api_key_id: str
    unique_key: str  # group, task, function and model of the call


class TaskRow(NamedTuple):
    """A task that the service lists. `made_at` is empty where no time can be read."""

    name: str  # its id
    request_id: str | None = None
    made_at: tuple[float, ...] = ()
    caller: Caller = Caller("", "")
    is_unpaid: bool = False  # it has ended without a result


class Entry(NamedTuple):
    """All that the service says of one row, by name: texts as they are, the rest as JSON."""

    says: Mapping[str, str]


class MadeRow(NamedTuple):
    """Something that the service lists as made, such as a voice.

    `equal` and `holding` are its texts by pointer into the request: those that must be what was
    asked for, and those that must contain it.
    """

    name: str
    made_at: tuple[float, ...]  # every time that its text may mean
    output: Mapping[str, Json]
    equal: Mapping[str, Json]
    holding: Mapping[str, str]
    lost: str  # what of its answer no list gives again, in words
    dated: str = ""  # when it was made, as the service writes it
    entry: Entry = Entry({})


Row = TypeVar("Row", TaskRow, MadeRow)


class Page(NamedTuple, Generic[Row]):
    """A page of a list."""

    rows: Sequence[Row]
    total: int | None = None  # rows of all pages
    served_at: float | None = None  # the service's own clock


def read_tasks(reply: HttpReply) -> Page[TaskRow] | Refused | Unreadable:
    """A page of the task list."""
    payload, verdict = judged(reply)
    if verdict.decision is not Decision.ACCEPTED:
        return Refused(verdict)
    items = resolve(payload, "/data")
    if not isinstance(items, list):
        return Unreadable("what answered is not the list of the API")
    rows = [
        TaskRow(
            name=str(item["task_id"]),
            request_id=words(item["request_id"]) if item.get("request_id") else None,
            made_at=_epoch_ms(item.get("gmt_create")),
            caller=Caller(str(item.get("api_key_id")), str(item.get("user_api_unique_key"))),
            is_unpaid=item.get("status") in _UNPAID,
        )
        for item in items
        if isinstance(item, dict) and item.get("task_id")
    ]
    return Page(rows, count_in(resolve(payload, "/total")), _served_at(reply.headers))


def read_made(recovery: MadeList, reply: HttpReply) -> Page[MadeRow] | Refused:
    """A page of what an operation has made."""
    payload, verdict = judged(reply)
    if verdict.decision is not Decision.ACCEPTED:
        return Refused(verdict)
    items = resolve(payload, recovery.items)
    rows = [
        _made_row(recovery, item, number)
        for number, item in enumerate(items if isinstance(items, list) else [])
    ]
    return Page(rows, count_in(resolve(payload, recovery.total)))


def read_row(asking: ByName, reply: HttpReply) -> Entry | Refused:
    """What the service says of one row; nothing, where it is asked for none."""
    payload, verdict = judged(reply)
    if verdict.decision is not Decision.ACCEPTED:
        return Refused(verdict)
    return _entry(None if asking.row is None else resolve(payload, asking.row))


def task_window(since: float, until: float) -> dict[str, str]:
    """The parameters of the task list that narrow it, read in the service's zone."""
    return {
        name: datetime.fromtimestamp(moment, _SERVICE_ZONE).strftime("%Y%m%d%H%M%S")
        for name, moment in (("start_time", since), ("end_time", until))
    }


def _made_row(recovery: MadeList, item: Json, number: int) -> MadeRow:
    output = {name: resolve(item, at) for name, at in recovery.outputs.items()}
    return MadeRow(
        name=str(next(iter(output.values()), number)),
        made_at=_zoneless(resolve(item, recovery.made_at)),
        output=output,
        equal={asked: resolve(item, at) for asked, at in recovery.match.items()},
        holding={asked: str(resolve(item, at)) for asked, at in recovery.holds.items()},
        lost=recovery.lost,
        dated=str(resolve(item, recovery.made_at) or ""),
        entry=_entry(item),
    )


def _entry(item: Json) -> Entry:
    told = item if isinstance(item, dict) else {}
    says = {name: one if isinstance(one, str) else json_text(one) for name, one in told.items()}
    return Entry(says)


def _served_at(headers: Mapping[str, str]) -> float | None:
    """The service's own clock, from the Date header."""
    try:
        return parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (ValueError, OverflowError):
        return None


def _epoch_ms(value: Json) -> tuple[float, ...]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return (value / 1000,) if is_number else ()


def _zoneless(text: Json) -> tuple[float, ...]:
    """Both times that a text without a zone may mean."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return ()
    zones = (moment.tzinfo,) if moment.tzinfo else (_SERVICE_ZONE, UTC)
    return tuple(moment.replace(tzinfo=zone).timestamp() for zone in zones)
