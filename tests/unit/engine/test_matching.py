"""Whose a listed task is: what is adopted, what is proof of absence, what nobody can tell."""

import math

import orjson
import pytest

from dsrun.common.doubt import Doubt, Span, doubt_of
from dsrun.engine.matching import (
    Evidence,
    NotFound,
    Skew,
    find_made,
    find_task,
    is_of_request,
    measure_skew,
    weigh,
)
from dsrun.service.catalog import load_catalog
from dsrun.service.lists import Caller, TaskRow, read_made
from dsrun.service.replies import HttpReply

SENT = 1_000_000.0
SURE = Skew(0.0, 2.0, 2.0)
LOOSE = Skew(0.0, 2.0, 30.0)
BLIND = Skew(0.0, 600.0, math.inf)
ABSENT, UNDECIDED = NotFound.ABSENT, NotFound.UNDECIDED


def doubt(job="a", since=SENT, lasted=1.0, request_id=None, *, late=0.0, is_seen=True):
    return Doubt(
        job_id=job,
        since=since,
        lost_at=since + lasted if is_seen else since,
        until=since + lasted + late,
        request_id=request_id,
        is_seen=is_seen,
        run_id=1,
    )


OURS, OTHER = (Caller(number, "u") for number in "12")


def trace(name="t1", at=SENT + 0.5, request_id=None, caller=OURS):
    return TaskRow(name, request_id, () if at is None else (at,), caller)


def find(traces, *, of=None, skew=SURE, claimed=(), rivals=(), **more):
    """The name of the task that is the doubt's, or that there is none, or neither."""
    found = find_task(
        of or doubt(), traces, skew=skew, claimed=claimed, rivals=rivals, **more
    ).verdict
    return found.name if isinstance(found, TaskRow) else found


@pytest.mark.parametrize(
    ("traces", "skew", "expected"),
    [
        pytest.param([], SURE, ABSENT, id="an empty list"),
        pytest.param([trace()], SURE, "t1", id="one of the time"),
        pytest.param([trace(at=SENT - 1)], SURE, "t1", id="one within the doubt of clocks"),
        pytest.param([trace(at=SENT - 60)], SURE, ABSENT, id="an older one"),
        pytest.param([trace(at=SENT + 60)], SURE, ABSENT, id="a later one"),
        pytest.param([trace(at=SENT - 20)], LOOSE, UNDECIDED, id="one that a bad clock may move"),
        pytest.param([trace(at=SENT - 300)], BLIND, "t1", id="the only one, no clock known"),
        pytest.param([trace(at=SENT - 9e4)], BLIND, UNDECIDED, id="any, where no clock is known"),
        pytest.param([trace(at=None)], SURE, "t1", id="one without a time"),
        pytest.param([trace("t1"), trace("t2")], SURE, UNDECIDED, id="two of the time"),
        pytest.param([trace("t1"), trace("t2", SENT - 7200)], SURE, "t1", id="one of two"),
    ],
)
def test_a_task_is_told_by_its_time(traces, skew, expected):
    assert find(traces, skew=skew) == expected


def test_a_claimed_task_is_never_adopted():
    assert find([trace()], claimed={"t1"}) is ABSENT
    assert find([trace("t1"), trace("t2")], claimed={"t1"}) == "t2"


def test_a_request_id_decides_at_once_whatever_the_time():
    traces = [trace("t1", request_id="r1"), trace("t2", SENT - 3600, request_id="r2")]
    assert find(traces, of=doubt(request_id="r2")) == "t2"


def test_a_task_of_another_request_id_is_neither_adopted_nor_proof():
    assert find([trace(request_id="r1")], of=doubt(request_id="r2")) is UNDECIDED


