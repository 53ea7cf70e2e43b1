"""What a create must look like: every limit at its edge and just over it."""

import asyncio

import pytest

WANX = "/services/aigc/text2image/image-synthesis"
VOICES = "/services/audio/tts/customization"
KEY = {"Authorization": "Bearer sk-test"}
ASYNC = {"X-DashScope-Async": "enable"}
LARGEST_SEED = 2147483647

STYLES = (
    "<auto>",
    "<photography>",
    "<portrait>",
    "<3d cartoon>",
    "<anime>",
    "<oil painting>",
    "<watercolor>",
    "<sketch>",
    "<chinese painting>",
    "<flat illustration>",
)
SIZES = ("1024*1024", "720*1280", "768*1152", "1280*720")

GOOD_VOICE = {
    "target_model": "qwen3-tts-vd-2026-01-26",
    "voice_prompt": "A calm voice",
    "preview_text": "Good evening.",
    "preferred_name": "announcer",
}


@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        pytest.param({"prompt": "x" * 800}, {}, id="prompt-800"),
        pytest.param({"prompt": "画" * 800}, {}, id="prompt-800-chinese"),
        pytest.param({"prompt": "\U0001f3ee" * 800}, {}, id="prompt-800-astral"),
        pytest.param({"negative_prompt": "x" * 500}, {}, id="negative-500"),
        pytest.param({"negative_prompt": ""}, {}, id="negative-empty"),
        pytest.param({"ref_img": "https://example.com/a.png"}, {}, id="ref-https"),
        pytest.param({"ref_img": "https://example.com/%E7%94%BB.png"}, {}, id="ref-encoded"),
        *[pytest.param({}, {"style": style}, id=style) for style in STYLES],
        *[pytest.param({}, {"size": size}, id=size) for size in SIZES],
        pytest.param({}, {"n": 1}, id="n-1"),
        pytest.param({}, {"n": 4}, id="n-4"),
        pytest.param({}, {"seed": 0}, id="seed-0"),
        pytest.param({}, {"seed": LARGEST_SEED, "n": 1}, id="seed-largest"),
        pytest.param({}, {"seed": LARGEST_SEED - 3, "n": 4}, id="seed-largest-of-four"),
        pytest.param({}, {"ref_strength": 0}, id="strength-0"),
        pytest.param({}, {"ref_strength": 1.0}, id="strength-1"),
        pytest.param({}, {"ref_mode": "repaint"}, id="repaint"),
        pytest.param({}, {"ref_mode": "refonly"}, id="refonly"),
    ],
)
async def test_a_picture_request_within_the_limits_is_accepted(remote, words, parameters):
    reply = await remote.create(parameters, **words)
    assert reply.status == 200
    assert reply.json["output"]["task_status"] == "PENDING"


@pytest.mark.parametrize(
    ("words", "parameters", "named"),
    [
        pytest.param(
            {"prompt": "x" * 801}, {}, "input.prompt: length must be at most 800", id="801"
        ),
        pytest.param({"prompt": ""}, {}, "input.prompt", id="prompt-empty"),
        pytest.param({"prompt": 5}, {}, "input.prompt", id="prompt-number"),
        pytest.param({"negative_prompt": "x" * 501}, {}, "at most 500", id="negative-501"),
        pytest.param({"ref_img": "https://example.com/画.png"}, {}, "ref_img", id="ref-chinese"),
        pytest.param({"ref_img": "a.png"}, {}, "ref_img", id="ref-local"),
        pytest.param(
            {"ref_image": "https://example.com/a.png"}, {}, "ref_image", id="unknown-word"
        ),
        pytest.param({}, {"style": "anime"}, "parameters.style", id="style-without-brackets"),
        pytest.param({}, {"size": "512*512"}, "1024*1024, 720*1280", id="size"),
        pytest.param({}, {"n": 0}, "parameters.n: must be at least 1", id="n-0"),
        pytest.param({}, {"n": 5}, "parameters.n: must be at most 4", id="n-5"),
        pytest.param({}, {"n": 1.5}, "parameters.n", id="n-fraction"),
        pytest.param({}, {"n": "1"}, "parameters.n", id="n-text"),
        pytest.param({}, {"seed": -1}, "parameters.seed", id="seed-negative"),
        pytest.param({}, {"seed": LARGEST_SEED + 1}, "parameters.seed", id="seed-over"),
        pytest.param({}, {"seed": LARGEST_SEED, "n": 2}, "parameters.seed", id="seed-span"),
        pytest.param({}, {"seed": None}, "parameters.seed", id="seed-null"),
        pytest.param({}, {"ref_strength": -0.1}, "ref_strength", id="strength-under"),
        pytest.param({}, {"ref_strength": 1.1}, "ref_strength", id="strength-over"),
        pytest.param({}, {"ref_mode": "copy"}, "ref_mode", id="ref-mode"),
        pytest.param({}, {"steps": 20}, "steps", id="unknown-parameter"),
    ],
)
async def test_a_picture_request_over_a_limit_is_refused_by_name(remote, words, parameters, named):
    reply = await remote.create(parameters, **words)
    assert reply.error == (400, "InvalidParameter")
    assert named in reply.json["message"]
    assert remote.emulator.creates == {}


