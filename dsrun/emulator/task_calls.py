"""Query, list and cancel of tasks."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from aiohttp import web

from dsrun.emulator.answers import bill, compose
from dsrun.emulator.call import Call
from dsrun.emulator.limits import TASK_CALLS_PER_S
from dsrun.emulator.media.orders import Order
from dsrun.emulator.references import sound_seconds
from dsrun.emulator.results import Making, put_results
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
    if task is None or world.dice.strikes("unknown-task"):
        return call.answer({"output": {"task_id": task_id, "task_status": Status.UNKNOWN}})
    return call.answer(await _describe_task(call, task, task.status_at(now)))


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


async def _describe_task(call: Call, task: Task, status: Status) -> dict[str, Any]:
    document: dict[str, Any] = {"output": {}}
    failed = task.parts
    if status is Status.SUCCEEDED:
        failed = len(task.fate.failed_parts)
        document = await _results(call, task)
    elif status is Status.FAILED and task.fate.ailment is not None:
        ailment = task.fate.ailment
        document["output"] |= {"code": ailment.code, "message": ailment.message}
    output = document["output"]
    output |= {"task_id": task.task_id, "task_status": status}
    output["submit_time"] = service_stamp(task.submitted_at)
    if task.started_at is not None:
        output["scheduled_time"] = service_stamp(task.started_at)
    if task.ended_at is not None and status is not Status.RUNNING:
        output["end_time"] = service_stamp(task.ended_at)
    if status is not Status.CANCELED and _has_metrics(task):
        has_ended = status in (Status.SUCCEEDED, Status.FAILED)
        counts = (task.parts - failed, failed) if has_ended else (0, 0)
        output["task_metrics"] = dict(
            zip(("TOTAL", "SUCCEEDED", "FAILED"), (task.parts, *counts), strict=True)
        )
    return document


def _has_metrics(task: Task) -> bool:
    """Whether the documented answer counts parts; without a sample it does."""
    sample = task.operation.rules.get("sample", {}).get("answer")
    return sample is None or "task_metrics" in sample.get("output", {})


async def _results(call: Call, task: Task) -> dict[str, Any]:
    world, operation, body = call.world, task.operation, task.body
    answer = compose(operation, body, failed=task.fate.failed_parts)
    making = Making(
        operation=operation,
        body=body,
        seed=task.seed,
        scale=world.options.picture_scale,
        reference=task.reference,
    )

    def publish(label: str, order: Order) -> str:
        path = world.files.publish(
            f"{task.task_id}-{label}",
            order,
            made_at=task.ended_at or task.submitted_at,
            is_expired=task.fate.has_expired_urls,
        )
        return call.origin + path

    await put_results(answer, making, host=world.files, publish=publish)
    bill(
        operation, body, answer.document, made=task.parts - len(task.fate.failed_parts),
        seconds=partial(sound_seconds, store=world.uploads, model=operation.model),
    )  # fmt: skip
    return answer.document


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
        "user_api_unique_key": _name_api(task.path, model),
    }
    if task.started_at is not None:
        row["start_time"] = int(task.started_at * 1000)
    if task.ended_at is not None and status is not Status.RUNNING:
        row["end_time"] = int(task.ended_at * 1000)
    if status is Status.FAILED and task.fate.ailment is not None:
        row |= {"code": task.fate.ailment.code, "message": task.fate.ailment.message}
    return row


def _name_api(path: str, model: str) -> str:
    """`apikey:v1:group:task:function:model`, from `/api/v1/services/group/task/function`."""
    return ":".join(["apikey", "v1", *path.split("/")[4:], model])


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