class TestStrangers:
    """On a key that others use, being the only one is no proof."""

    @pytest.mark.parametrize("at", [SENT - 3000, SENT - 60, SENT + 60, SENT + 3000])
    def test_a_task_of_nobody_shows_that_the_key_is_shared(self, at):
        traces = [trace("mine?"), trace("theirs", at)]
        found = find_task(doubt(), traces, skew=SURE, claimed=(), rivals=())
        assert found.verdict is UNDECIDED
        assert found.is_shared
        assert [each.name for each in found.candidates] == ["mine?"]

    def test_what_was_not_accepted_is_seen_beside_the_tasks_of_others(self):
        assert find([trace("theirs", SENT - 60), trace("too", SENT + 60)]) is ABSENT

    @pytest.mark.parametrize("at", [SENT - 7200, SENT + 7200])
    def test_one_of_hours_before_or_after_does_not(self, at):
        assert find([trace("mine"), trace("old", at)]) == "mine"

    def test_a_task_of_a_known_job_does_not(self):
        assert find([trace("mine"), trace("other", SENT - 60)], claimed={"other"}) == "mine"

    def test_what_another_create_may_have_made_does_not(self):
        rival = doubt("b", since=SENT - 60)
        assert find([trace("mine"), trace("b", SENT - 59.5)], rivals=[rival]) == "mine"

    def test_one_of_another_key_does_not(self):
        traces = [trace("mine"), trace("theirs", SENT - 60, caller=OTHER)]
        assert find(traces, callers={OURS}) == "mine"


class TestRivals:
    """Several creates in doubt: whose is whose, as far as their times tell."""

    def test_a_rival_of_the_same_time_makes_it_impossible_to_tell(self):
        rival = doubt("b", since=SENT + 0.2)
        assert find([trace()], rivals=[rival]) is UNDECIDED
        assert find([], rivals=[rival]) is ABSENT

    def test_a_rival_of_another_time_does_not(self):
        assert find([trace()], rivals=[doubt("b", since=SENT + 100)]) == "t1"

    def test_a_rival_with_a_request_id_has_its_own_task_only(self):
        traces = [trace("t1", request_id="r1"), trace("t2", request_id="r2")]
        assert find(traces, rivals=[doubt("b", request_id="r1")]) == "t2"

    def test_two_tasks_of_two_creates_go_to_those_that_can_have_them(self):
        tight = Skew(0.0, 0.1, 1.0)
        early, late = doubt("a", lasted=3.0), doubt("b", since=SENT + 2.0)
        traces = [trace("t1", SENT + 0.5), trace("t2", SENT + 2.5)]
        assert find(traces, of=late, skew=tight, rivals=[early]) == "t2"
        assert find(traces, of=early, skew=tight, rivals=[late]) == "t1"

    def test_with_fewer_tasks_than_creates_those_are_told_whose_time_has_none(self):
        tight = Skew(0.0, 0.1, 0.2)
        doubts = [doubt(str(number), since=SENT + number, lasted=0.2) for number in range(4)]
        traces = [trace("t1", SENT + 1.1), trace("t3", SENT + 3.1)]

        def verdict_on(number):
            rivals = [each for each in doubts if each is not doubts[number]]
            return find(traces, of=doubts[number], skew=tight, rivals=rivals)

        assert [verdict_on(number) for number in range(4)] == [ABSENT, "t1", ABSENT, "t3"]

    def test_a_task_that_nobody_settles_does_not_poison_those_that_are_lost_later(self):
        unsettled = doubt("a", since=SENT - 5, late=30.0)
        twin = doubt("b", since=SENT - 5, late=30.0)
        traces = [trace("old", SENT - 4.5), trace("mine")]
        assert find(traces, rivals=[unsettled, twin], of=doubt("c")) == "mine"
        assert find(traces[:1], rivals=[unsettled, twin], of=doubt("c", late=30.0)) is ABSENT

    def test_after_a_kill_a_create_has_what_was_made_in_the_usual_time(self):
        killed = [
            doubt(str(number), since=SENT + number, lasted=300, is_seen=False)
            for number in range(3)
        ]
        traces = [trace("t0", SENT + 0.1), trace("t2", SENT + 2.1)]

        def verdict_on(number, usual_s):
            rivals = [each for each in killed if each is not killed[number]]
            tight = Skew(0.0, 0.1, 0.2)
            return find(traces, of=killed[number], skew=tight, rivals=rivals, usual_s=usual_s)

        assert [verdict_on(number, 0.5) for number in range(3)] == ["t0", ABSENT, "t2"]
        assert [verdict_on(number, math.inf) for number in range(1, 3)] == [UNDECIDED] * 2


