"""Looking for a lost create: what list is asked, what proves absence, and when it is said."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from dsrun.common.clock import stamp
from dsrun.common.doubt import Doubt, Span, doubt_of, epoch
from dsrun.common.models import JobStatus, OpenJob
from dsrun.common.units import Rate
from dsrun.engine.backoff import PollEstimate
from dsrun.engine.control import RunControl
from dsrun.engine.limits import Lane, RateLimiter
from dsrun.engine.listing import Lister
from dsrun.engine.reconcile import Reconciler, Undecided
from dsrun.service.catalog import load_catalog
from dsrun.service.classify import Decision, Verdict
from dsrun.service.lists import Page, TaskRow
from dsrun.service.replies import Done, Refused
from dsrun.service.results import Address
from tests.fakes import ManualClock, open_job, settle

GRACE_S = 5.0
RUN = 1
JOB = OpenJob(
    job_id="b",
    operation="wanx-v1",
    body=b'{"input":{"prompt":"a lantern"},"parameters":{"n":1}}',
    status=JobStatus.PENDING,
    task_id=None,
    submitted_at=None,
    attempts=1,
    stems=(("posters/0",),),
)
THROTTLED = Verdict(decision=Decision.THROTTLE, code="Throttling", message="too fast")
REFUSED = Verdict(decision=Decision.JOB, code="InvalidParameter", message="start_time")


class Service:
    """The task list of the API, whose clock may be ahead of ours."""

    def __init__(
        self, clock, tasks, *, ahead_s=0.0, lag_s=0.0, takes_window=True, has_date=True,
        totals=None, prompts=None,
    ):  # fmt: skip
        self._clock, self.tasks = clock, tasks
        self._has_date = has_date
        self._totals, self._prompts = totals or {}, prompts or {}
        self.queried = set()
        self._ahead_s, self._lag_s, self._takes_window = ahead_s, lag_s, takes_window
        self.asked = []
        self.refusals = []

    async def list_tasks(self, query):
        self.asked.append(query)
        if self.refusals:
            return Refused(self.refusals.pop())
        shown = self._clock.now().timestamp() + self._ahead_s - self._lag_s
        rows = [row for row in self.tasks if row.made_at[0] <= shown]
        if "start_time" in query:
            if not self._takes_window:
                return Refused(REFUSED)
            start, end = (_epoch(query[name]) for name in ("start_time", "end_time"))
            rows = [row for row in rows if start <= row.made_at[0] <= end]
        page, size = int(query["page_no"]), int(query["page_size"])
        return Page(
            rows[(page - 1) * size : page * size],
            total=len(rows),
            served_at=self._clock.now().timestamp() + self._ahead_s if self._has_date else None,
        )

    async def query(self, operation, task_id):
        self.queried.add(task_id)
        told = {
            "/parameters/n": self._totals.get(task_id),
            "/input/prompt": self._prompts.get(task_id),
        }
        echoes = {asked: [value] for asked, value in told.items() if value is not None}
        return Done(results=(Address("http://files/a.png"),), echoes=echoes)


def _epoch(text):
    moment = datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return (moment - timedelta(hours=8)).timestamp()


class Ledgers:
    """What the ledgers know; `known` has the spans of our own tasks."""

    def __init__(self, *, known=None, rivals=(), unlisted=None):
        self.known, self._rivals = known or {}, list(rivals)
        self._unlisted = unlisted or {}  # tasks of ours that no list shows
        self.bodies = {}  # of the rivals' requests
        self.same = []  # doubts that other runs have of the same job

    def accepted(self, task_ids):
        return {name: self.known[name] for name in task_ids if name in self.known}

    def newly_accepted(self, operation):
        return self.known | self._unlisted

    def made(self, operation, names):
        return self.accepted(names)

    def claimed(self, operation, names, *, job_id):
        return set(self.known)

    def rivals(self, operations, *, job_id):
        assert operations
        return self._rivals

    def requests(self, job_ids):
        return {name: body for name, body in self.bodies.items() if name in job_ids}

    def same_job(self, job_id, *, since):
        return [doubt for doubt in self.same if doubt.since > epoch(since)]


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def now(clock):
    return clock.now().timestamp()


def lane_of(clock):
    return Lane(
        load_catalog()["wanx-v1"],
        limiter=RateLimiter(Rate(requests=100, per_s=1.0), clock=clock),
        submit_window=1,
        estimate=PollEstimate(first_s=1, max_s=1, learns=False),
        max_poll_s=1,
    )


def reconciler_of(clock, service, ledgers):
    control = RunControl()
    limiter = RateLimiter(Rate(requests=100, per_s=1.0), clock=clock)
    lister = Lister(
        api=service, control=control, clock=clock, rng=Random(1), limiter=limiter, max_attempts=2
    )
    return Reconciler(
        api=service,
        claims=ledgers,
        control=control,
        clock=clock,
        lister=lister,
        limiter=limiter,
        grace_s=GRACE_S,
    )


def look(clock, service, ledgers, doubt):
    return clock.run(reconciler_of(clock, service, ledgers).find(JOB, lane_of(clock), doubt))


def lost(now, *, after_s=0.2):
    return Doubt(job_id="b", since=now, lost_at=now + after_s, until=now + after_s + 30, run_id=RUN)


def span(now, at, *, run_id=RUN):
    """Of a task of ours that was accepted then."""
    return Span(now + at - 0.05, now + at + 0.05, run_id)


def task(name, at, request_id=None):
    return TaskRow(name, request_id, (int(at * 1000) / 1000,))


async def test_a_task_of_that_moment_is_found_once_those_of_others_would_show(clock, now):
    await clock.advance(0.2)
    service = Service(clock, [task("mine", now + 0.1)])
    assert (await look(clock, service, Ledgers(), lost(now))).name == "mine"
    assert clock.now().timestamp() - now >= GRACE_S


async def test_one_of_the_create_s_own_request_is_found_at_the_first_look(clock, now):
    await clock.advance(0.2)
    service = Service(clock, [task("mine", now + 0.1, "r1")])
    doubt = replace(lost(now), request_id="r1")
    found = await look(clock, service, Ledgers(), doubt)
    assert (found.name, len(service.asked)) == ("mine", 1)


class TestAbsence:
    """That a create was not accepted is shown, and never guessed."""

    async def test_an_empty_list_shows_nothing(self, clock, now):
        found = await look(clock, Service(clock, []), Ledgers(), lost(now))
        assert "may not be current" in found.reason
        assert clock.now().timestamp() - now >= 6 * GRACE_S

    async def test_a_task_of_ours_that_was_accepted_later_shows_it(self, clock, now):
        service = Service(clock, [task("later", now + 1)])
        ledgers = Ledgers(known={"later": span(now, 1)})
        assert await look(clock, service, ledgers, lost(now)) is None
        assert GRACE_S <= clock.now().timestamp() - now < 2 * GRACE_S

    async def test_one_from_before_shows_it_after_a_longer_wait(self, clock, now):
        service = Service(clock, [task("before", now - 10)])
        ledgers = Ledgers(known={"before": span(now, -10)})
        assert await look(clock, service, ledgers, lost(now)) is None
        assert clock.now().timestamp() - now >= 6 * GRACE_S

    @pytest.mark.parametrize("lag_s", [8.0, 20.0])
    async def test_a_list_that_is_behind_is_waited_for(self, clock, now, lag_s):
        await clock.advance(0.2)
        rows = [task("before", now - 10), task("mine", now + 0.1), task("later", now + 1)]
        ledgers = Ledgers(known={"before": span(now, -10), "later": span(now, 1)})
        found = await look(clock, Service(clock, rows, lag_s=lag_s), ledgers, lost(now))
        assert found.name == "mine"

    @pytest.mark.parametrize("ahead_s", [-25200.0, 25200.0, -259200.0])
    async def test_a_list_whose_times_are_off_is_dated_by_our_own_tasks(self, clock, now, ahead_s):
        await clock.advance(0.2)
        rows = [task("mine", now + 0.1 + ahead_s), task("later", now + 1 + ahead_s)]
        service = Service(clock, rows, ahead_s=ahead_s, has_date=False)
        ledgers = Ledgers(known={"later": span(now, 1)})
        assert (await look(clock, service, ledgers, lost(now))).name == "mine"

    async def test_a_list_with_holes_shows_nothing(self, clock, now):
        """Our own task of a second later is there, and one of between is not."""
        service = Service(clock, [task("later", now + 2)])
        ledgers = Ledgers(known={"later": span(now, 2)}, unlisted={"hole": span(now, 1)})
        assert isinstance(await look(clock, service, ledgers, lost(now)), Undecided)

    async def test_the_list_of_another_account_shows_nothing(self, clock, now):
        ledgers = Ledgers(unlisted={"ours": span(now, -5)})
        assert isinstance(await look(clock, Service(clock, []), ledgers, lost(now)), Undecided)

    async def test_it_waits_for_a_witness_while_other_creates_are_under_way(self, clock, now):
        service, ledgers, lane = Service(clock, []), Ledgers(), lane_of(clock)
        reconciler = reconciler_of(clock, service, ledgers)

        async def create_later():
            """Each takes ten seconds; only the sixth one is accepted."""
            for _ in range(6):
                async with lane.turn(RunControl(), open_job("later")):
                    await clock.sleep(10.0)
            service.tasks.append(task("later", clock.now().timestamp() - 5))
            ledgers.known["later"] = span(clock.now().timestamp(), -5)
            async with lane.turn(RunControl(), open_job("later")):
                await clock.sleep(30.0)

        creating = asyncio.ensure_future(create_later())
        await settle()
        assert await clock.run(reconciler.find(JOB, lane, lost(now))) is None
        creating.cancel()
        assert clock.now().timestamp() - now >= 60.0

    async def test_after_a_kill_the_grace_begins_with_the_look(self, clock, now):
        doubt = doubt_of("b", stamp(clock.now() - timedelta(seconds=60)), None, None, run_id=RUN)
        service = Service(clock, [task("later", now - 5)])
        ledgers = Ledgers(known={"later": span(now, -5, run_id=RUN + 1)})
        assert await look(clock, service, ledgers, doubt) is None
        assert clock.now().timestamp() - now >= GRACE_S

    async def test_what_was_sent_long_ago_needs_no_grace(self, clock, now):
        doubt = doubt_of("b", stamp(clock.now() - timedelta(hours=2)), None, None, run_id=RUN)
        service = Service(clock, [task("later", now - 5)])
        ledgers = Ledgers(known={"later": span(now, -5, run_id=RUN + 1)})
        assert await look(clock, service, ledgers, doubt) is None
        assert clock.now().timestamp() == now


class TestClockThatMoves:
    """Between the run that sent the create and this one, the computer's clock was set."""

    @pytest.mark.parametrize("hours", [-2, -72, 2, 8760])
    async def test_the_look_ends(self, clock, now, hours):
        at = clock.now() - timedelta(hours=hours)
        doubt = doubt_of("b", stamp(at), stamp(at), None, run_id=RUN)
        found = await look(clock, Service(clock, []), Ledgers(), doubt)
        assert isinstance(found, Undecided)
        assert clock.now().timestamp() - now < 60.0

    @pytest.mark.parametrize("hours", [-2, 2])
    async def test_a_task_of_another_time_proves_no_absence(self, clock, now, hours):
        at = clock.now() - timedelta(hours=hours)
        doubt = doubt_of("b", stamp(at), stamp(at), None, run_id=RUN)
        rows = [task("mine?", now - 60), task("later", now - 5)]
        ledgers = Ledgers(known={"later": span(now, -5, run_id=RUN + 1)})
        assert isinstance(await look(clock, Service(clock, rows), ledgers, doubt), Undecided)


