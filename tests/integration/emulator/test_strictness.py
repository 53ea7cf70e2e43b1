"""What the emulator refuses by a file: limits, rates and headers, each by model and by request."""

import base64
import io

import aiohttp
import pytest
from PIL import Image

from tests.integration.emulator.families import ASYNC, KEY, PATH, operation, post, run_task

PICTURE = [{"media": "image", "at": "/output/picture"}]
RESOLVE = {"X-DashScope-OssResourceResolve": "enable"}
ACCEPTED, THROTTLED = 200, (429, "Throttling.RateQuota")


def _table(*by, **rows):
    return {"by": list(by), "table": {key.replace("_or_", " | "): row for key, row in rows.items()}}


def _data_url(side=300, picture_format="PNG"):
    target = io.BytesIO()
    Image.new("RGB", (side, side)).save(target, picture_format)
    return "data:image/png;base64," + base64.b64encode(target.getvalue()).decode()


async def _statuses(remote, count, **options):
    return [(await post(remote, **options)).status for _ in range(count)]


async def test_each_model_has_a_rate_of_its_own(launch, clock):
    limits = _table(
        "/model", slow={"requests": 2, "per_s": 60}, **{"*": {"requests": 3, "per_s": 1}}
    )
    remote = await launch(operations=(operation(PICTURE, models=("slow", "fast"), limits=limits),))
    slow = await _statuses(remote, 3, model="slow")
    fast = await _statuses(remote, 4, model="fast")
    clock.advance(2)
    later = [await _statuses(remote, 1, model=model) for model in ("slow", "fast")]
    clock.advance(58)
    last = await _statuses(remote, 1, model="slow")
    assert (slow, fast) == ([200, 200, 429], [200, 200, 200, 429])
    assert (later, last) == ([[429], [200]], [200])


async def test_two_files_of_a_group_share_its_rate(launch):
    limits = {"requests": 3, "per_s": 1, "group": "customization"}
    texts = [operation(PICTURE, models=(name,), limits=limits) for name in ("clone", "design")]
    remote = await launch(operations=tuple(texts))
    statuses = [
        (await post(remote, model=model)).status for model in ("clone", "design", "clone", "design")
    ]
    assert statuses == [200, 200, 200, 429]


@pytest.mark.parametrize(("scope", "last"), [("key", 200), ("account", 429)])
async def test_a_limit_is_of_the_account_or_of_the_key(launch, scope, last):
    limits = {"requests": 1, "per_s": 1, "scope": scope}
    remote = await launch(operations=(operation(PICTURE, limits=limits),))
    other = {"Authorization": "Bearer sk-another"}
    statuses = [(await post(remote, headers=headers)).status for headers in ({}, {}, other)]
    assert statuses == [200, 429, last]


async def test_tokens_are_counted_over_their_own_seconds(launch, clock):
    limits = {"requests": 9, "per_s": 1, "tokens": 10, "tokens_s": 6}
    price = {"items": [{"units": {"tokens": ["/input/texts/*"]}, "billed": ["/usage/tokens"]}]}
    remote = await launch(operations=(operation(PICTURE, limits=limits, price=price),))
    words = {"texts": ["12345", "6"]}
    first, second = await post(remote, words), await post(remote, words)
    clock.advance(6)
    third = await post(remote, words)
    assert (first.status, third.status) == (ACCEPTED, ACCEPTED)
    assert second.error == (429, "Throttling.AllocationQuota")


async def test_a_task_over_the_running_limit_waits_and_one_over_the_queue_is_refused(launch, clock):
    limits = {"running_tasks": 2, "queued_tasks": 3}
    text = operation(PICTURE, protocol="task", limits=limits)
    remote = await launch(operations=(text,), task_time_s=10, queue_time_s=0)
    replies = [await post(remote, headers=ASYNC) for _ in range(4)]
    clock.advance(1)
    states = [
        (await remote.query(reply.json["output"]["task_id"])).json["output"]["task_status"]
        for reply in replies[:3]
    ]
    assert states == ["RUNNING", "RUNNING", "PENDING"]
    assert replies[3].error == (429, "Throttling")
    assert remote.paid == 3
    clock.advance(10)
    assert (await post(remote, headers=ASYNC)).status == ACCEPTED


async def test_a_cancelled_task_frees_its_place_in_the_queue(launch):
    text = operation(PICTURE, protocol="task", limits={"running_tasks": 1, "queued_tasks": 2})
    remote = await launch(operations=(text,), queue_time_s=0)
    tasks = [await post(remote, headers=ASYNC) for _ in range(2)]
    refused = await post(remote, headers=ASYNC)
    await remote.call("POST", f"/tasks/{tasks[1].json['output']['task_id']}/cancel", headers=KEY)
    assert refused.status == 429
    assert (await post(remote, headers=ASYNC)).status == ACCEPTED


