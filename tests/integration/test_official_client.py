"""The official `dashscope` package against the emulator: what its users see.

Written as documentation of the package as well: where it hides something that the API answers,
the test says so.
"""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
import requests
from dashscope import ImageSynthesis, MultiModalConversation, VideoSynthesis
from dashscope.aigc.image_generation import ImageGeneration
from dashscope.aigc.image_synthesis import AioImageSynthesis
from dashscope.api_entities.aio_session import get_shared_aio_session
from dashscope.audio.qwen_tts import SpeechSynthesizer
from dashscope.audio.tts_v2 import VoiceEnrollmentService
from dashscope.audio.tts_v2.enrollment import VoiceEnrollmentException
from dashscope.client.base_api import BaseApi, BaseAsyncApi
from dashscope.v2 import DashScopeError
from PIL import Image

from tests import official
from tests.official import KEY, PICTURE, client_of, messages, talk

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:dashscope"),
    pytest.mark.filterwarnings("ignore:dashscope 2.0:FutureWarning"),
]

GOOD_VOICE = {
    "target_model": "qwen3-tts-vd-2026-01-26",
    "voice_prompt": "A calm voice",
    "preview_text": "Good evening.",
    "preferred_name": "announcer",
    "language": "en",
}

launch = official.launch
emulator = official.emulator


@pytest.fixture
async def shared_session() -> AsyncIterator[None]:
    """The package opens one HTTP session a loop, and leaves it open."""
    yield
    session = await get_shared_aio_session()
    await session.close()


def _create(**changes: Any) -> Any:
    words = {"model": "wanx-v1", "prompt": "a lantern", "n": 1, "api_key": KEY}
    return ImageSynthesis.async_call(**(words | changes))


def test_a_created_task_is_fetched_and_waited_for(emulator):
    created = _create(n=2, size="720*1280", style="<watercolor>", seed=7)
    fetched = ImageSynthesis.fetch(created, api_key=KEY)
    waited = ImageSynthesis.wait(created, api_key=KEY)
    assert created.output.task_status == "PENDING"
    assert fetched.output.task_id == created.output.task_id
    assert waited.output.task_status == "SUCCEEDED"
    assert waited.output.task_metrics == {"TOTAL": 2, "SUCCEEDED": 2, "FAILED": 0}
    assert waited.usage.image_count == 2


@pytest.mark.parametrize("model", ["wan2.2-t2i-flash", "wan2.5-t2i-preview"])
def test_a_model_of_a_family_draws_as_it_is_asked(emulator, model):
    created = _create(model=model, n=2, size="1280*1280")
    waited = ImageSynthesis.wait(created, api_key=KEY)
    assert waited.output.task_status == "SUCCEEDED"
    assert len([one.url for one in waited.output.results]) == 2
    assert waited.usage.image_count == 2


@pytest.mark.parametrize(
    ("model", "size"), [("wan2.2-t2i-flash", "1441*512"), ("wan2.5-t2i-preview", "1024*1024")]
)
def test_each_model_has_its_own_limits(emulator, model, size):
    refused = _create(model=model, size=size)
    assert (refused.status_code, refused.code) == (400, "InvalidParameter")


@pytest.mark.usefixtures("shared_session")
async def test_the_asynchronous_client_fetches_waits_and_cancels(emulator):
    """It puts a slash behind the id of a task."""
    created = await AioImageSynthesis.async_call(
        model="wanx-v1", prompt="a lantern", n=2, api_key=KEY
    )
    fetched = await AioImageSynthesis.fetch(created, api_key=KEY)
    waited = await AioImageSynthesis.wait(created, api_key=KEY)
    cancelled = await AioImageSynthesis.cancel(created, api_key=KEY)
    task_id = created.output.task_id
    assert fetched.output.task_id == waited.output.task_id == task_id
    assert [waited.output.task_status, len(waited.output.results)] == ["SUCCEEDED", 2]
    assert (cancelled.status_code, cancelled.code) == (400, "UnsupportedOperation")
    assert ("GET", f"/api/v1/tasks/{task_id}/") in emulator.requests


@pytest.mark.usefixtures("shared_session")
async def test_the_asynchronous_client_makes_a_picture_in_one_call(emulator):
    made = await AioImageSynthesis.call(model="wanx-v1", prompt="a lantern", n=1, api_key=KEY)
    assert (made.output.task_status, made.usage.image_count) == ("SUCCEEDED", 1)


