"""Recordings: a text as speech, in the asked rate and format, made with the standard library.

The espeak-ng program speaks where there is one, else a voice-like tone. Pitch and pace follow the
description of the voice, so that two voices sound different. Only mp3 and opus need more: the
extra `dsrun[audio]`.
"""

import functools
import hashlib
import io
import math
import shutil
import subprocess
import sys
import wave
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from dsrun.emulator.media.orders import COMPRESSED, SpeechOrder

LOUDEST = 32767

Samples = Sequence[float]

PROGRAM = "espeak-ng"
PROGRAM_TIME_S = 20.0
TONE_RATE = 24000

# The program's names of languages, by the codes and names that requests use.
_PROGRAM_LANGUAGES = {
    "zh": "cmn",
    "chinese": "cmn",
    "fr": "fr-fr",
    "french": "fr-fr",
    "english": "en",
    "german": "de",
    "italian": "it",
    "portuguese": "pt",
    "spanish": "es",
    "japanese": "ja",
    "korean": "ko",
    "russian": "ru",
    "auto": "en",
}

# First three resonances of the mouth (Hz) for five vowels, after Peterson and Barney (1952).
_FORMANTS = (
    (730, 1090, 2440),
    (530, 1840, 2480),
    (270, 2290, 3010),
    (570, 840, 2410),
    (300, 870, 2240),
)
_FORMANT_GAINS = (1.0, 0.6, 0.25)
_FORMANT_WIDTH = 90.0
_HIGHEST_HARMONIC = 4000.0


def record_speech(order: SpeechOrder) -> bytes:
    """The text as speech; `pcm` is bare 16-bit little-endian mono."""
    spoken = speak(order.text, language=order.language, character=order.character)
    samples = resample(spoken.samples, spoken.rate, order.sample_rate)
    return pack(samples, rate=order.sample_rate, response_format=order.response_format)


def resample(samples: Samples, rate: int, wanted: int) -> Samples:
    """Resample along straight lines; what lies above the new rate is averaged away first."""
    if rate == wanted or not samples:
        return samples
    step = rate / wanted
    smooth = _average(samples, round(step)) if step > 1 else samples
    last = len(smooth) - 1
    resampled = []
    for number in range(max(1, round(len(samples) / step))):
        place = min(last, number * step)
        at = int(place)
        here, following = smooth[at], smooth[min(last, at + 1)]
        resampled.append(here + (following - here) * (place - at))
    return resampled


def _average(samples: Samples, width: int) -> Samples:
    """Each sample as the mean of its neighbours, twice: a plain low pass."""
    for _ in range(2):
        sums = [0.0, *accumulate(samples)]
        count = len(samples)
        edges = ((max(0, at - width), min(count, at + width + 1)) for at in range(count))
        samples = [(sums[high] - sums[low]) / (high - low) for low, high in edges]
    return samples


def pack(samples: Samples, *, rate: int, response_format: str) -> bytes:
    """Encode samples between -1 and 1 as a file."""
    whole = array("h", (int(max(-1.0, min(1.0, one)) * LOUDEST) for one in samples))
    if sys.byteorder == "big":
        whole.byteswap()
    target = io.BytesIO()
    if response_format in COMPRESSED:
        # Loads libsndfile, which only the extra `audio` brings.
        import soundfile

        kind, subtype = COMPRESSED[response_format]
        with soundfile.SoundFile(target, "w", rate, 1, format=kind, subtype=subtype) as sound:
            sound.buffer_write(whole, dtype="int16")
        return target.getvalue()
    if response_format == "pcm":
        return whole.tobytes()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(whole.tobytes())
    return target.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """`pitch` (0 to 99) and `words_per_minute`, as the program takes them."""

    pitch: int
    words_per_minute: int

    @property
    def fundamental(self) -> float:
        """The pitch in Hz, for the tone."""
        return 85.0 + 1.6 * self.pitch

    @property
    def syllable_s(self) -> float:
        return 24.0 / self.words_per_minute


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    samples: Samples
    rate: int


