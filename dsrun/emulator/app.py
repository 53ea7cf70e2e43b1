"""The server: its routes, what surrounds every call, start and stop."""

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Self

from aiohttp import web

from dsrun.emulator.call import Call
from dsrun.emulator.creates import serve_service
from dsrun.emulator.faults import FaultDice
from dsrun.emulator.files import BUCKET, GATEWAY_PAGE, serve_file
from dsrun.emulator.hosts import check_host
from dsrun.emulator.limits import POLICY_CALLS_PER_S, throttled
from dsrun.emulator.options import EmulatorOptions
from dsrun.emulator.references import LARGEST_BYTES
from dsrun.emulator.task_calls import cancel_task, list_tasks, query_task
from dsrun.emulator.uploads import UPLOAD_PATH, receive_upload
from dsrun.emulator.wire import Refusal, invalid_parameter, json_answer, new_id, refusal_answer
from dsrun.emulator.world import World

API = "/api/v1"
LARGEST_BODY = 16 * 2**20

# Some calls of the official package's 1.x clients end in a slash; all of the API may.
OPTIONAL_SLASH = "{slash:/?}"

# How often a held answer checks whether its client is still there.
STALL_STEP_S = 0.05

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Emulator:
    """A running emulator; its socket is bound from the start until `aclose`."""

    def __init__(self, *, runner: web.AppRunner, world: World, base_url: str) -> None:
        self._runner = runner
        self._world = world
        self.base_url = base_url

    async def aclose(self) -> None:
        self._world.closing.set()
        await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def creates(self) -> Mapping[str, int]:
        """Accepted creates by the canonical JSON text of their body."""
        return MappingProxyType(self._world.creates)

    @property
    def requests(self) -> Sequence[tuple[str, str]]:
        """Method and path of every request so far, in order."""
        return tuple(self._world.requests)


async def start_emulator(
    options: EmulatorOptions, *, now: Callable[[], float] | None = None
) -> Emulator:
    """`now` returns epoch seconds that never go back; None stands for the machine's clock."""
    world = World(options, now=now or _steady_clock())
    runner = web.AppRunner(_build_app(world), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, options.host, options.port).start()
    except BaseException:
        await runner.cleanup()
        raise
    host, port = runner.addresses[0][:2]
    shown = f"[{host}]" if ":" in host else host
    return Emulator(runner=runner, world=world, base_url=f"http://{shown}:{port}{API}")


def _steady_clock() -> Callable[[], float]:
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


def _build_app(world: World) -> web.Application:
    @web.middleware
    async def keep_log(request: web.Request, handler: Handler) -> web.StreamResponse:
        world.requests.append((request.method, request.path))
        try:
            check_host(request.headers.getall("Host", ()), bound_to=world.options.host)
            return await handler(request)
        except Refusal as refusal:
            return refusal_answer(refusal, request_id=new_id())
        except web.HTTPException as error:
            unknown = Refusal(error.status, error.reason.replace(" ", ""), error.reason)
            return refusal_answer(unknown, request_id=new_id())

    async def download(request: web.Request) -> web.StreamResponse:
        return await serve_file(request, host=world.files, dice=world.dice, now=world.now())

    async def receive(request: web.Request) -> web.Response:
        keep_bytes = LARGEST_BYTES + 1
        return await receive_upload(request, store=world.uploads, keep_bytes=keep_bytes)

    app = web.Application(middlewares=[keep_log], client_max_size=LARGEST_BODY)
    serve = _surround(world, serve_service)
    routes: list[tuple[str, str, Handler]] = [
        ("POST", API + "/{path:services/.*?}", serve),
        *(("POST", path, serve) for path in sorted(world.catalog.paths)),
        ("GET", API + "/tasks", _surround(world, list_tasks)),
        ("GET", API + "/tasks/{task_id}", _surround(world, query_task)),
        ("POST", API + "/tasks/{task_id}/cancel", _surround(world, cancel_task)),
        ("GET", API + "/uploads", _surround(world, _issue_policy)),
        ("POST", UPLOAD_PATH, receive),
    ]
    for method, path, handler in routes:
        app.router.add_route(method, path + OPTIONAL_SLASH, handler)
    # The name of a result file is signed, so here a slash more makes another name.
    app.router.add_get(BUCKET + "/{name:.*}", download, allow_head=False)
    return app


async def _issue_policy(call: Call) -> web.Response:
    query, world = call.request.query, call.world
    model = query.get("model", "")
    if query.get("action") != "getPolicy":
        raise invalid_parameter("action: must be getPolicy.")
    if not world.catalog.has_model(model):
        raise invalid_parameter("Model not exist.")
    world.limits.charge(f"policy {model}", requests=POLICY_CALLS_PER_S)
    upload_host = call.origin + UPLOAD_PATH
    return call.answer({"data": world.uploads.make_policy(model, upload_host=upload_host)})


def _surround(world: World, serve: Callable[[Call], Awaitable[web.Response]]) -> Handler:
    """Wrap an API call: faults, the check of the key, refusals in the API's words."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if world.dice.strikes("reset"):
            return _reset(request)
        request_id = new_id()
        try:
            key_id = world.authorise(request)
            call = Call(request=request, world=world, request_id=request_id, key_id=key_id)
            reply = _strike_before(world.dice) or await serve(call)
            reply = _strike_after(call, reply)
        except Refusal as refusal:
            reply = refusal_answer(refusal, request_id=request_id)
        if world.dice.strikes("stall"):
            await _hold(request, world)
            return _reset(request)
        return reply

    return answer


def _strike_before(dice: FaultDice) -> web.Response | None:
    if dice.strikes("html"):
        page = GATEWAY_PAGE.format("502 Bad Gateway")
        return web.Response(text=page, status=502, content_type="text/html")
    if dice.strikes("server-error"):
        raise _internal_error()
    if dice.strikes("throttle"):
        raise throttled(retry_after_s=1)
    if dice.strikes("throttle-bare"):
        raise throttled()
    return None


def _strike_after(call: Call, reply: web.Response) -> web.Response:
    dice = call.world.dice
    is_query = call.request.method == "GET" and call.request.path.startswith(API + "/tasks")
    if is_query and dice.strikes("garbage-json"):
        return web.Response(text='{"output": {"task_id', content_type="application/json")
    if call.is_accepted and dice.strikes("lost-answer"):
        return _reset(call.request)
    if call.is_accepted and dice.strikes("server-error-after"):
        raise _internal_error()
    return reply


def _internal_error() -> Refusal:
    message = "An internal error has occurred, please try again later or contact service support."
    return Refusal(500, "InternalError", message)


def _reset(request: web.Request) -> web.Response:
    """End the connection with RST; the returned response is never sent."""
    transport = request.transport
    if transport is not None:
        linger_off = struct.pack("ii", 1, 0)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_off)
        transport.abort()
    return json_answer({}, request_id="")


async def _hold(request: web.Request, world: World) -> None:
    """Return when the client is gone, or when the emulator closes."""
    while request.transport is not None and not world.closing.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(world.closing.wait(), STALL_STEP_S)