def test_the_1_x_calls_make_list_query_and_delete_a_voice(emulator):
    def call(**words):
        return BaseApi.call(
            model="qwen-voice-design",
            input=words,
            task_group="audio",
            task="tts",
            function="customization",
            api_key=KEY,
        )

    made = call(action="create", **GOOD_VOICE)
    voice = made.output["voice"]
    listed, queried = call(action="list"), call(action="query", voice=voice)
    deleted = call(action="delete", voice=voice)
    assert [row["voice"] for row in listed.output["voice_list"]] == [voice]
    assert queried.output["voice_prompt"] == GOOD_VOICE["voice_prompt"]
    assert deleted.output == {"voice": voice}
    assert call(action="list").output["total_count"] == 0


EDIT = {"model": "wanx2.1-imageedit", "function": "expand", "base_image_url": PICTURE}
MIX = {"model": "wan2.5-i2i-preview", "images": [PICTURE, PICTURE]}
LANGUAGES = {"image_url": PICTURE, "source_lang": "zh", "target_lang": "en"}


@pytest.mark.parametrize(
    ("words", "count"),
    [
        pytest.param({"model": "qwen-image", "negative_prompt": "dust"}, 1, id="qwen-image"),
        pytest.param({"model": "qwen-image-plus", "size": "928*1664"}, 1, id="qwen-image-plus"),
        pytest.param(EDIT | {"n": 2, "top_scale": 1.5}, 2, id="edit"),
        pytest.param(MIX | {"n": 3, "size": "1280*1280"}, 3, id="mix"),
    ],
)
def test_pictures_are_drawn_and_edited(emulator, words, count):
    waited = ImageSynthesis.wait(_create(**words), api_key=KEY)
    assert waited.output.task_status == "SUCCEEDED"
    assert len([one.url for one in waited.output.results]) == waited.usage.image_count == count


@pytest.mark.parametrize(
    "words",
    [
        pytest.param({"model": "qwen-image", "n": 2}, id="n"),
        pytest.param({"model": "qwen-image-plus", "size": "1024*1024"}, id="size"),
        pytest.param(EDIT | {"function": "description_edit_with_mask"}, id="mask"),
        pytest.param(EDIT | {"is_sketch": True}, id="function"),
        pytest.param(MIX | {"images": [PICTURE] * 4}, id="pictures"),
    ],
)
def test_what_they_do_not_take_is_refused(emulator, words):
    refused = _create(**words)
    assert (refused.status_code, refused.code) == (400, "InvalidParameter")
    assert emulator.creates == {}


def test_local_pictures_are_uploaded_into_a_list(emulator, tmp_path):
    pictures = [str(tmp_path / name) for name in ("a.png", "b.png")]
    for picture in pictures:
        Image.new("RGB", (600, 600)).save(picture)
    waited = ImageSynthesis.wait(_create(**MIX | {"images": pictures}), api_key=KEY)
    assert waited.output.task_status == "SUCCEEDED"
    assert next(iter(emulator.creates)).count("oss://") == 2


@pytest.mark.parametrize(("side", "status"), [(511, "FAILED"), (512, "SUCCEEDED")])
def test_a_task_holds_a_picture_to_the_limits_of_its_own_field(emulator, tmp_path, side, status):
    picture = tmp_path / "a.png"
    Image.new("RGB", (side, 600)).save(picture)
    waited = ImageSynthesis.wait(_create(**EDIT | {"base_image_url": str(picture)}), api_key=KEY)
    assert waited.output.task_status == status
    assert waited.output.get("code", "InvalidImageResolution") == "InvalidImageResolution"


def test_a_translated_picture_stands_in_no_list(emulator):
    """The package has no class of its own for it: the body goes through the one of all tasks."""
    created = BaseAsyncApi.async_call(
        model="qwen-mt-image",
        input=LANGUAGES,
        task_group="aigc",
        task="image2image",
        function="image-synthesis",
        api_key=KEY,
    )
    waited = BaseAsyncApi.wait(created.output["task_id"], api_key=KEY)
    assert waited.output["task_status"] == "SUCCEEDED"
    assert "results" not in waited.output
    assert requests.get(waited.output["image_url"], timeout=10).status_code == 200
    assert waited.usage == {"image_count": 1}


