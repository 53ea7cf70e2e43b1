"""The published API, served badly. A process of its own, so that no client's death touches it.

It is not dsrun's emulator and shares no line with it: two that were written by one hand could
agree on the same mistake. Every key is an account of its own (`world.World`); the driver opens
one with POST /_world. It prints its address, and ends when its stdin does.
"""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import math
import os
import socket
import struct
import sys
import time
import uuid
import zlib
from contextlib import suppress
from email.utils import formatdate
from functools import cache
from urllib.parse import quote, quote_plus

from aiohttp import web

from tests.torture.between import gateway_answer, refusal_answer
from tests.torture.faults import (
    AFTER,
    ASKING,
    BEFORE,
    EXPIRED,
    LIST_ABSENT,
    LOADING,
    STRANGE_AFTER,
    STRANGE_ASKING,
    STRANGE_BEFORE,
    TRICKLE,
)
from tests.torture.marks import draw, speak, voice_mark
from tests.torture.world import World, clock_text

API = "/api/v1"
DRAW = f"{API}/services/aigc/text2image/image-synthesis"
VOICE = f"{API}/services/audio/tts/customization"
RESET = struct.pack("ii", 1, 0)  # linger for 0 s: what is closed is reset
FILE_LIFE_S = 86400
SECRET = os.urandom(16)
PAGE = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
BIG = 200 * 2**20  # bytes of an answer that is beyond all measure
TRICKLE_S = 2.0  # from one byte of a file to the next


