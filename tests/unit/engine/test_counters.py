"""What bounds a lane beside its rate: tasks that are open, and tokens in a window of time."""

import asyncio

import pytest

from dsrun.common.units import Rate
from dsrun.engine.counters import OpenTasks, TokenWindow
from tests.fakes import ManualClock, settle


class TestOpenTasks:
    async def test_no_more_are_open_than_the_limit_and_the_next_begins_when_one_ends(self):
        tasks = OpenTasks(2, clock=ManualClock())
        await tasks.take("a")
        await tasks.take("b")
        third = asyncio.ensure_future(tasks.take("c"))
        await settle()
        assert (third.done(), len(tasks)) == (False, 2)
        tasks.close("a")
        await third
        assert len(tasks) == 2

    async def test_those_who_wait_keep_their_order(self):
        tasks, came = OpenTasks(1, clock=ManualClock()), []
        await tasks.take("first")

        async def wait(name):
            await tasks.take(name)
            came.append(name)
            tasks.close(name)

        waiting = [asyncio.ensure_future(wait(name)) for name in "abc"]
        await settle()
        tasks.close("first")
        await asyncio.gather(*waiting)
        assert came == ["a", "b", "c"]

    async def test_a_job_is_counted_once_however_often_it_comes(self):
        tasks = OpenTasks(1, clock=ManualClock())
        tasks.add("a")
        await tasks.take("a")
        assert len(tasks) == 1

    async def test_tasks_of_an_earlier_run_count_and_may_be_more_than_the_limit(self):
        tasks = OpenTasks(1, clock=ManualClock())
        for name in "abc":
            tasks.add(name)
        waiting = asyncio.ensure_future(tasks.take("d"))
        for name in "ab":
            tasks.close(name)
        await settle()
        assert not waiting.done()
        tasks.close("c")
        await waiting

    async def test_what_others_have_open_counts_until_they_have_not(self):
        clock, elsewhere = ManualClock(), [3]
        tasks = OpenTasks(4, clock=clock, elsewhere=lambda: elsewhere[0])
        await tasks.take("a")
        waiting = asyncio.ensure_future(tasks.take("b"))
        await clock.advance(60.0)
        assert not waiting.done()
        elsewhere[0] = 2
        await clock.advance(5.0)
        await waiting

    async def test_others_are_looked_at_once_a_minute_while_there_is_room(self):
        clock, looks = ManualClock(), []
        tasks = OpenTasks(400, clock=clock, elsewhere=lambda: looks.append(1) or 0)
        for number in range(50):
            await tasks.take(str(number))
        assert looks == []  # an eighth of the limit: eight such runs fit in
        for number in range(50, 100):
            await tasks.take(str(number))
        assert len(looks) == 1
        await clock.advance(60.0)
        await tasks.take("next")
        assert len(looks) == 2

    async def test_one_of_ours_may_be_open_whatever_others_have(self):
        tasks = OpenTasks(4, clock=ManualClock(), elsewhere=lambda: 500)
        await tasks.take("a")

    async def test_who_gives_up_waiting_leaves_the_way_free(self):
        tasks = OpenTasks(1, clock=ManualClock())
        await tasks.take("a")
        given_up, next_one = (asyncio.ensure_future(tasks.take(name)) for name in "bc")
        await settle()
        given_up.cancel()
        await settle()
        tasks.close("a")
        await next_one
        assert len(tasks) == 1


class TestTokenWindow:
    @staticmethod
    async def times(clock, sizes, *, most=100, per_s=6.0):
        window, sent = TokenWindow(Rate(requests=most, per_s=per_s), clock=clock), []

        async def send(tokens):
            await window.take(tokens)
            sent.append(round(clock.monotonic() - 1000.0))
            window.give_back(tokens)

        async def all_of_them():
            await asyncio.gather(*map(send, sizes))

        await clock.run(all_of_them())
        return sent

    @pytest.mark.parametrize(
        ("sizes", "times"),
        [
            ([50, 50, 50], [0, 0, 6]),
            ([60, 60, 60], [0, 6, 12]),
            ([100, 1], [0, 6]),
            ([1] * 100 + [1], [0] * 100 + [6]),
            ([900, 1], [0, 6]),
            ([1, 900, 1], [0, 6, 12]),
            ([0, 0], [0, 0]),
        ],
        ids=["fits twice", "fits once", "full", "many", "too large", "too large waits", "none"],
    )
    async def test_no_window_has_more_tokens_than_the_limit(self, sizes, times):
        assert await self.times(ManualClock(), sizes) == times

    async def test_a_window_begins_with_the_answer_not_the_request(self):
        clock = ManualClock()
        window = TokenWindow(Rate(requests=10, per_s=1.0), clock=clock)
        await window.take(10)
        waiting = asyncio.ensure_future(window.take(1))
        await clock.advance(5.0)
        assert not waiting.done()
        window.give_back(10)
        await clock.advance(0.9)
        assert not waiting.done()
        await clock.advance(0.2)
        await waiting

    async def test_what_was_not_sent_is_free_at_once(self):
        window = TokenWindow(Rate(requests=10, per_s=1.0), clock=ManualClock())
        await window.take(10)
        window.take_back(10)
        await window.take(10)