def test_a_result_address_needs_no_key(emulator):
    waited = ImageSynthesis.wait(_create(), api_key=KEY)
    answer = requests.get(waited.output.results[0].url, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/png")


def test_the_request_id_of_the_create_is_found_in_the_list(emulator):
    """The package leaves the rows under `data`, raw, in its `output`."""
    created = _create()
    listed = ImageSynthesis.list(model_name="wanx-v1", page_size=5, api_key=KEY)
    (row,) = listed.output["data"]
    assert row["request_id"] == created.request_id
    assert row["task_id"] == created.output.task_id
    assert listed.output["total"] == 1


def test_a_waiting_task_is_cancelled_once(launch):
    launch(queue_time_s=600.0)
    created = _create()
    first = ImageSynthesis.cancel(created, api_key=KEY)
    second = ImageSynthesis.cancel(created, api_key=KEY)
    fetched = ImageSynthesis.fetch(created, api_key=KEY)
    assert first.status_code == 200
    assert (second.status_code, second.code) == (400, "UnsupportedOperation")
    assert fetched.output.task_status == "CANCELED"


def test_an_unknown_task_is_no_error(emulator):
    fetched = ImageSynthesis.fetch("no-such-task", api_key=KEY)
    assert (fetched.status_code, fetched.output.task_status) == (200, "UNKNOWN")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        pytest.param({"api_key": "sk-bad"}, 401, "InvalidApiKey", id="key"),
        pytest.param({"n": 5}, 400, "InvalidParameter", id="n"),
        pytest.param({"prompt": "x" * 801}, 400, "InvalidParameter", id="prompt"),
        pytest.param({"size": "1*1"}, 400, "InvalidParameter", id="size"),
        pytest.param({"model": "wanx-v0"}, 400, "InvalidParameter", id="model"),
        pytest.param({"task": "image2image"}, 400, "InvalidParameter", id="path"),
    ],
)
def test_a_refusal_is_an_answer_with_status_and_code(emulator, changes, status, code):
    refused = _create(**changes)
    assert (refused.status_code, refused.code) == (status, code)
    assert refused.request_id
    assert emulator.creates == {}


def test_the_rate_limit_is_met(launch):
    launch(limits=True)
    codes = [_create().code for _ in range(3)]
    assert codes == ["", "", "Throttling.RateQuota"]


def test_the_reason_of_a_failed_picture_is_beside_an_empty_address(launch):
    """A partial task looks like a success; only the raw fields tell which pictures failed."""
    launch("partial-task")
    waited = ImageSynthesis.wait(_create(n=4), api_key=KEY)
    failed = [result for result in waited.output.results if not result.url]
    assert waited.output.task_status == "SUCCEEDED"
    assert {result.code for result in failed} <= {"InternalError.Timeout", "DataInspectionFailed"}
    assert len(failed) == 4 - waited.usage.image_count > 0


def test_a_failed_task_is_http_200(launch):
    launch("failed-task")
    waited = ImageSynthesis.wait(_create(), api_key=KEY)
    assert (waited.status_code, waited.output.task_status) == (200, "FAILED")
    assert waited.output.code == "InternalError.Timeout"


@pytest.mark.parametrize("size", ["1*1", "1024*1024"])
def test_a_bad_size_that_the_create_has_taken_fails_inside_the_task(launch, size):
    launch("bad-size")
    waited = ImageSynthesis.wait(_create(size=size), api_key=KEY)
    assert (waited.output.task_status, waited.output.code) == ("FAILED", "InvalidParameter")


def test_a_local_reference_picture_is_uploaded_first(emulator, tmp_path):
    picture = tmp_path / "reference.png"
    Image.new("RGB", (300, 300)).save(picture)
    waited = ImageSynthesis.wait(_create(ref_img=str(picture)), api_key=KEY)
    assert waited.output.task_status == "SUCCEEDED"
    assert ("POST", "/dashscope-file-mgr") in emulator.requests
    assert '"ref_img":"oss://' in next(iter(emulator.creates))


def test_a_bad_reference_picture_fails_inside_the_task(emulator, tmp_path):
    picture = tmp_path / "reference.png"
    Image.new("RGB", (100, 100)).save(picture)
    waited = ImageSynthesis.wait(_create(ref_img=str(picture)), api_key=KEY)
    assert (waited.output.task_status, waited.output.code) == ("FAILED", "InvalidImageResolution")


