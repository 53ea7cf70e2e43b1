"""Blocking work in groups, on one thread."""

import asyncio
import threading

import pytest

from dsrun.common.batch_worker import GroupWorker
from tests.fakes import settle


class Work:
    """Notes its groups; the first waits until it is let go."""

    def __init__(self):
        self.groups = []
        self.threads = set()
        self.begun = threading.Event()
        self.go = threading.Event()

    def __call__(self, items):
        self.threads.add(threading.current_thread().name)
        self.groups.append(list(items))
        self.begun.set()
        assert self.go.wait(10)
        return [ValueError(item) if item < 0 else item * 10 for item in items]


async def test_what_is_asked_for_during_a_group_forms_the_next_one():
    work = Work()
    worker = GroupWorker(work, name="writer")
    first = worker.put(1)
    await asyncio.to_thread(work.begun.wait, 10)
    rest = [worker.put(number) for number in (2, 3, 4)]
    work.go.set()
    assert await asyncio.gather(first, *rest) == [10, 20, 30, 40]
    assert (work.groups, work.threads) == ([[1], [2, 3, 4]], {"writer"})
    worker.close()


async def test_rounds_of_the_loop_that_each_bring_more_form_one_group():
    work = Work()
    work.go.set()
    worker = GroupWorker(work, name="writer")

    async def put(number, *, after):
        for _ in range(after):
            await asyncio.sleep(0)
        return await worker.put(number)

    made = await asyncio.gather(*(put(n, after=n // 2) for n in range(6)))
    assert made == [0, 10, 20, 30, 40, 50]
    assert work.groups == [[0, 1, 2, 3, 4, 5]]
    worker.close()


async def test_an_endless_stream_of_items_holds_none_of_them_up():
    work = Work()
    work.go.set()
    worker = GroupWorker(work, name="writer")
    first, rest = worker.put(0), []
    while not first.done():
        rest.append(worker.put(1))
        await asyncio.sleep(0)
        assert len(rest) < 10**6
    assert await first == 0
    await asyncio.gather(*rest)
    worker.close()


async def test_what_still_waits_for_more_is_done_before_the_worker_closes():
    work = Work()
    work.go.set()
    worker = GroupWorker(work, name="writer")
    last = [worker.put(1), worker.put(2)]
    worker.close()
    assert await asyncio.gather(*last) == [10, 20]
    assert work.groups == [[1, 2]]


async def test_an_item_that_fails_fails_alone():
    work = Work()
    work.go.set()
    worker = GroupWorker(work, name="writer")
    results = await asyncio.gather(worker.put(1), worker.put(-1), return_exceptions=True)
    assert results[0] == 10
    assert isinstance(results[1], ValueError)
    worker.close()


async def test_a_group_that_fails_fails_every_item_and_the_worker_goes_on():
    calls = []

    def work(items):
        calls.append(list(items))
        if len(calls) == 1:
            raise OSError("disk full")
        return items

    worker = GroupWorker(work, name="writer")
    with pytest.raises(OSError, match="disk full"):
        await worker.put(1)
    assert await worker.put(2) == 2
    worker.close()


async def test_closing_finishes_what_was_asked_for_and_takes_nothing_more():
    work = Work()
    worker = GroupWorker(work, name="writer")
    futures = [worker.put(number) for number in (1, 2)]
    work.go.set()
    await asyncio.to_thread(worker.close)
    assert await asyncio.gather(*futures) == [10, 20]
    with pytest.raises(RuntimeError):
        worker.put(3)


async def test_a_caller_that_went_away_is_no_trouble():
    work = Work()
    worker = GroupWorker(work, name="writer")
    gone, kept = worker.put(1), worker.put(2)
    gone.cancel()
    work.go.set()
    assert await kept == 20
    await settle()
    worker.close()