def speak(text: str, *, language: str, character: str) -> Spoken:
    voice = cast_voice(character)
    spoken = _run_program(text, language=language, voice=voice) if find_program() else None
    return spoken or sing(text, voice)


def cast_voice(character: str) -> Voice:
    digest = hashlib.sha256(character.encode()).digest()
    return Voice(pitch=10 + digest[0] * 80 // 255, words_per_minute=135 + digest[1] * 70 // 255)


@functools.cache
def find_program() -> str | None:
    return shutil.which(PROGRAM)


def _run_program(text: str, *, language: str, voice: Voice) -> Spoken | None:
    """Speak with the program, which reads the text from stdin; None where it fails or hangs."""
    command = [
        find_program() or PROGRAM,
        "--stdin",
        "--stdout",
        "-b1",
        *("-v", _PROGRAM_LANGUAGES.get(language.lower(), language.lower())),
        *("-p", str(voice.pitch)),
        *("-s", str(voice.words_per_minute)),
    ]
    try:
        done = subprocess.run(
            command, input=text.encode(), capture_output=True, timeout=PROGRAM_TIME_S, check=True
        )
        return _read_wave(done.stdout)
    except (OSError, subprocess.SubprocessError, wave.Error, EOFError):
        return None


def _read_wave(content: bytes) -> Spoken | None:
    with wave.open(io.BytesIO(content)) as file:
        rate = file.getframerate()
    # The header of a streamed file has no true length, so the data itself is measured.
    start = content.index(b"data") + 8
    body = content[start : start + (len(content) - start) // 2 * 2]
    whole = array("h", body)
    if sys.byteorder == "big":
        whole.byteswap()
    return Spoken(samples=[one / 32768 for one in whole], rate=rate) if whole else None


def sing(text: str, voice: Voice) -> Spoken:
    """A vowel for each letter or ideograph, a pause for anything else; always the same."""
    length = round(voice.syllable_s * TONE_RATE)
    samples: array[float] = array("d")
    for letter in _pace(text):
        samples.extend(_vowel(ord(letter), voice, length))
    return Spoken(samples=samples or array("d", [0.0] * length), rate=TONE_RATE)


def _pace(text: str) -> list[str]:
    """Letters spoken as syllables: every third of an alphabet, each of a syllabic script."""
    syllables: list[str] = []
    for word in text.split():
        dense = any(ord(letter) >= 0x2E80 for letter in word)  # noqa: PLR2004 - CJK starts there
        syllables += word if dense else word[::3]
        syllables.append(" ")
    return syllables


@functools.lru_cache(maxsize=256)
def _vowel(code: int, voice: Voice, length: int) -> "array[float]":
    """One period of the voice, repeated for the length of a syllable, that swells and fades."""
    if not chr(code).isalnum():
        return array("d", [0.0] * (length // 2))
    fundamental = voice.fundamental * (1 + (code % 7 - 3) / 40)
    period = _one_period(_FORMANTS[code % len(_FORMANTS)], fundamental)
    size = len(period)
    swell = (0.6 * math.sin(math.pi * at / length) ** 0.6 for at in range(length))
    return array("d", (loud * period[at % size] for at, loud in enumerate(swell)))


@functools.lru_cache(maxsize=256)
def _one_period(formants: tuple[int, ...], fundamental: float) -> Samples:
    size = round(TONE_RATE / fundamental)
    turn = [math.sin(math.tau * at / size) for at in range(size)]
    period = [0.0] * size
    for number in range(1, int(_HIGHEST_HARMONIC / fundamental)):
        gain = sum(
            peak / (1 + ((number * fundamental - centre) / _FORMANT_WIDTH) ** 2)
            for peak, centre in zip(_FORMANT_GAINS, formants, strict=True)
        )
        period = [sound + gain * turn[at * number % size] for at, sound in enumerate(period)]
    loudest = max(abs(one) for one in period)
    return [one / loudest for one in period]
