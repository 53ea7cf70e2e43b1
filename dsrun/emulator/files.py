"""The file host: result files under signed addresses, made when they are fetched."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web

from dsrun.emulator.faults import FaultDice
from dsrun.emulator.media.orders import FilmOrder, ModelOrder, Order, SpeechOrder, TextOrder
from dsrun.emulator.signing import Signer, Verdict
from dsrun.emulator.wire import http_date, service_time, storage_error, utc_stamp


class ByteCache:
    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        self._size = 0
        self._entries: OrderedDict[Hashable, bytes] = OrderedDict()

    def get(self, key: Hashable) -> bytes | None:
        content = self._entries.get(key)
        if content is not None:
            self._entries.move_to_end(key)
        return content

    def put(self, key: Hashable, content: bytes) -> None:
        self._size += len(content) - len(self._entries.pop(key, b""))
        self._entries[key] = content
        while self._size > self._capacity:
            _, dropped = self._entries.popitem(last=False)
            self._size -= len(dropped)


BUCKET = "/dashscope-result"
CACHE_BYTES = 64 * 2**20

CONTENT_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "pcm": "application/octet-stream",
    "wav": "audio/x-wav",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "mp4": "video/mp4",
    "glb": "model/gltf-binary",
    "txt": "text/plain; charset=utf-8",
    "json": "application/json",
}
GATEWAY_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    order: Order
    made_at: float
    expires_at: int


class FileHost:
    def __init__(self, *, signer: Signer, url_life_s: float) -> None:
        self._signer = signer
        self._url_life_s = url_life_s
        self._files: dict[str, StoredFile] = {}
        self._cache = ByteCache(capacity=CACHE_BYTES)

    def publish(self, name: str, order: Order, *, made_at: float, is_expired: bool) -> str:
        """The signed path of a file; the same for the same name."""
        path = f"{BUCKET}/{service_time(made_at, '%Y%m%d')}/{name}.{order.suffix}"
        expires_at = int(made_at - 1) if is_expired else int(made_at + self._url_life_s)
        if path not in self._files:
            self._files[path] = StoredFile(order=order, made_at=made_at, expires_at=expires_at)
        return self._signer.sign_path(path, expires_at=expires_at)

    async def make(self, order: Order) -> bytes:
        content = self._cache.get(order)
        if content is None:
            content = await asyncio.to_thread(_make, order)
            self._cache.put(order, content)
        return content

    def admit(self, request: web.Request, *, now: float) -> StoredFile | web.Response:
        """The file that the request may read, or a refusal."""
        if "Authorization" in request.headers:
            message = "The address is signed: a request must not authorise itself twice."
            return storage_error(400, "InvalidArgument", message, host=request.host)
        self._forget(now)
        verdict = self._signer.judge(request.path, query=dict(request.query), now=now)
        if verdict is Verdict.GOOD:
            return self._files[request.path]
        return self._refuse(request, verdict, now=now)

    def _refuse(self, request: web.Request, verdict: Verdict, *, now: float) -> web.Response:
        host = request.host
        if verdict is Verdict.EXPIRED:
            expires_at = int(request.query["Expires"])
            times = {"Expires": utc_stamp(expires_at), "ServerTime": utc_stamp(now)}
            message = "Request has expired."
            return storage_error(403, "AccessDenied", message, host=host, details=times)
        if verdict is Verdict.TAMPERED:
            message = "The request signature we calculated does not match the signature provided."
            return storage_error(403, "SignatureDoesNotMatch", message, host=host)
        message = "You have no right to access this object because of bucket acl."
        return storage_error(403, "AccessDenied", message, host=host)

    def _forget(self, now: float) -> None:
        while self._files:
            path, oldest = next(iter(self._files.items()))
            if oldest.expires_at >= now:
                return
            del self._files[path]


async def serve_file(
    request: web.Request, *, host: FileHost, dice: FaultDice, now: float
) -> web.StreamResponse:
    admitted = host.admit(request, now=now)
    if isinstance(admitted, web.Response):
        return admitted
    if dice.strikes("download-error"):
        message = "We encountered an internal error. Please try again."
        return storage_error(500, "InternalError", message, host=request.host)
    if dice.strikes("wrong-type-download"):
        return web.Response(text=GATEWAY_PAGE.format("Welcome"), content_type="text/html")
    content = await host.make(admitted.order)
    headers = {
        "Content-Type": CONTENT_TYPES[admitted.order.suffix],
        "Last-Modified": http_date(admitted.made_at),
        "ETag": f'"{hashlib.md5(content, usedforsecurity=False).hexdigest().upper()}"',
    }
    if dice.strikes("truncated-download"):
        return await _break_off(request, content, headers)
    return web.Response(body=content, headers=headers)


async def _break_off(
    request: web.Request, content: bytes, headers: dict[str, str]
) -> web.StreamResponse:
    response = web.StreamResponse(headers=headers)
    response.content_length = len(content)
    response.force_close()
    with suppress(ConnectionError):  # the client may have left first
        await response.prepare(request)
        await response.write(content[: len(content) // 2])
    return response


def _make(order: Order) -> bytes:
    # Imported only when something is made: Pillow is slow to load.
    match order:
        case TextOrder():
            return order.content
        case SpeechOrder():
            from dsrun.emulator.media.speech import record_speech

            return record_speech(order)
        case ModelOrder():
            from dsrun.emulator.media.solid import solid

            return solid(order)
        case FilmOrder():
            from dsrun.emulator.media.movie import film

            return film(order)
        case _:
            from dsrun.emulator.media.picture import draw_picture

            return draw_picture(order)
