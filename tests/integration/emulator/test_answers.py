"""Answers that the emulator makes of a file: the sample, with results, usage and request put in."""

import base64
import io
import json
import wave

import pytest
from PIL import Image

from tests.integration.emulator.families import ASYNC, operation, post, run_task

CHAT = "/output/choices/*/message/content/*"


def _price(billed, **units):
    return {"items": [{"units": units, "billed": [billed]}]}


COUNT = _price("/usage/image_count", count=True)


def _chat(*contents):
    return {"output": {"choices": [{"message": {"content": list(parts)}} for parts in contents]}}


async def _start(launch, artifacts, answer=None, *faults, **rules):
    sample = {"sample": {"answer": answer}} if answer is not None else {}
    return await launch(*faults, operations=(operation(artifacts, **sample, **rules),))


def _pictures(parts):
    return [part["image"] for part in parts if "image" in part]


@pytest.mark.parametrize("count", [1, 2, 3, 6])
async def test_pictures_that_a_sample_shows_in_one_choice_stay_in_one_choice(launch, count):
    sample = _chat([{"image": "https://x/1.png"}, {"image": "https://x/2.png"}])
    kind = {"media": "image", "each": CHAT, "at": "/image", "asked": "/parameters/n"}
    remote = await _start(launch, [kind], sample, parameters={"n": {"default": 1}}, price=COUNT)
    answer = (await post(remote, n=count)).json
    (choice,) = answer["output"]["choices"]
    assert len(set(_pictures(choice["message"]["content"]))) == count
    assert answer["usage"]["image_count"] == count


@pytest.mark.parametrize("count", [1, 2, 3, 6])
async def test_pictures_that_a_sample_shows_in_own_choices_have_own_choices(launch, count):
    part = {"type": "image", "image": "https://x/1.png"}
    kind = {"media": "image", "each": CHAT, "at": "/image", "asked": "/parameters/n"}
    remote = await _start(
        launch, [kind], _chat([part], [part]), parameters={"n": {"default": 1}}, price=COUNT
    )
    choices = (await post(remote, n=count)).json["output"]["choices"]
    urls = [_pictures(choice["message"]["content"]) for choice in choices]
    assert [len(one) for one in urls] == [1] * count
    assert len({one[0] for one in urls}) == count


async def test_what_stands_beside_a_picture_in_the_sample_stays(launch):
    sample = _chat([{"image": "https://x/1.png"}, {"text": "…"}])
    sample["output"]["finish_reason"] = "stop"
    sample |= {"code": "", "request_id": "of-the-sample", "usage": {"image_count": 7, "width": 5}}
    remote = await _start(
        launch, [{"media": "image", "each": CHAT, "at": "/image"}], sample, price=COUNT
    )
    reply = await post(remote, {"prompt": "a boat"})
    answer = reply.json
    picture, text = answer["output"]["choices"][0]["message"]["content"]
    assert picture["image"].startswith(remote.origin)
    assert text == {"text": "a boat"}
    assert answer["output"]["finish_reason"] == "stop"
    assert (answer["code"], answer["usage"]) == ("", {"image_count": 1, "width": 5})
    assert answer["request_id"] == reply.headers["x-request-id"] != "of-the-sample"


async def test_a_task_answers_with_its_sample_and_its_own_frame(launch, clock):
    sample = {
        "output": {
            "task_id": "of-the-sample",
            "task_status": "SUCCEEDED",
            "video_url": "https://x/v.mp4",
            "orig_prompt": "…",
        },
        "usage": {"duration": 5, "SR": 720},
    }
    price = {
        "items": [
            {"units": {"value": "/parameters/duration", "else": 5}, "billed": ["/usage/duration"]}
        ]
    }
    remote = await _start(
        launch,
        [{"media": "video", "at": "/output/video_url", "asked": 1}],
        sample,
        protocol="task",
        parameters={"duration": {}, "resolution": {}},
        price=price,
        recovery={"by": "task-list", "confirm": {"/input/prompt": "/output/orig_prompt"}},
    )
    answer = await run_task(remote, clock, duration=3, resolution="480P")
    output = answer["output"]
    assert output["task_id"] != "of-the-sample"
    assert output["orig_prompt"] == "a boat"
    assert "task_metrics" not in output
    assert answer["usage"] == {"duration": 3, "SR": 480}
    reply = await remote.call("GET", output["video_url"])
    assert reply.headers["Content-Type"] == "video/mp4"
    assert reply.content[4:8] == b"ftyp"


