"""A server that answers as no honest one does: each path has its own way of coming to no end.

`python tests/hostile.py answer|file|many URL...` asks for each, or for many at once, and tells, a
JSON line a URL, what came of it, in how many seconds, and the most memory of the process so far.
"""

import asyncio
import contextlib
import gzip
import json
import re
import sys
import threading
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import cache
from pathlib import Path

from dsrun.common.errors import ApiError
from dsrun.service.bodies import Patience
from dsrun.service.transports import open_transport

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n"
ZEROS = bytes(1 << 20)
MANY = 64
PERIOD_S = 0.2  # between two bytes of what trickles
PATIENCE_S, LONG_S = 1.0, 60.0  # with what only time ends, and with all else

Pieces = AsyncIterator[bytes]


class Hostile:
    """Serves on a thread of its own until it is closed; `answers` may be added to by path."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[bytes], Pieces]] = dict(ANSWERS)
        self.asked: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.url = f"http://{self.host}"

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._do(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A handler that is cancelled as the server closes has nobody to tell.
        gone = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*gone):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            path = head.split()[1].decode().partition("?")[0]
            self.asked.append(path)
            known = max((p for p in self.answers if path.startswith(p)), key=len)
            async with contextlib.aclosing(self.answers[known](head)) as pieces:
                async for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
        with contextlib.suppress(*gone):
            writer.close()
            await writer.wait_closed()


@contextlib.contextmanager
def hostile() -> Iterator[Hostile]:
    server = Hostile()
    try:
        yield server
    finally:
        server.close()


def announced(body: bytes, *headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return OK + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body


def once(whole: bytes) -> Callable[[bytes], Pieces]:
    async def answer(_: bytes) -> Pieces:
        yield whole

    return answer


def endless(head: bytes, piece: bytes, *, every_s: float = 0.0) -> Callable[[bytes], Pieces]:
    async def answer(_: bytes) -> Pieces:
        yield head
        while True:
            await asyncio.sleep(every_s)
            yield piece

    return answer


def redirects(every_s: float = 0.0) -> Callable[[bytes], Pieces]:
    numbers = iter(range(10**9))

    async def answer(head: bytes) -> Pieces:
        await asyncio.sleep(every_s)
        there = head.split()[1].partition(b"?")[0] + b"?%d" % next(numbers)
        yield b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + there + b"\r\n\r\n"

    return answer


def bomb(layers: int, *headers: bytes, wbits: int = 31) -> Callable[[bytes], Pieces]:
    """A quarter of a gigabyte of zeros, packed so many times."""

    async def answer(_head: bytes) -> Pieces:
        body = _zeros(wbits)
        for _ in range(layers - 1):
            body = gzip.compress(body)
        yield announced(body, *headers)

    return answer


@cache
def _zeros(wbits: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return b"".join([*(packer.compress(ZEROS) for _ in range(256)), packer.flush()])


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


GB = 1 << 30
ANSWERS: dict[str, Callable[[bytes], Pieces]] = {
    # Without bound.
    "/announced": endless(OK + b"Content-Length: %d\r\n\r\n" % GB, ZEROS),
    "/unannounced": endless(OK + b"Connection: close\r\n\r\n", ZEROS),
    "/chunked": endless(CHUNKED + b"\r\n", _chunk(ZEROS)),
    "/one-byte-chunks": once(CHUNKED + b"\r\n" + _chunk(b" ") * 200_000 + _chunk(b"")),
    "/both-lengths": endless(CHUNKED + b"Content-Length: 5\r\n\r\n", _chunk(ZEROS)),
    "/chunk-extensions": endless(CHUNKED + b"\r\n5;x=", b"x" * 100_000),
    "/trailers": endless(CHUNKED + b"\r\n2\r\n{}\r\n0\r\n", b"X-Trailer: x\r\n" * 10_000),
    "/long-trailer": endless(CHUNKED + b"\r\n2\r\n{}\r\n0\r\nX-Trailer: ", b"x" * 100_000),
    "/gzip": bomb(1, b"Content-Encoding: gzip"),
    "/deflate": bomb(1, b"Content-Encoding: deflate", wbits=15),
    "/bare-deflate": bomb(1, b"Content-Encoding: deflate", wbits=-15),
    "/gzip-twice": bomb(2, b"Content-Encoding: gzip, gzip"),
    "/gzip-thrice": bomb(3, b"Content-Encoding: gzip, gzip, gzip"),
    "/two-headers": bomb(2, b"Content-Encoding: gzip", b"Content-Encoding: gzip"),
    "/brotli": once(announced(b"\x0b\x02\x80{}\x03", b"Content-Encoding: br")),
    "/gzip-no-end": once(announced(gzip.compress(b"{}" * 100)[:-9], b"Content-Encoding: gzip")),
    "/gzip-and-more": once(announced(gzip.compress(b"{}") * 100_000, b"Content-Encoding: gzip")),
    "/error-of-1-gb": endless(
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % GB, ZEROS
    ),
    "/headers": endless(OK, b"X-Header: x\r\n" * 10_000),
    "/long-header": endless(OK + b"X-Header: ", b"x" * 100_000),
    "/status-line": endless(b"HTTP/1.1 200 ", b"x" * 100_000),
    "/early-hints": endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 1000),
    # Without haste.
    "/slow-body": endless(OK + b"Content-Length: 50000\r\n\r\n", b"x", every_s=PERIOD_S),
    "/slow-chunks": endless(CHUNKED + b"\r\n", _chunk(b"x"), every_s=PERIOD_S),
    "/slow-header": endless(OK + b"X-Header: ", b"x", every_s=PERIOD_S),
    "/slow-status": endless(b"HTTP/1.1 200 ", b"x", every_s=PERIOD_S),
    "/slow-hints": endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", every_s=PERIOD_S),
    "/slow-continue": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", every_s=PERIOD_S),
    "/silent": endless(b"", b"", every_s=PERIOD_S),
    "/redirects": redirects(),
    "/slow-redirects": redirects(PERIOD_S),
    # A proxy that is asked to CONNECT.
    "": endless(OK + b"X-Header: ", b"x", every_s=PERIOD_S),
}


UNHURRIED = ("/slow", "/silent", "/chunk-extensions", "/early-hints")  # only time ends them


async def ask(kind: str, url: str) -> str:
    """What came of it, as one word or an error's; of `many` what came of each."""
    is_endless = any(path in url for path in UNHURRIED)
    timeout_s = PATIENCE_S if is_endless else LONG_S
    async with open_transport(patience=Patience(connect_s=2.0, window_s=timeout_s)) as transport:
        if kind == "file":
            return await _end_of(transport.download(url, lambda _: None, most=64 << 20))
        number = MANY if kind == "many" else 1
        ends = [
            _end_of(transport.request("GET", url, headers={}, body=None, timeout_s=timeout_s))
            for _ in range(number)
        ]
        return ", ".join(sorted(set(await asyncio.gather(*ends))))


async def _end_of(asking: Awaitable[object]) -> str:
    try:
        await asking
    except ApiError as error:
        return f"{type(error).__name__}: {error}"
    return "read"


def peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main(kind: str, urls: list[str]) -> None:
    for url in urls:
        began = time.monotonic()
        came = asyncio.run(ask(kind, url))
        took_s = round(time.monotonic() - began, 2)
        print(json.dumps({"came": came, "took_s": took_s, "peak_mb": round(peak_mb())}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
