"""Every named fault does what its name says, and nothing else."""

import asyncio

import aiohttp
import pytest
from yarl import URL

from dsrun.emulator import FAULTS, Fault, parse_fault

GOOD_VOICE = {
    "target_model": "qwen3-tts-vd-2026-01-26",
    "voice_prompt": "A calm voice",
    "preview_text": "Good evening.",
    "preferred_name": "announcer",
}


async def _finish(remote, clock):
    task_id = await remote.create_task({"n": 4})
    clock.advance(60)
    return (await remote.query(task_id)).json["output"]


@pytest.mark.parametrize("name", ["lost-answer", "reset"])
async def test_the_connection_is_reset(launch, name):
    remote = await launch(name)
    with pytest.raises(aiohttp.ClientConnectionError):
        await remote.create()
    assert remote.paid == (1 if name == "lost-answer" else 0)


async def test_a_lost_answer_leaves_a_task_that_the_list_shows(launch):
    remote = await launch("lost-answer")
    with pytest.raises(aiohttp.ClientConnectionError):
        await remote.create()
    listed = await remote.call("GET", "/tasks", headers={"Authorization": "Bearer sk-test"})
    assert [row["model_name"] for row in listed.json["data"]] == ["wanx-v1"]


async def test_a_lost_answer_leaves_a_voice_that_the_list_shows(launch):
    remote = await launch("lost-answer")
    with pytest.raises(aiohttp.ClientConnectionError):
        await remote.voice("create", **GOOD_VOICE)
    assert (await remote.voice("list")).json["output"]["total_count"] == 1


@pytest.mark.parametrize(
    ("name", "error", "accepted"),
    [
        ("server-error", (500, "InternalError"), 0),
        ("server-error-after", (500, "InternalError"), 1),
        ("throttle", (429, "Throttling.RateQuota"), 0),
        ("throttle-bare", (429, "Throttling.RateQuota"), 0),
        ("arrears", (400, "Arrearage"), 0),
        ("bad-key", (401, "InvalidApiKey"), 0),
        ("moderation", (400, "DataInspectionFailed"), 0),
    ],
)
async def test_a_create_is_answered_with_an_error(launch, name, error, accepted):
    remote = await launch(name)
    assert (await remote.create()).error == error
    assert remote.paid == accepted


async def test_a_throttled_answer_says_when_to_come_back_or_not(launch):
    timed, bare = await launch("throttle"), await launch("throttle-bare")
    assert (await timed.create()).headers["Retry-After"] == "1"
    assert "Retry-After" not in (await bare.create()).headers


async def test_a_gateway_answers_with_its_page(launch):
    remote = await launch("html")
    reply = await remote.create()
    assert (reply.status, reply.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert remote.emulator.creates == {}


async def test_a_query_is_answered_with_broken_json(launch):
    remote = await launch("garbage-json")
    created = await remote.create()
    with pytest.raises(ValueError, match="line 1"):
        await remote.query(created.json["output"]["task_id"])


async def test_a_server_without_lists(launch):
    remote = await launch("no-list")
    reply = await remote.call("GET", "/tasks", headers={"Authorization": "Bearer x"})
    assert (reply.status, reply.json["code"]) == (404, "NotFound")


async def test_a_task_is_listed_late(launch, clock):
    remote = await launch("late-list")
    await remote.create()
    seen = []
    for seconds in (0.4, 0.2):
        clock.advance(seconds)
        reply = await remote.call("GET", "/tasks", headers={"Authorization": "Bearer x"})
        seen.append(reply.json["total"])
    assert seen == [0, 1]


async def test_an_answer_is_held_back_until_the_client_gives_up(launch):
    remote = await launch("stall")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(remote.create(), 0.3)
    assert remote.paid == 1


async def test_a_held_answer_does_not_hold_up_the_end(launch):
    remote = await launch("stall")
    held = asyncio.ensure_future(remote.create())
    while not remote.emulator.creates:  # noqa: ASYNC110 - the emulator offers no event
        await asyncio.sleep(0)
    await remote.emulator.aclose()
    with pytest.raises(aiohttp.ClientConnectionError):
        await held


async def test_a_download_breaks_off(launch, clock):
    remote = await launch("truncated-download")
    output = await _finish(remote, clock)
    with pytest.raises(aiohttp.ClientPayloadError):
        await remote.call("GET", output["results"][0]["url"])


async def test_a_client_that_leaves_before_a_download_breaks_off_is_no_error(launch, clock, caplog):
    remote = await launch("truncated-download")
    address = URL((await _finish(remote, clock))["results"][0]["url"])
    _, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(
        f"GET {address.raw_path_qs} HTTP/1.1\r\nHost: {address.authority}\r\n\r\n".encode()
    )
    writer.transport.close()
    while remote.emulator.requests[-1][1] != address.path:  # noqa: ASYNC110 - offers no event
        await asyncio.sleep(0)
    await remote.emulator.aclose()  # waits for the download's end
    assert caplog.messages == []


async def test_a_download_is_a_page_instead_of_a_picture(launch, clock):
    remote = await launch("wrong-type-download")
    reply = await remote.call("GET", (await _finish(remote, clock))["results"][0]["url"])
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("download-error", 500, b"InternalError"), ("expired-url", 403, b"AccessDenied")],
)
async def test_a_download_is_refused(launch, clock, name, status, code):
    remote = await launch(name)
    reply = await remote.call("GET", (await _finish(remote, clock))["results"][0]["url"])
    assert reply.status == status
    assert code in reply.content