async def test_what_the_sample_makes_of_its_prompt_is_made_of_the_request(launch):
    text = operation(
        [{"media": "image", "at": "/output/url"}],
        outputs={"prompt": "/output/actual_prompt"},
        sample={
            "request": {"model": "new-1", "input": {"prompt": "a lantern"}},
            "answer": {"output": {"url": "https://x", "actual_prompt": "a lantern, warm light"}},
        },
    )
    remote = await launch(operations=(text,))
    answer = (await post(remote, {"messages": [{"content": [{"text": "a boat"}]}]})).json
    assert answer["output"]["actual_prompt"] == "a boat, warm light"


async def test_a_task_that_still_runs_shows_nothing_of_the_sample(launch, clock):
    sample = {"output": {"video_url": "https://x/v.mp4"}, "usage": {"duration": 5}}
    kind = {"media": "video", "at": "/output/video_url"}
    remote = await _start(launch, [kind], sample, protocol="task")
    created = await post(remote, headers=ASYNC)
    waiting = (await remote.query(created.json["output"]["task_id"])).json
    assert waiting["output"].keys() == {"task_id", "task_status", "submit_time"}
    assert "usage" not in waiting


async def test_a_failed_part_has_its_error_alone(launch, clock):
    item = {"url": "https://x/1.png", "orig_prompt": "…"}
    kind = {
        "media": "image",
        "each": "/output/results/*",
        "at": "/url",
        "error": ["/code", "/message"],
        "asked": "/parameters/n",
    }
    remote = await _start(
        launch,
        [kind],
        {"output": {"results": [item]}, "usage": {"image_count": 1}},
        "partial-task",
        protocol="task",
        parameters={"n": {}},
        price=COUNT,
    )
    answer = await run_task(remote, clock, n=4)
    results = answer["output"]["results"]
    failed = [one for one in results if "url" not in one]
    assert len(results) == 4
    assert failed
    assert all(one.keys() == {"code", "message"} for one in failed)
    assert answer["usage"]["image_count"] == 4 - len(failed)


async def test_the_kinds_of_one_item_stand_side_by_side(launch, clock):
    sample = {
        "output": {"results": [{"model_url": "https://x/m.glb", "preview_url": "https://x/p.webp"}]}
    }
    kinds = [
        {"media": "model", "each": "/output/results/*", "at": "/model_url"},
        {"media": "model", "each": "/output/results/*", "at": "/base_url", "name": "base"},
        {"media": "image", "each": "/output/results/*", "at": "/preview_url", "name": "preview"},
    ]
    remote = await _start(launch, kinds, sample, protocol="task")
    (item,) = (await run_task(remote, clock))["output"]["results"]
    assert item.keys() == {"model_url", "preview_url"}
    model, preview = [await remote.call("GET", url) for url in item.values()]
    assert model.content[:4] == b"glTF"
    assert Image.open(io.BytesIO(preview.content)).format == "WEBP"
    assert preview.headers["Content-Type"] == "image/webp"


async def test_a_picture_has_the_format_of_the_address_in_the_sample(launch, clock):
    kind = {"media": "image", "at": "/output/image_url"}
    sample = {"output": {"image_url": "http://x/result.jpg?Expires=1"}}
    remote = await _start(launch, [kind], sample, protocol="task")
    reply = await remote.call("GET", (await run_task(remote, clock))["output"]["image_url"])
    assert Image.open(io.BytesIO(reply.content)).format == "JPEG"