class Service:
    def __init__(self):
        self.worlds = {}

    def app(self):
        app = web.Application()
        app.on_response_prepare.append(date_it)
        app.add_routes(
            [
                web.post("/_world", self.open_world),
                web.get("/_counts", self.counts),
                web.get("/_reach", self.reach),
                web.post(DRAW, self.create_task),
                web.post(VOICE, self.voice),
                web.get(f"{API}/tasks/", self.list_tasks),
                web.get(f"{API}/tasks", self.list_tasks),
                web.get(f"{API}/tasks/{{task_id}}", self.query_task),
                web.get("/files/{world}/{task_id}/{name}", self.file),
            ]
        )
        return app

    # What the driver asks.

    async def open_world(self, request):
        settings = await request.json()
        key = settings.pop("key")
        self.worlds[key] = World(**settings)
        return web.json_response({})

    async def counts(self, request):
        return web.json_response(self.worlds[request.query["key"]].state())

    async def reach(self, request):
        world = self.worlds[request.query["key"]]
        await world.reach(int(request.query["events"]))
        return web.json_response({})

    # What dsrun asks.

    async def create_task(self, request):
        world = self._world(request)
        body = await request.json()
        if request.headers.get("X-DashScope-Async") != "enable":
            return refusal(403, "AccessDenied", "this api does not support synchronous calls")
        await world.note("create")

        def accept(request_id):
            task = world.accept_task(body, request_id)
            return {"output": {"task_id": task.task_id, "task_status": "PENDING"}}

        return await self._create(request, world, body, accept)

    async def voice(self, request):
        world = self._world(request)
        body = await request.json()
        if body["input"]["action"] != "create":
            return await self._ask(request, world, lambda: voice_answer(world, body["input"]))
        await world.note("create")

        def accept(_):
            name = world.accept_voice(body)
            rate = body.get("parameters", {}).get("sample_rate", 24000)
            sound = speak(voice_mark(body), rate)
            audio = {
                "data": base64.b64encode(sound).decode(),
                "sample_rate": rate,
                "response_format": "wav",
            }
            output = {
                "voice": name,
                "preview_audio": audio,
                "target_model": body["input"]["target_model"],
            }
            return {"output": output, "usage": {"count": 1}}

        return await self._create(request, world, body, accept)

    async def _create(self, request, world, body, accept):
        """A create with all that can befall it; `accept` makes what is paid for."""
        if world.is_storm():
            return throttled()
        earlier = world.answers.get(request.path)
        fault = world.dice.first(BEFORE + STRANGE_BEFORE)
        if fault and (earlier or fault != "same-id-before"):
            return await self._befall(request, world, body, fault, answer=earlier)
        request_id = str(uuid.uuid4())
        await world.think()
        answer = {**accept(request_id), "request_id": request_id}
        await world.think()
        fault = world.dice.first(AFTER + STRANGE_AFTER)
        if fault is None or (fault == "same-id-after" and not earlier):
            world.answers[request.path] = answer
            return answered(answer, request_id)
        if fault == "same-id-after":
            answer = earlier
        return await self._befall(request, world, body, fault, answer=answer)

    async def _befall(self, request, world, body, fault, *, answer):
        """The fault, and words on it for the judge."""
        words = fault
        if fault.startswith("gateway"):
            response, told = gateway_answer(world.gateway.deal())
            words += f" {told}"
        elif fault == "refused":
            response, told = refusal_answer(world.refusals.deal())
            words += f" {told}"
        elif fault.startswith("same-id"):
            response = answered(answer, answer["request_id"])
        else:
            kind = fault.removesuffix("-before").removesuffix("-after")
            request_id = answer["request_id"] if fault in AFTER else None
            response = misbehave(request, kind, answer, request_id)
        world.befell(body, words)
        return await response if asyncio.iscoroutine(response) else response

    async def query_task(self, request):
        world = self._world(request)
        task = world.find(request.match_info["task_id"])
        if task and task.is_mute:
            await world.note("ask")
            return web.Response(status=404, text=PAGE, content_type="text/html")
        return await self._ask(request, world, lambda: task_answer(request, world, task))

    async def list_tasks(self, request):
        world = self._world(request)
        if world.dice.hit(LIST_ABSENT):
            await world.note("list")
            return refusal(404, "NotFound", "there is no such address")
        if world.dice.hit("list-slow-page"):
            await asyncio.sleep(world.page_s)
        for name in ("list-no-date", "list-clock", "list-huge", "list-huge-other"):
            world.dice.hit(name)
        return await self._ask(request, world, lambda: list_answer(world, request.query))

    async def _ask(self, request, world, answer):
        """A question, which is free, with all that can befall it."""
        await world.note("list" if request.path.rstrip("/") == f"{API}/tasks" else "ask")
        if world.is_storm():
            return throttled()
        fault = world.dice.first(ASKING + STRANGE_ASKING)
        request_id = str(uuid.uuid4())
        try:
            payload = {"request_id": request_id, **answer()}
        except (ValueError, KeyError) as error:
            return refusal(400, "InvalidParameter", str(error))
        if fault:
            kind = fault.removeprefix("ask-")
            return await misbehave(request, kind, payload, request_id)
        return answered(payload, request_id)

    async def file(self, request):
        world = next(w for w in self.worlds.values() if name_of(w) == request.match_info["world"])
        await world.note("file")
        if "Authorization" in request.headers:
            world.leaks += 1
        path, _, query = request.raw_path.partition("?")
        expires = int(request.query["Expires"])
        if query != signed(path, expires) or expires < time.time():
            text = "<Error><Code>AccessDenied</Code><Message>Request has expired.</Message></Error>"
            return web.Response(status=403, text=text, content_type="application/xml")
        task = world.find(request.match_info["task_id"])
        data = draw(task.marks[int(request.match_info["name"].partition(".")[0])])
        return await send_file(request, data, world.dice.first((*LOADING, TRICKLE)))

    def _world(self, request):
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if key not in self.worlds:
            body = {"code": "InvalidApiKey", "message": "Invalid API-key provided."}
            raise web.HTTPUnauthorized(text=json.dumps(body), content_type="application/json")
        request["world"] = self.worlds[key]
        return self.worlds[key]