def test_the_2_0_client_makes_a_picture(emulator):
    with client_of(emulator) as client:
        job = client.images.generate(model="wanx-v1", prompt="a lantern", n=1)
    assert job.status == "SUCCEEDED"
    assert len(job.image_urls) == 1


def test_the_2_0_client_sees_an_empty_list_of_tasks(emulator):
    """It reads the key `tasks`, while the API answers with `data`."""
    _create()
    with client_of(emulator) as client:
        page = client.images.jobs.list()
    assert page.tasks == []


def test_the_2_0_client_pays_again_when_an_answer_is_lost(launch):
    """It repeats a create whose connection broke, although the service may have accepted it."""
    emulator = launch("lost-answer")
    with client_of(emulator, max_retries=1) as client, pytest.raises(DashScopeError):
        client.audio.voice_design.create(**GOOD_VOICE)
    assert list(emulator.creates.values()) == [2]


def test_a_voice_is_made_listed_queried_and_deleted(emulator):
    with client_of(emulator) as client:
        made = client.audio.voice_design.create(**GOOD_VOICE)
        listed = client.audio.voice_design.list()
        queried = client.audio.voice_design.get(made.voice)
        deleted = client.audio.voice_design.delete(made.voice)
        left = client.audio.voice_design.list()
    assert base64.b64decode(made.preview_audio["data"]).startswith(b"RIFF")
    assert made.preview_audio["sample_rate"] == 24000
    assert made.target_model == queried.target_model == GOOD_VOICE["target_model"]
    assert [voice["voice"] for voice in listed.voices] == [made.voice]
    assert deleted.voice == made.voice
    assert left.voices == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"preferred_name": "a" * 17}, "InvalidParameter", id="name"),
        pytest.param({"target_model": "qwen3-tts"}, "InvalidParameter", id="model"),
        pytest.param({"parameters": {"sample_rate": 44100}}, "InvalidParameter", id="rate"),
    ],
)
def test_a_refused_voice_is_an_exception(emulator, changes, code):
    with client_of(emulator) as client, pytest.raises(DashScopeError) as caught:
        client.audio.voice_design.create(**(GOOD_VOICE | changes))
    assert (caught.value.status_code, caught.value.code) == (400, code)
    assert emulator.creates == {}


def test_a_missing_voice_is_an_exception(emulator):
    with client_of(emulator) as client, pytest.raises(DashScopeError) as caught:
        client.audio.voice_design.get("qwen-tts-vd-none-voice-20260101000000-0000")
    assert (caught.value.status_code, caught.value.code) == (400, "VoiceNotFound")


def test_a_bad_key_is_an_exception(emulator):
    client = client_of(emulator, api_key="sk-bad")
    with client, pytest.raises(DashScopeError) as caught:
        client.audio.voice_design.list()
    assert (caught.value.status_code, caught.value.code) == (401, "InvalidApiKey")


WISH = {"text": "a lantern"}
PARTS = [{"image": PICTURE}, {"image": PICTURE}, {"text": "the lamp of the first in the second"}]


def _images(answer: Any) -> list[str]:
    contents = [choice.message.content for choice in answer.output.choices]
    return [part["image"] for content in contents for part in content if "image" in part]


@pytest.mark.parametrize(
    ("model", "content", "words", "count"),
    [
        pytest.param("qwen-image-2.0", [WISH], {"n": 2, "size": "512*512"}, 2, id="2.0"),
        pytest.param("qwen-image-2.0-pro", PARTS, {"n": 1}, 1, id="2.0-pro"),
        pytest.param("qwen-image-max", [WISH], {"size": "928*1664"}, 1, id="max"),
        pytest.param("qwen-image-plus-2026-01-09", [WISH], {"negative_prompt": "dust"}, 1, id="+"),
        pytest.param("z-image-turbo", [WISH], {"prompt_extend": True}, 1, id="z-image"),
        pytest.param("qwen-image-edit-plus", PARTS, {"n": 3, "watermark": True}, 3, id="edit-plus"),
        pytest.param("qwen-image-edit", PARTS[1:], {"seed": 7}, 1, id="edit"),
    ],
)
def test_pictures_are_drawn_in_one_call(emulator, model, content, words, count):
    made = talk(model, *content, **words)
    assert (made.status_code, made.code) == (200, "")
    assert len(_images(made)) == made.usage["image_count"] == count
    assert requests.get(_images(made)[0], timeout=10).headers["Content-Type"] == "image/png"


