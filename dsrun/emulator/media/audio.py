"""Recordings: speech samples in the asked rate, packed in the asked format."""

import io
import wave

import numpy as np

from dsrun.emulator.media.orders import SpeechOrder
from dsrun.emulator.media.speech import Samples, speak

# libsndfile's names of the compressed formats.
_COMPRESSED = {"mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS")}


def record_speech(order: SpeechOrder) -> bytes:
    """The text as speech; `pcm` is bare 16-bit little-endian mono."""
    spoken = speak(order.text, language=order.language, character=order.character)
    samples = resample(spoken.samples, spoken.rate, order.sample_rate)
    return pack(samples, rate=order.sample_rate, response_format=order.response_format)


def resample(samples: Samples, rate: int, wanted: int) -> Samples:
    """By way of the spectrum: what the wanted rate cannot hold is cut off, nothing folds back."""
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
    """Samples between -1 and 1 as the bytes of a file."""
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
    # Loads libsndfile, which only the compressed formats need.
    import soundfile

    name, subtype = _COMPRESSED[response_format]
    soundfile.write(target, whole, rate, format=name, subtype=subtype)
    return target.getvalue()


def _smooth_length(length: int) -> int:
    """A little more than the length, with small prime factors only: quick to transform."""
    step = 1 << max(0, length.bit_length() - 6)
    return -(-length // step) * step
