"""The places of a run: a job holds one while it goes on, and leaves it while it waits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

_held: ContextVar["_Place | None"] = ContextVar("place", default=None)


class _Place:
    def __init__(
        self, share: asyncio.Semaphore, places: asyncio.Semaphore, let_in: Callable[[], None]
    ) -> None:
        self._share = share
        self._places = places
        self.let_in = let_in  # starts the job that takes the place when this one leaves it
        self.is_taken = False

    async def take(self) -> None:
        await self._share.acquire()
        try:
            await self._places.acquire()
        except BaseException:
            self._share.release()
            raise
        self.is_taken = True

    def leave(self) -> None:
        if self.is_taken:
            self.is_taken = False
            self._places.release()
            self._share.release()


@asynccontextmanager
async def held(
    share: asyncio.Semaphore, places: asyncio.Semaphore, *, let_in: Callable[[], None]
) -> AsyncIterator[None]:
    """Hold a place, which the job that runs in here may leave to another."""
    place = _Place(share, places, let_in)
    await place.take()
    token = _held.set(place)
    try:
        yield
    finally:
        _held.reset(token)
        place.leave()


def leave_place() -> None:
    """Give the place of the job that runs here to another one, since it waits for others.

    When it goes on it takes no place again: those that it waited for may have taken all of them,
    and wait for it.
    """
    place = _held.get()
    if place is not None and place.is_taken:
        place.leave()
        place.let_in()
