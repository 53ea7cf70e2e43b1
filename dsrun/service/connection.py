"""One HTTP/1.1 connection, for one request at a time; httptools, uvicorn's parser, reads it."""

import asyncio
from collections import deque
from typing import NamedTuple, cast

import httptools

from dsrun.common.systems import has_input

_HELD = 1 << 17  # bytes that wait to be read, above which no more are taken in
_MOST_BARREN = 1 << 17  # bytes in a row of which none belongs to a body: heads, trailers, chunks
_UPGRADED = 101
_FIRST_FINAL = 200


class Unanswered(ConnectionError):
    """The connection ended before a byte of an answer came."""


class Head(NamedTuple):
    """Status and headers of an answer: the values by name, in small letters."""

    status: int
    headers: dict[bytes, list[bytes]]


class Connection(asyncio.Protocol):
    """Sends a request as it is given, and gives the answer's head and then its body.

    An answer may be endless in any of its parts: memory is bounded here, time is not.
    """

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        # What is paid is read where aiohttp reads it too; a client can be led to nothing by it.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._chunks: deque[bytes] = deque()
        self._is_asked = self._is_lost = self._is_spoiled = False
        self._begin()

    def _begin(self) -> None:
        self._head: Head | None = None
        self._headers: dict[bytes, list[bytes]] = {}
        self._error: Exception | None = None
        self._held = self._barren = 0
        self._has_begun = self._is_interim = self._is_complete = False
        self._is_kept = self._is_paused = False

    @property
    def is_reusable(self) -> bool:
        """Whether another request may go this way: the last answer is read, and none is begun."""
        return not (self._is_asked or self._is_lost or self._is_spoiled)

    def is_silent(self) -> bool:
        """Whether nothing has come that the loop has not seen yet: late bytes, or the end."""
        opened = None if self._transport is None else self._transport.get_extra_info("socket")
        return opened is not None and opened.fileno() >= 0 and not has_input(opened.fileno())

    def send(self, request: bytes) -> None:
        """Send a whole request. Its answer is read by `head` and `next_chunk`, until `end`."""
        if self._transport is None or not self.is_reusable:
            raise RuntimeError("the connection is in use")
        self._begin()
        self._is_asked = True
        self._transport.write(request)

    async def head(self) -> Head:
        """Wait for the final answer's head. Raises OSError or ValueError where none comes."""
        while self._head is None:
            await self._more()
        return self._head

    async def next_chunk(self) -> bytes:
        """A piece of the body; an empty one at its end. Raises as `head`."""
        while not self._chunks:
            if self._is_complete:
                return b""
            await self._more()
        chunk = self._chunks.popleft()
        self._held -= len(chunk)
        if self._is_paused and self._held <= _HELD and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return chunk

    def end(self) -> None:
        """Nobody reads on. What is left of an answer closes the connection."""
        self._is_asked = False
        is_unsent = self._transport is not None and self._transport.get_write_buffer_size() > 0
        if is_unsent or self._is_paused or self._chunks or not self._is_kept:
            self.close()

    def close(self) -> None:
        """At once, or as soon as there is a connection."""
        self._is_spoiled = True
        if self._transport is not None:
            self._transport.abort()

    async def _more(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        self._is_spoiled = True
        if not self._is_complete:
            self._error = self._error or error
        self._wake()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's inherits from none
        if self._is_spoiled:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._is_asked or self._error is not None:
            self.close()  # nobody has asked for it
            return
        self._has_begun = True
        self._barren += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ValueError(f"this is no HTTP: {error}"))
        if self._barren > _MOST_BARREN:
            self._fail(ValueError("its head is too long"))
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._is_lost = True
        if error is None and self._head is not None and self._lasts_as_long_as_the_connection():
            self._is_complete = True
        kind = ConnectionError if self._has_begun else Unanswered
        self._fail(kind(str(error) if error else "the connection was closed"))

    def _lasts_as_long_as_the_connection(self) -> bool:
        assert self._head is not None  # noqa: S101
        has_length = {b"content-length", b"transfer-encoding"} & self._head.headers.keys()
        return not has_length and self._error is None

    # What httptools calls.

    def on_message_begin(self) -> None:
        if self._is_complete:
            self._is_spoiled = True  # bytes stand behind the answer
        self._headers = {}
        self._barren = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.setdefault(name.lower(), []).append(value)

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._is_interim = status < _FIRST_FINAL
        if status == _UPGRADED:
            raise ValueError("it speaks another protocol now")
        if not self._is_interim and not self._is_complete:
            self._head = Head(status, self._headers)
            self._headers = {}  # what follows the body is no header

    def on_body(self, data: bytes) -> None:
        if self._is_complete:
            return
        self._barren = 0
        self._chunks.append(data)
        self._held += len(data)
        if self._held > _HELD and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if not self._is_interim:
            self._is_complete = True
            self._is_kept = self._parser.should_keep_alive()
