"""Whose a listed task is: what is adopted, what is proof of absence, what nobody can tell."""

import pytest

from dsrun.catalog import load_catalog
from dsrun.recovery import (
    Doubt,
    NotFound,
    Skew,
    Span,
    Trace,
    caller_of,
    doubt_of,
    find_made,
    find_task,
    measure_skew,
    read_made,
    read_tasks,
    stamp_window,
)

SENT = 1_000_000.0
SURE = Skew(0.0, 2.0, 2.0)
LOOSE = Skew(0.0, 2.0, 30.0)
BLIND = Skew(0.0, 600.0, 600.0)
ABSENT, UNDECIDED = NotFound.ABSENT, NotFound.UNDECIDED


def doubt(job="a", since=SENT, lasted=1.0, request_id=None):
    return Doubt(
        job_id=job,
        since=since,
        lost_at=since + lasted,
        until=since + lasted,
        request_id=request_id,
    )


def trace(name="t1", at=SENT + 0.5, request_id=None, item=None):
    return Trace(name, request_id, () if at is None else (at,), item or {})


def found(result):
    return result.name if isinstance(result, Trace) else result


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
        pytest.param([trace(at=SENT - 700)], BLIND, ABSENT, id="too old for any clock"),
        pytest.param([trace(at=None)], SURE, "t1", id="one without a time"),
        pytest.param([trace("t1"), trace("t2")], SURE, UNDECIDED, id="two of the time"),
        pytest.param([trace("t1"), trace("t2", SENT - 60)], SURE, "t1", id="one of two"),
    ],
)
def test_a_task_is_told_by_its_time(traces, skew, expected):
    result = find_task(doubt(), traces, skew=skew, claimed=(), rivals=())
    assert found(result) == expected


def test_a_claimed_task_is_never_adopted():
    assert find_task(doubt(), [trace()], skew=SURE, claimed={"t1"}, rivals=()) is ABSENT
    traces = [trace("t1"), trace("t2")]
    assert found(find_task(doubt(), traces, skew=SURE, claimed={"t1"}, rivals=())) == "t2"


def test_a_request_id_decides_at_once_whatever_the_time():
    traces = [trace("t1", request_id="r1"), trace("t2", SENT - 3600, request_id="r2")]
    result = find_task(doubt(request_id="r2"), traces, skew=SURE, claimed=(), rivals=())
    assert found(result) == "t2"


def test_a_task_of_another_request_id_is_neither_adopted_nor_proof():
    traces = [trace(request_id="r1")]
    result = find_task(doubt(request_id="r2"), traces, skew=SURE, claimed=(), rivals=())
    assert result is UNDECIDED


def test_a_rival_of_the_same_time_makes_it_impossible_to_tell():
    rival = doubt("b", since=SENT + 0.2)
    assert find_task(doubt(), [trace()], skew=SURE, claimed=(), rivals=[rival]) is UNDECIDED
    assert find_task(doubt(), [], skew=SURE, claimed=(), rivals=[rival]) is ABSENT


def test_a_rival_of_another_time_does_not():
    rival = doubt("b", since=SENT + 100)
    result = find_task(doubt(), [trace()], skew=SURE, claimed=(), rivals=[rival])
    assert found(result) == "t1"


def test_a_rival_with_a_request_id_has_its_own_task_only():
    rival = doubt("b", request_id="r1")
    traces = [trace("t1", request_id="r1"), trace("t2", request_id="r2")]
    result = find_task(doubt(), traces, skew=SURE, claimed=(), rivals=[rival])
    assert found(result) == "t2"


def test_a_task_of_another_key_is_not_ours_and_proves_no_absence():
    ours, other = ({"api_key_id": number} for number in ("1", "2"))
    callers = {caller_of(trace("t0", item=ours))}
    both = [trace("t1", item=other), trace("t2", item=ours)]
    result = find_task(doubt(), both, skew=SURE, claimed=(), rivals=(), callers=callers)
    assert found(result) == "t2"
    result = find_task(doubt(), both[:1], skew=SURE, claimed=(), rivals=(), callers=callers)
    assert result is UNDECIDED