@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        pytest.param({"voice_prompt": "x" * 2048}, {}, id="prompt-2048"),
        pytest.param({"voice_prompt": "沉稳的男声, calm"}, {}, id="prompt-chinese"),
        pytest.param(
            {"preview_text": "w" + " word" * 204 + " ab"}, {"sample_rate": 8000}, id="text-1024"
        ),
        pytest.param({"preferred_name": "a" * 16}, {}, id="name-16"),
        pytest.param({"preferred_name": "A_1"}, {}, id="name-signs"),
        pytest.param({"target_model": "qwen3-tts-vd-realtime-2025-12-16"}, {}, id="realtime-2025"),
        pytest.param({"target_model": "qwen3-tts-vd-realtime-2026-01-15"}, {}, id="realtime-2026"),
        pytest.param({"preview_text": "Привет", "language": "ru"}, {}, id="russian"),
        pytest.param({"preview_text": "こんにちは", "language": "ja"}, {}, id="japanese"),
        pytest.param({"preview_text": "123", "language": "zh"}, {}, id="digits"),
        *[
            pytest.param({"language": code}, {}, id=code)
            for code in ("en", "de", "it", "pt", "es", "fr")
        ],
        *[
            pytest.param({}, {"sample_rate": rate}, id=str(rate))
            for rate in (8000, 16000, 24000, 48000)
        ],
        *[
            pytest.param({}, {"response_format": name}, id=name)
            for name in ("pcm", "wav", "mp3", "opus")
        ],
    ],
)
async def test_a_voice_request_within_the_limits_is_accepted(remote, words, parameters):
    reply = await remote.voice("create", parameters=parameters, **(GOOD_VOICE | words))
    assert reply.status == 200
    assert reply.json["usage"] == {"count": 1}


@pytest.mark.parametrize(
    ("words", "parameters", "named"),
    [
        pytest.param({"voice_prompt": "x" * 2049}, {}, "at most 2048", id="prompt-2049"),
        pytest.param({"voice_prompt": "やさしい声"}, {}, "voice_prompt", id="prompt-japanese"),
        pytest.param({"voice_prompt": ""}, {}, "voice_prompt", id="prompt-empty"),
        pytest.param({"preview_text": "x" * 1025}, {}, "at most 1024", id="text-1025"),
        pytest.param({"preview_text": ""}, {}, "preview_text", id="text-empty"),
        pytest.param({"preferred_name": "a" * 17}, {}, "at most 16", id="name-17"),
        pytest.param({"preferred_name": "my-voice"}, {}, "preferred_name", id="name-hyphen"),
        pytest.param({"preferred_name": "voice\n"}, {}, "preferred_name", id="name-line-end"),
        pytest.param({"preferred_name": ""}, {}, "preferred_name", id="name-empty"),
        pytest.param({"target_model": "qwen3-tts"}, {}, "target_model", id="model"),
        pytest.param({"language": "nl"}, {}, "language", id="language"),
        pytest.param({"language": "zh"}, {}, "not in language zh", id="language-of-text"),
        pytest.param({}, {"sample_rate": 44100}, "sample_rate", id="44100"),
        pytest.param({}, {"sample_rate": "24000"}, "sample_rate", id="rate-text"),
        pytest.param({}, {"response_format": "flac"}, "response_format", id="flac"),
        pytest.param({}, {"volume": 50}, "volume", id="unknown-parameter"),
        pytest.param({"speed": 1}, {}, "speed", id="unknown-word"),
    ],
)
async def test_a_voice_request_over_a_limit_is_refused_by_name(remote, words, parameters, named):
    reply = await remote.voice("create", parameters=parameters, **(GOOD_VOICE | words))
    assert reply.error == (400, "InvalidParameter")
    assert named in reply.json["message"]
    assert remote.emulator.creates == {}


