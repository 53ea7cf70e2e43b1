"""Operation files that the emulator has no code for: served as they describe themselves."""

import io
import json

import pytest
import soundfile

from dsrun.emulator import EmulatorOptions, start_emulator

PATH = "/services/aigc/new/generation"
KEY = {"Authorization": "Bearer sk-test"}
ASYNC = {"X-DashScope-Async": "enable"}


def _operation(protocol, artifacts, **rules):
    return json.dumps(
        {
            "type": "object",
            "required": ["model", "input"],
            "properties": {
                "model": {"const": "new-1"},
                "input": {"type": "object"},
                "parameters": {"properties": {"count": {"default": 2}}},
            },
            "x-dsrun": {
                "protocol": protocol,
                "endpoint": {"path": PATH},
                "artifacts": artifacts,
            }
            | rules,
        }
    )


def _price(billed, **units):
    return {"items": [{"units": units, "billed": [billed]}]}


async def _post(remote, words, **headers):
    body = {"model": "new-1", "input": words}
    return (await remote.call("POST", PATH, json=body, headers=KEY | headers)).json


async def test_synchronous_pictures_in_a_chat_answer(launch):
    kind = {
        "media": "image",
        "each": "/output/choices/*",
        "at": "/message/content/0/image",
        "asked": "/parameters/count",
    }
    text = _operation("sync", [kind], price=_price("/usage/pictures", count=True))
    remote = await launch(operations=(text,))
    words = {"messages": [{"role": "user", "content": [{"text": "a boat"}]}]}
    answer = await _post(remote, words)
    urls = [choice["message"]["content"][0]["image"] for choice in answer["output"]["choices"]]
    files = [await remote.call("GET", url) for url in urls]
    assert answer["usage"] == {"pictures": 2}
    assert [file.headers["Content-Type"] for file in files] == ["image/png"] * 2


async def test_one_synchronous_picture_without_a_list(launch):
    text = _operation("sync", [{"media": "image", "at": "/output/picture"}])
    remote = await launch(operations=(text,))
    answer = await _post(remote, {})
    reply = await remote.call("GET", answer["output"]["picture"])
    assert reply.headers["Content-Type"] == "image/png"


async def test_synchronous_speech_under_an_address(launch):
    text = _operation(
        "sync",
        [{"media": "audio", "at": "/output/audio/url"}],
        price=_price("/usage/characters", chars=["/input/text"]),
        outputs={"voice": "/output/voice", "finish": "/output/finish_reason"},
    )
    remote = await launch(operations=(text,))
    answer = await _post(
        remote, {"text": "Good evening.", "voice": "v", "language_type": "English"}
    )
    reply = await remote.call("GET", answer["output"]["audio"].pop("url"))
    assert soundfile.info(io.BytesIO(reply.content)).samplerate == 24000
    assert answer["usage"] == {"characters": 13}
    assert answer["output"] == {"audio": {}, "voice": "v", "finish_reason": "emulated-finish"}


async def test_a_task_that_speaks(launch, clock):
    kind = {"media": "audio", "at": "/output/audio_url"}
    text = _operation("task", [kind], price=_price("/usage/count", count=True))
    remote = await launch(operations=(text,))
    created = await _post(remote, {"text": "Good evening."}, **ASYNC)
    clock.advance(60)
    answer = (await remote.query(created["output"]["task_id"])).json
    reply = await remote.call("GET", answer["output"]["audio_url"])
    assert answer["usage"] == {"count": 1}
    assert reply.headers["Content-Type"] == "audio/x-wav"


async def test_a_request_of_a_further_operation_is_held_to_its_schema(launch):
    text = _operation("sync", [{"media": "image", "at": "/output/picture"}])
    remote = await launch(operations=(text,))
    body = {"model": "new-1", "input": "text"}
    reply = await remote.call("POST", PATH, json=body, headers=KEY)
    assert reply.error == (400, "InvalidParameter")


async def test_what_cannot_be_made_is_said_at_the_start():
    text = _operation("task", [{"media": "smell", "at": "/output/smell_url"}])
    with pytest.raises(ValueError, match=r"image, audio, video, .* and captions, not smell"):
        await start_emulator(EmulatorOptions(operations=(text,)))


async def test_an_emulator_closes_at_the_end_of_its_block():
    async with await start_emulator(EmulatorOptions()) as emulator:
        assert emulator.base_url.endswith("/api/v1")