def test_a_task_of_another_key_is_not_ours_and_proves_no_absence_where_the_key_may_be_new():
    both = [trace("t1", caller=OTHER), trace("t2")]
    assert find(both, callers={OURS}) == "t2"
    assert find(both[:1], callers={OURS}, skew=BLIND) is UNDECIDED
    assert find(both[:1], callers={OURS}, skew=SURE) is ABSENT


class TestEvidence:
    def weigh(self, total=None, prompts=(), *, n=2, prompt="a lantern"):
        echoes = {"/n": [total] if total is not None else [], "/prompt": prompts}
        return weigh({"n": n, "prompt": prompt}, echoes)

    def test_a_task_that_says_nothing_may_be_anybodys(self):
        assert self.weigh() is Evidence.SILENT
        assert weigh({}, {}) is Evidence.SILENT
        assert weigh({}, {"/n": [2]}) is Evidence.SILENT

    def test_another_number_of_pictures_is_another_request(self):
        assert self.weigh(total=4) is Evidence.NOT_OURS

    def test_the_same_number_could_be_anothers_too(self):
        assert self.weigh(total=2) is Evidence.SILENT

    def test_the_same_prompt_is_proof(self):
        assert self.weigh(total=2, prompts=["a lantern", "a lantern"]) is Evidence.OURS

    def test_another_prompt_is_another_request(self):
        assert self.weigh(total=2, prompts=["a river"]) is Evidence.NOT_OURS
        assert self.weigh(total=2, prompts=["a lantern", "a river"]) is Evidence.NOT_OURS

    def test_a_prompt_that_the_service_has_cut_is_neither(self):
        assert self.weigh(prompts=["a lan"]) is Evidence.SILENT
        assert self.weigh(prompts=["a lantern"], prompt=" a lantern ") is Evidence.SILENT

    def test_the_same_prompt_of_another_number_is_another_request(self):
        assert self.weigh(total=1, prompts=["a lantern"]) is Evidence.NOT_OURS

    @pytest.mark.parametrize("sent", [{"upload": "sha256:00"}, {"late": {"step": "shots"}}])
    def test_what_a_file_or_a_late_value_was_sent_as_is_no_evidence(self, sent):
        assert self.weigh(prompts=["oss://dashscope-instant/a.wav"], prompt=sent) is Evidence.SILENT

    def test_a_list_of_numbers_that_differs_is_another_request(self):
        assert weigh({"n": [0]}, {"/n": [[1]]}) is Evidence.NOT_OURS


class TestClocks:
    def test_our_own_tasks_show_how_far_they_are_apart(self):
        traces = [trace("t1", SENT + 3600.1), trace("t2", SENT + 3610.2)]
        known = {"t1": Span(SENT, SENT + 0.2, 1), "t2": Span(SENT + 10, SENT + 10.2, 1)}
        skew = measure_skew(traces, known=known, served_ahead_s=-5.0, run_id=1)
        assert skew.ahead_s == pytest.approx(3600.05)
        assert skew.doubt_s < 1 < skew.wide_s < 10
        assert find([trace("t3", SENT + 3600.5)], skew=skew) == "t3"

    def test_a_list_that_counts_whole_seconds_is_less_sharp(self):
        known = {"t1": Span(SENT, SENT + 0.2, 1)}
        sharp = measure_skew([trace("t1", SENT + 0.1)], known=known, served_ahead_s=None, run_id=1)
        blunt = measure_skew([trace("t1", SENT)], known=known, served_ahead_s=None, run_id=1)
        assert blunt.doubt_s == pytest.approx(sharp.doubt_s + 1.0)

    def test_tasks_of_another_run_were_dated_by_a_clock_that_may_have_moved(self):
        known = {"t1": Span(SENT, SENT + 0.2, 1)}
        skew = measure_skew([trace("t1", SENT)], known=known, served_ahead_s=None, run_id=2)
        assert math.isinf(skew.wide_s)

    def test_tasks_that_contradict_each_other_say_that_a_clock_has_moved(self):
        traces = [trace("t1", SENT), trace("t2", SENT + 10)]
        known = {"t1": Span(SENT, SENT + 0.2, 1), "t2": Span(SENT + 7210, SENT + 7210.2, 1)}
        skew = measure_skew(traces, known=known, served_ahead_s=None, run_id=1)
        assert skew.doubt_s > 3600
        assert math.isinf(skew.wide_s)

    def test_else_the_http_date_does_and_proves_no_absence(self):
        skew = measure_skew([trace()], known={}, served_ahead_s=7.0)
        assert skew.ahead_s == 7.0
        early = trace("t1", SENT - 60.0)  # by the clock of the list, which nobody has measured
        assert find([early], skew=skew) is UNDECIDED

    def test_else_nothing_is_sure(self):
        skew = measure_skew([trace()], known={}, served_ahead_s=None)
        assert skew.doubt_s >= 60
        assert math.isinf(skew.wide_s)