async def test_models_of_a_group_share_running_tasks_in_order_of_arrival(launch, clock):
    limits = {"group": "family", "group_running": 2}
    text = operation(PICTURE, models=("one", "other"), protocol="task", limits=limits)
    remote = await launch(operations=(text,), task_time_s=10, queue_time_s=0)
    tasks = []
    for model in ("one", "one", "one", "other", "one"):
        reply = await post(remote, model=model, headers=ASYNC)
        tasks.append(reply.json["output"]["task_id"])
        clock.advance(0.1)

    async def running():
        replies = [(await remote.query(task)).json["output"]["task_status"] for task in tasks]
        return [at for at, status in enumerate(replies) if status == "RUNNING"]

    seen = [await running()]
    for _ in range(2):
        clock.advance(10)
        seen.append(await running())
    assert seen == [[0, 1], [2, 3], [4]]


async def test_limits_that_are_off_bound_nothing(launch):
    limits = {"requests": 1, "per_s": 60, "running_tasks": 1, "queued_tasks": 1, "tokens": 1}
    text = operation(PICTURE, protocol="task", limits=limits)
    remote = await launch(operations=(text,), limits=False)
    assert await _statuses(remote, 5, headers=ASYNC) == [200] * 5


@pytest.mark.parametrize(
    ("protocol", "headers", "words"),
    [
        ("sync", ASYNC, "current user api does not support asynchronous calls"),
        ("task", {}, "current user api does not support synchronous calls"),
    ],
)
async def test_the_async_header_is_for_tasks_alone(launch, protocol, headers, words):
    remote = await launch(operations=(operation(PICTURE, protocol=protocol),))
    reply = await post(remote, headers=headers)
    assert (reply.error, reply.json["message"]) == ((403, "AccessDenied"), words)
    assert remote.paid == 0


async def test_every_header_of_a_file_must_be_sent(launch):
    endpoint = {"headers": {"X-DashScope-SSE": "enable"}}
    remote = await launch(operations=(operation(PICTURE, endpoint=endpoint),))
    without = await post(remote)
    with_it = await post(remote, headers={"X-DashScope-SSE": "enable"})
    assert without.error == (400, "InvalidParameter")
    assert "X-DashScope-SSE" in without.json["message"]
    assert with_it.status == ACCEPTED


async def test_a_path_may_depend_on_the_request(launch):
    path = _table("/model", kf={"table": 0}, **{"*": PATH})
    path["table"]["kf"] = "/services/aigc/new/frames"
    text = operation(PICTURE, models=("kf", "other"), endpoint={"path": path})
    remote = await launch(operations=(text,))
    good = await post(remote, model="kf", path="/services/aigc/new/frames")
    bad = await post(remote, model="kf")
    assert good.status == ACCEPTED
    assert bad.json["message"] == "url error, please check url!"


@pytest.mark.parametrize(
    ("model", "parameters", "is_good"),
    [
        ("long", {"duration": 15}, True),
        ("long", {"duration": 16}, False),
        ("short", {"duration": 5}, True),
        ("short", {"duration": 6}, False),
        ("fixed", {"duration": 5}, False),
        ("fixed", {"resolution": "480P"}, True),
        ("long", {"resolution": "1080P", "duration": 10}, True),
        ("long", {"resolution": "1080P", "duration": 11}, False),
        ("long", {"resolution": "4K"}, False),
    ],
)
async def test_a_model_is_held_to_limits_of_its_own_and_of_its_request(
    launch, model, parameters, is_good
):
    vary = [
        {
            "at": "/parameters/duration",
            "by": ["/model", "/parameters/resolution"],
            "table": {
                "long": {"1080P": {"maximum": 10}, "*": {"maximum": 15}},
                "short": {"*": {"enum": [5, 10]}},
                "*": {"*": False},
            },
        },
        {
            "at": "/parameters/resolution",
            "by": ["/model"],
            "table": {"*": {"enum": ["480P", "1080P"]}},
        },
    ]
    text = operation(
        PICTURE,
        models=("long", "short", "fixed"),
        parameters={"duration": {"type": "integer"}, "resolution": {"type": "string"}},
        vary=vary,
    )
    remote = await launch(operations=(text,))
    reply = await post(remote, model=model, **parameters)
    assert (reply.status == ACCEPTED) is is_good
    if not is_good:
        assert reply.error == (400, "InvalidParameter")
        assert "parameters." in reply.json["message"]