async def date_it(request, response):
    """The HTTP date, which may be a gateway's own, and may be missing."""
    world = request.get("world")
    if world is None:
        return
    if world.dice.has("list-no-date"):
        del response.headers["Date"]
    elif world.date_s:
        response.headers["Date"] = formatdate(time.time() + world.date_s, usegmt=True)


def task_answer(request, world, task):
    if task is None:
        return {"output": {"task_id": request.match_info["task_id"], "task_status": "UNKNOWN"}}
    now, ahead = time.time(), world.clock_s
    status = task.status(now)
    output = {
        "task_id": task.task_id,
        "task_status": status,
        "submit_time": clock_text(task.made_at + ahead),
    }
    if status != "PENDING":
        output["scheduled_time"] = clock_text(task.starts_at + ahead)
    if status in ("SUCCEEDED", "FAILED"):
        output["end_time"] = clock_text(task.ends_at + ahead)
    if status == "FAILED":
        output |= {"code": "InternalError.Timeout", "message": "no picture was made in time"}
    if status != "SUCCEEDED":
        return {"output": output}
    if world.dice.hit("no-results"):
        return {"output": output}
    made = sum(mark is not None for mark in task.marks)
    total = len(task.marks)
    output["results"] = [entry(request, world, task, index) for index in range(total)]
    output["task_metrics"] = {"TOTAL": total, "SUCCEEDED": made, "FAILED": total - made}
    count = world.counts.deal() if world.dice.hit("huge-count") else made
    return {"output": output, "usage": {"image_count": count}}


def entry(request, world, task, index):
    if task.marks[index] is None:
        return {"code": "InternalError.Timeout", "message": "this picture was not made in time"}
    # An address that is handed out too late: the task, asked again, gives another.
    life_s = -60 if world.dice.hit(EXPIRED) else FILE_LIFE_S
    path = f"/files/{name_of(world)}/{task.task_id}/{index}.png"
    return {"url": f"http://{request.host}{path}?{signed(path, int(time.time() + life_s))}"}


def list_answer(world, query):
    size = min(int(query.get("page_size", 10)), world.page_most)
    number = int(query.get("page_no", 1))
    names = ("start_time", "end_time", "model_name", "status")
    total, tasks = world.listed(
        **{name: query.get(name) for name in names}, page_no=number, page_size=size
    )
    now = time.time()
    return {
        "total": total,
        "total_page": math.ceil(total / size),
        "page_no": number,
        "page_size": size,
        "data": [list_item(task, now, world.clock_s) for task in tasks],
    }


def list_item(task, now, ahead):
    status = task.status(now)
    item = {
        "task_id": task.task_id,
        "status": status,
        "model_name": task.body["model"],
        "request_id": task.request_id,
        "gmt_create": int((task.made_at + ahead) * 1000),
        "region": "cn-beijing",
        "api_key_id": "10001",
        "caller_uid": "20001",
        "caller_parent_id": "20001",
        "user_api_unique_key": f"apikey:v1:aigc:text2image:image-synthesis:{task.body['model']}",
    }
    if status != "PENDING":
        item["start_time"] = int((task.starts_at + ahead) * 1000)
    if status in ("SUCCEEDED", "FAILED"):
        item["end_time"] = int((task.ends_at + ahead) * 1000)
    if status == "FAILED":
        item |= {"code": "InternalError.Timeout", "message": "no picture was made in time"}
    return item


def voice_answer(world, asked):
    if asked["action"] == "query":
        found = [voice for voice in world.voices if voice["voice"] == asked["voice"]]
        if not found:
            raise ValueError(f"Voice not found: {asked['voice']}")
        return {"output": found[0], "usage": {"count": 0}}
    size = min(int(asked.get("page_size", 10)), world.page_most)
    number = int(asked.get("page_index", 0))
    newest = world.voices[::-1][number * size : (number + 1) * size]
    output = {
        "page_index": number,
        "page_size": size,
        "total_count": len(world.voices),
        "voice_list": newest,
    }
    return {"output": output, "usage": {}}