@pytest.mark.parametrize("missing", GOOD_VOICE)
async def test_a_voice_request_without_a_required_word_is_refused(remote, missing):
    words = {name: text for name, text in GOOD_VOICE.items() if name != missing}
    reply = await remote.voice("create", **words)
    assert reply.error == (400, "InvalidParameter")
    assert missing in reply.json["message"]


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        pytest.param({}, "No API-key provided.", id="none"),
        pytest.param({"Authorization": "Bearer "}, "Invalid API-key provided.", id="empty"),
        pytest.param({"Authorization": "sk-test"}, "Invalid API-key provided.", id="no-scheme"),
        pytest.param({"Authorization": "Bearer sk-bad-1"}, "Invalid API-key provided.", id="bad"),
    ],
)
async def test_a_call_without_a_good_key_is_refused(remote, headers, message):
    reply = await remote.call("POST", WANX, json={}, headers=headers)
    assert reply.error == (401, "InvalidApiKey")
    assert reply.json["message"] == message


async def test_a_chosen_key_is_the_only_good_one(launch):
    remote = await launch(api_key="sk-mine")
    good = await remote.call("GET", "/tasks", headers={"Authorization": "Bearer sk-mine"})
    other = await remote.call("GET", "/tasks", headers={"Authorization": "Bearer sk-test"})
    assert (good.status, other.status) == (200, 401)


@pytest.mark.parametrize("value", ["", "disable"])
async def test_a_picture_request_must_ask_for_a_task(remote, value):
    reply = await remote.create(headers={"X-DashScope-Async": value})
    assert reply.error == (403, "AccessDenied")
    assert reply.json["message"] == "current user api does not support synchronous calls"


async def test_a_voice_request_must_not_ask_for_a_task(remote):
    body = {"model": "qwen-voice-design", "input": {"action": "create"} | GOOD_VOICE}
    reply = await remote.call("POST", VOICES, json=body, headers=KEY | ASYNC)
    assert reply.error == (403, "AccessDenied")
    assert "asynchronous" in reply.json["message"]


@pytest.mark.parametrize(
    ("path", "model", "message"),
    [
        pytest.param(WANX, "wanx-v0", "Model not exist.", id="unknown-model"),
        pytest.param(WANX, 5, "Model not exist.", id="model-number"),
        pytest.param(VOICES, "wanx-v1", "url error, please check url!", id="wrong-path"),
        pytest.param("/services/x/y", "wanx-v1", "url error, please check url!", id="no-path"),
    ],
)
async def test_model_and_path_must_belong_together(remote, path, model, message):
    body = {"model": model, "input": {"prompt": "x"}}
    reply = await remote.call("POST", path, json=body, headers=KEY | ASYNC)
    assert reply.error == (400, "InvalidParameter")
    assert reply.json["message"] == message


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        pytest.param(b"{", "application/json", id="broken"),
        pytest.param(b"[]", "application/json", id="no-object"),
        pytest.param(b"\xff", "application/json", id="no-utf8"),
        pytest.param(b'{"model": "wanx-v1"}', "text/plain", id="content-type"),
    ],
)
async def test_the_body_must_be_a_json_object(remote, content, content_type):
    headers = KEY | ASYNC | {"Content-Type": content_type}
    reply = await remote.call("POST", WANX, data=content, headers=headers)
    assert reply.error == (400, "InvalidParameter")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param({"input": {}}, "BadRequest.EmptyModel", id="no-model"),
        pytest.param({"model": "wanx-v1"}, "BadRequest.EmptyInput", id="no-input"),
        pytest.param({"model": "wanx-v1", "input": {}}, "InvalidParameter", id="no-prompt"),
        pytest.param({"model": "wanx-v1", "input": "x"}, "InvalidParameter", id="input-text"),
    ],
)
async def test_a_request_must_be_complete(remote, body, code):
    reply = await remote.call("POST", WANX, json=body, headers=KEY | ASYNC)
    assert reply.error == (400, code)


async def test_every_answer_carries_its_request_id_in_body_and_header(remote):
    for reply in (await remote.create(), await remote.create({"n": 9}), await remote.query("x")):
        assert reply.headers["x-request-id"] == reply.json["request_id"]
        assert len(reply.json["request_id"]) == 36


async def test_a_workspace_header_is_accepted_as_it_is(remote):
    reply = await remote.create(headers={"X-DashScope-WorkSpace": "llm-anything goes"})
    assert reply.status == 200


async def test_an_unknown_path_or_method_is_answered_in_json(remote):
    nowhere = await remote.call("GET", "/nowhere", headers=KEY)
    wrong = await remote.call("DELETE", "/tasks/1", headers=KEY)
    assert (nowhere.error, wrong.error) == ((404, "NotFound"), (405, "MethodNotAllowed"))


