"""The life of a task, as its queries, the list and cancel show it."""

import pytest

KEY = {"Authorization": "Bearer sk-test"}


async def test_a_task_waits_runs_and_succeeds_on_schedule(launch, clock):
    remote = await launch(queue_time_s=0.2, task_time_s=1.0)
    task_id = await remote.create_task({"n": 2})
    seen = []
    for seconds in (0.1, 0.2, 0.8, 0.2):
        clock.advance(seconds)
        seen.append((await remote.query(task_id)).json["output"]["task_status"])
    assert seen == ["PENDING", "RUNNING", "RUNNING", "SUCCEEDED"]


async def test_a_finished_task_shows_times_results_counts_and_usage(launch, clock):
    remote = await launch(queue_time_s=0.25, task_time_s=1.5)
    task_id = await remote.create_task({"n": 2})
    clock.advance(2)
    answer = (await remote.query(task_id)).json
    results = answer["output"].pop("results")
    answer.pop("request_id")
    assert answer == {
        "output": {
            "task_id": task_id,
            "task_status": "SUCCEEDED",
            "submit_time": "2027-01-15 16:00:00.000",
            "scheduled_time": "2027-01-15 16:00:00.250",
            "end_time": "2027-01-15 16:00:01.750",
            "task_metrics": {"TOTAL": 2, "SUCCEEDED": 2, "FAILED": 0},
        },
        "usage": {"image_count": 2},
    }
    assert [list(result) for result in results] == [["url"], ["url"]]


async def test_a_waiting_task_shows_only_when_it_was_submitted(remote):
    task_id = await remote.create_task({"n": 3})
    assert (await remote.query(task_id)).json["output"] == {
        "task_id": task_id,
        "task_status": "PENDING",
        "submit_time": "2027-01-15 16:00:00.000",
        "task_metrics": {"TOTAL": 3, "SUCCEEDED": 0, "FAILED": 0},
    }


async def test_four_pictures_are_made_where_the_request_is_silent(remote, clock):
    task_id = await remote.create_task()
    clock.advance(60)
    answer = (await remote.query(task_id)).json
    assert answer["usage"] == {"image_count": 4}
    assert len(answer["output"]["results"]) == 4


async def test_one_task_runs_at_a_time_and_the_next_waits(launch, clock):
    remote = await launch(queue_time_s=0, task_time_s=1)
    tasks = [await remote.create_task({"n": 1}) for _ in range(2)]
    clock.advance(0.5)
    early = [(await remote.query(task)).json["output"]["task_status"] for task in tasks]
    clock.advance(1)
    late = [(await remote.query(task)).json["output"]["task_status"] for task in tasks]
    assert (early, late) == (["RUNNING", "PENDING"], ["SUCCEEDED", "RUNNING"])


async def test_without_limits_all_tasks_run_at_once(launch, clock):
    remote = await launch(limits=False, queue_time_s=0, task_time_s=1)
    tasks = [await remote.create_task() for _ in range(5)]
    clock.advance(0.5)
    seen = {(await remote.query(task)).json["output"]["task_status"] for task in tasks}
    assert seen == {"RUNNING"}


async def test_an_unknown_task_is_no_http_error(remote):
    reply = await remote.query("no-such-task")
    assert reply.status == 200
    assert reply.json["output"] == {"task_id": "no-such-task", "task_status": "UNKNOWN"}


async def test_a_task_is_forgotten_after_a_day(remote, clock):
    task_id = await remote.create_task()
    clock.advance(86399)
    before = (await remote.query(task_id)).json["output"]["task_status"]
    clock.advance(1)
    after = (await remote.query(task_id)).json["output"]["task_status"]
    assert (before, after) == ("SUCCEEDED", "UNKNOWN")


async def test_only_a_waiting_task_can_be_cancelled(remote, clock):
    waiting, running = await remote.create_task(), await remote.create_task()
    cancelled = await remote.call("POST", f"/tasks/{waiting}/cancel", headers=KEY)
    clock.advance(0.5)
    refused = await remote.call("POST", f"/tasks/{running}/cancel", headers=KEY)
    again = await remote.call("POST", f"/tasks/{waiting}/cancel", headers=KEY)
    assert list(cancelled.json) == ["request_id"]
    assert (refused.error, again.error) == ((400, "UnsupportedOperation"),) * 2
    assert (await remote.query(waiting)).json["output"]["task_status"] == "CANCELED"