def answered(payload, request_id):
    return web.json_response(payload, headers={"x-request-id": request_id})


def refusal(status, code, message):
    body = {"code": code, "message": message, "request_id": str(uuid.uuid4())}
    return web.json_response(body, status=status)


def throttled():
    return refusal(429, "Throttling.RateQuota", "Requests rate limit exceeded.")


async def misbehave(request, kind, payload=None, request_id=None):
    """End a request in one of the ways that tell the client less than it wants to know."""
    match kind:
        case "409":
            return refusal(409, "Conflict", "The request conflicts with another.")
        case "html":
            return web.Response(status=502, text=PAGE, content_type="text/html")
        case "5xx":
            headers = {"x-request-id": request_id} if request_id else {}
            body = {"code": "InternalError", "message": "An internal error has occurred."}
            return web.json_response(body, status=500, headers=headers)
        case "garbage":
            text = json.dumps(payload)
            return web.Response(text=text[: len(text) // 2], content_type="application/json")
        case "cut-answer":
            return await cut(request, json.dumps(payload).encode(), {"x-request-id": request_id})
        case "big-create" | "big-answer":
            return await swell(request, payload)
        case "stall":
            await asyncio.sleep(request["world"].stall_s)
    drop(request)
    return web.Response()


async def send_file(request, data, fault):
    match fault:
        case "file-5xx":
            return web.Response(status=503, text="<Error/>", content_type="application/xml")
        case "file-wrong":
            return web.Response(body=speak("not a picture"), content_type="image/png")
        case "file-short":
            return await cut(request, data, {})
        case "trickle":
            return await trickle(request, data)
    return web.Response(body=data, content_type="image/png")


async def cut(request, body, headers):
    """Announce the whole body, send half of it, and hang up."""
    response = web.StreamResponse(headers=headers)
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def swell(request, payload):
    """The answer itself behind 200 MB of blanks; every other time they are packed to little."""
    text = json.dumps(payload).encode()
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    hits = request["world"].dice.hits
    if (hits.get("big-create", 0) + hits.get("big-answer", 0)) % 2:
        response.headers["Content-Encoding"] = "gzip"
        packed, packer = packed_blanks()
        packer = packer.copy()
        parts = [packed, packer.compress(text) + packer.flush()]
    else:
        response.content_length = BIG + len(text)
        parts = [*itertools.repeat(b" " * 2**20, BIG // 2**20), text]
    await response.prepare(request)
    with suppress(ConnectionError):
        for part in parts:
            await response.write(part)
    return response


@cache
def packed_blanks():
    """The start of a gzip stream, and what goes on with it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    blanks = b" " * 2**20
    return b"".join(packer.compress(blanks) for _ in range(BIG // 2**20)), packer


async def trickle(request, data):
    """All of it, byte by byte, for as long as anybody listens."""
    response = web.StreamResponse(headers={"Content-Type": "image/png"})
    response.content_length = len(data)
    await response.prepare(request)
    with suppress(ConnectionError):
        for byte in data:
            await response.write(bytes([byte]))
            await asyncio.sleep(TRICKLE_S)
    return response


def drop(request):
    """Hang up without a word; the client sees a reset."""
    if request.transport is not None:
        link = request.transport.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        request.transport.abort()


def name_of(world):
    return format(id(world), "x")


def signed(path, expires):
    """The query of a file's address. Its signature needs quoting, and must come back as it is."""
    check = hmac.new(SECRET, f"{path} {expires}".encode(), hashlib.sha1).digest()
    signature = quote_plus(base64.b64encode(check).decode())
    return f"Expires={expires}&OSSAccessKeyId={quote('LTAI5t')}&Signature={signature}"


async def serve_until_stdin_ends(app):
    """Tell the address, and serve."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve_until_stdin_ends(Service().app()))