@pytest.mark.parametrize("form", ["url", "base64", "value"])
async def test_a_text_comes_in_each_form_and_says_the_request(launch, form):
    remote = await _start(launch, [{"media": "text", "at": "/output/text", "as": form}])
    texts = []
    for prompt in ("a boat", "一只小船"):
        found = (await post(remote, {"prompt": prompt})).json["output"]["text"]
        if form == "url":
            found = (await remote.call("GET", found)).content.decode()
        if form == "base64":
            found = base64.b64decode(found).decode()
        assert prompt in found
        texts.append(found)
    assert texts[0] != texts[1]


async def test_a_value_keeps_the_shape_of_the_sample_and_differs_by_request(launch):
    sample = {"output": {"embeddings": [{"text_index": 0, "embedding": [0.1, 0.2]}]}}
    kind = {"media": "json", "at": "/output/embeddings", "as": "value"}
    price = {
        "items": [{"units": {"tokens": ["/input/texts/*"]}, "billed": ["/usage/total_tokens"]}]
    }
    remote = await _start(launch, [kind], sample, price=price)
    answers = [(await post(remote, {"texts": [text, "x"]})).json for text in ("one", "other")]
    vectors = [answer["output"]["embeddings"][0]["embedding"] for answer in answers]
    assert [len(vector) for vector in vectors] == [2, 2]
    assert vectors[0] != vectors[1]
    assert [answer["usage"]["total_tokens"] for answer in answers] == [4, 6]


async def test_a_json_file_holds_what_further_kinds_are_made_of(launch, clock):
    kinds = [
        {
            "media": "json",
            "each": "/output/results/*",
            "at": "/transcription_url",
            "error": ["/code", "/message"],
            "asked": 1,
        },
        {"media": "text", "name": "text", "of": "", "at": "/transcripts/*/text"},
        {
            "media": "captions",
            "name": "captions",
            "of": "",
            "each": "/transcripts/*/sentences/*",
            "begin": "/begin_time",
            "end": "/end_time",
            "text": "/text",
        },
    ]
    remote = await _start(launch, kinds, protocol="task")
    answer = await run_task(remote, clock)
    (item,) = answer["output"]["results"]
    reply = await remote.call("GET", item["transcription_url"])
    (transcript,) = json.loads(reply.content)["transcripts"]
    (sentence,) = transcript["sentences"]
    assert "a boat" in transcript["text"] == sentence["text"]
    assert sentence["begin_time"] < sentence["end_time"]


async def test_speech_under_an_address_is_a_wav_in_the_asked_rate(launch, clock):
    kind = {"media": "audio", "at": "/output/audio/url", "asked_rate": "/parameters/rate"}
    price = {
        "items": [{"units": {"chars": ["/input/text"], "wide": 2}, "billed": ["/usage/characters"]}]
    }
    audio = {"url": "http://x/a.wav", "data": "", "expires_at": 0}
    sample = {"code": "", "output": {"audio": audio}}
    remote = await _start(launch, [kind], sample, parameters={"rate": {}}, price=price)
    answer = (await post(remote, {"text": "你好 ab", "voice": "Cherry"}, rate=16000)).json
    reply = await remote.call("GET", answer["output"]["audio"]["url"])
    with wave.open(io.BytesIO(reply.content)) as recording:
        assert recording.getframerate() == 16000
        assert recording.getnframes() > 1000
    assert answer["usage"]["characters"] == 7
    assert answer["output"]["audio"]["expires_at"] == clock() + 86400


