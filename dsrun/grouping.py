"""Blocking work in groups, on one thread beside the event loop.

Whatever is asked for while a group is at work forms the next group: one SQLite commit, one
round of fsync, serves all of them. Callers wait until their own item is done.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class GroupWorker(Generic[Item, Result]):
    """Runs `work(items)`, which gives one result or exception an item, in order."""

    def __init__(
        self, work: Callable[[Sequence[Item]], Sequence[Result | BaseException]], *, name: str
    ) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        # Guards `_waiting` and `_closing`: the event loop's thread adds, the worker's takes.
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item) -> "asyncio.Future[Result]":
        """Ask for an item; the future ends when it is done, durably."""
        future: asyncio.Future[Result] = self._loop.create_future()
        with self._wake:
            if self._closing:
                raise RuntimeError("the worker is closed")
            self._waiting.append((item, future))
            self._wake.notify()
        return future

    def close(self) -> None:
        """Finish what was asked for, then end the thread. Blocks."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closing:
                    self._wake.wait()
                group, self._waiting = self._waiting, []
            if not group:
                return
            try:
                results = self._work([item for item, _ in group])
            except BaseException as error:  # noqa: BLE001  # handed to every caller of the group
                results = [error] * len(group)
            futures = [future for _, future in group]
            self._loop.call_soon_threadsafe(_resolve, futures, results)


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
