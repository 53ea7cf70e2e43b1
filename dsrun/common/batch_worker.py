"""Blocking work in groups, on one thread beside the event loop.

Items that arrive while one group is being worked on form the next group, so that one SQLite commit
or one round of fsync serves all of them. Each caller waits until its own item is done.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

_MOST_ROUNDS = 8  # of the event loop, before a group is handed over

Item = TypeVar("Item")
Result = TypeVar("Result")


class GroupWorker(Generic[Item, Result]):
    """Runs `work(items)`, which returns one result or exception for each item, in order."""

    def __init__(
        self, work: Callable[[Sequence[Item]], Sequence[Result | BaseException]], *, name: str
    ) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        # Rounds of the event loop fill it, while each brings more; then it is handed over in one
        # piece, because waking the other thread costs more than most items.
        self._round: list[tuple[Item, asyncio.Future[Result]]] = []
        # The event loop's thread puts, the worker's thread takes; an empty round ends the worker.
        self._waiting: SimpleQueue[list[tuple[Item, asyncio.Future[Result]]]] = SimpleQueue()
        self._is_closed = False
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._run,), name=name, daemon=True
        )
        self._thread.start()

    def put(self, item: Item) -> "asyncio.Future[Result]":
        """Queue an item; the future completes once the item is done and durable."""
        if self._is_closed:
            raise RuntimeError("the worker is closed")
        future: asyncio.Future[Result] = self._loop.create_future()
        if not self._round:
            self._loop.call_soon(self._await_more, 1, _MOST_ROUNDS)
        self._round.append((item, future))
        return future

    def close(self) -> None:
        """Finish all queued items, then end the thread. Blocks."""
        self._is_closed = True
        self._hand_over()
        self._waiting.put([])
        self._thread.join()

    def _await_more(self, known: int, rounds: int) -> None:
        """Hand over what there is, unless this round of the event loop has brought more of it."""
        if rounds and len(self._round) > known:
            self._loop.call_soon(self._await_more, len(self._round), rounds - 1)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._round:
            self._waiting.put(self._round)
            self._round = []

    def _run(self) -> None:
        while group := self._next_group():
            try:
                results = self._work([item for item, _ in group])
            except BaseException as error:  # noqa: BLE001  # handed to every caller of the group
                results = [error] * len(group)
            futures = [future for _, future in group]
            self._loop.call_soon_threadsafe(_resolve, futures, results)

    def _next_group(self) -> list[tuple[Item, "asyncio.Future[Result]"]]:
        """Wait for a round, then take every round that is there; empty when the worker must end."""
        group = list(self._waiting.get())
        while group:
            try:
                more = self._waiting.get_nowait()
            except Empty:
                return group
            if not more:
                self._waiting.put(more)  # the end is still to come, after this group
                return group
            group += more
        return group


def _resolve(
    futures: Sequence["asyncio.Future[Result]"], results: Sequence[Result | BaseException]
) -> None:
    for future, result in zip(futures, results, strict=True):
        if future.cancelled():
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
