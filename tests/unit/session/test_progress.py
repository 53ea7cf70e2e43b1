"""What a terminal shows of a run, and what a pipe is told."""

import asyncio
import io
import re
from dataclasses import replace
from decimal import Decimal

import pytest

from dsrun.common.console import say
from dsrun.common.models import JobResult, JobStatus, OpenJob
from dsrun.common.units import Money
from dsrun.engine.limits import Pace
from dsrun.ledger.totals import StepTotal
from dsrun.service.catalog import load_catalog
from dsrun.session.progress import Progress, _unbroken

WANX = load_catalog()["wanx-v1"].price
DEAR = replace(WANX, items=(replace(WANX.items[0], amount=Decimal(2)),))
PRICES = {"wanx-v1": WANX, "slow": DEAR}
SUCCEEDED = JobResult(status=JobStatus.SUCCEEDED, units=2)
FAILED = JobResult(status=JobStatus.FAILED)


class Terminal(io.StringIO):
    def isatty(self):
        return True

    @property
    def last(self):
        """The newest state of each bar, by the step's name."""
        shown = re.findall(r"(\w[\w ]*?) +\d+%\|[^|]*\| ([^\r\n\x1b]*)", self.getvalue())
        return {name: words.rstrip() for name, words in shown}


def total(step, jobs, *, operation="wanx-v1", spent="0"):
    paid = Money(amount=Decimal(spent), currency="CNY")
    return StepTotal(step, {operation: jobs}, jobs, (paid,))


def job(step, *, operation="wanx-v1"):
    return OpenJob(
        job_id="a" * 64, operation=operation, body=b"{}", status=JobStatus.PENDING, task_id=None,
        submitted_at=None, attempts=0, stems=((f"{step}/name",),),
    )  # fmt: skip


class Clock:
    at = 1000.0

    def monotonic(self):
        return self.at


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")


def progress(totals, clock, stream, **options):
    return Progress(
        totals, prices=PRICES, clock=clock, quiet=False, bar=True, stream=stream, **options
    )


def test_a_bar_for_each_step_with_what_is_done_failed_and_spent(clock):
    stream = Terminal()
    with progress([total("posters", 4, spent="1"), total("voices", 2)], clock, stream) as shown:
        for result in (SUCCEEDED, FAILED):
            shown.job_started(job("posters"))
            shown.job_ended(job("posters"), result)
    assert stream.last == {"posters": "2/4, 1 failed, 1.32 CNY", "voices": "0/2, 0 CNY"}
    assert stream.getvalue().endswith("\n")


def test_the_time_to_go_is_what_the_rate_asks_for_and_at_least_as_until_now(clock):
    stream = Terminal()
    shown = progress([total("posters", 100)], clock, stream, costs=False)
    shown.watch(lambda _: Pace(interval_s=2.0, is_throttled=True))
    with shown:
        clock.at += 1
        shown.job_started(job("posters"))
        assert stream.last["posters"] == "0/100, 3:18 to go, 1 in flight, throttled"
        clock.at += 99
        shown.job_ended(job("posters"), SUCCEEDED)
        shown.job_started(job("posters"))
        clock.at += 1
        shown.job_started(job("posters"))
    assert stream.last["posters"] == "1/100, 2:46:39 to go, 2 in flight, throttled"


def test_the_operations_of_a_step_share_its_bar_each_at_its_own_pace_and_price(clock):
    stream = Terminal()
    totals = [total("posters", 10, operation="slow", spent="1"), total("posters", 90)]
    shown = progress(totals, clock, stream)
    shown.watch(lambda name: Pace(interval_s=5.0 if name == "slow" else 0.1, is_throttled=False))
    with shown:
        shown.job_started(job("posters", operation="slow"))
        clock.at += 1
        shown.job_started(job("posters"))
        assert stream.last["posters"] == "0/100, 0:45 to go, 2 in flight, 1 CNY"
        shown.job_ended(job("posters"), SUCCEEDED)
        clock.at += 1
        shown.job_ended(job("posters", operation="slow"), SUCCEEDED)
    assert stream.last["posters"] == "2/100, 5.32 CNY"


def test_a_job_that_is_left_is_not_done(clock):
    stream = Terminal()
    with progress([total("posters", 2)], clock, stream, costs=False) as shown:
        shown.job_started(job("posters"))
        shown.job_ended(job("posters"), None)
    assert stream.last == {"posters": "0/2, 1 left"}


