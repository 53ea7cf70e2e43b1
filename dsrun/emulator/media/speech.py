"""Recordings: a text as speech, in the asked rate and format.

The espeak-ng program speaks where there is one, else a voice-like tone. Pitch and pace follow the
description of the voice, so that two voices sound different.
"""

import functools
import hashlib
import io
import shutil
import subprocess
import wave
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsrun.emulator.media.orders import SpeechOrder

# libsndfile's names of the compressed formats.
_COMPRESSED = {"mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS")}

Samples = npt.NDArray[np.float64]

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


def record_speech(order: SpeechOrder) -> bytes:
    """The text as speech; `pcm` is bare 16-bit little-endian mono."""
    spoken = speak(order.text, language=order.language, character=order.character)
    samples = resample(spoken.samples, spoken.rate, order.sample_rate)
    return pack(samples, rate=order.sample_rate, response_format=order.response_format)


def resample(samples: Samples, rate: int, wanted: int) -> Samples:
    """Resample through the spectrum: frequencies above the new rate are cut, without aliasing."""
    if rate == wanted or not len(samples):
        return samples
    length = max(1, round(len(samples) * wanted / rate))
    spectrum = np.fft.rfft(samples, _smooth_length(len(samples)))
    padded = round(_smooth_length(len(samples)) * wanted / rate)
    fitted = np.zeros(padded // 2 + 1, dtype=spectrum.dtype)
    kept = min(len(fitted), len(spectrum))
    fitted[:kept] = spectrum[:kept]
    scale = padded / _smooth_length(len(samples))
    return (np.fft.irfft(fitted, padded) * scale)[:length]


def pack(samples: Samples, *, rate: int, response_format: str) -> bytes:
    """Encode samples between -1 and 1 as a file."""
    whole = (np.clip(samples, -1, 1) * 32767).astype("<i2")
    if response_format == "pcm":
        return whole.tobytes()
    target = io.BytesIO()
    if response_format == "wav":
        with wave.open(target, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(whole.tobytes())
        return target.getvalue()
    # Loads libsndfile, needed only for the compressed formats.
    import soundfile

    name, subtype = _COMPRESSED[response_format]
    soundfile.write(target, whole, rate, format=name, subtype=subtype)
    return target.getvalue()


def _smooth_length(length: int) -> int:
    """A little more than the length, with small prime factors only, for a fast transform."""
    step = 1 << max(0, length.bit_length() - 6)
    return -(-length // step) * step


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
    samples = np.frombuffer(body, dtype="<i2").astype(np.float64) / 32768
    return Spoken(samples=samples, rate=rate) if len(samples) else None


def sing(text: str, voice: Voice) -> Spoken:
    """A vowel for each letter or ideograph, a pause for anything else; always the same."""
    length = round(voice.syllable_s * TONE_RATE)
    pieces = [_vowel(ord(letter), voice, length) for letter in _pace(text)]
    silence = np.zeros(length)
    samples = np.concatenate(pieces) if pieces else silence
    return Spoken(samples=0.6 * samples, rate=TONE_RATE)


def _pace(text: str) -> list[str]:
    """Letters spoken as syllables: every third of an alphabet, each of a syllabic script."""
    syllables: list[str] = []
    for word in text.split():
        dense = any(ord(letter) >= 0x2E80 for letter in word)  # noqa: PLR2004 - CJK starts there
        syllables += word if dense else word[::3]
        syllables.append(" ")
    return syllables


@functools.lru_cache(maxsize=256)
def _vowel(code: int, voice: Voice, length: int) -> Samples:
    if not chr(code).isalnum():
        return np.zeros(length // 2)
    formants = _FORMANTS[code % len(_FORMANTS)]
    fundamental = voice.fundamental * (1 + (code % 7 - 3) / 40)
    time_s = np.arange(length) / TONE_RATE
    glide = 1 - 0.06 * time_s / time_s[-1]
    harmonics = np.arange(1, int(4000 / fundamental))
    frequencies = harmonics * fundamental
    gains = sum(
        gain / (1 + ((frequencies - centre) / _FORMANT_WIDTH) ** 2)
        for gain, centre in zip(_FORMANT_GAINS, formants, strict=True)
    )
    phases = 2 * np.pi * np.outer(frequencies, time_s * glide)
    sound = (np.asarray(gains)[:, None] * np.sin(phases)).sum(axis=0)
    envelope = np.sin(np.pi * np.arange(length) / length) ** 0.6
    sound *= envelope / np.abs(sound).max()
    return np.asarray(sound, dtype=np.float64)
