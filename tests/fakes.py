"""Small real classes that stand where a door would and do as it does, without waiting."""

import asyncio
import heapq
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from dsrun.common.models import JobStatus, OpenJob

T = TypeVar("T")

AT = "2026-11-27T12:00:00.000Z"  # when runs of tests begin
_BEGIN = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop whose time jumps to the next timer as soon as nothing else is left to do.

    For thousands of sleepers, which a ManualClock would wake one by one.
    """

    def __init__(self) -> None:
        selector = selectors.DefaultSelector()
        super().__init__(selector)
        self._jumped = 0.0
        look = selector.select

        def jump(timeout: float | None = None) -> Any:
            assert timeout is not None, "the work waits for something that no time will bring"
            self._jumped += timeout
            return look(0)

        selector.select = jump  # type: ignore[method-assign]

    def time(self) -> float:
        return self._jumped


class LoopClock:
    """The clock of the loop that runs, which may be a JumpingLoop."""

    def now(self) -> datetime:
        return _BEGIN + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until it is moved; who sleeps wakes in order of time."""

    def __init__(self, *, at: float = 1000.0) -> None:
        self._begin = self._now = at
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return _BEGIN + timedelta(seconds=self._now - self._begin)

    local_now = now

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now + seconds, self._count, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on, and let everything happen that is due until then."""
        end = self._now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            await self._wake_next()
        self._now = end
        await settle()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work, moving on from sleeper to sleeper for as long as it takes."""
        task = asyncio.ensure_future(work)
        await settle()
        while not task.done():
            assert self._sleepers, "the work waits for something that no time will bring"
            await self._wake_next()
        return task.result()

    async def _wake_next(self) -> None:
        self._now, _, future = heapq.heappop(self._sleepers)
        if not future.done():
            future.set_result(None)
        await settle()


async def settle() -> None:
    """Give every task of the loop its turn until each waits for time or for another."""
    for _ in range(10 + 8 * len(asyncio.all_tasks())):
        await asyncio.sleep(0)


def open_job(job_id: str = "a", *, body: bytes = b'{"input":{"prompt":"a lantern"}}') -> OpenJob:
    """A job that has not been sent."""
    return OpenJob(
        job_id=job_id,
        operation="wanx-v1",
        body=body,
        status=JobStatus.PENDING,
        task_id=None,
        submitted_at=None,
        attempts=1,
        stems=((f"posters/{job_id}",),),
    )