@pytest.mark.parametrize(
    ("model", "content", "words"),
    [
        pytest.param("qwen-image-2.0", [WISH], {"n": 7}, id="n"),
        pytest.param("qwen-image-max", [WISH], {"n": 2}, id="one"),
        pytest.param("qwen-image-max", PARTS, {}, id="no-pictures"),
        pytest.param("qwen-image-max", [{"text": "x" * 801}], {}, id="text"),
        pytest.param("qwen-image-2.0", [WISH], {"size": "511*512"}, id="size"),
        pytest.param("z-image-turbo", [WISH], {"n": 1}, id="z-n"),
        pytest.param("z-image-turbo", [WISH], {"negative_prompt": "dust"}, id="z-negative"),
        pytest.param("qwen-image-edit", PARTS, {"size": "512*512"}, id="edit-size"),
        pytest.param("qwen-image-edit-max", PARTS, {"size": "511*512"}, id="edit-side"),
        pytest.param("qwen-image-edit-max", [WISH], {}, id="edit-nothing"),
        pytest.param("qwen-image-edit-plus", [*PARTS[:2], *PARTS], {}, id="edit-four"),
    ],
)
def test_what_a_call_does_not_take_is_refused(emulator, model, content, words):
    refused = talk(model, *content, **words)
    assert (refused.status_code, refused.code) == (400, "InvalidParameter")
    assert emulator.creates == {}


def test_a_local_picture_is_uploaded_for_a_call(emulator, tmp_path):
    picture = tmp_path / "a.png"
    Image.new("RGB", (600, 600)).save(picture)
    made = talk("qwen-image-edit-plus", {"image": f"file://{picture}"}, {"text": "in oil"})
    assert len(_images(made)) == 1
    assert '"image":"oss://' in next(iter(emulator.creates))


@pytest.mark.parametrize(
    ("model", "content", "count"),
    [("wan2.6-t2i", [WISH], 2), ("wan2.6-image", PARTS, 2), ("wan2.7-image", [WISH], 3)],
)
def test_a_task_of_messages_is_waited_for(emulator, model, content, count):
    created = ImageGeneration.async_call(
        model=model, messages=messages(*content), n=count, api_key=KEY
    )
    fetched = ImageGeneration.fetch(created, api_key=KEY)
    waited = ImageGeneration.wait(created, api_key=KEY)
    assert created.output.task_status == "PENDING"
    assert fetched.output.task_id == created.output.task_id
    assert waited.output.task_status == "SUCCEEDED"
    assert len(_images(waited)) == waited.usage.image_count == count


def test_what_a_task_of_messages_does_not_take_is_refused(emulator):
    refused = ImageGeneration.async_call(model="wan2.6-t2i", messages=messages(*PARTS), api_key=KEY)
    assert (refused.status_code, refused.code) == (400, "InvalidParameter")


@pytest.mark.parametrize(
    ("model", "voice", "more"),
    [
        ("qwen3-tts-flash", "Cherry", {"language_type": "English"}),
        ("qwen3-tts-flash-2025-09-18", "Li", {}),
        ("qwen3-tts-instruct-flash", "Cherry", {"instructions": "slowly"}),
        ("qwen3-tts-vd-2026-01-26", "qwen-tts-vd-announcer-voice-20260401101500-a1b2", {}),
        ("qwen3-tts-vc-2026-01-22", "qwen-tts-vc-announcer-voice-20260401101500-a1b2", {}),
    ],
)
def test_a_text_is_spoken(emulator, model, voice, more):
    spoken = MultiModalConversation.call(
        model=model, text="Good evening, 你好", voice=voice, api_key=KEY, **more
    )
    assert (spoken.status_code, spoken.code) == (200, "")
    assert spoken.usage["characters"] == 18  # a Han character counts two
    assert spoken.output.audio["data"] == ""
    sound = requests.get(spoken.output.audio["url"], timeout=10)
    assert sound.content.startswith(b"RIFF")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        pytest.param("qwen3-tts-flash", {"text": "x" * 601}, id="text"),
        pytest.param("qwen3-tts-flash", {"instructions": "slowly"}, id="instructions"),
        pytest.param("qwen3-tts-instruct-flash", {"optimize_instructions": True}, id="optimize"),
        pytest.param("qwen3-tts-vd-2026-01-26", {"voice": "Cherry"}, id="voice"),
        pytest.param("qwen3-tts-flash", {"language_type": "Klingon"}, id="language"),
    ],
)
def test_what_cannot_be_spoken_is_refused(emulator, model, words):
    said = {"text": "Good evening.", "voice": "Cherry"} | words
    refused = MultiModalConversation.call(model=model, api_key=KEY, **said)
    assert (refused.status_code, refused.code) == (400, "InvalidParameter")
    assert emulator.creates == {}