class TestCandidates:
    """Who may be ours is asked what made it."""

    async def test_one_that_says_another_number_is_another_s(self, clock, now):
        rows = [task("theirs", now + 0.1), task("later", now + 1)]
        service = Service(clock, rows, totals={"theirs": 4})
        ledgers = Ledgers(known={"later": span(now, 1)})
        assert await look(clock, service, ledgers, lost(now)) is None
        assert service.queried == {"theirs"}

    async def test_one_of_two_is_told_by_its_number(self, clock, now):
        rows = [task("theirs", now + 0.1), task("mine", now + 0.15)]
        service = Service(clock, rows, totals={"theirs": 4, "mine": 1})
        assert (await look(clock, service, Ledgers(), lost(now))).name == "mine"

    async def test_on_a_key_that_others_use_the_only_one_is_not_adopted(self, clock, now):
        rows = [task("mine?", now + 0.1), task("theirs", now - 60), task("later", now + 1)]
        service = Service(clock, rows, totals={"mine?": 1})
        ledgers = Ledgers(known={"later": span(now, 1)})
        found = await look(clock, service, ledgers, lost(now))
        assert "others use this key" in found.reason
        assert "mine?" in found.reason

    async def test_unless_it_repeats_our_prompt(self, clock, now):
        rows = [task("mine", now + 0.1), task("theirs", now - 60)]
        service = Service(clock, rows, totals={"mine": 1}, prompts={"mine": "a lantern"})
        assert (await look(clock, service, Ledgers(), lost(now))).name == "mine"

    @pytest.mark.parametrize(
        ("theirs", "is_found"),
        [
            (b'{"input":{"prompt":"a river"},"parameters":{"n":1}}', True),
            (b'{"input":{"prompt":"a lantern"},"parameters":{"n":2}}', True),
            (b'{"input":{"prompt":"a lantern"},"parameters":{"n":1,"seed":7}}', False),
            (b'{"input":{}}', False),
            (None, False),
        ],
        ids=["another prompt", "another number", "the same", "no prompt", "not known"],
    )
    async def test_beside_another_in_doubt_the_prompt_counts_if_it_is_not_theirs_too(
        self, clock, now, theirs, is_found
    ):
        ledgers = Ledgers(rivals=[replace(lost(now), job_id="c")])
        ledgers.bodies = {"c": theirs} if theirs else {}
        rows = [task("x", now + 0.1), task("y", now + 0.15)]
        prompts = {"x": "a river", "y": "a lantern"}
        service = Service(clock, rows, totals={"x": 1, "y": 1}, prompts=prompts)
        found = await look(clock, service, ledgers, lost(now))
        assert (found.name == "y") if is_found else isinstance(found, Undecided)

    async def test_two_that_repeat_our_prompt_decide_nothing(self, clock, now):
        rows = [task("x", now + 0.1), task("y", now + 0.15)]
        prompts = dict.fromkeys("xy", "a lantern")
        service = Service(clock, rows, totals={"x": 1, "y": 1}, prompts=prompts)
        assert isinstance(await look(clock, service, Ledgers(), lost(now)), Undecided)