def test_a_long_name_of_a_step_leaves_room_for_what_is_told(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    with progress([total("posters-of-every-evening-1", 3), total("hosts", 2)], clock, stream):
        pass
    last = stream.getvalue()[-130:]
    assert "posters-...ng-1   0%|" in last
    assert "hosts             0%|" in last
    assert "0/3, 0 CNY" in last


@pytest.mark.parametrize("columns", range(24, 60))
def test_a_narrow_terminal_cuts_no_number(clock, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    with progress([total("posters", 30, spent="1234.56")], clock, stream) as shown:
        shown.job_started(job("posters"))
        shown.job_ended(job("posters"), FAILED)
    told = stream.getvalue().rsplit("| ", 1)[1].strip()
    whole = "1/30, 1 failed, 1234.56 CNY"
    assert whole.startswith(told)
    assert whole[len(told) :][:1] in ("", ",")


def test_many_steps_share_a_bar(clock):
    stream = Terminal()
    with progress([total(f"s{n}", 3) for n in range(9)], clock, stream) as shown:
        shown.job_started(job("s7"))
        shown.job_ended(job("s7"), SUCCEEDED)
    assert stream.last == {"all steps": "1/27, 0.32 CNY"}


def test_a_note_stands_above_the_bars(clock):
    stream = Terminal()
    with progress([total("posters", 2)], clock, stream) as shown:
        shown.note("failed: posters/name")
    before, _, after = stream.getvalue().partition("\r\x1b[Jfailed: posters/name\n")
    assert "posters" in before
    assert "posters   0%" in after or "posters 0%" in after or "0/2" in after


async def test_the_bars_follow_time_while_no_job_ends(clock, monkeypatch):
    monkeypatch.setattr("dsrun.session.progress._REDRAWN_EVERY_S", 0.01)
    stream = Terminal()

    async def until(words):
        for _ in range(1000):
            if stream.last["posters"] == words:
                return
            await asyncio.sleep(0.01)
        assert stream.last["posters"] == words

    with progress([total("posters", 4)], clock, stream, costs=False) as shown:
        with shown.kept_current():
            shown.job_started(job("posters"))
            clock.at += 1
            await until("0/4, ? to go, 1 in flight")
            shown.job_ended(job("posters"), SUCCEEDED)
            shown.job_started(job("posters"))
            clock.at += 59
            await until("1/4, 3:00 to go, 1 in flight")
        before = stream.getvalue()
        clock.at += 60
        await asyncio.sleep(0.05)
        assert stream.getvalue() == before


def test_what_others_say_stands_above_the_bars_too(clock, monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    with progress([total("posters", 2)], clock, None):
        say("warning: from elsewhere")
        assert "\r\x1b[Jwarning: from elsewhere\n" in stream.getvalue()
    say("afterwards")
    assert stream.getvalue().endswith("\nafterwards\n")


def test_a_note_in_a_window_that_has_just_changed_stays(clock, monkeypatch):
    stream = Terminal()
    with progress([total("posters", 2)], clock, stream) as shown:
        shown.note("first")
        monkeypatch.setenv("COLUMNS", "40")
        shown.note("second")
    _, _, after = stream.getvalue().partition("second\n")
    assert "0/2" in after
    assert "\x1b[A" not in after


@pytest.mark.parametrize(
    ("before", "now", "up"),
    [(0, 80, None), (80, 120, 0), (120, 80, 1), (120, 40, 2), (83, 80, 0)],
)
def test_a_window_that_gets_narrower_has_broken_the_lines(before, now, up):
    expected = "" if up is None else "\x1b[A" * up + "\r\x1b[J"
    assert _unbroken(before, now) == expected


def test_a_pipe_gets_a_line_every_30_seconds_at_most(clock):
    stream = io.StringIO()
    with progress([total("posters", 4), total("voices", 2)], clock, stream) as shown:
        shown.job_ended(job("posters"), SUCCEEDED)
        clock.at += 31
        shown.job_ended(job("voices"), FAILED)
        shown.job_ended(job("posters"), SUCCEEDED)
    assert stream.getvalue() == "2 of 6 jobs: 1 succeeded, 1 failed\n"


def test_a_short_run_says_nothing_to_a_pipe_and_quiet_says_nothing_at_all(clock):
    pipe, terminal = io.StringIO(), Terminal()
    for stream, quiet in ((pipe, False), (terminal, True)):
        with Progress(
            [total("posters", 1)], prices=PRICES, clock=clock, quiet=quiet, bar=True, stream=stream
        ) as shown:
            shown.job_started(job("posters"))
            shown.job_ended(job("posters"), SUCCEEDED)
        assert stream.getvalue() == ""
