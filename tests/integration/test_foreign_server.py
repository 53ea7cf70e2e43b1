"""A server that is not our emulator: what the published API allows, and what proxies do to it."""

import base64
import gzip
import json
import sqlite3
from contextlib import closing

import orjson
import pytest
from aiohttp import web

from dsrun.common.resources import read_schema
from tests.files_of_kinds import picture
from tests.served import served

DRAW = "/api/v1/services/aigc/text2image/image-synthesis"
SPEAK = "/api/v1/services/audio/tts/customization"


VOICE = """
steps:
  voices:
    operation: qwen-voice-design
    input: {target_model: qwen3-tts-vd-2026-01-26, voice_prompt: calm, preview_text: hello}
    parameters: {response_format: mp3, sample_rate: 8000}
    filename: a
"""


class Foreign:
    """The published API, with the parts that a test replaces."""

    def __init__(self):
        self.creates = []
        self.queries = 0
        self.ended = {"task_status": "SUCCEEDED"}
        self.top = {}
        self.file = lambda _: web.Response(body=picture(), content_type="application/octet-stream")
        self.audio = {"data": base64.b64encode(b"\xff\xe3" + bytes(400)).decode()}

    def app(self):
        app = web.Application()
        app.router.add_post(DRAW, self.draw)
        app.router.add_post(SPEAK, self.speak)
        app.router.add_get("/api/v1/tasks/{id}", self.task)
        app.router.add_get("/file", self.serve_file)
        return app

    async def draw(self, request):
        self.creates.append(await request.json())
        number = len(self.creates)
        return web.json_response({"output": {"task_id": f"t{number}", "task_status": "PENDING"}})

    async def speak(self, request):
        self.creates.append(await request.json())
        output = {"voice": "qwen-tts-vd-x", "preview_audio": self.audio}
        return web.json_response({"output": output, "usage": {"count": 1}, "request_id": "r"})

    async def task(self, request):
        self.queries += 1
        url = f"http://{request.host}/file?Signature=a%2Bb%2Fc+d%3D%7E"
        output = {"task_id": request.match_info["id"], "results": [{"url": url}], **self.ended}
        return web.json_response({"output": output, **self.top})

    async def serve_file(self, request):
        assert "Authorization" not in request.headers
        assert request.raw_path.endswith("?Signature=a%2Bb%2Fc+d%3D%7E")
        return self.file(request)


@pytest.fixture
def foreign(monkeypatch, key):
    """Served from a thread of its own, found by dsrun through the environment."""
    server = Foreign()
    with served(server.app()) as base_url:
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", base_url)
        monkeypatch.setenv("DASHSCOPE_API_KEY", key)
        yield server


def test_a_picture_of_any_kind_gets_the_extension_of_its_bytes(work, foreign):
    foreign.file = lambda _: web.Response(body=picture("WEBP"), content_type="image/png")
    assert work.dsrun(work.posters(1)).code == 0
    assert [name.rpartition(".")[2] for name in work.files()] == ["webp"]


def test_a_task_that_failed_with_its_error_at_the_top_has_failed(work, foreign):
    foreign.ended = {"task_status": "FAILED", "results": []}
    foreign.top = {"code": "DataInspectionFailed", "message": "refused"}
    assert work.dsrun(work.posters(1)).code == 1
    [line] = work.results()
    assert (line["status"], line["error"]["code"]) == ("failed", "DataInspectionFailed")
    assert foreign.queries == 1


def test_a_service_that_quotes_the_key_does_not_bring_it_to_disk(work, foreign, key):
    """Neither in the error of a task nor in that of one of its pictures."""
    quoted = {"code": "InvalidParameter", "message": f"bad header: Bearer {key}, {key}"}
    foreign.ended = {"task_status": "FAILED", **quoted}
    outcome = work.dsrun(work.posters(1))
    foreign.ended = {"task_status": "SUCCEEDED", "results": [quoted]}
    more = work.dsrun(work.posters(1, subject="moon"))
    assert (outcome.code, more.code) == (1, 1)
    assert "bad header" in work.results()[0]["error"]["message"]
    said = outcome.err + more.err + work.dsrun("ledger", "demo.yaml", "--errors").out
    assert key not in said
    files = [path for path in (work.folder / "outputs").rglob("*") if path.is_file()]
    assert [path for path in files if key.encode() in path.read_bytes()] == []


def test_a_host_that_packs_a_picture_is_no_trouble(work, foreign):
    packed = gzip.compress(picture())
    foreign.file = lambda _: web.Response(body=packed, headers={"Content-Encoding": "gzip"})
    assert work.dsrun(work.posters(1)).code == 0