async def test_what_was_sent_a_day_ago_cannot_be_told(clock, now):
    doubt = doubt_of("b", stamp(clock.now() - timedelta(hours=24)), None, None)
    assert isinstance(await look(clock, Service(clock, []), Ledgers(), doubt), Undecided)


async def test_what_another_run_has_sent_for_the_same_job_is_looked_for_too(clock, now):
    await clock.advance(3600.2)
    ledgers = Ledgers()
    ledgers.same = [lost(now + 3600)]
    service = Service(clock, [task("theirs", now + 3600.1)])
    assert (await look(clock, service, ledgers, lost(now))).name == "theirs"


async def test_one_that_cannot_be_told_leaves_all_of_them_in_doubt(clock, now):
    await clock.advance(3600.2)
    ledgers = Ledgers()
    ledgers.same = [lost(now + 3600)]
    service = Service(clock, [task("x", now + 3600.1), task("y", now + 3600.1)])
    assert isinstance(await look(clock, service, ledgers, lost(now)), Undecided)


async def test_what_another_run_sent_a_day_ago_is_not_looked_for(clock, now):
    ledgers = Ledgers(known={"later": span(now, 1)})
    ledgers.same = [lost(now - 86400)]
    service = Service(clock, [task("later", now + 1)])
    assert await look(clock, service, ledgers, lost(now)) is None


