"""The published API, served badly. A process of its own, so that no client's death touches it.

It is not dsrun's emulator and shares no line with it: two that were written by one hand could
agree on the same mistake. Every key is an account of its own (`world.World`); the driver opens
one with POST /_world. It prints its address, and ends when its stdin does.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import math
import os
import socket
import struct
import sys
import time
import uuid
from urllib.parse import quote, quote_plus

from aiohttp import web

from tests.torture.faults import AFTER, ASKING, BEFORE, LIST_ABSENT, LOADING
from tests.torture.marks import draw, speak, voice_mark
from tests.torture.world import MOST_A_PAGE, World, clock_text

API = "/api/v1"
DRAW = f"{API}/services/aigc/text2image/image-synthesis"
VOICE = f"{API}/services/audio/tts/customization"
RESET = struct.pack("ii", 1, 0)  # linger for 0 s: what is closed is reset
FILE_LIFE_S = 86400
SECRET = os.urandom(16)


class Service:
    def __init__(self):
        self.worlds = {}

    def app(self):
        app = web.Application()
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

        return await self._create(request, world, accept)

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

        return await self._create(request, world, accept)

    async def _create(self, request, world, accept):
        """A create with all that can befall it; `accept` makes what is paid for."""
        if world.is_storm():
            return throttled()
        fault = world.dice.first(BEFORE)
        if fault:
            return await misbehave(request, fault.removesuffix("-before"))
        request_id = str(uuid.uuid4())
        await world.think()
        answer = {**accept(request_id), "request_id": request_id}
        await world.think()
        fault = world.dice.first(AFTER)
        if fault is None:
            return answered(answer, request_id)
        return await misbehave(
            request, fault.removesuffix("-after"), answer, request_id, stall_s=world.stall_s
        )

    async def query_task(self, request):
        world = self._world(request)
        task = world.tasks.get(request.match_info["task_id"])
        return await self._ask(request, world, lambda: task_answer(request, world, task))

    async def list_tasks(self, request):
        world = self._world(request)
        if world.dice.hit(LIST_ABSENT):
            await world.note("list")
            return refusal(404, "NotFound", "there is no such address")
        return await self._ask(request, world, lambda: list_answer(world, request.query))

    async def _ask(self, request, world, answer):
        """A question, which is free, with all that can befall it."""
        await world.note("list" if request.path.rstrip("/") == f"{API}/tasks" else "ask")
        if world.is_storm():
            return throttled()
        fault = world.dice.first(ASKING)
        request_id = str(uuid.uuid4())
        try:
            payload = {"request_id": request_id, **answer()}
        except (ValueError, KeyError) as error:
            return refusal(400, "InvalidParameter", str(error))
        if fault:
            kind = fault.removeprefix("ask-")
            return await misbehave(request, kind, payload, request_id, stall_s=world.stall_s)
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
        task = world.tasks[request.match_info["task_id"]]
        data = draw(task.marks[int(request.match_info["name"].partition(".")[0])])
        return await send_file(request, data, world.dice.first(LOADING[:3]))

    def _world(self, request):
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if key not in self.worlds:
            body = {"code": "InvalidApiKey", "message": "Invalid API-key provided."}
            raise web.HTTPUnauthorized(text=json.dumps(body), content_type="application/json")
        return self.worlds[key]


def task_answer(request, world, task):
    if task is None:
        return {"output": {"task_id": request.match_info["task_id"], "task_status": "UNKNOWN"}}
    now = time.time()
    status = task.status(now)
    output = {
        "task_id": task.task_id,
        "task_status": status,
        "submit_time": clock_text(task.made_at),
    }
    if status != "PENDING":
        output["scheduled_time"] = clock_text(task.starts_at)
    if status in ("SUCCEEDED", "FAILED"):
        output["end_time"] = clock_text(task.ends_at)
    if status == "FAILED":
        output |= {"code": "InternalError.Timeout", "message": "no picture was made in time"}
    if status != "SUCCEEDED":
        return {"output": output}
    made = sum(mark is not None for mark in task.marks)
    total = len(task.marks)
    output["results"] = [entry(request, world, task, index) for index in range(total)]
    output["task_metrics"] = {"TOTAL": total, "SUCCEEDED": made, "FAILED": total - made}
    return {"output": output, "usage": {"image_count": made}}


def entry(request, world, task, index):
    if task.marks[index] is None:
        return {"code": "InternalError.Timeout", "message": "this picture was not made in time"}
    # An address that is handed out too late: the task, asked again, gives another.
    life_s = -60 if world.dice.hit("file-expired") else FILE_LIFE_S
    path = f"/files/{name_of(world)}/{task.task_id}/{index}.png"
    return {"url": f"http://{request.host}{path}?{signed(path, int(time.time() + life_s))}"}


def list_answer(world, query):
    tasks = world.listed(
        **{name: query.get(name) for name in ("start_time", "end_time", "model_name", "status")}
    )
    size = min(int(query.get("page_size", 10)), MOST_A_PAGE)
    number = int(query.get("page_no", 1))
    now = time.time()
    return {
        "total": len(tasks),
        "total_page": math.ceil(len(tasks) / size),
        "page_no": number,
        "page_size": size,
        "data": [list_item(task, now) for task in tasks[(number - 1) * size : number * size]],
    }


def list_item(task, now):
    status = task.status(now)
    item = {
        "task_id": task.task_id,
        "status": status,
        "model_name": task.body["model"],
        "request_id": task.request_id,
        "gmt_create": int(task.made_at * 1000),
        "region": "cn-beijing",
        "api_key_id": "10001",
        "caller_uid": "20001",
        "caller_parent_id": "20001",
        "user_api_unique_key": f"apikey:v1:aigc:text2image:image-synthesis:{task.body['model']}",
    }
    if status != "PENDING":
        item["start_time"] = int(task.starts_at * 1000)
    if status in ("SUCCEEDED", "FAILED"):
        item["end_time"] = int(task.ends_at * 1000)
    if status == "FAILED":
        item |= {"code": "InternalError.Timeout", "message": "no picture was made in time"}
    return item


def voice_answer(world, asked):
    if asked["action"] == "query":
        found = [voice for voice in world.voices if voice["voice"] == asked["voice"]]
        if not found:
            raise ValueError(f"Voice not found: {asked['voice']}")
        return {"output": found[0], "usage": {"count": 0}}
    size = min(int(asked.get("page_size", 10)), MOST_A_PAGE)
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


async def misbehave(request, kind, payload=None, request_id=None, *, stall_s=0.0):
    """End a request in one of the ways that tell the client less than it wants to know."""
    page = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
    match kind:
        case "409":
            return refusal(409, "Conflict", "The request conflicts with another.")
        case "html":
            return web.Response(status=502, text=page, content_type="text/html")
        case "5xx":
            headers = {"x-request-id": request_id} if request_id else {}
            body = {"code": "InternalError", "message": "An internal error has occurred."}
            return web.json_response(body, status=500, headers=headers)
        case "garbage":
            text = json.dumps(payload)
            return web.Response(text=text[: len(text) // 2], content_type="application/json")
        case "cut-answer":
            return await cut(request, json.dumps(payload).encode(), {"x-request-id": request_id})
        case "stall":
            await asyncio.sleep(stall_s)
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


async def main():
    runner = web.AppRunner(Service().app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
