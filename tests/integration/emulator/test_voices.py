"""Voice design: what create answers, and what list, query and delete know afterwards."""

import base64
import io
import re
import wave

import pytest
import soundfile

GOOD = {
    "target_model": "qwen3-tts-vd-2026-01-26",
    "voice_prompt": "A calm voice",
    "preview_text": "Good evening.",
    "preferred_name": "announcer",
}


async def test_a_create_answers_with_name_preview_and_model(remote):
    answer = (await remote.voice("create", **GOOD)).json
    preview = answer["output"].pop("preview_audio")
    name = answer["output"].pop("voice")
    answer.pop("request_id")
    assert answer == {"output": {"target_model": GOOD["target_model"]}, "usage": {"count": 1}}
    assert re.fullmatch(r"qwen-tts-vd-announcer-voice-20270115160000-[0-9a-f]{4}", name)
    assert (preview["sample_rate"], preview["response_format"]) == (24000, "wav")
    with wave.open(io.BytesIO(base64.b64decode(preview["data"]))) as recording:
        assert recording.getparams()[:3] == (1, 2, 24000)
        assert recording.getnframes() > 0


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
@pytest.mark.parametrize(
    ("name", "kind", "subtype"),
    [
        pytest.param("wav", "WAV", "PCM_16", id="wav"),
        pytest.param("mp3", "MP3", "MPEG_LAYER_III", id="mp3"),
        pytest.param("opus", "OGG", "OPUS", id="opus"),
    ],
)
async def test_a_preview_has_the_asked_form(remote, rate, name, kind, subtype):
    parameters = {"sample_rate": rate, "response_format": name}
    answer = (await remote.voice("create", parameters=parameters, **GOOD)).json
    preview = answer["output"]["preview_audio"]
    content = base64.b64decode(preview["data"])
    known = soundfile.info(io.BytesIO(content))
    assert (preview["sample_rate"], preview["response_format"]) == (rate, name)
    assert (known.samplerate, known.channels) == (rate, 1)
    assert (known.format, known.subtype) == (kind, subtype)


async def test_a_pcm_preview_is_bare_samples(remote):
    answers = [
        (await remote.voice("create", parameters={"response_format": name}, **GOOD)).json
        for name in ("pcm", "wav")
    ]
    pcm, wav = (base64.b64decode(one["output"]["preview_audio"]["data"]) for one in answers)
    assert wav[44:] == pcm


async def test_a_voice_can_be_found_again_by_the_words_of_its_request(remote, clock):
    name = (await remote.voice("create", **GOOD)).json["output"]["voice"]
    entry = {
        "voice": name,
        "target_model": GOOD["target_model"],
        "language": "zh",
        "voice_prompt": GOOD["voice_prompt"],
        "preview_text": GOOD["preview_text"],
        "gmt_create": "2027-01-15 16:00:00",
        "gmt_modified": "2027-01-15 16:00:00",
    }
    listed = (await remote.voice("list")).json
    queried = (await remote.voice("query", voice=name)).json
    assert listed["output"] == {
        "page_index": 0,
        "page_size": 10,
        "total_count": 1,
        "voice_list": [entry],
    }
    assert (queried["output"], queried["usage"]) == (entry, {"count": 0})


async def test_the_same_request_twice_makes_two_voices(remote):
    names = {(await remote.voice("create", **GOOD)).json["output"]["voice"] for _ in range(2)}
    assert len(names) == 2
    assert list(remote.emulator.creates.values()) == [2]


async def test_the_list_is_cut_into_pages_that_start_at_zero(remote):
    names = [
        (await remote.voice("create", **GOOD | {"preferred_name": f"v{number}"})).json["output"][
            "voice"
        ]
        for number in range(5)
    ]
    pages = [
        (await remote.voice("list", page_index=index, page_size=2)).json["output"]["voice_list"]
        for index in range(4)
    ]
    newest = names[::-1]
    listed = [[entry["voice"] for entry in page] for page in pages]
    assert listed == [newest[:2], newest[2:4], newest[4:], []]


@pytest.mark.parametrize(
    "words",
    [
        {"page_index": -1},
        {"page_index": 201},
        {"page_index": "0"},
        {"page_size": 0},
        {"page_size": True},
    ],
)
async def test_a_page_outside_the_limits_is_refused(remote, words):
    assert (await remote.voice("list", **words)).error == (400, "InvalidParameter")


async def test_a_deleted_voice_is_gone(remote):
    name = (await remote.voice("create", **GOOD)).json["output"]["voice"]
    deleted = await remote.voice("delete", voice=name)
    again = await remote.voice("delete", voice=name)
    queried = await remote.voice("query", voice=name)
    assert deleted.json["output"] == {"voice": name}
    assert (again.error, queried.error) == ((400, "VoiceNotFound"),) * 2
    assert queried.json["message"] == f"Voice not found: {name}"


@pytest.mark.parametrize(
    ("action", "words"),
    [("query", {}), ("delete", {"voice": 5}), ("create_voice", {}), ("", {})],
)
async def test_an_action_must_be_known_and_complete(remote, action, words):
    assert (await remote.voice(action, **words)).error == (400, "InvalidParameter")


async def test_an_account_holds_a_thousand_voices(remote):
    words = GOOD | {"preview_text": "1"}
    small = {"sample_rate": 8000, "response_format": "pcm"}
    for _ in range(1000):
        reply = await remote.voice("create", parameters=small, **words)
    full = await remote.voice("create", parameters=small, **words)
    await remote.voice("delete", voice=reply.json["output"]["voice"])
    freed = await remote.voice("create", parameters=small, **words)
    assert full.error == (400, "Throttling.AllocationQuota")
    assert freed.status == 200


async def test_all_actions_share_three_calls_a_second(launch, clock):
    remote = await launch()
    await remote.voice("create", **GOOD)
    replies = [await remote.voice("list") for _ in range(3)]
    clock.advance(1)
    replies.append(await remote.voice("list"))
    assert [reply.status for reply in replies] == [200, 200, 429, 200]