async def test_a_window_that_is_refused_is_left_out(clock, now):
    service = Service(clock, [task("mine", now + 0.1)], takes_window=False)
    assert (await look(clock, service, Ledgers(), lost(now))).name == "mine"


async def test_a_throttled_list_is_asked_again_and_costs_no_attempt(clock, now):
    service = Service(clock, [task("t1", now - 5)])
    service.refusals = [THROTTLED] * 20
    found = await look(clock, service, Ledgers(), doubt=lost(now - 5))
    assert found.name == "t1"
    assert clock.now().timestamp() - now > 60


async def test_a_list_that_is_throttled_without_end_leaves_the_job_to_a_later_run(clock, now):
    service = Service(clock, [])
    service.refusals = [THROTTLED] * 1000
    found = await look(clock, service, Ledgers(), doubt=lost(now - 5))
    assert found == Undecided("the list is throttled: Throttling: too fast", is_silent=True)


async def test_a_slow_answer_does_not_shift_the_clocks(clock, now):
    """Its task was accepted somewhere between the request and an answer 60 s later."""
    service = Service(clock, [task("slow", now - 60), task("mine", now + 0.1)])
    ledgers = Ledgers(known={"slow": Span(now - 61, now - 1, RUN)})
    assert (await look(clock, service, ledgers, lost(now))).name == "mine"


