"""What refusals and failed tasks mean for a run, and limits that runs of one account share."""

import time
from collections import Counter, deque

import pytest
from aiohttp import web

from tests.files_of_kinds import picture
from tests.served import served

DRAW = "/api/v1/services/aigc/text2image/image-synthesis"
SPEAK = "/api/v1/services/audio/tts/customization"
CREATES, QUERIES = 2, 20  # a second, as published

VOICE = """
  voices:
    operation: qwen-voice-design
    input: {target_model: qwen3-tts-vd-2026-01-26, voice_prompt: calm, preview_text: hello}
"""


class Account:
    """The API of one account: counts requests in any second, and refuses what is too much."""

    def __init__(self):
        self._picture = picture()
        self.creates, self.refused = Counter(), Counter()
        self.refusal = None
        self.wait = {}  # headers of a refusal
        self.create_limit = CREATES
        self.results = None  # the entries of a task in place of one picture
        self.failures = {}  # by prompt: code of a task that failed
        self.task_s = 0.0
        self.asked = 0
        self._tasks = {}
        self._recent = {"create": deque(), "query": deque()}

    def app(self):
        app = web.Application()
        app.router.add_post(DRAW, self.draw)
        app.router.add_post(SPEAK, self.speak)
        app.router.add_get("/api/v1/tasks/{id}", self.task)
        app.router.add_get("/file", self.file)
        return app

    async def draw(self, request):
        if (refusal := self._charge("create", self.create_limit)) is not None:
            return refusal
        prompt = (await request.json())["input"]["prompt"]
        self.creates[prompt] += 1
        if self.refusal is not None:
            return web.json_response(self.refusal, status=400)
        number = f"t{len(self._tasks)}"
        self._tasks[number] = (prompt, time.monotonic() + self.task_s)
        return web.json_response({"output": {"task_id": number, "task_status": "PENDING"}})

    async def speak(self, request):
        self.creates["voice"] += 1
        return web.json_response(
            {"code": "InvalidParameter", "message": "no", "request_id": "r"}, status=400
        )

    async def task(self, request):
        self.asked += 1
        if (refusal := self._charge("query", QUERIES)) is not None:
            return refusal
        prompt, ends_at = self._tasks[request.match_info["id"]]
        output = {"task_status": "SUCCEEDED" if time.monotonic() >= ends_at else "RUNNING"}
        good = {"url": f"http://{request.host}/file"}
        output["results"] = [entry or good for entry in self.results or [None]]
        if prompt in self.failures:
            code = self.failures[prompt]
            output = {"task_status": "FAILED", "code": code, "message": "so it is"}
        return web.json_response({"output": output})

    async def file(self, request):
        return web.Response(body=self._picture, content_type="image/png")

    def _charge(self, kind, limit):
        now, recent = time.monotonic(), self._recent[kind]
        while recent and recent[0] < now - 1.0:
            recent.popleft()
        if len(recent) < limit:
            recent.append(now)
            return None
        self.refused[kind] += 1
        body = {
            "code": "Throttling.RateQuota",
            "message": "Requests rate limit exceeded.",
            "request_id": "r",
        }
        return web.json_response(body, status=429, headers=self.wait)


@pytest.fixture
def account(monkeypatch, key):
    """Served from a thread of its own, found by dsrun through the environment."""
    server = Account()
    with served(server.app()) as base_url:
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", base_url)
        monkeypatch.setenv("DASHSCOPE_API_KEY", key)
        yield server


def patiently(**more):
    """Published rates, and questions as often as these allow."""
    return {"rate": None, "polling": {"first": "10ms", "max": "50ms"}, "concurrency": 16} | more


def test_one_run_is_never_refused_for_its_rate(work, account):
    account.task_s = 2.0
    assert work.dsrun(work.posters(8, **patiently())).code == 0
    assert account.refused == {}
    assert sum(account.creates.values()) == 8


def test_two_runs_of_one_account_both_finish_and_pay_each_job_once(work, account):
    account.task_s = 2.0
    pipeline = work.posters(6, **patiently())
    runs = [work.spawn(pipeline, "--out", f"outputs-{number}") for number in range(2)]
    outcomes = [run.end() for run in runs]
    assert [outcome.code for outcome in outcomes] == [0, 0], outcomes
    assert account.creates == {f"a lantern {number}": 2 for number in range(6)}
    assert account.refused["create"] + account.refused["query"] > 0