@pytest.mark.parametrize(
    "words",
    [
        {"images": ["https://x/1.png", "oss://bucket/1.png"]},
        {"messages": [{"role": "user", "content": [{"image": "oss://bucket/1.png"}]}]},
        {"media": [{"type": "first_frame", "url": "oss://bucket/1.png"}]},
        {"voice_sample": "oss://bucket/1.wav"},
    ],
)
async def test_an_oss_address_anywhere_needs_the_resolve_header(launch, words):
    remote = await launch(operations=(operation(PICTURE),))
    without = await post(remote, words)
    with_it = await post(remote, words, headers=RESOLVE)
    assert without.error == (400, "InvalidParameter.DataInspection")
    assert with_it.error == (400, "BadRequest.InputDownloadFailed")  # it was never uploaded
    assert remote.paid == 0


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (_data_url(), None),
        (_data_url(100), "InvalidImageResolution"),
        ("data:image/png;base64,bm8gcGljdHVyZQ==", "InvalidImageFormat"),
        ("data:image/png;base64,???", "BadRequest.InputDownloadFailed"),
        ("https://nowhere.invalid/1.png", "BadRequest.InputDownloadFailed"),
    ],
)
@pytest.mark.parametrize("protocol", ["sync", "task"])
async def test_a_picture_in_the_request_is_judged_by_the_file(launch, clock, protocol, url, code):
    fields = [{"at": "/input/messages/*/content/*/image", "media": "image", "min_side": 240}]
    text = operation(PICTURE, protocol=protocol, uploads={"fields": fields})
    remote = await launch(operations=(text,))
    words = {"messages": [{"role": "user", "content": [{"image": url}, {"text": "edit"}]}]}
    if protocol == "sync":
        answer = (await post(remote, words)).json
        found = answer.get("code")
        assert remote.paid == (1 if code is None else 0)
    else:
        found = (await run_task(remote, clock, words))["output"].get("code")
    assert found == code


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("first_frame", "InvalidImageResolution"),
        ("last_frame", "InvalidImageResolution"),
        ("reference", None),
    ],
)
async def test_limits_of_a_file_hang_on_what_stands_beside_it(launch, kind, code):
    fields = [
        {"at": "/input/media/*/url", "when": {"type": "first_frame | last_frame"}, "min_side": 240},
        {"at": "/input/media/*/url", "when": {"type": "reference"}, "ratio": [0.5, 2]},
    ]
    remote = await launch(operations=(operation(PICTURE, uploads={"fields": fields}),))
    reply = await post(remote, {"media": [{"type": kind, "url": _data_url(100)}]})
    assert reply.json.get("code") == code


async def test_a_file_sent_as_data_is_measured_as_it_is_sent(launch):
    url = "data:audio/wav;base64,UklGRg=="
    field = {"at": "/input/audio/data", "media": "audio", "as": "data", "max_bytes": len(url)}
    texts = [
        operation(PICTURE, models=(name,), uploads={"fields": [field | {"max_bytes": most}]})
        for name, most in (("fits", len(url)), ("tight", len(url) - 1))
    ]
    remote = await launch(operations=tuple(texts))
    words = {"audio": {"data": url}}
    assert (await post(remote, words, model="fits")).status == ACCEPTED
    assert (await post(remote, words, model="tight")).error == (400, "BadRequest.TooLarge")


async def test_speech_samples_are_not_judged_as_pictures(launch):
    fields = [{"at": "/input/audio/data", "media": "audio", "max_bytes": 20}]
    remote = await launch(operations=(operation(PICTURE, uploads={"fields": fields}),))
    small, large = [
        await post(remote, {"audio": {"data": f"data:audio/wav;base64,{text}"}})
        for text in ("UklGRg==", "UklGRgAA" * 8)
    ]
    assert small.status == ACCEPTED
    assert large.error == (400, "BadRequest.TooLarge")


@pytest.mark.parametrize("fault", ["lost-answer", "server-error-after", "stall"])
async def test_an_answer_with_an_address_that_is_lost_was_paid(launch, fault):

    remote = await launch(fault, operations=(operation(PICTURE),))
    remote.session._timeout = aiohttp.ClientTimeout(total=1)
    try:
        reply = await post(remote)
        assert reply.error == (500, "InternalError")
    except (aiohttp.ClientError, TimeoutError):
        pass
    assert remote.paid == 1


@pytest.mark.parametrize("fault", ["server-error", "throttle", "throttle-bare", "html", "arrears"])
async def test_an_answer_that_was_refused_was_not_paid(launch, fault):
    remote = await launch(fault, operations=(operation(PICTURE),))
    assert (await post(remote)).status >= 400
    assert remote.paid == 0


async def test_an_address_in_an_answer_may_have_expired(launch):
    remote = await launch("expired-url", operations=(operation(PICTURE),))
    url = (await post(remote)).json["output"]["picture"]
    assert (await remote.call("GET", url)).status == 403
    assert remote.paid == 1
