"""Creates: the calls that cost money. Checks in the service's order, then a task or an answer."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from aiohttp import web

from dsrun.emulator.answers import bill, compose, count_tokens
from dsrun.emulator.call import Call
from dsrun.emulator.forms import Rules
from dsrun.emulator.made import answer_management, check_language, is_management
from dsrun.emulator.media.orders import Order
from dsrun.emulator.operations import Operation
from dsrun.emulator.pointers import write_pointer
from dsrun.emulator.references import (
    check_resolve_header,
    find_ailment,
    find_references,
    find_thumbnail,
    sound_seconds,
)
from dsrun.emulator.results import Making, check_formats, check_json, put_results
from dsrun.emulator.task_calls import refuse_list
from dsrun.emulator.tasks import Ailment, Status, Task, draw_fate
from dsrun.emulator.wire import Refusal, invalid_parameter, new_id
from dsrun.emulator.world import World

ASYNC_HEADER = "X-DashScope-Async"


async def serve_service(call: Call) -> web.Response:
    """POST to any path under /services, or to that of an operation file."""
    world = call.world
    body = await call.read_json()
    operation = world.catalog.find(call.request.path.rstrip("/"), body)
    rules = operation.rules_for(body)
    _check_headers(call.request, operation, rules)
    limits = _limits_of(operation, rules, call.key_id)
    _charge(world, operation, body, limits)
    if operation.keeps_list and is_management(operation, body):
        return _manage(call, operation, body)
    size_ailment = _strike_size(world, operation)
    operation.check(body, any_size=size_ailment is not None)
    check_language(rules, body)
    check_formats(operation, body)
    check_json(body)
    check_resolve_header(body, call.request.headers)
    _strike_before(world, operation)
    if operation.is_task:
        return _create_task(call, operation, body, size_ailment, limits)
    return await _answer_now(call, operation, body)


def _check_headers(request: web.Request, operation: Operation, rules: Rules) -> None:
    """Hold a request to the headers of its file; a synchronous call must not ask for a task."""
    wants_task = request.headers.get(ASYNC_HEADER, "").lower() == "enable"
    if wants_task != operation.is_task:
        kind = "synchronous" if operation.is_task else "asynchronous"
        raise Refusal(403, "AccessDenied", f"current user api does not support {kind} calls")
    for name, value in rules["endpoint"].get("headers", {}).items():
        if value is not None and request.headers.get(name, "").lower() != str(value).lower():
            raise invalid_parameter(f"The header {name} must be {value}.")


def _limits_of(operation: Operation, rules: Rules, key_id: str) -> Rules:
    """The limits of a request, with the names of the counters that it is held to."""
    limits = dict(rules.get("limits") or {})
    owner = f"{key_id} " if limits.get("scope") == "key" else ""
    limits["lane"] = owner + operation.model
    if "group" in limits:
        limits["group"] = f"{owner}group {limits['group']}"
    return limits


def _charge(world: World, operation: Operation, body: Mapping[str, Any], limits: Rules) -> None:
    """Count a call against the rate of its model, which the models of a group share."""
    lane = limits["lane"]
    if "requests" in limits:
        counter = limits.get("group", lane)
        world.limits.charge(counter, requests=limits["requests"], per_s=limits.get("per_s", 1))
    if "tokens" in limits:
        world.limits.charge_tokens(
            lane,
            count_tokens(operation, body),
            most=limits["tokens"],
            per_s=limits.get("tokens_s", 60),
        )


def _manage(call: Call, operation: Operation, body: Mapping[str, Any]) -> web.Response:
    action = body["input"].get("action")
    if action == operation.rules["recovery"]["body"]["input"].get("action"):
        refuse_list(call.world)
    return call.answer(answer_management(call.world.made, operation, body))


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
    if operation.keeps_list:
        world.made.check_quota(is_used_up=world.dice.strikes("voice-quota"))


def _create_task(
    call: Call,
    operation: Operation,
    body: Mapping[str, Any],
    size_ailment: Ailment | None,
    limits: Rules,
) -> web.Response:
    world, now = call.world, call.world.now()
    world.tasks.check_queue(limits, now=now)
    references = find_references(body, operation)
    ailment = size_ailment or find_ailment(
        references, store=world.uploads, operation=operation, body=body
    )
    parts = operation.count(operation.rules_for(body)["artifacts"][0], body)
    task = Task(
        task_id=new_id(),
        request_id=call.request_id,
        operation=operation,
        body=body,
        key_id=call.key_id,
        parts=parts,
        seed=operation.choose_seed(body),
        path=call.request.path.rstrip("/"),
        fate=draw_fate(world.dice, parts=parts, ailment=ailment),
        submitted_at=now,
        reference=find_thumbnail(references, store=world.uploads, model=operation.model),
    )
    world.tasks.add(task, limits)
    call.accept(body)
    return call.answer({"output": {"task_id": task.task_id, "task_status": Status.PENDING}})


async def _answer_now(call: Call, operation: Operation, body: Mapping[str, Any]) -> web.Response:
    world, rules = call.world, operation.rules_for(body)
    references = find_references(body, operation)
    ailment = find_ailment(references, store=world.uploads, operation=operation, body=body)
    if ailment is not None:
        raise Refusal(400, ailment.code, ailment.message)
    answer = compose(operation, body)
    if operation.keeps_list:
        world.made.add(operation, body, answer.document, now=world.now())
    if "success" in rules and world.dice.strikes("failed-check"):
        return _fail_check(call, body, answer.document, rules["success"])
    call.accept(body)
    making = Making(
        operation=operation,
        body=body,
        seed=operation.choose_seed(body),
        scale=world.options.picture_scale,
        reference=find_thumbnail(references, store=world.uploads, model=operation.model),
    )
    await put_results(
        answer, making, host=world.files, publish=lambda _, order: _publish(call, order)
    )
    bill(
        operation, body, answer.document, made=operation.count(rules["artifacts"][0], body),
        seconds=partial(sound_seconds, store=world.uploads, model=operation.model),
    )  # fmt: skip
    return call.answer(answer.document)


def _fail_check(
    call: Call, body: Mapping[str, Any], document: dict[str, Any], success: Rules
) -> web.Response:
    """An answer with status 200 that says no, and that some operations bill all the same."""
    wanted = success["is"]
    write_pointer(document, success["at"], not wanted if isinstance(wanted, bool) else -1)
    write_pointer(document, success["code"], "InvalidImage.NoHumanFace")
    write_pointer(document, success["message"], "The image holds no face that can be used.")
    if success.get("billed"):
        call.accept(body)
    else:
        document["usage"] = {}
    return call.answer(document)


def _publish(call: Call, order: Order) -> str:
    world = call.world
    is_expired = world.dice.strikes("expired-url")
    path = world.files.publish(new_id(), order, made_at=world.now(), is_expired=is_expired)
    return call.origin + path