@pytest.mark.parametrize("seed", ["", "7"], ids=["the same pipeline", "a changed pipeline"])
def test_a_run_that_follows_a_killed_one_does_not_begin_with_a_burst(work, account, seed):
    account.task_s = 1.0
    first = work.spawn(work.posters(6, **patiently()))
    work.until(lambda: sum(account.creates.values()) == 2, what="two creates")
    first.kill()
    outcome = work.dsrun(work.posters(6, seed=seed, **patiently()))
    assert outcome.code in (0, 1)  # 1: killed while it sent one
    assert account.refused["create"] == 0


def test_a_run_that_goes_on_with_the_tasks_of_a_killed_one_asks_within_the_rate(work, account):
    account.task_s, account.create_limit = 3.0, 1000
    pipeline = work.posters(16, **patiently(rate="1000/s"))
    first = work.spawn(pipeline)
    work.until(lambda: account.asked >= QUERIES, what="questions")
    first.kill()
    assert work.dsrun(pipeline).code == 0
    assert account.refused["query"] == 0


def test_a_service_that_asks_to_wait_too_long_ends_the_run_with_words(work, account):
    account.create_limit, account.wait = 0, {"Retry-After": "3600"}
    outcome = work.dsrun(work.posters(20))
    assert outcome.code == 3
    assert "it asks to wait for 3600 s; run again later" in outcome.err
    assert (work.statuses(), account.refused["create"]) == ({"pending": 20}, 1)


def test_a_short_wait_is_obeyed_and_costs_no_attempt(work, account):
    account.create_limit, account.wait = 1, {"retry-after-ms": "20"}
    assert work.dsrun(work.posters(2, max_attempts=1, submit_window=2)).code == 0
    assert account.refused["create"] >= 1
    assert {row["attempts"] for row in work.query("SELECT attempts FROM job")} == {1}


@pytest.mark.parametrize(
    ("code", "others", "words"),
    [
        ("Arrearage", "pending", "stopped: Arrearage: so it is"),
        ("Model.AccessDenied", "pending", "no more jobs of wanx-v1"),
        ("InternalError.Timeout", "succeeded", "InternalError.Timeout"),
        ("Throttling", "succeeded", "Throttling: so it is"),
        ("SomethingNew", "succeeded", "SomethingNew: so it is"),
    ],
)
def test_an_error_inside_a_task_means_what_it_means_in_a_refusal(
    work, account, code, others, words
):
    account.create_limit = 1000
    account.failures = {"a lantern 0": code}
    outcome = work.dsrun(work.posters(6, concurrency=1))
    assert outcome.code == (3 if others == "pending" else 1)
    assert words in outcome.err
    assert work.statuses() == {"failed": 1, others: 5}
    first, *_ = work.results()
    assert (first["error"]["code"], first["cost"]["amount"]) == (code, 0)


def test_a_bad_key_costs_one_refusal_however_wide_the_window(work, account):
    account.create_limit = 1000
    account.refusal = {"code": "InvalidApiKey", "message": "no", "request_id": "r"}
    assert work.dsrun(work.posters(8, submit_window=8)).code == 3
    assert sum(account.creates.values()) == 1


def test_the_other_operations_go_on_when_one_is_closed(work, account):
    account.create_limit = 1000
    account.failures = {f"a lantern {number}": "ModelNotFound" for number in range(6)}
    pipeline = work.posters(6, concurrency=2)
    text = pipeline.read_text()
    pipeline.write_text(text.replace("execution:", f"{VOICE.lstrip(chr(10))}execution:"))
    assert work.dsrun(pipeline).code == 3
    assert account.creates["voice"] == 1


def test_the_gravest_reason_of_a_task_s_pictures_is_told_and_the_rest_is_kept(work, account):
    account.create_limit = 1000
    account.results = [
        {"code": "DataInspectionFailed", "message": "refused"},
        None,
        {"code": "Arrearage", "message": "overdue"},
    ]
    outcome = work.dsrun(work.posters(2, pictures=3, concurrency=1))
    assert outcome.code == 3
    assert work.statuses() == {"partial": 1, "pending": 1}
    first, _ = work.results()
    assert first["error"] == {"code": "Arrearage", "message": "overdue", "class": "partial"}
    assert len(first["artifacts"]) == 1


def test_an_address_that_timed_out_at_the_service_is_tried_once_more(work, account):
    account.refusal = {
        "code": "InvalidURL.Timeout",
        "message": "no answer from your host",
        "request_id": "r",
    }
    assert work.dsrun(work.posters(1, max_attempts=5)).code == 1
    assert account.creates == {"a lantern 0": 2}
    assert work.statuses() == {"failed": 1}