REQUEST = {
    "model": "qwen-voice-design",
    "input": {
        "action": "create",
        "target_model": "qwen3-tts-vd-2026-01-26",
        "voice_prompt": "A calm voice",
        "preview_text": "Good evening.",
        "preferred_name": "vabc",
    },
}
VOICE = {
    "voice": "qwen-tts-vd-vabc-voice-20251122162640-1a2b",
    "target_model": "qwen3-tts-vd-2026-01-26",
    "language": "zh",
    "voice_prompt": "A calm voice",
    "preview_text": "Good evening.",
    "gmt_create": "2025-11-22 16:26:40",
}


def voices(**changes):
    """The list of a service that has made one voice."""
    body = {"output": {"voice_list": [VOICE | changes], "total_count": 1}}
    operation = load_catalog()["qwen-voice-design"]
    reply = HttpReply(status=200, headers={}, body=orjson.dumps(body))
    return operation, read_made(operation.recovery, reply)


class TestVoices:
    def is_ours(self, **changes):
        operation, page = voices(**changes)
        [row] = page.rows
        return is_of_request(row, REQUEST, operation)

    def test_a_voice_of_the_same_texts_is_the_requests(self):
        assert self.is_ours()

    @pytest.mark.parametrize(
        "changes",
        [
            {"voice": "qwen-tts-vd-other-voice-20251122162640-1a2b"},
            {"voice_prompt": "A calm voice."},
            {"preview_text": "Good morning."},
            {"target_model": "qwen3-tts-vd-realtime-2026-01-15"},
            {"language": "en"},
            {"language": None},
        ],
        ids=repr,
    )
    def test_one_of_another_text_is_not(self, changes):
        assert not self.is_ours(**changes)

    def test_one_that_was_made_days_before_is_not_adopted(self):
        _, page = voices()
        traces = page.rows
        now = doubt(since=1_763_800_000.0)
        assert find_made(now, traces, claimed=()).name == VOICE["voice"]
        assert find_made(now, traces, claimed={VOICE["voice"]}) is ABSENT
        later = doubt(since=1_763_800_000.0 + 3 * 86400)
        assert find_made(later, traces, claimed=()) is ABSENT
        # Unless a clock has moved: its texts are those of the request.
        assert find_made(later, traces, claimed=(), is_dated=False).name == VOICE["voice"]


def test_a_create_that_nobody_saw_end_may_be_accepted_for_minutes():
    cut_off = doubt_of("a", "2026-11-22T10:00:00.000Z", None, None)
    answered = doubt_of("a", "2026-11-22T10:00:00.000Z", "2026-11-22T10:00:01.000Z", "r")
    assert cut_off.lost_at == cut_off.since
    assert cut_off.until - cut_off.since > 300
    assert 1 < answered.until - answered.since < 60


def test_a_create_of_a_killed_run_was_accepted_before_the_next_run_began():
    at = "2026-11-22T10:00:00.000Z"
    killed = doubt_of("a", at, None, None, run_id=1, next_run_at="2026-11-22T10:00:05.000Z")
    assert killed.until - killed.since == 35
    assert killed.run_id == 1
