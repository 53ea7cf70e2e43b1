"""What a whole file of each kind must be, and how long and large it is. Nothing is decoded."""

import codecs
import os
import re
import warnings
from typing import BinaryIO

import orjson

from dsrun.common.media import ArtifactInvalid, Facts, Identified, Kind, media_of
from dsrun.common.mp4 import read_movie
from dsrun.common.sound_length import sound_length

_AT_ONCE = 1 << 20
_CUE = re.compile(rb"[0-9]+\s+[0-9]{2,}:[0-9]{2}:[0-9]{2}[,.][0-9]{3} --> [0-9]")
_GLB_HEADER, _GLB_VERSIONS = 20, (1, 2)
_LONGEST_S = 1e6  # what is longer is nonsense in a header


def examine(file: BinaryIO, found: Identified) -> Facts:
    """The facts about a whole file, which `identify` knows by its head. Raises ArtifactInvalid."""
    media = media_of(found.kind.media_type)
    size = os.fstat(file.fileno()).st_size
    match media:
        case "image":
            return found.facts if found.facts.width else _picture(file)
        case "video":
            return _video(file, size)
        case "audio":
            return _audio(file, found.kind, size)
        case "model":
            _check_model(file, size)
        case "json":
            _check_json(file)
        case "captions":
            _check_captions(file)
        case _:
            _check_text(file)
    return Facts()


def is_decided_by_head(found: Identified) -> bool:
    """Whether `examine` would have nothing to add."""
    return found.facts.width is not None


def _timed(seconds: float | None) -> Facts:
    if seconds is None or not 0 < seconds < _LONGEST_S:
        return Facts()
    return Facts(duration_s=round(seconds, 3))


def _picture(file: BinaryIO) -> Facts:
    """The size of a picture whose head holds other things."""
    from PIL import Image  # noqa: PLC0415  # start-up: only a run pays for it

    file.seek(0)
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(file) as picture:
            width, height = picture.size
    except Exception:  # noqa: BLE001  # a decoder may fail in any way on foreign bytes
        return Facts()  # its beginning was that of a picture, and it may have been paid
    return Facts(width=width, height=height)


def _video(file: BinaryIO, size: int) -> Facts:
    try:
        movie = read_movie(file, size)
    except ArtifactInvalid as error:
        raise ArtifactInvalid(f"the video cannot be played: {error}") from error
    if movie.size is None:
        raise ArtifactInvalid("the file is no video: it has no track of pictures")
    width, height = movie.size
    return _timed(movie.duration_s)._replace(width=width, height=height)


def _audio(file: BinaryIO, kind: Kind, size: int) -> Facts:
    if kind.extension == "m4a" and _has_pictures(file, size):
        raise ArtifactInvalid("the file is no audio: it is a video")
    return _timed(sound_length(file, kind, size))


def _has_pictures(file: BinaryIO, size: int) -> bool:
    try:
        return read_movie(file, size).size is not None
    except ArtifactInvalid:
        return False  # a sound that is cut off may have been paid


def _check_model(file: BinaryIO, size: int) -> None:
    file.seek(0)
    header = file.read(_GLB_HEADER)
    version, declared = (int.from_bytes(header[at : at + 4], "little") for at in (4, 8))
    if len(header) < _GLB_HEADER or version not in _GLB_VERSIONS:
        raise ArtifactInvalid("the GLB model's header cannot be read")
    if declared != size:
        words = f"its header says {declared} bytes, and {size} are there"
        raise ArtifactInvalid(f"the GLB model is cut off or has too much: {words}")


def _check_json(file: BinaryIO) -> None:
    file.seek(0)
    try:
        orjson.loads(file.read().removeprefix(codecs.BOM_UTF8))
    except ValueError as error:
        raise ArtifactInvalid(f"the file is no JSON, or cut off: {error}") from error


def _check_text(file: BinaryIO) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    file.seek(0)
    try:
        while chunk := file.read(_AT_ONCE):
            if b"\0" in chunk:
                raise ArtifactInvalid("the file is no text: it has zero bytes")
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise ArtifactInvalid(f"the file is no text in UTF-8, or cut off: {error}") from error


def _check_captions(file: BinaryIO) -> None:
    _check_text(file)
    file.seek(0)
    start = file.read(_AT_ONCE).removeprefix(codecs.BOM_UTF8).lstrip()
    if start and not _CUE.match(start):
        raise ArtifactInvalid("the file is no SRT captions: it does not begin with a cue")
