"""What the service lists, in the shapes that its pages show."""

import orjson
import pytest

from dsrun.service.catalog import load_catalog
from dsrun.service.classify import Decision
from dsrun.service.lists import Caller, Page, TaskRow, read_made, read_tasks, task_window
from dsrun.service.replies import HttpReply, Refused, Unreadable

RECOVERY = load_catalog()["qwen-voice-design"].recovery
VOICE = {
    "voice": "qwen-tts-vd-vabc-voice-20251122162640-1a2b",
    "target_model": "qwen3-tts-vd-2026-01-26",
    "language": "zh",
    "voice_prompt": "A calm voice",
    "preview_text": "Good evening.",
    "gmt_create": "2025-11-22 16:26:40",
}


def reply(payload, status=200, headers=None):
    return HttpReply(status=status, headers=headers or {}, body=orjson.dumps(payload))


def tasks(*items):
    return read_tasks(reply({"data": items})).rows


def voices(*items):
    payload = {"output": {"voice_list": items, "total_count": 9}}
    return read_made(RECOVERY, reply(payload)).rows


class TestTasks:
    def test_a_page_has_every_task(self):
        item = {
            "task_id": "t1", "request_id": "r1", "gmt_create": 1500, "status": "RUNNING",
            "api_key_id": "7", "user_api_unique_key": "apikey:v1",
        }  # fmt: skip
        page = read_tasks(reply({"total": 7, "data": [item, {"no": "task"}, 3]}))
        assert page == Page([TaskRow("t1", "r1", (1.5,), Caller("7", "apikey:v1"))], total=7)

    def test_a_page_knows_when_it_was_served(self):
        headers = {"Date": "Sat, 22 Nov 2025 08:26:40 GMT"}
        page = read_tasks(reply({"data": []}, headers=headers))
        assert page == Page([], served_at=1_763_800_000.0)

    @pytest.mark.parametrize("date", ["soon", "", "Sat, 99 Nov 2025 08:26:40 GMT"])
    def test_a_date_that_cannot_be_read_is_none(self, date):
        assert read_tasks(reply({"data": []}, headers={"Date": date})).served_at is None

    @pytest.mark.parametrize("payload", [{}, {"data": None}, {"output": {"data": []}}], ids=repr)
    def test_another_answer_is_no_list(self, payload):
        assert isinstance(read_tasks(reply(payload)), Unreadable)

    @pytest.mark.parametrize("payload", [[], "text", None, 7], ids=repr)
    def test_what_is_not_of_the_api_is_a_refusal_that_leaves_all_open(self, payload):
        refused = read_tasks(reply(payload))
        assert isinstance(refused, Refused)
        assert refused.verdict.decision is Decision.AMBIGUOUS

    def test_a_refused_list_says_why(self):
        payload = {"code": "InvalidApiKey", "message": "no", "request_id": "r"}
        refused = read_tasks(reply(payload, status=401))
        assert refused.verdict.words == "InvalidApiKey: no"

    @pytest.mark.parametrize("time", [None, "soon", True, []], ids=repr)
    def test_a_time_that_cannot_be_read_is_no_time(self, time):
        [row] = tasks({"task_id": "t1", "gmt_create": time})
        assert row.made_at == ()

    @pytest.mark.parametrize(
        ("status", "is_unpaid"),
        [
            ("FAILED", True),
            ("CANCELED", True),
            ("CANCELLED", True),
            ("SUCCEEDED", False),
            ("RUNNING", False),
            (None, False),
            (["FAILED"], False),
        ],
        ids=repr,
    )
    def test_only_a_task_that_has_ended_without_a_result_is_unpaid(self, status, is_unpaid):
        [row] = tasks({"task_id": "t1", "status": status})
        assert row.is_unpaid == is_unpaid

    def test_the_window_is_asked_for_in_the_service_s_zone(self):
        since = 1_763_800_000.0  # 2025-11-22T08:26:40Z
        window = {"start_time": "20251122162500", "end_time": "20251122162830"}
        assert task_window(since - 100, since + 110) == window


class TestMade:
    def test_a_voice_has_its_texts_by_their_places_in_the_request(self):
        [row] = voices(VOICE)
        assert row.name == VOICE["voice"]
        assert row.output == {"voice": VOICE["voice"], "target_model": VOICE["target_model"]}
        assert row.equal["/input/voice_prompt"] == "A calm voice"
        assert row.holding == {"/input/preferred_name": VOICE["voice"]}
        assert row.lost == "the preview audio"

    def test_a_time_without_a_zone_may_be_two(self):
        [row] = voices(VOICE)
        assert row.made_at == (1_763_800_000.0, 1_763_828_800.0)
        [row] = voices(VOICE | {"gmt_create": "2025-11-22T08:26:40Z"})
        assert row.made_at == (1_763_800_000.0,)

    @pytest.mark.parametrize("time", [None, "soon", 7, [], "0001-01-01", "9999-12-31"], ids=repr)
    def test_no_time_breaks_a_list(self, time):
        assert len(voices(VOICE | {"gmt_create": time}, VOICE)) == 2

    @pytest.mark.parametrize("item", [None, 7, "text", [], {}], ids=repr)
    def test_an_item_of_no_known_shape_is_a_row_like_any_other(self, item):
        [row] = voices(item)
        assert row.output == {"voice": None, "target_model": None}

    @pytest.mark.parametrize("payload", [{}, {"output": None}, {"output": []}], ids=repr)
    def test_an_answer_without_voices_is_an_empty_page(self, payload):
        assert read_made(RECOVERY, reply(payload)) == Page([])
