"""Each model in its own lane: its rate, its open tasks, and what it shares with others."""

import json
import time
from collections import defaultdict
from typing import NamedTuple

import pytest
from aiohttp import web

from tests.files_of_kinds import picture
from tests.served import served

DRAW = "/api/v1/services/aigc/text2image/image-synthesis"
FAST, MIDDLE, SLOW = "wanx2.1-t2i-turbo", "wanx2.0-t2i-turbo", "wan2.2-t2i-flash"


class Task(NamedTuple):
    """A task as the service sees it, by its own clock."""

    model: str
    made_at: float
    ends_at: float


class Draws:
    """The API of pictures; it refuses nothing and remembers when which task was made."""

    def __init__(self):
        self._picture = picture()
        self.tasks: list[Task] = []
        self.task_s = defaultdict(lambda: 0.5)  # by model

    def app(self):
        app = web.Application()
        app.router.add_post(DRAW, self.draw)
        app.router.add_get("/api/v1/tasks/{id}", self.task)
        app.router.add_get("/file", self.file)
        return app

    async def draw(self, request):
        model, now = (await request.json())["model"], time.monotonic()
        self.tasks.append(Task(model, now, now + self.task_s[model]))
        task_id = f"t{len(self.tasks) - 1}"
        return web.json_response({"output": {"task_id": task_id, "task_status": "PENDING"}})

    async def task(self, request):
        task = self.tasks[int(request.match_info["id"][1:])]
        output = {"task_status": "SUCCEEDED" if time.monotonic() >= task.ends_at else "RUNNING"}
        output["results"] = [{"url": f"http://{request.host}/file"}]
        return web.json_response({"output": output})

    async def file(self, request):
        return web.Response(body=self._picture, content_type="image/png")

    def times(self, *models):
        return [task.made_at for task in self.tasks if task.model in models]

    def most_in(self, seconds, *models):
        """The most creates in any window of time."""
        times = self.times(*models)
        return max(sum(0 <= at - begin < seconds for at in times) for begin in times)

    def most_open(self, *models):
        tasks = [task for task in self.tasks if task.model in models]
        return max(sum(one.made_at <= at.made_at < one.ends_at for one in tasks) for at in tasks)


@pytest.fixture
def draws(monkeypatch, key):
    """Served from a thread of its own, found by dsrun through the environment."""
    server = Draws()
    with served(server.app()) as base_url:
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", base_url)
        monkeypatch.setenv("DASHSCOPE_API_KEY", key)
        yield server


def steps(jobs):
    """A step for each model, with so many jobs."""
    lines = ["steps:"]
    for number, (model, count) in enumerate(jobs.items()):
        lines += [
            f"  s{number}:",
            f"    operation: {model}",
            f"    matrix: {{k: {{range: [1, {count}]}}}}",
            "    input: {prompt: 'a lantern {{ k }}'}",
        ]
    return "\n".join(lines)


def pipeline(work, jobs, **execution):
    settings = {"rate": None, "polling": {"first": "100ms", "max": "200ms", "rate": "1000/s"}}
    return work.pipeline(steps(jobs), **(settings | execution))


def test_three_models_keep_their_rates_and_none_waits_for_a_slower_one(work, draws):
    limits = {
        FAST: {"requests": 5, "per_s": 1},
        MIDDLE: {"requests": 2, "per_s": 1},
        SLOW: {"requests": 2, "per_s": 4},
    }
    jobs = {SLOW: 6, FAST: 25, MIDDLE: 10}
    outcome = work.dsrun(pipeline(work, jobs, limits=limits, concurrency=16))
    assert outcome.code == 0, outcome.err
    assert {model: len(draws.times(model)) for model in jobs} == jobs
    for model, limit in limits.items():
        assert draws.most_in(limit["per_s"], model) == limit["requests"]
    last_slow = draws.times(SLOW)[-1]
    assert draws.times(FAST)[-1] < last_slow
    assert draws.times(MIDDLE)[-1] < last_slow


