"""Creates: the calls that cost money. Checks in the service's order, then a task or an answer."""

import base64
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from dsrun.emulator.call import Call
from dsrun.emulator.limits import Limits
from dsrun.emulator.media.orders import Order, order_picture, order_speech
from dsrun.emulator.operations import Operation
from dsrun.emulator.pointers import write_pointer
from dsrun.emulator.references import (
    check_resolve_header,
    find_ailment,
    find_references,
    find_thumbnail,
)
from dsrun.emulator.task_calls import refuse_list
from dsrun.emulator.tasks import Ailment, Status, Task, draw_fate
from dsrun.emulator.voices import answer_management, check_language, is_management
from dsrun.emulator.wire import Refusal, new_id
from dsrun.emulator.world import World

ASYNC_HEADER = "X-DashScope-Async"


async def serve_service(call: Call) -> web.Response:
    """POST to any path under /services, or to that of an operation file."""
    world = call.world
    body = await call.read_json()
    operation = world.catalog.find("/" + call.request.match_info["path"], body)
    _check_mode(call.request, operation)
    _charge(world.limits, operation)
    if operation.keeps_voices and is_management(body):
        if body["input"].get("action") == "list":
            refuse_list(world)
        return call.answer(answer_management(world.voices, body))
    size_ailment = _strike_size(world, operation)
    operation.check(body, any_size=size_ailment is not None)
    if operation.keeps_voices:
        check_language(body["input"])
    _strike_before(world, operation)
    if operation.is_task:
        return _create_task(call, operation, body, size_ailment)
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


def _strike_size(world: World, operation: Operation) -> Ailment | None:
    """Why the task will fail: the service lets some bad sizes through to it."""
    sizes = operation.sizes
    if sizes is None or not operation.is_task or not world.dice.strikes("bad-size"):
        return None
    message = f"The size is not match the allowed size {list(sizes)}"
    return Ailment(code="InvalidParameter", message=message)


def _strike_before(world: World, operation: Operation) -> None:
    if world.dice.strikes("arrears"):
        message = "Access denied, please make sure your account is in good standing."
        raise Refusal(400, "Arrearage", message)
    if world.dice.strikes("moderation"):
        message = "Input data may contain inappropriate content."
        raise Refusal(400, "DataInspectionFailed", message)
    if operation.keeps_voices:
        world.voices.check_quota(is_used_up=world.dice.strikes("voice-quota"))


def _create_task(
    call: Call, operation: Operation, body: Mapping[str, Any], size_ailment: Ailment | None
) -> web.Response:
    world, now = call.world, call.world.now()
    references = find_references(body)
    check_resolve_header(references, call.request.headers)
    ailment = size_ailment or find_ailment(references, store=world.uploads, operation=operation)
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


async def answer_now(call: Call, operation: Operation, body: Mapping[str, Any]) -> web.Response:
    world = call.world
    answer: dict[str, Any] = {"output": {}, "usage": {}}
    for name, pointer in operation.rules.get("outputs", {}).items():
        write_pointer(answer, pointer, body["input"].get(name, f"emulated-{name}"))
    if operation.keeps_voices:
        voice = world.voices.add(body["input"], now=world.now())
        if "voice" in operation.rules["outputs"]:
            write_pointer(answer, operation.rules["outputs"]["voice"], voice)
    call.accept(body)
    if operation.artifacts["media"] == "audio":
        billed = await _add_speech(call, operation, body, answer)
    else:
        billed = await _add_pictures(call, operation, body, answer)
    price = operation.rules.get("price", {})
    if "billed" in price:
        write_pointer(answer, price["billed"], billed)
    return call.answer(answer)


async def _add_speech(
    call: Call, operation: Operation, body: Mapping[str, Any], answer: dict[str, Any]
) -> int:
    world, layout = call.world, operation.artifacts
    speech = order_speech(operation, body)
    if operation.is_base64:
        data = base64.b64encode(await world.files.make(speech)).decode("ascii")
        write_pointer(answer, operation.place_of_part(0) + layout["at"], data)
    else:
        write_pointer(answer, operation.place_of_part(0) + layout["at"], _publish(call, speech))
    if "format" in layout:
        write_pointer(answer, layout["format"], speech.response_format)
    if "sample_rate" in layout:
        write_pointer(answer, layout["sample_rate"], speech.sample_rate)
    counts_characters = operation.rules.get("price", {}).get("unit") == "character"
    return len(speech.text) if counts_characters else 1


async def _add_pictures(
    call: Call, operation: Operation, body: Mapping[str, Any], answer: dict[str, Any]
) -> int:
    world, layout = call.world, operation.artifacts
    count, seed = operation.count_parts(body), operation.choose_seed(body)
    for index in range(count):
        picture = order_picture(
            operation, body, seed=seed, index=index, scale=world.options.picture_scale
        )
        place = operation.place_of_part(index)
        if operation.is_base64:
            data = base64.b64encode(await world.files.make(picture)).decode("ascii")
            write_pointer(answer, place + layout["at"], data)
        else:
            write_pointer(answer, place + layout["at"], _publish(call, picture))
    if "format" in layout:
        write_pointer(answer, layout["format"], "png")
    return count


def _publish(call: Call, order: Order) -> str:
    world = call.world
    is_expired = world.dice.strikes("expired-url")
    path = world.files.publish(new_id(), order, made_at=world.now(), is_expired=is_expired)
    return call.origin + path