def test_the_class_of_speech_speaks_too(emulator):
    spoken = SpeechSynthesizer.call(
        model="qwen3-tts-flash", text="Good evening.", voice="Cherry", api_key=KEY
    )
    assert spoken.output.audio["url"].startswith("http://")


def test_the_1_x_class_of_voices_makes_lists_queries_and_deletes_one(emulator):
    service = VoiceEnrollmentService(api_key=KEY)
    source = "https://sounds.example/guide.wav"
    voice = service.create_voice("cosyvoice-v3-flash", "guide", source)
    other = service.create_voice("cosyvoice-v2", "other", source)
    assert voice.startswith("cosyvoice-v3-flash-guide-")
    assert [row["voice_id"] for row in service.list_voices()] == [other, voice]
    assert [row["status"] for row in service.list_voices(prefix="guide")] == ["OK"]
    told = service.query_voice(voice)
    assert (told["target_model"], told["resource_link"]) == ("cosyvoice-v3-flash", source)
    service.delete_voice(voice)
    assert [row["voice_id"] for row in service.list_voices()] == [other]
    with pytest.raises(VoiceEnrollmentException, match="Voice not found"):
        service.query_voice(voice)


def test_the_2_0_client_clones_lists_queries_and_deletes_a_voice(emulator):
    with client_of(emulator) as client:
        made = client.audio.voices.create(
            target_model="cosyvoice-v3-flash", prefix="guide", url="https://sounds.example/a.wav"
        )
        listed = client.audio.voices.list(prefix="guide")
        queried = client.audio.voices.get(made.voice_id)
        client.audio.voices.delete(made.voice_id)
        left = client.audio.voices.list()
    assert [row["voice_id"] for row in listed.voices] == [made.voice_id]
    assert queried.status == "OK"
    assert left.voices == []


def test_the_2_0_client_makes_lists_queries_and_deletes_hot_words(emulator):
    words = [{"text": "Lantern", "weight": 4}]
    with client_of(emulator) as client:
        made = client.audio.vocabularies.create(
            target_model="fun-asr", prefix="lantern", vocabulary=words
        )
        listed = client.audio.vocabularies.list()
        queried = client.audio.vocabularies.get(made.vocabulary_id)
        client.audio.vocabularies.delete(made.vocabulary_id)
        left = client.audio.vocabularies.list()
    assert made.vocabulary_id.startswith("vocab-lantern-")
    assert [row["vocabulary_id"] for row in listed.vocabularies] == [made.vocabulary_id]
    assert queried.vocabulary == words
    assert left.vocabularies == []


def test_a_voice_is_cloned_listed_and_deleted(emulator):
    """The package has no verb for it: the body goes through the class of all calls."""

    def call(**words):
        return BaseApi.call(
            model="qwen-voice-enrollment", input=words, task_group="audio", task="tts",
            function="customization", api_key=KEY,
        )  # fmt: skip

    source = {"audio": {"data": "https://sounds.example/a.wav"}, "language": "en"}
    made = call(
        action="create", target_model="qwen3-tts-vc-2026-01-22", preferred_name="guide", **source
    )
    voice = made.output["voice"]
    listed = call(action="list").output["voice_list"]
    assert voice.startswith("qwen-tts-vc-guide-voice-")
    assert [row["voice"] for row in listed] == [voice]
    assert call(action="delete", voice=voice).output == {"voice": voice}
    assert call(action="list").output["total_count"] == 0


FILMS = ["wan2.6-i2v", "wan2.6-i2v-flash", "wan2.5-i2v-preview", "wan2.2-i2v-flash"]


