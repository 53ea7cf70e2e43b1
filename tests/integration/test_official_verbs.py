"""The official `dashscope` package against the emulator: films, transcripts and voices.

Each verb with what its user sees: status, output and usage, a refusal and, of a task, a failure.
"""

from base64 import b64decode
from typing import Any

import pytest
import requests
from dashscope import VideoSynthesis
from dashscope.audio.asr import Transcription, VocabularyService
from dashscope.audio.http_tts import HttpSpeechSynthesizer
from dashscope.audio.qwen_asr import QwenTranscription
from dashscope.audio.tts_v2 import VoiceEnrollmentService
from dashscope.audio.tts_v2.enrollment import VoiceEnrollmentException
from dashscope.client.base_api import BaseApi
from dashscope.v2 import DashScopeError
from PIL import Image

from tests import official
from tests.official import FILM, KEY, PICTURE, SOUND, client_of, talk

# Left out, since they open a websocket: Recognition, TranslationRecognizer, tts.SpeechSynthesizer,
# tts_v2.SpeechSynthesizer, QwenTtsRealtime, OmniRealtimeConversation, MultiModalDialog.

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:dashscope"),
    pytest.mark.filterwarnings("ignore:dashscope 2.0:FutureWarning"),
]

launch = official.launch
emulator = official.emulator


def _media(**urls: str) -> list[dict[str, str]]:
    return [{"type": kind, "url": url} for kind, url in urls.items()]


def _film(model: str, **words: Any) -> Any:
    return VideoSynthesis.async_call(
        model=model, **({"prompt": "a lantern", "api_key": KEY} | words)
    )


def _watch(model: str, **words: Any) -> Any:
    return VideoSynthesis.wait(_film(model, **words), api_key=KEY)


VACE = {"function": "image_reference", "ref_images_url": [PICTURE, PICTURE]}