async def test_a_partial_task_mixes_addresses_and_reasons(launch, clock):
    remote = await launch("partial-task")
    task_id = await remote.create_task({"n": 4})
    clock.advance(60)
    answer = (await remote.query(task_id)).json
    results = answer["output"]["results"]
    good = sum("url" in result for result in results)
    assert answer["output"]["task_status"] == "SUCCEEDED"
    assert 1 <= good <= 3
    assert {tuple(result) for result in results} == {("url",), ("code", "message")}
    assert answer["output"]["task_metrics"] == {"TOTAL": 4, "SUCCEEDED": good, "FAILED": 4 - good}
    assert answer["usage"] == {"image_count": good}


async def test_a_task_of_one_picture_is_never_partial(launch, clock):
    remote = await launch("partial-task")
    task_id = await remote.create_task({"n": 1})
    clock.advance(60)
    assert (await remote.query(task_id)).json["usage"] == {"image_count": 1}


async def test_a_failed_task_gives_its_reason_and_no_usage(launch, clock):
    remote = await launch("failed-task")
    task_id = await remote.create_task({"n": 4})
    clock.advance(60)
    answer = (await remote.query(task_id)).json
    row = (await remote.call("GET", "/tasks", headers={"Authorization": "Bearer x"})).json["data"][
        0
    ]
    assert answer["output"]["task_status"] == row["status"] == "FAILED"
    assert answer["output"]["code"] == row["code"] == "InternalError.Timeout"
    assert answer["output"]["task_metrics"] == {"TOTAL": 4, "SUCCEEDED": 0, "FAILED": 4}
    assert "usage" not in answer


@pytest.mark.parametrize("size", ["512*512", "720*1280", 7, None])
async def test_a_bad_size_fails_only_inside_the_task(launch, clock, size):
    remote = await launch("bad-size")
    created = await remote.create({"n": 4} | ({} if size is None else {"size": size}))
    clock.advance(60)
    answer = (await remote.query(created.json["output"]["task_id"])).json
    assert (created.status, answer["output"]["task_status"]) == (200, "FAILED")
    assert answer["output"]["code"] == "InvalidParameter"
    for allowed in ("1024*1024", "720*1280", "768*1152", "1280*720"):
        assert allowed in answer["output"]["message"]
    assert answer["output"]["task_metrics"] == {"TOTAL": 4, "SUCCEEDED": 0, "FAILED": 4}
    assert "usage" not in answer


@pytest.mark.parametrize(
    ("parameters", "words"),
    [({"size": "1*1", "n": 5}, {}), ({"size": "1*1", "style": "x"}, {}), ({}, {"prompt": ""})],
)
async def test_a_create_that_takes_any_size_takes_nothing_else(launch, parameters, words):
    remote = await launch("bad-size")
    assert (await remote.create(parameters, **words)).error == (400, "InvalidParameter")
    assert remote.paid == 0


async def test_a_bad_size_does_not_strike_what_has_no_size(launch):
    remote = await launch("bad-size")
    assert (await remote.voice("create", **GOOD_VOICE)).status == 200


async def test_a_bad_size_strikes_some_of_the_tasks(launch, clock):
    remote = await launch("bad-size=0.5", seed=1, limits=False)
    tasks = [await remote.create_task({"n": 1}) for _ in range(12)]
    clock.advance(60)
    ends = [(await remote.query(task)).json["output"]["task_status"] for task in tasks]
    assert set(ends) == {"FAILED", "SUCCEEDED"}


async def test_a_stuck_task_keeps_running_and_lets_others_pass(launch, clock):
    remote = await launch("stuck-task=0.5", limits=True, seed=0)
    tasks = [await remote.create_task({"n": 1})]
    for _ in range(11):
        clock.advance(1)
        tasks.append(await remote.create_task({"n": 1}))
    clock.advance(3600)
    ends = [(await remote.query(task)).json["output"]["task_status"] for task in tasks]
    assert set(ends) == {"RUNNING", "SUCCEEDED"}


async def test_a_slow_task_takes_ten_times_as_long(launch, clock):
    remote = await launch("slow-task", queue_time_s=0, task_time_s=1)
    task_id = await remote.create_task({"n": 1})
    seen = []
    for seconds in (9, 2):
        clock.advance(seconds)
        seen.append((await remote.query(task_id)).json["output"]["task_status"])
    assert seen == ["RUNNING", "SUCCEEDED"]


async def test_a_task_query_says_unknown(launch, clock):
    remote = await launch("unknown-task")
    assert (await _finish(remote, clock))["task_status"] == "UNKNOWN"


async def test_the_voice_quota_is_used_up(launch):
    remote = await launch("voice-quota")
    reply = await remote.voice("create", **GOOD_VOICE)
    assert reply.error == (400, "Throttling.AllocationQuota")
    assert remote.emulator.creates == {}


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_dice_fall_the_same_for_the_same_seed(launch, seed):
    runs = []
    for _ in range(2):
        remote = await launch("server-error=0.5", seed=seed, limits=False)
        runs.append([(await remote.create()).status for _ in range(20)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_can_be_asked_for_by_name(name):
    assert parse_fault(name) == Fault(name=name, probability=1)
    assert parse_fault(f"{name}=0.25") == Fault(name=name, probability=0.25)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lost-anser", "did you mean 'lost-answer'"),
        ("zzz", "Known faults: lost-answer, reset"),
        ("reset=0", "above 0 and at most 1"),
        ("reset=1.5", "above 0 and at most 1"),
        ("reset=often", "above 0 and at most 1"),
        ("reset=nan", "above 0 and at most 1"),
        ("reset=", "above 0 and at most 1"),
    ],
)
def test_a_fault_that_is_not_understood_is_explained(text, message):
    with pytest.raises(ValueError, match=message):
        parse_fault(text)