@pytest.mark.parametrize("concurrency", [1, 2])
def test_slow_models_do_not_take_the_few_places_while_they_wait(work, draws, concurrency):
    limits = {
        SLOW: {"requests": 1, "per_s": 4},
        MIDDLE: {"requests": 1, "per_s": 4},
        FAST: {"requests": 50, "per_s": 1},
    }
    draws.task_s.default_factory = lambda: 0.0
    jobs = {SLOW: 3, MIDDLE: 3, FAST: 12}
    assert work.dsrun(pipeline(work, jobs, limits=limits, concurrency=concurrency)).code == 0
    assert draws.times(FAST)[-1] < draws.times(SLOW)[-1]
    assert draws.times(FAST)[-1] < draws.times(MIDDLE)[-1]
    assert draws.most_in(4, SLOW) == draws.most_in(4, MIDDLE) == 1


def test_no_more_tasks_are_open_than_the_service_takes(work, draws):
    limits = {FAST: {"requests": 100, "queued_tasks": 3}, MIDDLE: {"requests": 100}}
    path = pipeline(work, {FAST: 9, MIDDLE: 9}, limits=limits, concurrency=18, submit_window=9)
    assert work.dsrun(path).code == 0
    assert draws.most_open(FAST) == 3
    assert draws.most_open(MIDDLE) > 3


class TestAGroup:
    """Two models, of two files, that share a rate of 4 a second and 3 open tasks."""

    @pytest.fixture
    def shared(self, work):
        folder = work.folder / "operations"
        folder.mkdir()
        for name in ("a-draw", "b-draw"):
            schema = json.loads(work.dsrun("schema", "wanx2.0-t2i-turbo").out)
            schema["$id"] = f"urn:dsrun:operation:{name}"
            schema["properties"]["model"] = {"const": name}
            schema["x-dsrun"]["limits"] = {
                "requests": 4, "per_s": 1, "group": "draws", "group_running": 3
            }  # fmt: skip
            (folder / f"{name}.json").write_text(json.dumps(schema))
        return {"a-draw": 8, "b-draw": 8}

    def test_its_rate_holds_over_all_its_models(self, work, draws, shared):
        draws.task_s.default_factory = lambda: 0.0
        assert work.dsrun(pipeline(work, shared, concurrency=16, submit_window=4)).code == 0
        assert draws.most_in(1, *shared) <= 4
        assert [len(draws.times(model)) for model in shared] == [8, 8]

    def test_its_open_tasks_are_counted_over_all_its_models(self, work, draws, shared):
        limits = {name: {"requests": 100} for name in shared}
        path = pipeline(work, shared, concurrency=16, submit_window=8, limits=limits)
        assert work.dsrun(path).code == 0
        assert draws.most_open(*shared) == 3

    def test_the_plan_counts_its_models_together(self, work, draws, shared):
        plan = work.dsrun("plan", pipeline(work, shared), "--json").answer
        assert plan["shortest_time_s"] == 3.0
        assert plan["bound_by"] == "all of draws: 4 requests a second"


def test_tasks_of_an_earlier_run_count_as_open(work, draws):
    draws.task_s.default_factory = lambda: 3.0
    limits = {FAST: {"requests": 100, "queued_tasks": 2}}
    path = pipeline(work, {FAST: 5}, limits=limits, concurrency=16)
    first = work.spawn(path)
    work.until(lambda: len(draws.tasks) == 2, what="two tasks")
    first.kill()
    assert work.dsrun(path).code in (0, 1)  # 1: killed while it sent one
    assert draws.most_open(FAST) == 2


def test_tasks_of_another_run_below_the_output_root_count_as_open(work, draws):
    draws.task_s.default_factory = lambda: 60.0
    first = work.spawn(pipeline(work, {FAST: 3}, limits={FAST: {"requests": 100}}))
    work.until(lambda: len(draws.tasks) == 3, what="three tasks")
    first.kill()
    draws.task_s.clear()
    draws.task_s.default_factory = lambda: 0.5
    limits = {FAST: {"requests": 100, "queued_tasks": 4}}
    steps_of_another = steps({FAST: 4}).replace("a lantern", "a teapot")
    settings = {"rate": None, "polling": {"first": "100ms", "max": "200ms"}, "submit_window": 4}
    other = work.pipeline(steps_of_another, path="b.yaml", name="b", limits=limits, **settings)
    assert work.dsrun(other).code == 0
    assert len(draws.tasks) == 7
    assert draws.most_open(FAST) == 4  # three of the first run, and one
