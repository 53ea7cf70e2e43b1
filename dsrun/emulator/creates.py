"""Creates: the calls that cost money. Checks in the service's order, then a task or an answer."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from dsrun.emulator.call import Call
from dsrun.emulator.immediate import answer_now
from dsrun.emulator.limits import Limits
from dsrun.emulator.operations import Operation
from dsrun.emulator.references import (
    check_resolve_header,
    find_ailment,
    find_references,
    find_thumbnail,
)
from dsrun.emulator.task_calls import refuse_list
from dsrun.emulator.tasks import Status, Task, draw_fate
from dsrun.emulator.voices import answer_management, check_language, is_management
from dsrun.emulator.wire import Refusal, new_id
from dsrun.emulator.world import World

ASYNC_HEADER = "X-DashScope-Async"


async def serve_service(call: Call) -> web.Response:
    """POST to any path under /services."""
    world = call.world
    body = await call.read_json()
    path = "/services/" + call.request.match_info["path"]
    operation = world.catalog.find(path, body.get("model"))
    _check_mode(call.request, operation)
    _charge(world.limits, operation)
    if operation.keeps_voices and is_management(body):
        if body["input"].get("action") == "list":
            refuse_list(world)
        return call.answer(answer_management(world.voices, body))
    operation.check(body)
    if operation.keeps_voices:
        check_language(body["input"])
    _strike_before(world, operation)
    if operation.is_task:
        return _create_task(call, operation, body)
    return await answer_now(call, operation, body)


def _check_mode(request: web.Request, operation: Operation) -> None:
    wants_task = request.headers.get(ASYNC_HEADER, "").lower() == "enable"
    if wants_task != operation.is_task:
        kind = "synchronous" if operation.is_task else "asynchronous"
        raise Refusal(403, "AccessDenied", f"current user api does not support {kind} calls")


def _charge(limits: Limits, operation: Operation) -> None:
    published = operation.rules.get("limits", {})
    if "requests" in published:
        limits.charge(
            operation.model,
            requests=published["requests"],
            per_s=published.get("per_s", 1),
        )


def _strike_before(world: World, operation: Operation) -> None:
    if world.dice.strikes("arrears"):
        message = "Access denied, please make sure your account is in good standing."
        raise Refusal(400, "Arrearage", message)
    if world.dice.strikes("moderation"):
        message = "Input data may contain inappropriate content."
        raise Refusal(400, "DataInspectionFailed", message)
    if operation.keeps_voices:
        world.voices.check_quota(is_used_up=world.dice.strikes("voice-quota"))


def _create_task(call: Call, operation: Operation, body: Mapping[str, Any]) -> web.Response:
    world, now = call.world, call.world.now()
    references = find_references(body)
    check_resolve_header(references, call.request.headers)
    ailment = find_ailment(references, store=world.uploads, model=operation.model)
    parts = operation.count_parts(body)
    task = Task(
        task_id=new_id(),
        request_id=call.request_id,
        operation=operation,
        body=body,
        key_id=call.key_id,
        parts=parts,
        seed=operation.choose_seed(body),
        fate=draw_fate(world.dice, parts=parts, ailment=ailment),
        submitted_at=now,
        reference=find_thumbnail(references, store=world.uploads, model=operation.model),
    )
    world.tasks.add(task)
    call.accept(body)
    return call.answer({"output": {"task_id": task.task_id, "task_status": Status.PENDING}})
