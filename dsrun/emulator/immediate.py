"""Answers of synchronous operations, laid out as the operation file says."""

import base64
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from dsrun.emulator.call import Call
from dsrun.emulator.operations import Operation
from dsrun.emulator.orders import Order, order_picture, order_speech
from dsrun.emulator.pointers import write_pointer
from dsrun.emulator.wire import new_id


async def answer_now(call: Call, operation: Operation, body: Mapping[str, Any]) -> web.Response:
    world = call.world
    answer: dict[str, Any] = {"output": {}, "usage": {}}
    for name, pointer in operation.rules.get("outputs", {}).items():
        write_pointer(answer, pointer, body["input"].get(name, f"emulated-{name}"))
    if operation.keeps_voices:
        voice = world.voices.add(body["input"], now=world.now())
        write_pointer(answer, operation.rules["outputs"]["voice"], voice)
    call.accept(body)
    if operation.artifacts["media"] == "audio":
        billed = await _add_speech(call, operation, body, answer)
    else:
        billed = _add_pictures(call, operation, body, answer)
    price = operation.rules.get("price", {})
    if "billed" in price:
        write_pointer(answer, price["billed"], billed)
    return call.answer(answer)


async def _add_speech(
    call: Call, operation: Operation, body: Mapping[str, Any], answer: dict[str, Any]
) -> int:
    world, layout = call.world, operation.artifacts
    speech = order_speech(operation, body)
    if "base64" in layout:
        data = base64.b64encode(await world.files.make(speech)).decode("ascii")
        write_pointer(answer, layout["base64"], data)
    if "url" in layout:
        write_pointer(answer, layout["url"], _publish(call, speech))
    if "format" in layout:
        write_pointer(answer, layout["format"], speech.response_format)
    if "sample_rate" in layout:
        write_pointer(answer, layout["sample_rate"], speech.sample_rate)
    counts_characters = operation.rules.get("price", {}).get("unit") == "character"
    return len(speech.text) if counts_characters else 1


def _add_pictures(
    call: Call, operation: Operation, body: Mapping[str, Any], answer: dict[str, Any]
) -> int:
    world, layout = call.world, operation.artifacts
    count, seed = operation.count_parts(body), operation.choose_seed(body)
    for index in range(count):
        picture = order_picture(
            operation, body, seed=seed, index=index, scale=world.options.picture_scale
        )
        place = f"{layout['list']}/{index}" if "list" in layout else ""
        write_pointer(answer, place + layout["url"], _publish(call, picture))
    return count


def _publish(call: Call, order: Order) -> str:
    world = call.world
    is_expired = world.dice.strikes("expired-url")
    path = world.files.publish(new_id(), order, made_at=world.now(), is_expired=is_expired)
    return call.origin + path