def test_a_cut_picture_without_a_length_is_no_success(work, foreign):
    foreign.file = lambda _: _streamed_cut()
    outcome = work.dsrun(work.posters(1, max_attempts=1))
    assert outcome.code == 3
    assert work.statuses() == {"submitted": 1}


def test_a_picture_that_comes_cut_with_the_length_of_its_part_is_asked_for_again(work, foreign):
    bodies = [picture()[:-40], picture()]
    foreign.file = lambda _: web.Response(body=bodies.pop(0))
    assert work.dsrun(work.posters(1, max_attempts=2)).code == 0
    assert bodies == []
    assert work.files()


def test_a_picture_that_comes_so_each_time_is_kept(work, foreign):
    foreign.file = lambda _: web.Response(body=picture()[:-40])
    assert work.dsrun(work.posters(1, max_attempts=2)).code == 0


def test_what_stands_behind_the_end_of_a_picture_is_no_harm(work, foreign):
    served = []
    foreign.file = lambda _: served.append(1) or web.Response(body=picture() + bytes(500))
    assert work.dsrun(work.posters(1, max_attempts=3)).code == 0
    assert served == [1]


def test_a_cancelled_task_says_so(work, foreign):
    foreign.ended = {"task_status": "CANCELED", "results": []}
    assert work.dsrun(work.posters(1)).code == 1
    [line] = work.results()
    assert (line["status"], line["error"]["code"]) == ("cancelled", "Cancelled")


def _streamed_cut():
    """A chunked body that ends too early, which HTTP itself does not tell."""

    async def body():
        yield picture()[:-40]

    return web.Response(body=body())


@pytest.mark.parametrize("declared", [{"response_format": "mp3"}, {}], ids=["named", "not named"])
def test_audio_that_cannot_be_had_again_is_kept_under_the_format_that_was_asked(
    work, foreign, declared
):
    foreign.audio = {**foreign.audio, **declared}
    pipeline = work.pipeline(VOICE)
    assert work.dsrun(pipeline).code == 0
    assert list(work.files()) == ["artifacts/voices/a.mp3"]
    assert work.results()[0]["output"]["voice"] == "qwen-tts-vd-x"


class TestNumbers:
    """A number in an answer is a claim: what is beyond reason is told, and not reckoned with."""

    COMMANDS = (
        ("status", "demo.yaml"), ("report", "outputs/demo"), ("cost",), ("history",),
        ("plan", "demo.yaml"), ("run", "demo.yaml"), ("ledger", "outputs/demo"),
    )  # fmt: skip

    @pytest.mark.parametrize("claim", [2, 2**31, 2**63 - 1, 2**63, 2**64 - 1])
    def test_what_an_answer_bills_is_bounded_by_what_was_asked_for(self, work, foreign, claim):
        foreign.top = {"usage": {"image_count": claim}}
        outcome = work.dsrun(work.posters(3))
        assert outcome.code == 0
        assert f"bills {claim} x image" in outcome.err
        assert [line["cost"]["amount"] for line in work.results()] == [0.16] * 3
        notes = work.query("SELECT error_message FROM attempt WHERE phase = 'end'")
        assert all(f"bills {claim} x image" in note["error_message"] for note in notes)
        for command in self.COMMANDS:
            outcome = work.dsrun(*command)
            assert outcome.code == 0
            assert "Free the disk" not in outcome.err
        assert "0.48 CNY" in work.dsrun("cost").out

    @pytest.mark.parametrize("claim", [-1, 0.5, 1e300, True, "7", None, [7], {}])
    def test_what_is_no_count_bills_what_came(self, work, foreign, claim):
        foreign.top = {"usage": {"image_count": claim}}
        assert work.dsrun(work.posters(1)).code == 0
        assert [line["cost"]["amount"] for line in work.results()] == [0.16]

    def test_a_claim_does_not_use_up_the_budget(self, work, foreign):
        foreign.top = {"usage": {"image_count": 10**6}}
        assert work.dsrun(work.posters(3), "--max-cost", "0.48 CNY").code == 0

    @pytest.mark.parametrize("rate", [2**63, -1, 0, True, 1e300, "loud", [1]])
    def test_a_sample_rate_that_cannot_be_is_none(self, work, foreign, rate):
        foreign.audio = {**foreign.audio, "sample_rate": rate}
        assert work.dsrun(work.pipeline(VOICE)).code == 0
        [line] = work.results()
        assert "sample_rate" not in line["artifacts"][0]

    @pytest.mark.parametrize("time", [0, -1, 2**63, 1e300, "", "0001-01-01 00:00:00.000", [], True])
    def test_times_of_a_task_that_cannot_be_slow_nothing_down(self, work, foreign, time):
        foreign.ended |= {"submit_time": time, "end_time": "9999-12-31 23:59:59.999"}
        assert work.dsrun(work.posters(3)).code == 0


