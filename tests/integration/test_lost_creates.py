"""A create whose answer is lost, at an account that may be shared: nothing is paid twice.

The server knows the published API only. It can lose an answer before or after it has accepted,
let something else answer in its place, and list its tasks late, without a date or with wrong times.
"""

import asyncio
import hashlib
import io
import json
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from PIL import Image

DRAW = "/api/v1/services/aigc/text2image/image-synthesis"
CHILD = Path(__file__).parents[1] / "torture/child.py"
MODEL = "wanx-v1"

HTML = ("text/html", "<html>Blocked by policy</html>")
EMPTY = ("text/plain", "")
TEXT = ("text/plain", "upstream request rejected")
OTHER_JSON = [
    ("application/json", json.dumps(body))
    for body in ({"error": "forbidden"}, {"code": "Forbidden", "message": "no"})
]


@dataclass
class Task:
    name: str
    prompt: str
    number: int  # of pictures
    made_at: float
    is_mute: bool = False  # its queries get a gateway's page


@dataclass
class Account:
    """One account of the service. `befall` says what happens to the create of a number, from 1."""

    befall: dict = field(default_factory=dict)
    ahead_s: float = 0.0  # of its list's times
    lag_s: float = 0.0  # until a task is listed
    has_date: bool = True
    empty_answers: int = 0  # SUCCEEDED without results, of each task
    total_late: bool = False  # the number of pictures is told only at the end
    mute: set = field(default_factory=set)  # prompts whose tasks are never told of
    task_s: float = 0.0
    gone: set = field(default_factory=set)  # tasks whose records have ended
    tasks: dict = field(default_factory=dict)
    creates: int = 0
    lists: int = 0
    asked: Counter = field(default_factory=Counter)

    def app(self):
        app = web.Application()
        app.router.add_post(DRAW, self.draw)
        app.router.add_get("/api/v1/tasks/", self.show)
        app.router.add_get("/api/v1/tasks/{name}", self.task)
        app.router.add_get("/file/{name}/{index}", self.file)
        app.on_response_prepare.append(self.sign)
        return app

    def accept(self, prompt, number=1):
        name = f"task-{len(self.tasks)}"
        self.tasks[name] = Task(name, prompt, number, time.time())
        return name

    def accepted(self):
        """How often each of our prompts was accepted, and so paid."""
        return Counter(task.prompt for task in self.tasks.values() if task.prompt != "theirs")

    async def sign(self, request, response):
        response.headers["x-request-id"] = "of-the-server"
        if not self.has_date:
            del response.headers["Date"]

    async def draw(self, request):
        body = await request.json()
        self.creates += 1
        fate = self.befall.get(self.creates, self.befall.get("all", ()))
        when, *what = fate or ("",)
        if when == "theirs":  # in the very moment in which ours is lost
            self.accept("theirs", 2)
            return self.refuse(request, 0)
        if when == "before":
            return self.refuse(request, *what)
        name = self.accept(body["input"]["prompt"], body["parameters"]["n"])
        if when == "after":
            return self.refuse(request, *what)
        if when == "same":  # a cached answer: that of the first create
            name = next(iter(self.tasks))
        elif when == "same-before":
            del self.tasks[name]
            name = next(iter(self.tasks))
        output = {"task_id": name, "task_status": "PENDING"}
        return web.json_response({"output": output, "request_id": f"r-{name}"})

    def refuse(self, request, status, kind="", text=""):
        """Status 0 is a connection that is reset."""
        if status == 0:
            link = request.transport.get_extra_info("socket")
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            request.transport.abort()
            return web.Response()
        headers = {"Location": "http://127.0.0.1:9/"} if 300 <= status < 400 else {}
        return web.Response(status=status, text=text, content_type=kind, headers=headers)

    async def show(self, request):
        self.lists += 1
        now = time.time()
        page, size = int(request.query["page_no"]), int(request.query["page_size"])
        rows = [task for task in self.tasks.values() if task.made_at + self.lag_s <= now]
        data = [
            {
                "task_id": task.name,
                "status": "SUCCEEDED",
                "model_name": MODEL,
                "request_id": f"create-{task.name}",
                "gmt_create": int((task.made_at + self.ahead_s) * 1000),
                "api_key_id": "1",
                "user_api_unique_key": f"apikey:v1:aigc:text2image:image-synthesis:{MODEL}",
            }
            for task in rows
        ]
        return web.json_response(
            {
                "request_id": "r",
                "total": len(data),
                "page_no": page,
                "page_size": size,
                "data": data[(page - 1) * size : page * size],
            }
        )

    async def task(self, request):
        name = request.match_info["name"]
        self.asked[name] += 1
        task = self.tasks.get(name)
        if task is None or name in self.gone:
            return web.json_response({"output": {"task_id": name, "task_status": "UNKNOWN"}})
        if task.prompt in self.mute:
            return web.Response(status=404, text=HTML[1], content_type="text/html")
        has_ended = time.time() >= task.made_at + self.task_s
        output = {"task_id": name, "task_status": "SUCCEEDED" if has_ended else "RUNNING"}
        if has_ended or not self.total_late:
            output["task_metrics"] = {"TOTAL": task.number, "SUCCEEDED": 0, "FAILED": 0}
        if has_ended and self.asked[name] > self.empty_answers:
            output["results"] = [
                {"url": f"http://{request.host}/file/{name}/{index}"}
                for index in range(task.number)
            ]
        usage = {"image_count": task.number}
        return web.json_response({"output": output, "usage": usage, "request_id": "r"})

    async def file(self, request):
        task = self.tasks[request.match_info["name"]]
        picture = drawn(f"{task.prompt} {request.match_info['index']}")
        return web.Response(body=picture, content_type="image/png")


