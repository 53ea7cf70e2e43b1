"""The places of a run: so many jobs at once, in even shares, and lent to others by who waits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import NamedTuple

_held: ContextVar["_Place | None"] = ContextVar("place", default=None)


class _Place(NamedTuple):
    share: asyncio.Semaphore
    places: asyncio.Semaphore
    let_in: Callable[[], None]  # somebody else, who takes the place that is lent


@asynccontextmanager
async def held(
    share: asyncio.Semaphore, places: asyncio.Semaphore, *, let_in: Callable[[], None]
) -> AsyncIterator[None]:
    """Hold a place, which the job that runs in here may lend."""
    async with share, places:
        token = _held.set(_Place(share, places, let_in))
        try:
            yield
        finally:
            _held.reset(token)


@asynccontextmanager
async def lent() -> AsyncIterator[None]:
    """Give the place of the job that runs here to another while it waits for one."""
    place = _held.get()
    if place is None:
        yield
        return
    place.places.release()
    place.share.release()
    place.let_in()
    try:
        yield
    finally:
        await place.share.acquire()
        await place.places.acquire()
