"""Query, list and cancel of tasks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from dsrun.emulator.call import Call
from dsrun.emulator.limits import TASK_CALLS_PER_S
from dsrun.emulator.media.orders import Order, order_picture, order_speech
from dsrun.emulator.pointers import write_pointer
from dsrun.emulator.tasks import RECORD_LIFE_S, Status, Task
from dsrun.emulator.wire import (
    SERVICE_ZONE,
    Refusal,
    invalid_parameter,
    service_stamp,
)
from dsrun.emulator.world import World

REGION = "cn-beijing"
ACCOUNT_ID = "1000000000000001"

# The largest page is not documented; a larger one is answered with this many rows.
LARGEST_PAGE = 100
LATE_S = 0.5


async def query_task(call: Call) -> web.Response:
    world = call.world
    world.limits.charge("tasks", requests=TASK_CALLS_PER_S)
    task_id = call.request.match_info["task_id"]
    now = world.now()
    task = world.tasks.find(task_id, now=now)
    answer: dict[str, Any] = {}
    if task is None or world.dice.strikes("unknown-task"):
        answer["output"] = {"task_id": task_id, "task_status": Status.UNKNOWN}
    else:
        _describe_task(answer, task, task.status_at(now), world=world, origin=call.origin)
    return call.answer(answer)


async def cancel_task(call: Call) -> web.Response:
    world = call.world
    world.limits.charge("tasks", requests=TASK_CALLS_PER_S)
    if not world.tasks.cancel(call.request.match_info["task_id"], now=world.now()):
        message = "Failed to cancel the task, please confirm if the task is in PENDING status."
        raise Refusal(400, "UnsupportedOperation", message)
    return call.answer({})


async def list_tasks(call: Call) -> web.Response:
    world = call.world
    world.limits.charge("tasks", requests=TASK_CALLS_PER_S)
    refuse_list(world)
    query, now = call.request.query, world.now()
    page_no, page_size = _parse_count(query, "page_no", 1), _parse_count(query, "page_size", 10)
    page_size = min(page_size, LARGEST_PAGE)
    start, end = _parse_window(query, now)
    if world.dice.strikes("late-list"):
        end = min(end, now - LATE_S)
    wanted = _parse_filters(query)
    rows = [
        row
        for task in world.tasks.newest_first(now=now)
        if start <= task.submitted_at <= end
        and wanted.items() <= (row := _describe_row(task, task.status_at(now))).items()
    ]
    answer = {
        "total": len(rows),
        "total_page": -(-len(rows) // page_size),
        "page_no": page_no,
        "page_size": page_size,
        "data": rows[(page_no - 1) * page_size : page_no * page_size],
    }
    return call.answer(answer)


def refuse_list(world: World) -> None:
    if world.dice.strikes("no-list"):
        raise Refusal(404, "NotFound", "There is no such resource.")


def _describe_task(
    answer: dict[str, Any], task: Task, status: Status, *, world: World, origin: str
) -> None:
    output: dict[str, Any] = {"task_id": task.task_id, "task_status": status}
    answer["output"] = output
    output["submit_time"] = service_stamp(task.submitted_at)
    if task.started_at is not None:
        output["scheduled_time"] = service_stamp(task.started_at)
    if task.ended_at is not None and status is not Status.RUNNING:
        output["end_time"] = service_stamp(task.ended_at)
    succeeded = failed = 0
    if status is Status.SUCCEEDED:
        failed = len(task.fate.failed_parts)
        succeeded = task.parts - failed
        _add_results(answer, task, world=world, origin=origin)
        if "billed" in (price := task.operation.rules["price"]):
            write_pointer(answer, price["billed"], succeeded)
    elif status is Status.FAILED and task.fate.ailment is not None:
        failed = task.parts
        output["code"] = task.fate.ailment.code
        output["message"] = task.fate.ailment.message
    if status is not Status.CANCELED:
        metrics = {"TOTAL": task.parts, "SUCCEEDED": succeeded, "FAILED": failed}
        output["task_metrics"] = metrics


def _add_results(answer: dict[str, Any], task: Task, *, world: World, origin: str) -> None:
    layout, made_at = task.operation.artifacts, task.ended_at or task.submitted_at
    for index in range(task.parts):
        place = task.operation.place_of_part(index)
        ailment = task.fate.failed_parts.get(index)
        if ailment is not None:
            code_at, message_at = task.operation.place_of_error(index)
            write_pointer(answer, code_at, ailment.code)
            write_pointer(answer, message_at, ailment.message)
            continue
        path = world.files.publish(
            f"{task.task_id}-{index + 1}",
            _order_part(task, index, world.options.picture_scale),
            made_at=made_at,
            is_expired=task.fate.has_expired_urls,
        )
        write_pointer(answer, place + layout["at"], origin + path)


def _order_part(task: Task, index: int, scale: float) -> Order:
    if task.operation.artifacts["media"] == "audio":
        return order_speech(task.operation, task.body)
    return order_picture(
        task.operation,
        task.body,
        seed=task.seed,
        index=index,
        scale=scale,
        reference=task.reference,
    )


def _describe_row(task: Task, status: Status) -> dict[str, Any]:
    model = task.operation.model
    row: dict[str, Any] = {
        "api_key_id": task.key_id,
        "caller_parent_id": ACCOUNT_ID,
        "caller_uid": ACCOUNT_ID,
        "gmt_create": int(task.submitted_at * 1000),
        "model_name": model,
        "region": REGION,
        "request_id": task.request_id,
        "status": status,
        "task_id": task.task_id,
        "user_api_unique_key": _name_api(task.operation.path, model),
    }
    if task.started_at is not None:
        row["start_time"] = int(task.started_at * 1000)
    if task.ended_at is not None and status is not Status.RUNNING:
        row["end_time"] = int(task.ended_at * 1000)
    if status is Status.FAILED and task.fate.ailment is not None:
        row |= {"code": task.fate.ailment.code, "message": task.fate.ailment.message}
    return row


def _name_api(path: str, model: str) -> str:
    """`apikey:v1:group:task:function:model`, from `/services/group/task/function`."""
    return ":".join(["apikey", "v1", *path.split("/")[2:], model])


def _parse_filters(query: Mapping[str, str]) -> dict[str, str]:
    status = query.get("status")
    if status and status not in Status.__members__:
        raise invalid_parameter(f"status: must be one of {', '.join(Status)}.")
    names = ("model_name", "status", "api_key_id", "region")
    return {name: query[name] for name in names if query.get(name)}


def _parse_count(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise invalid_parameter(f"{name}: must be an integer of at least 1.")
    return int(text)


def _parse_window(query: Mapping[str, str], now: float) -> tuple[float, float]:
    end = _parse_moment(query, "end_time")
    start = _parse_moment(query, "start_time")
    if end is None:
        end = now if start is None else min(now, start + RECORD_LIFE_S)
    if start is None:
        start = end - RECORD_LIFE_S
    if not 0 <= end - start <= RECORD_LIFE_S:
        raise invalid_parameter("end_time: must lie 0 to 24 hours after start_time.")
    return start, end


def _parse_moment(query: Mapping[str, str], name: str) -> float | None:
    text = query.get(name)
    if not text:
        return None
    try:
        moment = datetime.strptime(text, "%Y%m%d%H%M%S")  # noqa: DTZ007 - no zone in the format
    except ValueError:
        raise invalid_parameter(f"{name}: must be written YYYYMMDDhhmmss.") from None
    return moment.replace(tzinfo=SERVICE_ZONE).timestamp()
