"""Reasons to stop, and what waiting jobs notice of them."""

import asyncio
from decimal import Decimal

import pytest

from dsrun.common.errors import ExitCode
from dsrun.engine.control import Budget, Left, RunControl
from tests.fakes import settle


class Waiting:
    """A job that waits inside `interruptible` for something that never comes."""

    def __init__(self, control, *, paid=False, may_be_paid=False, cleanup=0):
        self.ended = ""
        self._cleanup = cleanup
        self.task = asyncio.ensure_future(
            self._wait(control.interruptible(paid=paid, may_be_paid=may_be_paid))
        )

    async def _wait(self, interruptible):
        try:
            with interruptible:
                try:
                    await asyncio.Event().wait()
                finally:
                    for _ in range(self._cleanup):
                        await asyncio.sleep(0)
        except Left:
            self.ended = "left"


async def test_a_stop_ends_waits_at_once_but_not_for_what_is_paid():
    control = RunControl()
    free, paid = Waiting(control), Waiting(control, paid=True)
    await settle()
    control.stop("interrupted", ExitCode.INTERRUPTED)
    await settle()
    assert (free.ended, paid.ended) == ("left", "")
    control.end_grace()
    await settle()
    assert paid.ended == "left"


async def test_where_no_more_is_sent_what_may_be_paid_is_looked_for_until_the_run_stops():
    control = RunControl()
    waits = Waiting(control), Waiting(control, may_be_paid=True), Waiting(control, paid=True)
    await settle()
    control.stop_sending("max_cost would be passed")
    await settle()
    assert [wait.ended for wait in waits] == ["left", "", ""]
    assert (control.is_stopping, control.is_looking_on) == (True, True)
    control.interruptible(may_be_paid=True)
    control.stop("interrupted", ExitCode.INTERRUPTED)
    await settle()
    assert [wait.ended for wait in waits] == ["left", "left", ""]
    assert (control.reason, control.is_looking_on) == ("max_cost would be passed", False)
    control.stop_sending("max_failures is 1")
    with pytest.raises(Left):
        control.interruptible(may_be_paid=True)
    control.end_grace()
    await settle()
    assert [wait.ended for wait in waits] == ["left", "left", "left"]


async def test_a_second_stop_while_the_first_still_unwinds_is_no_error():
    control = RunControl()
    slow = Waiting(control, cleanup=20)
    await settle()
    control.stop("interrupted", ExitCode.INTERRUPTED)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    control.stop("interrupted", ExitCode.INTERRUPTED)
    control.end_grace()
    await slow.task
    assert slow.ended == "left"


async def test_after_a_stop_nothing_new_waits_but_for_what_is_paid():
    control = RunControl()
    control.stop("interrupted", ExitCode.INTERRUPTED)
    with pytest.raises(Left), control.interruptible():
        pytest.fail("the run is stopping")
    with control.interruptible(paid=True):
        pass
    control.end_grace()
    with pytest.raises(Left), control.interruptible(paid=True):
        pytest.fail("the grace time is over")


async def test_a_time_out_of_the_job_s_own_is_not_taken_for_a_stop():
    with pytest.raises(TimeoutError), RunControl().interruptible():
        raise TimeoutError


async def test_an_error_inside_a_wait_comes_out_as_it_is():
    with pytest.raises(ZeroDivisionError), RunControl().interruptible():
        raise ZeroDivisionError


async def test_a_cancelled_job_is_cancelled_and_not_left():
    waiting = Waiting(RunControl())
    await settle()
    waiting.task.cancel()
    await settle()
    assert (waiting.task.cancelled(), waiting.ended) == (True, "")


async def test_a_wait_that_ended_is_forgotten():
    control = RunControl()
    with control.interruptible():
        pass
    control.stop("interrupted", ExitCode.INTERRUPTED)
    await settle()


async def test_the_first_reason_counts():
    control = RunControl()
    control.stop("the key is wrong", ExitCode.INCOMPLETE)
    control.stop("interrupted", ExitCode.INTERRUPTED)
    assert (control.reason, control.exit_code) == ("the key is wrong", ExitCode.INCOMPLETE)


async def test_a_closed_operation_closes_no_other():
    control = RunControl()
    control.close_operation("wanx-v1", "free quota used up")
    control.close_operation("wanx-v1", "a later word")
    with pytest.raises(Left):
        control.check("wanx-v1")
    control.check("qwen-voice-design")
    assert control.closed_operations == {"wanx-v1": "free quota used up"}
    assert not control.is_stopping


async def test_so_many_failures_stop_the_run_and_one_fewer_does_not():
    control = RunControl(max_failures=2)
    control.note_failure()
    assert not control.is_stopping
    control.note_failure()
    assert control.exit_code is ExitCode.INCOMPLETE
    assert control.reason == "2 jobs failed; max_failures is 2"
    with pytest.raises(Left):
        control.check("wanx-v1")


async def test_without_a_limit_no_number_of_failures_stops_the_run():
    control = RunControl()
    for _ in range(1000):
        control.note_failure()
    assert not control.is_stopping


def test_the_first_file_that_did_not_come_is_remembered():
    control = RunControl()
    control.note_unfetched("disk full")
    control.note_unfetched("reset")
    assert (control.unfetched, control.is_stopping) == ("disk full", False)


def test_a_budget_may_be_spent_to_the_last_and_no_further():
    budget = Budget(limit=Decimal("0.48"), spent=Decimal("0.16"))
    assert [bool(budget.reserve(Decimal("0.16"))) for _ in range(3)] == [True, True, False]


def test_what_was_reserved_and_not_spent_is_free_again():
    budget = Budget(limit=Decimal("0.64"))
    reserved = budget.reserve(Decimal("0.64"))
    assert reserved
    budget.settle(reserved, Decimal("0.32"))
    assert (budget.spent, budget.under_way) == (Decimal("0.32"), Decimal(0))
    assert budget.reserve(Decimal("0.32"))
    assert not budget.reserve(Decimal("0.01"))


def test_what_is_under_way_from_an_earlier_run_counts():
    budget = Budget(limit=Decimal(1), spent=Decimal("0.5"), under_way=Decimal("0.5"))
    assert not budget.reserve(Decimal("0.16"))


def test_a_budget_without_a_limit_allows_everything():
    assert Budget().reserve(Decimal(10**9))


def test_a_refused_reservation_reserves_nothing():
    budget = Budget(limit=Decimal(1))
    assert not budget.reserve(Decimal(2))
    assert budget.under_way == Decimal(0)