async def test_a_cancelled_task_leaves_its_place_to_the_next(launch, clock):
    remote = await launch(queue_time_s=0.2, task_time_s=1)
    first, second = await remote.create_task(), await remote.create_task()
    await remote.call("POST", f"/tasks/{first}/cancel", headers=KEY)
    clock.advance(0.2)
    assert (await remote.query(second)).json["output"]["task_status"] == "RUNNING"


async def test_a_row_of_the_list_leads_back_to_its_create_call(launch, clock):
    remote = await launch(queue_time_s=0.5, task_time_s=1)
    created = (await remote.create({"n": 1})).json
    clock.advance(2)
    answer = (await remote.call("GET", "/tasks/", headers=KEY)).json
    answer.pop("request_id")
    (row,) = answer.pop("data")
    assert answer == {"total": 1, "total_page": 1, "page_no": 1, "page_size": 10}
    assert row.pop("api_key_id").isdecimal()
    assert row == {
        "task_id": created["output"]["task_id"],
        "request_id": created["request_id"],
        "status": "SUCCEEDED",
        "model_name": "wanx-v1",
        "gmt_create": 1_800_000_000_000,
        "start_time": 1_800_000_000_500,
        "end_time": 1_800_000_001_500,
        "region": "cn-beijing",
        "caller_uid": "1000000000000001",
        "caller_parent_id": "1000000000000001",
        "user_api_unique_key": "apikey:v1:aigc:text2image:image-synthesis:wanx-v1",
    }


async def test_the_list_is_cut_into_pages_newest_first(remote, clock):
    tasks = []
    for _ in range(5):
        clock.advance(1)
        tasks.append(await remote.create_task())
    pages = [
        (await remote.call("GET", f"/tasks?page_no={page}&page_size=2", headers=KEY)).json
        for page in (1, 2, 3, 4)
    ]
    listed = [[row["task_id"] for row in page["data"]] for page in pages]
    newest = tasks[::-1]
    assert listed == [newest[:2], newest[2:4], newest[4:], []]
    assert (pages[0]["total"], pages[0]["total_page"]) == (5, 3)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param("", 3, id="last-day"),
        pytest.param("status=SUCCEEDED", 2, id="status"),
        pytest.param("status=FAILED", 0, id="other-status"),
        pytest.param("model_name=wanx-v1", 3, id="model"),
        pytest.param("model_name=wan2.2", 0, id="other-model"),
        pytest.param("region=cn-beijing", 3, id="region"),
        pytest.param("start_time=20270115160050", 2, id="start"),
        pytest.param("end_time=20270115160050", 1, id="end"),
        pytest.param("start_time=20270115160000&end_time=20270116160000", 3, id="whole-day"),
        pytest.param("page_size=1000", 3, id="large-page"),
    ],
)
async def test_the_list_can_be_narrowed(remote, clock, query, found):
    await remote.create_task()
    clock.advance(60)
    await remote.create_task()
    clock.advance(60)
    await remote.create_task()
    reply = await remote.call("GET", f"/tasks?{query}", headers=KEY)
    assert (reply.json["total"], len(reply.json["data"])) == (found, found)


@pytest.mark.parametrize(
    "query",
    [
        "page_no=0",
        "page_size=x",
        "status=DONE",
        "start_time=2027-01-15",
        "start_time=20270115160000&end_time=20270116160001",
        "start_time=20270115160000&end_time=20270115155959",
    ],
)
async def test_the_list_refuses_what_it_cannot_read(remote, query):
    reply = await remote.call("GET", f"/tasks?{query}", headers=KEY)
    assert reply.error == (400, "InvalidParameter")


async def test_query_list_and_cancel_share_twenty_calls_a_second(launch, clock):
    remote = await launch()
    task_id = await remote.create_task()
    for _ in range(9):
        await remote.query(task_id)
        await remote.call("GET", "/tasks", headers=KEY)
    await remote.call("POST", f"/tasks/{task_id}/cancel", headers=KEY)
    last, over = await remote.query(task_id), await remote.query(task_id)
    clock.advance(1)
    later = await remote.query(task_id)
    assert (last.status, over.status, later.status) == (200, 429, 200)
