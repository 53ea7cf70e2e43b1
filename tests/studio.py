"""A server that speaks the published API and serves any bytes as the result of a task."""

import asyncio
import json
import threading

from aiohttp import web

PATH = "/services/aigc/any/make"
# What captions are made of here, and the captions.
HEARD = b'{"sentences": [{"begin": 0, "end": 1500, "text": "The lantern rises."}]}'
CAPTIONS = b"1\n00:00:00,000 --> 00:00:01,500\nThe lantern rises.\n"


def operation(media):
    """An operation file of a user's: a task whose answer has the address of one file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": f"Makes a file of the kind {media}.",
        "type": "object",
        "required": ["model", "input"],
        "additionalProperties": False,
        "properties": {
            "model": {"const": f"any-{media}"},
            "input": {
                "type": "object",
                "required": ["prompt"],
                "additionalProperties": False,
                "properties": {"prompt": {"type": "string", "minLength": 1}},
            },
        },
        "x-dsrun": {
            "protocol": "task",
            "endpoint": {
                "method": "POST",
                "path": PATH,
                "headers": {"X-DashScope-Async": "enable"},
                "timeout_s": 60,
            },
            "fill": [],
            "artifacts": _artifacts(media),
            "outputs": {},
            "price": {
                "currency": "CNY",
                "as_of": "2026-05",
                "items": [
                    {"unit": "file", "amount": "0.50", "units": {"count": True}, "sure": "exact"}
                ],
            },
            "limits": {"requests": 1000, "per_s": 1},
            "polling": {"first_s": 0.05, "factor": 1.5, "max_s": 0.2, "timeout_s": 60},
        },
    }


def _artifacts(media):
    """One file of the kind; captions are made of another file, which is JSON."""
    if media != "captions":
        return [{"media": media, "at": "/output/file_url"}]
    made = {"each": "/sentences/*", "begin": "/begin", "end": "/end", "text": "/text"}
    return [
        {"media": "json", "at": "/output/file_url"},
        {"media": "captions", "name": "captions", "of": "", **made},
    ]


def write_operations(folder, *kinds):
    """Write an operation file of each kind; returns a step for each, whose prompt is the kind."""
    (folder / "operations").mkdir(exist_ok=True)
    steps = ""
    for media in kinds:
        path = folder / f"operations/any-{media}.json"
        path.write_text(json.dumps(operation(media)), encoding="utf-8")
        steps += f"  {media}:\n    operation: any-{media}\n    input: {{prompt: {media}}}\n"
    return steps


class Studio:
    """Serves `files` by prompt; `creates` are the prompts that were paid for."""

    def __init__(self, files):
        self.files = files | {"captions": HEARD}
        self.creates = []
        self.fetches = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._runner = web.AppRunner(self._app())
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    @property
    def address(self):
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/api/v1"

    async def _start(self):
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()

    def close(self):
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _app(self):
        app = web.Application()
        app.router.add_post(f"/api/v1{PATH}", self._create)
        app.router.add_get("/api/v1/tasks/{id}", self._task)
        app.router.add_get("/file/{id}", self._file)
        return app

    async def _create(self, request):
        self.creates.append((await request.json())["input"]["prompt"])
        output = {"task_id": f"t{len(self.creates)}", "task_status": "PENDING"}
        return web.json_response({"output": output, "request_id": "r"})

    async def _task(self, request):
        task = request.match_info["id"]
        url = f"http://{request.host}/file/{task}"
        output = {"task_id": task, "task_status": "SUCCEEDED", "file_url": url}
        return web.json_response({"output": output, "usage": {"count": 1}, "request_id": "r"})

    async def _file(self, request):
        self.fetches += 1
        prompt = self.creates[int(request.match_info["id"][1:]) - 1]
        return web.Response(body=self.files[prompt], content_type="application/octet-stream")