async def test_accepted_creates_are_counted_by_their_canonical_body(remote):
    await remote.create({"n": 1, "seed": 2})
    await remote.create({"seed": 2, "n": 1})
    await remote.create({"n": 9})
    text = '{"input":{"prompt":"a lantern"},"model":"wanx-v1","parameters":{"n":1,"seed":2}}'
    assert remote.emulator.creates == {text: 2}
    assert remote.emulator.requests == (("POST", "/api/v1" + WANX),) * 3


async def test_creates_are_limited_in_any_one_second(launch, clock):
    remote = await launch()
    first = (await remote.create()).status
    clock.advance(0.5)
    second, third = (await remote.create()).status, await remote.create()
    assert (first, second) == (200, 200)
    assert third.error == (429, "Throttling.RateQuota")
    assert "Retry-After" not in third.headers
    clock.advance(0.5)
    assert [(await remote.create()).status for _ in range(2)] == [200, 429]


async def test_limits_can_be_switched_off(launch):
    remote = await launch(limits=False)
    replies = await asyncio.gather(*(remote.create() for _ in range(20)))
    assert {reply.status for reply in replies} == {200}


@pytest.mark.parametrize(
    "path", ["/tasks/", "/tasks/x", "/uploads?action=getPolicy&model=wanx-v1", "/nowhere"]
)
async def test_a_request_to_another_host_is_refused_in_the_words_of_the_api(remote, path):
    """A page in a browser whose own name resolves to this machine learns and starts nothing."""
    reply = await remote.call("GET", path, headers=KEY | {"Host": "evil.example"})
    assert reply.error == (403, "AccessDenied")
    assert reply.json["request_id"] == reply.headers["x-request-id"]
    assert "evil.example" in reply.json["message"]


async def test_files_and_uploads_are_refused_to_another_host_too(remote):
    for method, path in (("GET", "/dashscope-result/x.png"), ("POST", "/dashscope-file-mgr")):
        reply = await remote.call(method, remote.origin + path, headers={"Host": "evil.example"})
        assert reply.error == (403, "AccessDenied")


async def test_a_create_by_another_host_is_not_made(remote):
    body = {"model": "wanx-v1", "input": {"prompt": "a lantern"}, "parameters": {}}
    headers = KEY | {"X-DashScope-Async": "enable", "Host": "evil.example:80"}
    assert (await remote.call("POST", WANX, json=body, headers=headers)).status == 403
    assert remote.paid == 0
    assert (
        await remote.call("POST", WANX, json=body, headers=headers | {"Host": "localhost:1"})
    ).status == 200
    assert remote.paid == 1


@pytest.mark.parametrize(
    ("method", "path", "answers"),
    [
        pytest.param("GET", "/tasks/{task_id}", 200, id="query"),
        pytest.param("GET", "/tasks", 200, id="list"),
        pytest.param("GET", "/tasks?page_no=1", 200, id="list-with-a-query"),
        pytest.param("POST", "/tasks/{task_id}/cancel", 200, id="cancel"),
        pytest.param("GET", "/uploads?action=getPolicy&model=wanx-v1", 200, id="policy"),
        pytest.param("GET", "/uploads?action=other", 400, id="refused-policy"),
        pytest.param("POST", WANX, 200, id="create-task"),
        pytest.param("POST", VOICES, 200, id="create-voice"),
        pytest.param("POST", WANX + "/more", 400, id="no-such-service"),
        pytest.param("GET", "/models", 404, id="no-such-route"),
    ],
)
async def test_a_slash_at_the_end_of_a_path_changes_nothing(launch, method, path, answers):
    """Some calls of the official package's 1.x clients have one."""
    remote = await launch(limits=False, queue_time_s=3600)
    bodies = {
        WANX: {"model": "wanx-v1", "input": {"prompt": "a lantern"}},
        VOICES: {"model": "qwen-voice-design", "input": {"action": "create"} | GOOD_VOICE},
    }
    where, mark, query = path.partition("?")
    body, headers = bodies.get(where, bodies[WANX]), KEY | (ASYNC if where != VOICES else {})
    for slash in ("", "/"):
        target = where.format(task_id=await remote.create_task()) + slash + mark + query
        reply = await remote.call(method, target, json=body, headers=headers)
        assert reply.status == answers
        assert reply.json["request_id"]


async def test_an_upload_form_may_be_posted_with_a_slash(remote):
    """The host of the form is an address of its own, which clients join to paths as well."""
    reply = await remote.call("POST", remote.origin + "/dashscope-file-mgr/", data=b"x")
    assert reply.status == 400
    assert b"MalformedPOSTRequest" in reply.content