class TestFilms:
    @pytest.mark.parametrize(
        ("model", "words", "seconds"),
        [
            pytest.param("wan2.7-t2v", {"duration": 7, "ratio": "9:16"}, 7, id="t2v"),
            pytest.param("wan2.6-t2v", {"duration": 3, "shot_type": "multi"}, 3, id="t2v 2.6"),
            pytest.param("wan2.7-i2v", {"media": _media(first_frame=PICTURE)}, 5, id="i2v"),
            pytest.param(
                "wan2.7-i2v",
                {"media": _media(first_frame=PICTURE, last_frame=PICTURE, driving_audio=SOUND)},
                5,
                id="first and last",
            ),
            pytest.param("wan2.7-i2v", {"media": _media(first_clip=FILM)}, 5, id="clip"),
            pytest.param(
                "wan2.7-r2v",
                {"media": _media(reference_video=FILM, reference_image=PICTURE), "duration": 4},
                9,
                id="r2v",
            ),
            pytest.param("wan2.6-r2v", {"reference_urls": [FILM, PICTURE]}, 10, id="r2v 2.6"),
            pytest.param(
                "wan2.7-videoedit",
                {"media": _media(video=FILM, reference_image=PICTURE), "audio_setting": "origin"},
                10.04,
                id="edit",
            ),
            pytest.param("happyhorse-1.1-t2v", {"duration": 3}, 3, id="happyhorse t2v"),
            pytest.param(
                "happyhorse-1.1-i2v", {"media": _media(first_frame=PICTURE)}, 5, id="happyhorse i2v"
            ),
            pytest.param(
                "kling/kling-v3-video-generation", {"mode": "std", "audio": True}, 5, id="kling"
            ),
        ],
    )
    def test_a_film_is_billed_by_all_its_seconds(self, emulator, model, words, seconds):
        """The package fills the older `video_duration` with 0 beside the `duration` of the API."""
        watched = _watch(model, **words)
        usage = watched.usage
        film = requests.get(watched.output.video_url, timeout=30)
        assert watched.output.task_status == "SUCCEEDED"
        assert (film.headers["Content-Type"], film.content[4:8]) == ("video/mp4", b"ftyp")
        assert (usage["duration"], usage["video_duration"], usage["video_count"]) == (seconds, 0, 1)
        if "output_video_duration" in usage:
            assert usage["input_video_duration"] + usage["output_video_duration"] == seconds

    @pytest.mark.parametrize(
        ("model", "words"),
        [
            pytest.param("wan2.2-t2v-plus", {"size": "832*480"}, id="t2v"),
            pytest.param("wanx2.1-t2v-turbo", {}, id="t2v 2.1"),
            pytest.param("wan2.2-kf2v-flash", {"first_frame_url": PICTURE}, id="kf2v"),
            pytest.param(
                "wanx2.1-kf2v-plus",
                {"first_frame_url": PICTURE, "last_frame_url": PICTURE, "resolution": "720P"},
                id="kf2v both",
            ),
            pytest.param("wanx2.1-vace-plus", {"extra_input": VACE}, id="vace"),
        ],
    )
    def test_the_older_models_say_their_seconds_in_the_field_of_the_package(
        self, emulator, model, words
    ):
        watched = _watch(model, **words)
        assert watched.output.task_status == "SUCCEEDED"
        assert watched.usage.video_duration == 5
        assert "duration" not in watched.usage

    def test_the_usage_repeats_the_form_that_was_asked_for(self, emulator):
        modern = _watch("wan2.7-t2v", resolution="720P", ratio="9:16").usage
        usual = _watch("wan2.7-t2v").usage
        older = _watch("wan2.2-t2v-plus", size="832*480").usage
        assert (modern["SR"], modern["ratio"]) == (720, "9:16")
        assert (usual["SR"], usual["ratio"]) == (1080, "16:9")
        assert older["video_ratio"] == "832*480"

    def test_a_film_of_pictures_needs_no_prompt(self, emulator):
        """The package sends `prompt: null` then, which the service overlooks."""
        watched = _watch("wan2.7-i2v", prompt=None, media=_media(first_frame=PICTURE))
        assert watched.output.task_status == "SUCCEEDED"

    @pytest.mark.parametrize(
        ("model", "words"),
        [
            ("wan2.2-animate-move", {"mode": "wan-std", "extra_input": {"video_url": FILM}}),
            ("wan2.2-s2v", {"resolution": "480P", "extra_input": {"audio_url": SOUND}}),
            ("liveportrait", {"extra_input": {"audio_url": SOUND}}),
        ],
    )
    def test_a_portrait_is_filmed_by_extra_input(self, emulator, model, words):
        """Its film stands under `results`, where the class has no name: `video_url` stays empty."""
        extra = {"image_url": PICTURE} | words["extra_input"]
        watched = _watch(model, task="image2video", prompt=None, **words | {"extra_input": extra})
        assert (watched.output.task_status, watched.output.video_url) == ("SUCCEEDED", "")
        film = requests.get(watched.output["results"]["video_url"], timeout=30)
        assert film.content[4:8] == b"ftyp"
        assert watched.usage.video_duration > 0

    @pytest.mark.parametrize("words", ["media", "first_frame_url"])
    @pytest.mark.parametrize(("height", "status"), [(480, "SUCCEEDED"), (200, "FAILED")])
    def test_a_local_picture_is_uploaded_and_judged_in_the_task(
        self, emulator, tmp_path, words, height, status
    ):
        picture = tmp_path / "a.png"
        Image.new("RGB", (640, height)).save(picture)
        is_media = words == "media"
        made_of = _media(first_frame=str(picture)) if is_media else f"file://{picture}"
        watched = _watch("wan2.7-i2v" if is_media else "wan2.2-kf2v-flash", **{words: made_of})
        assert watched.status_code == 200
        assert watched.output.task_status == status
        assert ("POST", "/dashscope-file-mgr") in emulator.requests
        assert '"oss://' in next(iter(emulator.creates))

    def test_a_failed_film_is_http_200_and_says_why(self, launch):
        launch("failed-task")
        watched = _watch("wan2.7-t2v")
        assert (watched.status_code, watched.output.task_status) == (200, "FAILED")
        assert (watched.output.code, watched.output.video_url) == ("InternalError.Timeout", "")
        assert watched.usage is None

    @pytest.mark.parametrize(
        ("model", "words", "place"),
        [
            ("wan2.7-t2v", {"duration": 16}, "parameters.duration"),
            ("wan2.7-t2v", {"prompt": None}, "prompt"),
            ("wan2.7-t2v", {"prompt": "a" * 5001}, "input.prompt"),
            ("wan2.2-t2v-plus", {"size": "1280*720"}, "parameters.size"),
            ("wan2.7-i2v", {"media": _media(last_frame=PICTURE)}, "input.media"),
            ("wan2.2-kf2v-flash", {"last_frame_url": PICTURE}, "first_frame_url"),
            ("wan2.2-kf2v-flash", {"head_frame": PICTURE}, "head_frame"),
            ("wan2.6-r2v", {"reference_urls": [PICTURE] * 6}, "input.reference_urls"),
            ("wan2.7-r2v", {"media": _media(first_frame=PICTURE)}, "input.media"),
            ("wan2.7-videoedit", {"media": _media(reference_image=PICTURE)}, "input.media"),
            ("wanx2.1-vace-plus", {"extra_input": VACE | {"function": "none"}}, "input.function"),
            ("happyhorse-1.1-t2v", {"duration": 2}, "parameters.duration"),
            ("kling/kling-v3-video-generation", {"prompt": "a" * 2501}, "input.prompt"),
        ],
    )
    def test_a_limit_of_a_film_is_named_in_its_refusal(self, emulator, model, words, place):
        refused = _film(model, **words)
        assert (refused.status_code, refused.code) == (400, "InvalidParameter")
        assert place in refused.message
        assert emulator.creates == {}