async def test_where_the_model_decides_it_makes_at_most_what_was_asked(launch):
    asked = {"at": "/parameters/n", "at_most": True}
    kind = {"media": "image", "each": "/output/results/*", "at": "/url", "asked": asked}
    remote = await _start(launch, [kind], parameters={"n": {}}, price=COUNT)
    answers = [(await post(remote, {"prompt": str(one)}, n=4)).json for one in range(12)]
    counts = [len(answer["output"]["results"]) for answer in answers]
    assert set(counts) <= {1, 2, 3, 4}
    assert len(set(counts)) > 1
    assert [answer["usage"]["image_count"] for answer in answers] == counts


async def test_the_first_place_of_the_bill_that_the_sample_shows_is_written(launch):
    sample = {"output": {"video_url": "https://x"}, "usage": {"video_duration": 9}}
    billed = ["/usage/duration", "/usage/video_duration"]
    price = {"items": [{"units": {"value": "/parameters/duration"}, "billed": billed}]}
    kind = {"media": "video", "at": "/output/video_url"}
    remote = await _start(launch, [kind], sample, parameters={"duration": {}}, price=price)
    assert (await post(remote, duration=4)).json["usage"] == {"video_duration": 4}


async def test_what_every_request_counts_is_billed_whatever_it_makes(launch):
    price = {"items": [{"units": {"else": 5}, "billed": ["/usage/duration"]}]}
    sample = {"output": {"video_url": "https://x"}, "usage": {"duration": 9}}
    kind = {"media": "video", "at": "/output/video_url"}
    remote = await _start(launch, [kind], sample, price=price)
    assert (await post(remote)).json["usage"] == {"duration": 5}


async def test_several_items_of_a_price_are_billed_each_at_its_place(launch):
    price = {
        "items": [
            {"units": {"tokens": ["/input/prompt"]}, "billed": ["/usage/input_tokens"]},
            {"units": {"most": 100}, "billed": ["/usage/output_tokens"]},
            {
                "units": {"items": "/input/files", "times": {"items": "/parameters/channels"}},
                "billed": ["/usage/parts"],
            },
        ]
    }
    sample = {"output": {"text": "…"}, "usage": {"output_tokens": 31}}
    kind = {"media": "text", "at": "/output/text", "as": "value"}
    remote = await _start(launch, [kind], sample, parameters={"channels": {}}, price=price)
    words = {"prompt": "a boat", "files": ["a", "b"]}
    answer = (await post(remote, words, channels=[0, 1, 2])).json
    assert answer["usage"] == {"input_tokens": 6, "output_tokens": 31, "parts": 6}


async def test_a_path_may_have_a_root_of_its_own_and_an_answer_without_output(launch):
    sample = {"id": "of-the-sample", "results": [{"index": 0, "relevance_score": 0.9}]}
    kind = {"media": "json", "at": "/results", "as": "value"}
    endpoint = {"root": "/compatible-api/v1", "path": "/reranks"}
    remote = await _start(launch, [kind], sample, endpoint=endpoint)
    for slash in ("", "/"):
        url = f"{remote.origin}/compatible-api/v1/reranks{slash}"
        reply = await post(remote, {"query": "boat"}, path=url)
        assert reply.status == 200
        assert reply.json["results"][0]["index"] == 0
        assert reply.json["id"] == reply.headers["x-request-id"]
        assert reply.json.keys() == {"id", "results"}
    assert (await post(remote, path="/reranks")).status == 404


@pytest.mark.parametrize(("is_billed", "paid"), [(True, 1), (False, 0)])
async def test_an_answer_of_status_200_may_say_no(launch, is_billed, paid):
    success = {
        "at": "/output/check_pass",
        "is": True,
        "code": "/output/code",
        "message": "/output/message",
        "billed": is_billed,
    }
    kind = {"media": "json", "at": "/output/bbox", "as": "value"}
    sample = {"output": {"check_pass": True, "bbox": [1, 2, 3, 4]}, "usage": {"image_count": 1}}
    good = await _start(launch, [kind], sample, success=success)
    bad = await _start(launch, [kind], sample, "failed-check", success=success)
    assert (await post(good)).json["output"] == sample["output"]
    refused = await post(bad)
    assert (refused.status, refused.json["output"]["check_pass"]) == (200, False)
    assert refused.json["output"]["code"]
    assert refused.json["usage"] == ({"image_count": 1} if is_billed else {})
    assert bad.paid == paid