class TestLedgersWithNumbersThatCannotBe:
    """An earlier version took any number for true: its ledgers can be read, and go on."""

    @pytest.mark.parametrize("number", [2**63 - 1, 10**12])
    @pytest.mark.parametrize("column", ["units", "units_before", "wanted"])
    def test_they_count_as_what_was_asked_for(self, work, foreign, column, number):
        assert work.dsrun(work.posters(3)).code == 0
        with closing(sqlite3.connect(work.run_dir() / "ledger.sqlite3")) as db:
            db.execute(f"UPDATE job SET {column} = ?", (number,))
            db.commit()
        for command in TestNumbers.COMMANDS:
            outcome = work.dsrun(*command)
            assert outcome.code == 0
            assert "Free the disk" not in outcome.err
        assert work.dsrun("demo.yaml", "--retry-failed", "--max-cost", "10 CNY").code == 0
        assert len(foreign.creates) == 3
        expected = {"units": "0.48 CNY", "units_before": "0.96 CNY", "wanted": "0.48 CNY"}
        assert expected[column] in work.dsrun("cost").out

    def test_a_failed_job_is_sent_again_all_the_same(self, work, foreign):
        foreign.ended = {"task_status": "FAILED"}
        assert work.dsrun(work.posters(1)).code == 1
        with closing(sqlite3.connect(work.run_dir() / "ledger.sqlite3")) as db:
            db.execute("UPDATE job SET units = ?, units_before = ?", (2**63 - 1, 2**63 - 1))
            db.commit()
        foreign.ended = {"task_status": "SUCCEEDED"}
        assert work.dsrun("demo.yaml", "--retry-failed").code == 0


class TestOperationFiles:
    WRONG = [
        (("price", "items", 0, "amount"), value)
        for value in (-1, "-0.01", "NaN", "Infinity", "1e400", True, "many", None, [], "")
    ] + [
        (place, value)
        for place in (
            ("limits", "requests"), ("limits", "per_s"), ("endpoint", "timeout_s"),
            ("polling", "factor"), ("polling", "max_s"), ("polling", "timeout_s"),
            ("limits", "running_tasks"), ("uploads", "requests"), ("uploads", "per_s"),
            ("uploads", "hours"), ("artifacts", 0, "url_hours"),
        )
        for value in (-1, 0, 10**30, "2", True)
    ] + [(("polling", "first_s"), value) for value in (-1, 1e300, "soon", False)]  # fmt: skip

    @pytest.fixture
    def write(self, work):
        def write(place, value, name="own"):
            schema = orjson.loads(read_schema("operations/wanx-v1.json"))
            about = schema["x-dsrun"]
            for key in place[:-1]:
                about = about[key]
            about[place[-1]] = value
            (work.folder / "operations").mkdir(exist_ok=True)
            (work.folder / "operations" / f"{name}.json").write_text(json.dumps(schema))

        return write

    @pytest.mark.parametrize(("place", "value"), WRONG, ids=str)
    def test_a_number_that_cannot_be_is_told_before_anything_is_sent(
        self, work, foreign, write, place, value
    ):
        write(place, value)
        outcome = work.dsrun(work.posters(1), "--max-cost", "0.01 CNY")
        assert outcome.code == 2
        assert place[-1] in outcome.err
        assert "allowed" in outcome.err
        assert foreign.creates == []

    @pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e400"])
    def test_one_that_json_does_not_know_is_told(self, work, foreign, write, text):
        write(("limits", "per_s"), 4321)
        path = work.folder / "operations" / "own.json"
        path.write_text(path.read_text().replace("4321", text))
        outcome = work.dsrun(work.posters(1))
        assert outcome.code == 2
        assert "own.json" in outcome.err

    @pytest.mark.parametrize("count", [1001, 10**9])
    def test_a_count_that_nobody_can_mean_is_told(self, work, foreign, write, count):
        schema = orjson.loads(read_schema("operations/wanx-v1.json"))
        del schema["properties"]["parameters"]["properties"]["n"]["maximum"]
        (work.folder / "operations").mkdir()
        (work.folder / "operations" / "own.json").write_text(json.dumps(schema))
        pipeline = work.posters(1, pictures=count)
        pipeline.write_text(pipeline.read_text().replace("wanx-v1", "own"))
        outcome = work.dsrun("plan", pipeline)
        assert outcome.code == 2
        assert "allowed: up to 1000" in outcome.err


@pytest.mark.parametrize("days", ["36501d", "999999d"])
def test_a_duration_longer_than_anybody_waits_is_the_longest_there_is(work, foreign, days):
    assert work.dsrun(work.posters(1, timeout=days, grace=days)).code == 0