def _hear(model: str, **words: Any) -> Any:
    if "filetrans" in model:
        return QwenTranscription.async_call(model, **({"file_url": SOUND, "api_key": KEY} | words))
    return Transcription.async_call(model, **({"file_urls": [SOUND], "api_key": KEY} | words))


class TestTranscripts:
    @pytest.mark.parametrize(
        ("model", "words"),
        [
            ("paraformer-v2", {"language_hints": ["en"], "disfluency_removal_enabled": True}),
            ("fun-asr", {"diarization_enabled": True, "speaker_count": 2}),
        ],
    )
    def test_a_recording_is_heard_in_a_task(self, emulator, model, words):
        created = _hear(model, **words)
        fetched = Transcription.fetch(created, api_key=KEY)
        heard = Transcription.wait(created, api_key=KEY)
        (result,) = heard.output["results"]
        assert created.output.task_status == "PENDING"
        assert fetched.output.task_id == heard.output.task_id == created.output.task_id
        assert heard.output.task_status == "SUCCEEDED"
        assert (result["file_url"], result["subtask_status"]) == (SOUND, "SUCCEEDED")
        assert heard.usage["duration"] > 0
        _check_transcript(result["transcription_url"])

    def test_a_long_recording_is_heard_by_the_class_of_qwen(self, emulator):
        """Its address stands in `result`, and its bill in `seconds`; the older ones say others."""
        created = _hear("qwen3-asr-flash-filetrans", language="en", enable_itn=True)
        heard = QwenTranscription.wait(created, api_key=KEY)
        assert QwenTranscription.fetch(created, api_key=KEY).output.task_id == heard.output.task_id
        assert (heard.output.task_status, heard.usage["seconds"] > 0) == ("SUCCEEDED", True)
        assert "results" not in heard.output
        _check_transcript(heard.output["result"]["transcription_url"])

    @pytest.mark.parametrize("model", ["paraformer-v2", "fun-asr", "qwen3-asr-flash-filetrans"])
    def test_a_recording_that_cannot_be_heard_fails_in_its_task(self, launch, model):
        launch("failed-task")
        heard = Transcription.wait(_hear(model), api_key=KEY)
        assert (heard.status_code, heard.output.task_status) == (200, "FAILED")
        assert heard.output["code"] == "InternalError.Timeout"

    @pytest.mark.parametrize(
        ("model", "words", "place"),
        [
            ("paraformer-v2", {"file_urls": [SOUND] * 101}, "input.file_urls"),
            ("paraformer-v2", {"language_hints": ["xx"]}, "parameters.language_hints.0"),
            ("fun-asr", {"diarization_enabled": True, "speaker_count": 101}, "speaker_count"),
            ("fun-asr", {"file_urls": ["data:audio/wav;base64,AAAA"]}, "input.file_urls.0"),
            ("qwen3-asr-flash-filetrans", {"file_url": "talk.mp3"}, "input.file_url"),
        ],
    )
    def test_a_limit_of_a_recording_is_named_in_its_refusal(self, emulator, model, words, place):
        """Of `file_urls` the service takes 100; the emulator one, as dsrun sends them."""
        refused = _hear(model, **words)
        assert (refused.status_code, refused.code) == (400, "InvalidParameter")
        assert place in refused.message
        assert emulator.creates == {}

    def test_a_short_recording_is_heard_at_once(self, emulator):
        """The class counts tokens, so it says 0 of them beside the billed `seconds`."""
        heard = talk("qwen3-asr-flash", {"audio": SOUND}, asr_options={"language": "en"})
        message = heard.output.choices[0].message
        assert (heard.status_code, heard.code) == (200, "")
        assert message.content[0]["text"]
        assert message["annotations"][0].keys() >= {"language", "emotion"}
        assert (heard.usage["seconds"], heard.usage.input_tokens) == (2, 0)

    def test_a_short_recording_without_an_address_is_refused(self, emulator):
        refused = talk("qwen3-asr-flash", {"audio": "talk.mp3"})
        assert (refused.status_code, refused.code) == (400, "InvalidParameter")
        assert emulator.creates == {}


