"""Bodies of answers, whichever transport brings them: how long, how slow, how many at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from dsrun.service.unpacking import Oversize, Unpacker

_SMALL = 1 << 18  # bytes of an answer that need not wait for room
_LARGE_AT_ONCE = 2  # larger answers: memory must not follow concurrency


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How slow a transfer may be. Many share a link, and the rates are those of one.

    Within any `window_s` as much must come as `least_rate` gives, from the first request on, so
    that headers and redirects count too. The whole may take `base_s` and what `whole_rate` needs.
    """

    connect_s: float = 15.0
    window_s: float = 60.0
    least_rate: float = 1024.0  # bytes a second, as is whole_rate
    base_s: float = 3600.0
    whole_rate: float = 8192.0

    def whole_s(self, size: int) -> float:
        """Seconds that so many bytes may take."""
        return self.base_s + size / self.whole_rate


class Pace:
    """Ends a transfer that crawls, or takes longer than its size allows, with TimeoutError.

    It looks once a window, so that a transfer as quick as most costs one timer.
    """

    def __init__(self, patience: Patience, *, most: int) -> None:
        self.moved = 0  # bytes so far, as they came
        self._seen = 0  # of them, when the window began
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()
        self._whole_s = patience.whole_s(most)
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._window = self._loop.call_later(self._patience.window_s, self._look)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._window.cancel()
        await self._timeout.__aexit__(kind, error, tb)

    def expect(self, size: int) -> None:
        """The server has said how long it is."""
        self._whole_s = self._patience.whole_s(size)

    def _look(self) -> None:
        patience, now = self._patience, self._loop.time()
        crawls = self.moved - self._seen < patience.least_rate * patience.window_s
        if crawls or now - self._began_at > self._whole_s:
            self._timeout.reschedule(now)
            return
        self._seen = self.moved
        self._window = self._loop.call_later(patience.window_s, self._look)


def room_for_large() -> asyncio.Semaphore:
    """What the large answers of one transport share."""
    return asyncio.Semaphore(_LARGE_AT_ONCE)


class Body:
    """A body that comes chunk by chunk, until its length is there or a chunk is empty.

    Reading may raise Oversize.

    A library would unpack it too, but how much at once depends on its version.
    """

    def __init__(
        self,
        next_chunk: Callable[[], Awaitable[bytes]],
        codings: Sequence[str],
        *,
        length: int | None,
        most: int,
    ) -> None:
        """`codings`: the values of Content-Encoding. Refused unread where it is too long."""
        if length is not None and length > most:
            raise Oversize(most)
        self._next_chunk = next_chunk
        self._unpacker = Unpacker(codings, most=most)
        self.length = length
        self._came = 0  # bytes so far, before they are unpacked

    @property
    def is_packed(self) -> bool:
        return self._unpacker.is_packed

    async def whole(self, large: asyncio.Semaphore) -> bytearray:
        """All of it; only a few large ones are read at a time."""
        body, is_large = bytearray(), False
        try:
            while self._came != self.length and (chunk := await self._next_chunk()):
                self._came += len(chunk)
                for piece in self._unpacker.unpack(chunk):
                    body += piece
                    if len(body) > _SMALL and not is_large:
                        await large.acquire()
                        is_large = True
        finally:
            if is_large:
                large.release()
        self._unpacker.finish()
        return body

    async def pass_on(self, take: Callable[[bytes], None], pace: Pace) -> None:
        """Hand over each piece as it comes."""
        if self.length is not None:
            pace.expect(self.length)
        while self._came != self.length and (chunk := await self._next_chunk()):
            self._came += len(chunk)
            pace.moved += len(chunk)
            for piece in self._unpacker.unpack(chunk):
                take(piece)
        self._unpacker.finish()