class TestClocks:
    def test_our_own_tasks_show_how_far_they_are_apart(self):
        traces = [trace("t1", SENT + 3600.1), trace("t2", SENT + 3610.2)]
        known = {"t1": Span(SENT, SENT + 0.2), "t2": Span(SENT + 10, SENT + 10.2)}
        skew = measure_skew(traces, known=known, served_ahead_s=-5.0)
        assert skew.ahead_s == pytest.approx(3600.05)
        assert skew.doubt_s < skew.wide_s
        late = trace("t3", SENT + 3600.5)
        assert found(find_task(doubt(), [late], skew=skew, claimed=(), rivals=())) == "t3"

    def test_else_the_http_date_does_with_more_doubt_of_absence(self):
        skew = measure_skew([trace()], known={}, served_ahead_s=7.0)
        assert skew.ahead_s == 7.0
        assert skew.wide_s > skew.doubt_s

    def test_a_date_that_disagrees_with_the_list_proves_no_absence(self):
        early = trace("t1", SENT - 60.0)  # by the clock of the list, which nobody has measured
        skew = measure_skew([early], known={}, served_ahead_s=0.0)
        result = find_task(doubt(), [early], skew=skew, claimed=(), rivals=())
        assert result is NotFound.UNDECIDED

    def test_else_nothing_is_sure(self):
        skew = measure_skew([trace()], known={}, served_ahead_s=None)
        assert skew.doubt_s == skew.wide_s >= 60

    def test_the_window_is_asked_for_in_the_services_zone(self):
        asked = doubt(since=1_763_800_000.0, lasted=10.0)  # 2025-11-22T08:26:40Z
        window = stamp_window(asked, margin_s=100.0)
        assert window == {"start_time": "20251122162500", "end_time": "20251122162830"}


class TestReadingTasks:
    def test_a_page_names_every_task(self):
        item = {"task_id": "t1", "request_id": "r1", "gmt_create": 1500, "status": "RUNNING"}
        page = read_tasks({"total": 7, "data": [item, {"no": "task"}, 3]})
        assert [(t.name, t.request_id, t.made_at) for t in page.traces] == [("t1", "r1", (1.5,))]
        assert page.total == 7

    @pytest.mark.parametrize("payload", [None, {}, {"data": None}, [], {"output": {"data": []}}])
    def test_another_answer_is_no_list(self, payload):
        assert read_tasks(payload) is None

    @pytest.mark.parametrize("time", [None, "soon", True, []])
    def test_a_time_that_cannot_be_read_is_no_time(self, time):
        [trace] = read_tasks({"data": [{"task_id": "t1", "gmt_create": time}]}).traces
        assert trace.made_at == ()


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


class TestReadingVoices:
    def page(self, **changes):
        operation = load_catalog()["qwen-voice-design"]
        payload = {"output": {"voice_list": [VOICE | changes], "total_count": 1}}
        return read_made(payload, operation=operation, recovery=operation.recovery, request=REQUEST)

    def test_a_voice_of_the_same_texts_is_the_requests(self):
        [trace] = self.page().traces
        assert trace.name == VOICE["voice"]
        assert 1_763_800_000.0 in trace.made_at

    @pytest.mark.parametrize(
        "changes",
        [
            {"voice": "qwen-tts-vd-other-voice-20251122162640-1a2b"},
            {"voice_prompt": "A calm voice."},
            {"preview_text": "Good morning."},
            {"target_model": "qwen3-tts-vd-realtime-2026-01-15"},
            {"language": "en"},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_one_of_another_text_is_not(self, changes):
        page = self.page(**changes)
        assert page.traces == []
        assert len(page.names) == 1

    def test_one_that_was_made_days_before_is_not_adopted(self):
        traces = self.page().traces
        now = doubt(since=1_763_800_000.0)
        assert found(find_made(now, traces, claimed=())) == VOICE["voice"]
        assert find_made(now, traces, claimed={VOICE["voice"]}) is ABSENT
        later = doubt(since=1_763_800_000.0 + 3 * 86400)
        assert find_made(later, traces, claimed=()) is ABSENT


def test_a_create_that_nobody_saw_end_may_be_accepted_for_minutes():
    cut_off = doubt_of("a", "2026-11-22T10:00:00.000Z", None, None)
    answered = doubt_of("a", "2026-11-22T10:00:00.000Z", "2026-11-22T10:00:01.000Z", "r")
    assert cut_off.lost_at == cut_off.since
    assert cut_off.until - cut_off.since > 300
    assert 1 < answered.until - answered.since < 60
