"""Recordings: rates, formats and voices, without and with the speech program."""

import io
import math
import shutil
import wave

import pytest
import soundfile

from dsrun.emulator.media.orders import SpeechOrder
from dsrun.emulator.media.speech import (
    cast_voice,
    find_program,
    pack,
    record_speech,
    resample,
    sing,
    speak,
)


def _tone(frequency: float) -> list[float]:
    """One second at 24 kHz."""
    return [math.sin(math.tau * frequency * at / 24000) for at in range(24000)]


TONE = _tone(440)
ORDER = SpeechOrder(
    text="Good evening, dear listeners.",
    language="en",
    character="A calm voice",
    sample_rate=24000,
    response_format="wav",
)


@pytest.fixture
def silent_system(monkeypatch, tmp_path):
    """No program can be found."""
    monkeypatch.setenv("PATH", str(tmp_path))
    find_program.cache_clear()
    yield
    find_program.cache_clear()


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Put a script in the place of the speech program."""

    def write(script: str) -> None:
        path = tmp_path / "espeak-ng"
        path.write_text("#!/bin/sh\n" + script)
        path.chmod(0o755)
        find_program.cache_clear()

    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    yield write
    find_program.cache_clear()


def _strength(samples: list[float], rate: int, frequency: float) -> float:
    """How much of a frequency is in the samples, 1 for a pure tone."""
    turns = [math.tau * frequency * at / rate for at in range(len(samples))]
    parts = [
        sum(sound * wave(turn) for sound, turn in zip(samples, turns, strict=True))
        for wave in (math.sin, math.cos)
    ]
    return 2 * math.hypot(*parts) / len(samples)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 48000])
def test_resampling_keeps_pitch_and_length(rate):
    samples = resample(TONE, 24000, rate)
    assert len(samples) == rate
    assert _strength(samples, rate, 440) == pytest.approx(1, abs=0.2)
    assert _strength(samples, rate, 450) < 0.05


def test_resampling_downwards_folds_little_back():
    folded = resample(_tone(7000), 24000, 8000)
    assert _strength(folded, 8000, 1000) < 0.25


def test_nothing_stays_nothing():
    assert len(resample([], 24000, 8000)) == 0


def test_pcm_is_sixteen_bit_little_endian_and_clipped():
    samples = [0.0, 1.0, -1.0, 2.0]
    content = pack(samples, rate=8000, response_format="pcm")
    assert content == b"\x00\x00\xff\x7f\x01\x80\xff\x7f"


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
@pytest.mark.parametrize(("name", "kind"), [("wav", "WAV"), ("mp3", "MP3"), ("opus", "OGG")])
def test_a_packed_file_can_be_read_again(name, kind, rate):
    content = pack(TONE[:12000], rate=rate, response_format=name)
    samples, found = soundfile.read(io.BytesIO(content))
    assert found == rate
    assert soundfile.info(io.BytesIO(content)).format == kind
    assert len(samples) == 12000


def test_the_tone_is_the_same_for_the_same_text():
    voice = cast_voice("A calm voice")
    one, other = sing("Good evening.", voice), sing("Good evening.", voice)
    assert list(one.samples) == list(other.samples)


def test_the_tone_grows_with_the_text():
    voice = cast_voice("A calm voice")
    short, long = (len(sing("evening " * count, voice).samples) for count in (2, 20))
    assert long == pytest.approx(10 * short, rel=0.01)


@pytest.mark.parametrize("text", ["", "   ", "...", "\U0001f3ee"])
def test_any_text_gives_a_tone(text):
    spoken = sing(text, cast_voice(""))
    assert len(spoken.samples) > 0
    assert all(map(math.isfinite, spoken.samples))


def test_voices_differ_by_their_description():
    voices = {cast_voice(f"voice {number}") for number in range(20)}
    assert len(voices) == 20
    assert all(10 <= voice.pitch <= 90 for voice in voices)
    assert all(135 <= voice.words_per_minute <= 205 for voice in voices)


def test_without_the_program_a_tone_is_recorded(silent_system):
    assert find_program() is None
    with wave.open(io.BytesIO(record_speech(ORDER))) as recording:
        assert recording.getframerate() == 24000
        assert recording.getnframes() > 24000


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("exit 1", id="fails"),
        pytest.param("echo no sound", id="no-wave"),
        pytest.param("exit 0", id="nothing"),
    ],
)
def test_a_failing_program_is_replaced_by_the_tone(program, script):
    program(script)
    spoken = speak("Good evening.", language="en", character="calm")
    assert list(spoken.samples) == list(sing("Good evening.", cast_voice("calm")).samples)


def test_the_text_reaches_the_program_on_its_input_alone(program, tmp_path):
    program(f'printf "%s " "$@" > {tmp_path}/arguments; cat > {tmp_path}/text')
    text = "--help; $(touch gone) `id` 你好"
    speak(text, language="zh", character="calm")
    assert (tmp_path / "text").read_text() == text
    assert "help" not in (tmp_path / "arguments").read_text()
    assert "-v cmn" in (tmp_path / "arguments").read_text()


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
@pytest.mark.parametrize("language", ["zh", "en", "de", "it", "pt", "es", "ja", "ko", "fr", "ru"])
def test_the_program_speaks_every_language(language):
    spoken = speak("123", language=language, character="calm")
    assert spoken.rate == 22050
    assert max(map(abs, spoken.samples)) > 0.05