def _film(**changes: Any) -> Any:
    words = {"model": "wan2.6-i2v-flash", "prompt": "It drifts away", "img_url": PICTURE}
    return VideoSynthesis.async_call(**(words | {"api_key": KEY} | changes))


@pytest.mark.parametrize("model", [*FILMS, "wan2.2-i2v-plus", "wanx2.1-i2v-turbo"])
def test_a_film_is_made_of_a_picture(emulator, model):
    """Each call says `extend_prompt` and `function` in its input, which the service overlooks."""
    waited = VideoSynthesis.wait(_film(model=model), api_key=KEY)
    film = requests.get(waited.output.video_url, timeout=30)
    billed = "duration" if model in FILMS[:3] else "video_duration"
    assert waited.output.task_status == "SUCCEEDED"
    assert film.headers["Content-Type"] == "video/mp4"
    assert film.content[4:8] == b"ftyp"
    assert waited.usage[billed] == 5


def test_a_film_is_billed_by_its_seconds(emulator):
    waited = VideoSynthesis.wait(_film(duration=12, resolution="720P", audio=False), api_key=KEY)
    assert waited.usage["duration"] == 12


def test_a_local_picture_begins_a_film(emulator, tmp_path):
    path = tmp_path / "first.png"
    Image.new("RGB", (640, 480)).save(path)
    waited = VideoSynthesis.wait(_film(img_url=f"file://{path}"), api_key=KEY)
    assert waited.output.task_status == "SUCCEEDED"


def test_a_picture_that_is_too_small_fails_inside_the_task_of_a_film(emulator, tmp_path):
    path = tmp_path / "first.png"
    Image.new("RGB", (640, 200)).save(path)
    waited = VideoSynthesis.wait(_film(img_url=f"file://{path}"), api_key=KEY)
    assert waited.output.task_status == "FAILED"


@pytest.mark.parametrize(
    "changes",
    [
        {"duration": 16},
        {"duration": 1},
        {"resolution": "480P"},
        {"model": "wan2.6-i2v", "audio": False},
        {"model": "wan2.5-i2v-preview", "duration": 6},
        {"model": "wan2.5-i2v-preview", "shot_type": "multi"},
        {"model": "wan2.2-i2v-flash", "duration": 5},
        {"model": "wan2.2-i2v-plus", "resolution": "720P"},
        {"model": "wanx2.1-i2v-plus", "resolution": "480P"},
        {"model": "wanx2.1-i2v-turbo", "audio_url": PICTURE},
        {"model": "wan2.7-i2v"},
        {"shot_type": "multi", "prompt_extend": False},
        {"audio_url": PICTURE, "audio": False},
        {"prompt": "a" * 1501},
        {"img_url": "no address"},
    ],
)  # fmt: skip
def test_what_cannot_be_filmed_is_refused(emulator, changes):
    refused = _film(**changes)
    assert refused.status_code == 400
    assert "function" not in refused.message


class TestThe20Client:
    """What `dashscope.Client` has for the families of the catalog."""

    def test_it_speaks(self, emulator):
        with client_of(emulator) as client:
            spoken = client.audio.tts.http.synthesize(
                model="qwen3-tts-flash", text="Good evening.", voice="Cherry"
            )
        assert spoken.audio_url.startswith("http")

    @pytest.mark.parametrize("model", ["wan2.2-t2i-flash", "wan2.5-t2i-preview", "qwen-image-plus"])
    def test_it_draws(self, emulator, model):
        with client_of(emulator) as client:
            job = client.images.generate(model=model, prompt="a lantern", n=1)
        assert job.status == "SUCCEEDED"
        assert len(job.image_urls) == 1

    @pytest.mark.parametrize("model", ["wan2.6-t2i", "wan2.6-image"])
    def test_it_makes_tasks_ofmessages(self, emulator, model):
        """Its `generate` takes the sync form of these models, which leaves no task to be found."""
        pictures = {} if model == "wan2.6-t2i" else {"image_urls": [PICTURE]}
        with client_of(emulator) as client:
            created = client.images.jobs.create(model=model, prompt="a lantern", n=2, **pictures)
            job = client.images.jobs.wait(created.task_id)
        assert job.status == "SUCCEEDED"
        assert len(job.image_urls) == 2