def _check_transcript(address: str) -> None:
    """What a reader of a result file finds by the names of the API reference."""
    answer = requests.get(address, timeout=10)
    assert answer.headers["Content-Type"] == "application/json"
    (transcript,) = answer.json()["transcripts"]
    (sentence,) = transcript["sentences"]
    assert transcript["text"] == sentence["text"] != ""
    assert 0 <= sentence["begin_time"] < sentence["end_time"]
    assert transcript["channel_id"] == 0
    assert transcript["content_duration_in_milliseconds"] >= sentence["end_time"]


class TestVoices:
    @pytest.mark.parametrize(
        ("words", "begins"),
        [
            pytest.param({}, b"RIFF", id="wav"),
            pytest.param(
                {"audio_format": "mp3", "rate": 1.2, "sample_rate": 22050}, b"\xff", id="mp3"
            ),
        ],
    )
    def test_a_text_is_spoken_by_cosyvoice(self, emulator, words, begins):
        spoken = HttpSpeechSynthesizer.call(
            "cosyvoice-v3-flash", "Good evening, 你好", "longanyang", api_key=KEY, **words
        )
        assert (spoken.status_code, spoken.code) == (200, "")
        assert requests.get(spoken.audio_url, timeout=10).content.startswith(begins)
        assert (spoken.audio_id, spoken.audio_data) == ("audio_1", None)
        assert spoken.usage["characters"] == 18  # a Han character counts two
        assert f"Expires={spoken.expires_at}" in spoken.audio_url

    @pytest.mark.parametrize(
        "words",
        [{"volume": 101}, {"rate": 2.1}, {"sample_rate": 11025}, {"audio_format": "flac"}],
    )
    def test_a_speech_beyond_a_limit_is_refused(self, emulator, words):
        refused = HttpSpeechSynthesizer.call(
            "cosyvoice-v3-flash", "Good evening.", "longanyang", api_key=KEY, **words
        )
        assert (refused.status_code, refused.code) == (400, "InvalidParameter")
        assert (refused.audio_url, emulator.creates) == (None, {})

    def test_the_class_of_clones_cannot_design_a_voice(self, emulator):
        """It sends `url` in any case, which a design has not; and would drop the sample of it."""
        words = {"voice_prompt": "A calm voice", "preview_text": "Good evening."}
        service = VoiceEnrollmentService(api_key=KEY)
        with pytest.raises(VoiceEnrollmentException, match="'url' was unexpected"):
            service.create_voice("cosyvoice-v3.5-plus", "guide", None, **words)
        assert emulator.creates == {}

    def test_a_voice_is_designed_through_the_class_of_all_calls(self, emulator):
        design = {"voice_prompt": "A calm voice", "preview_text": "Good evening."}
        made = BaseApi.call(
            model="voice-enrollment",
            input={
                "action": "create_voice",
                "target_model": "cosyvoice-v3.5-plus",
                "prefix": "guide",
            }
            | design,
            task_group="audio",
            task="tts",
            function="customization",
            api_key=KEY,
        )
        listed = VoiceEnrollmentService(api_key=KEY).list_voices(prefix="guide")
        assert made.output["voice_id"].startswith("cosyvoice-v3.5-plus-guide-")
        assert b64decode(made.output["preview_audio"]["data"]).startswith(b"RIFF")
        assert [row["voice_id"] for row in listed] == [made.output["voice_id"]]

    def test_hot_words_are_made_updated_and_deleted(self, emulator):
        service = VocabularyService(api_key=KEY)
        words = [[{"text": "Lantern", "weight": 4}], [{"text": "River", "weight": 2}]]
        name = service.create_vocabulary("fun-asr", "lantern", words[0])
        service.update_vocabulary(name, words[1])
        assert service.query_vocabulary(name)["vocabulary"] == words[1]
        service.delete_vocabulary(name)
        assert service.list_vocabularies() == []

    def test_an_update_must_say_what_to_update(self, emulator):
        service = VoiceEnrollmentService(api_key=KEY)
        voice = service.create_voice("cosyvoice-v3-flash", "guide", SOUND)
        with pytest.raises(VoiceEnrollmentException, match="what to update"):
            service.update_voice(voice, None)
        assert service.query_voice(voice)["resource_link"] == SOUND

    def test_a_voice_that_is_not_there_is_not_updated(self, emulator):
        with pytest.raises(VoiceEnrollmentException, match="Voice not found"):
            VoiceEnrollmentService(api_key=KEY).update_voice("cosyvoice-v2-none-000000", SOUND)

    def test_a_voice_is_updated(self, emulator):
        service = VoiceEnrollmentService(api_key=KEY)
        voice = service.create_voice("cosyvoice-v3-flash", "guide", SOUND)
        service.update_voice(voice, SOUND + "?2")
        assert service.query_voice(voice)["resource_link"] == SOUND + "?2"

    @pytest.mark.parametrize(
        ("words", "place"),
        [
            (("cosyvoice-v3-flash", "guide123456", SOUND), "input.prefix"),
            (("cosyvoice-v3-flash", "Guide_1", SOUND), "input.prefix"),
            (("cosyvoice-v1", "guide", SOUND), "input.target_model"),
            (("cosyvoice-v3-flash", "guide", "talk.mp3"), "input.url"),
        ],
    )
    def test_a_refused_clone_names_what_is_wrong_with_it(self, emulator, words, place):
        with pytest.raises(VoiceEnrollmentException, match=place):
            VoiceEnrollmentService(api_key=KEY).create_voice(*words)
        assert emulator.creates == {}