async def test_a_failed_part_takes_no_other_kind_with_it(launch, clock):
    kinds = [
        {"media": "image", "each": "/output/results/*", "at": "/url", "asked": 2},
        {"media": "text", "at": "/output/text", "as": "value", "name": "text"},
    ]
    remote = await _start(launch, kinds, None, "partial-task", protocol="task")
    for prompt in ("one", "other", "third"):
        output = (await run_task(remote, clock, {"prompt": prompt}))["output"]
        assert [one.keys() for one in output["results"] if "code" in one]
        assert prompt in output["text"]


SECONDS = {"value": "/parameters/duration", "else": 5}


@pytest.mark.parametrize(
    ("sample", "usage"),
    [
        pytest.param(
            {"duration": 5, "input_video_duration": 0, "output_video_duration": 5},
            {"duration": 8, "input_video_duration": 0, "output_video_duration": 8},
            id="the whole is billed",
        ),
        pytest.param(
            {"duration": 7, "input_video_duration": 5, "output_video_duration": 5},
            {"duration": 8, "input_video_duration": 5, "output_video_duration": 5},
            id="the sample does not add up",
        ),
        pytest.param(
            {"duration": 5, "total_tokens": 3, "input_tokens": 1, "output_tokens": 2},
            {"duration": 8, "total_tokens": 3, "input_tokens": 1, "output_tokens": 2},
            id="nothing of it is billed",
        ),
        pytest.param(
            {"duration": 5, "total_tokens": "3", "input_tokens": "1", "output_tokens": "2"},
            {"duration": 8, "total_tokens": "3", "input_tokens": "1", "output_tokens": "2"},
            id="texts do not add up",
        ),
        pytest.param({"duration": 5, "SR": "720"}, {"duration": 8, "SR": "480"}, id="a text"),
        pytest.param(
            {"duration": 5, "size": "1*1", "audio": False, "ratio": "1:1"},
            {"duration": 8, "size": "640*480", "audio": True, "ratio": "1:1"},
            id="settings",
        ),
    ],
)
async def test_usage_adds_up_as_in_the_sample_and_repeats_settings(launch, sample, usage):
    remote = await _start(
        launch,
        [{"media": "text", "at": "/output/text", "as": "value"}],
        {"output": {"text": "…"}, "usage": sample},
        parameters={name: {} for name in ("duration", "resolution", "size", "audio")},
        price={"items": [{"units": SECONDS, "billed": ["/usage/duration"]}]},
    )
    settings = {"duration": 8, "resolution": "480P", "size": "640*480", "audio": True}
    assert (await post(remote, **settings)).json["usage"] == usage


async def test_the_parts_of_a_sum_that_are_billed_make_it(launch):
    parts = {"input_video_duration": 5, "output_video_duration": 5}
    remote = await _start(
        launch,
        [{"media": "text", "at": "/output/text", "as": "value"}],
        {"output": {"text": "…"}, "usage": {"duration": 10} | parts},
        parameters={"duration": {}},
        price={"items": [{"units": SECONDS, "billed": ["/usage/output_video_duration"]}]},
    )
    usage = (await post(remote, duration=4)).json["usage"]
    assert usage == {"duration": 9, "input_video_duration": 5, "output_video_duration": 4}


async def test_a_setting_that_is_no_measure_is_not_repeated(launch):
    shown = {"size": "1024*1024", "SR": 1}
    remote = await _start(
        launch,
        [{"media": "text", "at": "/output/text", "as": "value"}],
        {"output": {"text": "…"}, "usage": shown},
        parameters={"size": {}, "resolution": {}},
    )
    assert (await post(remote, size="1K", resolution="2k")).json["usage"] == shown