def drawn(text):
    """A picture of this text alone."""
    file = io.BytesIO()
    Image.frombytes("RGB", (8, 4), hashlib.shake_128(text.encode()).digest(96)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def serve_account(monkeypatch, key):
    """An account on a thread of its own, found by dsrun through the environment."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runners = []

    async def start(account):
        runner = web.AppRunner(account.app())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        runners.append(runner)
        return runner.addresses[0][1]

    def serve(**settings):
        account = Account(**settings)
        port = asyncio.run_coroutine_threadsafe(start(account), loop).result(10)
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", f"http://127.0.0.1:{port}/api/v1")
        monkeypatch.setenv("DASHSCOPE_API_KEY", key)
        return account

    yield serve
    for runner in runners:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def wrong_pictures(work):
    """Files that hold another task's picture than that of their own prompt."""
    rows = work.query(
        "SELECT path, artifact.idx AS number, source_sha256, "
        "json_extract(request, '$.input.prompt') AS prompt FROM artifact JOIN job USING (job_id)"
    )
    return [
        row["path"]
        for row in rows
        if row["source_sha256"]
        != hashlib.sha256(drawn(f"{row['prompt']} {row['number']}")).hexdigest()
    ]


def once(count):
    return {f"a lantern {number}": 1 for number in range(count)}


class TestForeignRefusals:
    """Only the API itself can refuse; what else answers may do so after the API has accepted.

    Which answers are not the API's is told in `tests/unit/service/test_classify.py`.
    """

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize(
        ("status", "answer"),
        [
            *((status, HTML) for status in (200, 302, 403, 429)),
            (400, EMPTY),
            (403, TEXT),
            (403, OTHER_JSON[0]),
            (429, OTHER_JSON[1]),
            (200, ("application/json", '{"status": "ok"}')),
        ],
        ids=lambda value: value if isinstance(value, int) else value[1][:30] or "empty",
    )
    def test_the_create_is_looked_for_and_paid_once(
        self, work, serve_account, when, status, answer
    ):
        account = serve_account(befall={2: (when, status, *answer)})
        assert work.dsrun(work.posters(4, concurrency=2)).code == 0
        assert account.accepted() == once(4)
        assert wrong_pictures(work) == []

    @pytest.mark.parametrize("status", [302, 401, 429])
    def test_where_every_create_is_refused_so_the_run_stops_after_four(
        self, work, serve_account, status
    ):
        account = serve_account(befall={"all": ("before", status, *HTML)})
        outcome = work.dsrun(work.posters(100))
        assert outcome.code == 3
        assert f"HTTP {status}" in outcome.err
        assert "base URL" in outcome.err
        assert account.creates == 4
        assert account.lists < 100


LISTS = {
    "as it should be": {},
    "no Date": {"has_date": False},
    "seven hours ahead": {"ahead_s": 25200.0},
    "seven hours behind, no Date": {"ahead_s": -25200.0, "has_date": False},
    "three days behind": {"ahead_s": -259200.0},
    "late": {"lag_s": 1.0},
    "late, no Date": {"lag_s": 1.0, "has_date": False},
}


class TestLists:
    """What the list lacks was not accepted only where the list is shown to be current."""

    @pytest.mark.parametrize("lost", ["before", "after"])
    @pytest.mark.parametrize("number", [1, 3], ids=["the first", "the third"])
    @pytest.mark.parametrize("name", LISTS)
    def test_a_lost_create_is_paid_once(self, work, serve_account, name, number, lost):
        account = serve_account(befall={number: (lost, 0)}, **LISTS[name])
        assert work.dsrun(work.posters(6, concurrency=3, grace="500ms")).code == 0
        assert account.accepted() == once(6)
        assert wrong_pictures(work) == []

    @pytest.mark.parametrize("concurrency", [1, 16])
    def test_who_waits_for_a_witness_leaves_its_place(self, work, serve_account, concurrency):
        account = serve_account(befall={1: ("before", 0)})
        assert work.dsrun(work.posters(3, concurrency=concurrency)).code == 0
        assert account.accepted() == once(3)

    def test_without_a_witness_the_only_create_is_never_sent_again(self, work, serve_account):
        account = serve_account(befall={1: ("before", 0)})
        outcome = work.dsrun(work.posters(1))
        assert (outcome.code, work.statuses()) == (1, {"unknown": 1})
        assert account.creates == 1
        assert "may be paid: 0.16 CNY" in outcome.err
        # A later create is its witness.
        assert work.dsrun(work.posters(2, subject="lantern")).code == 0

    def test_the_only_create_that_was_accepted_is_found(self, work, serve_account):
        account = serve_account(befall={1: ("after", 0)})
        assert work.dsrun(work.posters(1)).code == 0
        assert account.accepted() == once(1)

    @pytest.mark.parametrize("window", [1, 8])
    def test_many_lost_at_once_are_told_apart_by_their_times(self, work, serve_account, window):
        fates = [("before", 0), ("after", 0)]
        befall = {number: fates[number // 5 % 2] for number in range(2, 40, 5)}
        account = serve_account(befall=befall)
        outcome = work.dsrun(work.posters(24, rate="20/s", submit_window=window))
        assert max(account.accepted().values()) == 1
        assert wrong_pictures(work) == []
        if window == 1:  # else those that were sent at one moment cannot be told apart
            assert work.statuses() == {"succeeded": 24}, outcome.err


class TestTaskIds:
    @pytest.mark.parametrize("fate", ["same", "same-before"])
    def test_two_creates_never_share_a_task(self, work, serve_account, fate):
        account = serve_account(befall={2: (fate,), 4: (fate,)})
        assert work.dsrun(work.posters(6, concurrency=3)).code == 0
        assert account.accepted() == once(6)
        assert wrong_pictures(work) == []


class TestStrangers:
    """Another program with the same key makes tasks of the same model."""

    @pytest.fixture
    def strangers(self):
        """Starts a program that has made a task, and makes one every so often till the end."""
        is_over = threading.Event()
        threads = []

        def start(account, every_s, number):
            def work():
                while not is_over.wait(every_s):
                    account.accept("theirs", number)

            # So that the key is seen to be shared: no create of ours can have made this one.
            account.tasks[account.accept("theirs", number)].made_at -= 60
            threads.append(threading.Thread(target=work))
            threads[-1].start()

        yield start
        is_over.set()
        for thread in threads:
            thread.join()

    def test_those_that_wait_for_each_other_do_not_wait_for_ever(
        self, work, serve_account, strangers
    ):
        """Four in doubt hold up all creates, and those have all places."""
        befall = dict.fromkeys(range(2, 6), ("after", 0))
        account = serve_account(befall=befall)
        strangers(account, 0.05, 1)
        work.dsrun(work.posters(12, concurrency=4, rate="20/s"))
        assert sum(work.statuses().values()) == 12
        assert set(work.statuses()) <= {"succeeded", "unknown"}

    @pytest.mark.parametrize("number", [1, 2], ids=["same number", "another number"])
    @pytest.mark.parametrize("every_s", [0.04, 0.25])
    def test_no_task_of_a_stranger_is_adopted(
        self, work, serve_account, strangers, every_s, number
    ):
        fates = [("before", 0), ("after", 0)]
        account = serve_account(
            befall={create: fates[create % 2] for create in range(2, 60, 3)}, lag_s=0.05
        )
        strangers(account, every_s, number)
        work.dsrun(work.posters(18, rate="20/s"))
        assert wrong_pictures(work) == []
        assert max(account.accepted().values()) == 1
        assert set(work.statuses()) <= {"succeeded", "unknown"}

    def test_what_another_output_root_of_this_machine_has_is_not_adopted(self, work, serve_account):
        """Its task is the only one of that moment; only its own ledger says whose it is."""
        account = serve_account()
        work.dsrun(work.posters(1, subject="river"), "--out", "elsewhere")
        [theirs] = account.tasks.values()
        account.befall = {3: ("before", 0)}

        def as_if_now():
            work.until(lambda: account.creates >= 3, what="the lost create")
            theirs.made_at = time.time()

        beside = threading.Thread(target=as_if_now)
        beside.start()
        assert work.dsrun(work.posters(4)).code == 0
        beside.join()
        assert wrong_pictures(work) == []
        assert account.accepted() == once(4) | {"a river 0": 1}

    def test_a_found_task_that_proves_to_be_another_s_is_given_up(self, work, serve_account):
        account = serve_account(befall={2: ("theirs",)}, total_late=True, task_s=1.0)
        assert work.dsrun(work.posters(3, concurrency=2)).code == 0
        assert account.accepted() == once(3)
        assert wrong_pictures(work) == []
        assert work.query("SELECT task_id FROM attempt WHERE outcome = 'foreign'")


class TestQueries:
    def test_a_task_that_has_ended_without_results_is_asked_again(self, work, serve_account):
        account = serve_account(empty_answers=2)
        assert work.dsrun(work.posters(3)).code == 0
        assert account.accepted() == once(3)

    def test_what_failed_asks_its_task_before_it_is_paid_again(self, work, serve_account):
        account = serve_account(empty_answers=100)
        assert work.dsrun(work.posters(2)).code == 1
        assert work.statuses() == {"failed": 2}
        account.empty_answers = 0
        assert work.dsrun(work.posters(2), "--retry-failed").code == 0
        assert account.accepted() == once(2)
        assert wrong_pictures(work) == []

    def test_a_task_that_has_no_more_to_give_is_paid_again_at_the_user_s_word(
        self, work, serve_account
    ):
        account = serve_account(empty_answers=1000)
        work.dsrun(work.posters(1))
        account.gone = set(account.tasks)
        account.empty_answers = 0
        assert work.dsrun(work.posters(1), "--retry-failed").code == 0
        assert account.accepted() == {"a lantern 0": 2}
        assert work.query("SELECT attempts FROM job") == [{"attempts": 2}]

    def test_one_task_that_a_gateway_answers_for_holds_up_no_other(self, work, serve_account):
        account = serve_account(mute={"a lantern 1"})
        pipeline = work.posters(8, concurrency=2)
        assert work.dsrun(pipeline).code == 3
        assert work.statuses() == {"succeeded": 7, "submitted": 1}
        account.mute.clear()
        assert work.dsrun(pipeline).code == 0
        assert account.accepted() == once(8)

    def test_where_a_gateway_answers_for_all_tasks_the_run_stops(self, work, serve_account):
        account = serve_account(mute={f"a lantern {number}" for number in range(20)})
        outcome = work.dsrun(work.posters(20))
        assert outcome.code == 3
        assert "base URL" in outcome.err
        assert sum(account.asked.values()) < 60
        account.mute.clear()
        assert work.dsrun(work.posters(20)).code == 0
        assert account.accepted() == once(20)


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_a_found_task_is_given_up_the_next_run_goes_on(work, serve_account, when):
    serve_account(befall={1: ("theirs",)}, total_late=True, task_s=1.0)
    pipeline = work.posters(1)
    work.spawn_script(CHILD, f"{when} Ledger.record_foreign", "1", "run", pipeline).end()
    assert work.statuses() == {"submitted" if when == "before" else "submitting": 1}
    work.dsrun(pipeline)
    assert work.statuses() == {"unknown": 1}  # nothing shows that its own was not accepted
    assert wrong_pictures(work) == []