class TestThe20Client:
    """It has no word for a first and a last frame, nor for the one address of Qwen's filetrans."""

    def test_it_films(self, emulator):
        with client_of(emulator) as client:
            job = client.videos.generate(model="wan2.7-i2v", prompt="It drifts", image_url=PICTURE)
        assert (job.status, job.usage.duration) == ("SUCCEEDED", 5)
        assert requests.get(job.output["video_url"], timeout=30).content[4:8] == b"ftyp"

    def test_it_hears(self, emulator):
        with client_of(emulator) as client:
            job = client.audio.asr.transcribe(model="fun-asr", file_urls=[SOUND])
        (result,) = job.output["results"]
        assert job.status == "SUCCEEDED"
        _check_transcript(result["transcription_url"])

    def test_it_speaks_with_cosyvoice(self, emulator):
        with client_of(emulator) as client:
            spoken = client.audio.tts.http.synthesize(
                model="cosyvoice-v3-flash", text="Good evening.", voice="longanyang", format="wav"
            )
        assert requests.get(spoken.audio_url, timeout=10).content.startswith(b"RIFF")

    def test_it_raises_what_is_refused(self, emulator):
        with client_of(emulator) as client, pytest.raises(DashScopeError) as caught:
            client.videos.generate(model="wan2.7-t2v", prompt="a lantern", duration=16)
        assert (caught.value.status_code, caught.value.code) == (400, "InvalidParameter")
