"""The least that any program does to keep what it paid for: a ledger and a folder of files."""

import asyncio
import hashlib
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Keeper:
    """A ledger and a folder of files, each with a thread that takes what waits as one group."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = str(folder)
        self._db = sqlite3.connect(
            folder / "ledger.sqlite3", isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(
            "CREATE TABLE job (number INTEGER PRIMARY KEY, status TEXT, task_id TEXT, sha256 TEXT)"
        )
        self._ledger = Groups(self._commit_all)
        self._files = Groups(self._keep_all)

    def commit(self, sql: str, *values: Any) -> asyncio.Future[None]:
        return self._ledger.put((sql, values))

    def keep(self, name: str, data: bytes) -> asyncio.Future[str]:
        """The file's SHA-256, once it is on disk."""
        return self._files.put((name, data))

    def close(self) -> None:
        self._db.close()

    def _commit_all(self, group: list[tuple[str, tuple[Any, ...]]]) -> list[None]:
        self._db.execute("BEGIN IMMEDIATE")
        for sql, values in group:
            self._db.execute(sql, values)
        self._db.execute("COMMIT")
        return [None] * len(group)

    def _keep_all(self, group: list[tuple[str, bytes]]) -> list[str]:
        hashes = []
        for name, data in group:
            temporary = f"{self._folder}/.{name}"
            with open(temporary, "xb", buffering=0) as file:  # noqa: PTH123  # as cheap as can be
                hashes.append(hashlib.sha256(data).hexdigest())
                file.write(data)
                os.fsync(file.fileno())
            os.rename(temporary, f"{self._folder}/{name}")  # noqa: PTH104  # as above
        return hashes


class Groups:
    """Work on a thread: whatever waits when it is free is done at once."""

    def __init__(self, work: Callable[[list[Any]], list[Any]]) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._waiting: queue.SimpleQueue[tuple[Any, asyncio.Future[Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def put(self, item: Any) -> asyncio.Future[Any]:
        future = self._loop.create_future()
        self._waiting.put((item, future))
        return future

    def _run(self) -> None:
        while True:
            group = [self._waiting.get()]
            while not self._waiting.empty():
                group.append(self._waiting.get())
            items, futures = zip(*group, strict=True)
            done = self._work(list(items))
            self._loop.call_soon_threadsafe(self._resolve, futures, done)

    @staticmethod
    def _resolve(futures: tuple[asyncio.Future[Any], ...], done: list[Any]) -> None:
        for future, result in zip(futures, done, strict=True):
            future.set_result(result)