@pytest.mark.parametrize("ahead_s", [-240.0, -20.0, 0.0, 20.0, 240.0, 3600.0])
async def test_our_own_tasks_tell_how_far_the_clocks_are_apart(clock, now, ahead_s):
    rows = [task(f"k{number}", now - number + ahead_s) for number in range(1, 60)]
    rows.append(task("mine", now + 0.1 + ahead_s))
    known = {
        f"k{number}": Span(now - number - 0.1, now - number + 0.1, RUN) for number in range(1, 60)
    }
    service = Service(clock, rows, ahead_s=ahead_s)
    found = await look(clock, service, Ledgers(known=known), lost(now))
    assert isinstance(found, TaskRow)
    assert found.name == "mine"


async def test_a_list_that_is_late_is_asked_again_until_the_grace_is_over(clock, now):
    """Early in a run all of our own tasks are as young as the lost one."""
    await clock.advance(0.2)
    rows = [task("own", now - 0.1), task("mine", now + 0.1)]
    ledgers = Ledgers(known={"own": Span(now - 0.2, now - 0.05, RUN)})
    found = await look(clock, Service(clock, rows, lag_s=2.0), ledgers, lost(now))
    assert found.name == "mine"


async def test_a_rival_that_gets_its_task_between_two_questions_is_seen(clock, now):
    theirs = Doubt(job_id="other", since=now, lost_at=now, until=now + 330)

    class Racing(Ledgers):
        has_task = False

        def claimed(self, operation, names, *, job_id):
            return {"theirs", "later"} if self.has_task else {"later"}

        def rivals(self, operation, *, job_id):
            found = [] if self.has_task else [theirs]
            self.has_task = True  # the other process commits its task now
            return found

    service = Service(clock, [task("theirs", now + 0.1), task("later", now + 1)])
    assert await look(clock, service, Racing(known={"later": span(now, 1)}), lost(now)) is None
