"""Local files that requests name as `{upload: FILE}`: found, checked, known by their content.

A door to files of the user; nothing is sent from here. What a file may be is the operation's word
(`x-dsrun.uploads`). In a canonical request a file is `{"upload": "sha256:HEX"}`: neither its name
nor the address that it gets for some hours says what is asked for.
"""

import hashlib
import math
import os
import warnings
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

from dsrun.common.credential import KEPT_KEY, keeps_key
from dsrun.common.media import (
    HEAD_BYTES,
    MEDIA,
    ArtifactInvalid,
    Facts,
    Identified,
    Kind,
    kind_of,
)
from dsrun.common.messages import json_type, show
from dsrun.common.models import Json, UploadFile
from dsrun.common.mp4 import read_movie
from dsrun.common.pointer import EACH, KeyPath, fits, iter_paths, put_at, value_at
from dsrun.common.sound_length import sound_length
from dsrun.common.user_files import UPLOAD_BYTES, Inputs, Unreadable, open_file
from dsrun.common.whole_files import examine
from dsrun.manifest.files import near_file
from dsrun.service.operation import Operation, UploadField
from dsrun.service.request import (
    BY_CONTENT,
    UPLOAD,
    applies,
    data_url_bytes,
    data_url_head,
    upload_places,
)

_PILLOW = {"jpg": "JPEG", "png": "PNG", "bmp": "BMP", "tiff": "TIFF", "webp": "WEBP", "gif": "GIF"}
_TIMED = ("audio", "video")
_MB = 2**20
_ROUNDING = 1e-9  # of a ratio such as a third
_STAND_IN = "oss://upload/"
_NO_CONTENT = "0" * 64  # in base64, as a digest is
_LATE = (
    "found what another step makes; allowed: the name of a file that is there before the run; "
    'a file of a step stands without upload, as "{{ AXIS.artifact }}"'
)


class UploadFault(Exception):
    """The file cannot be uploaded; `kind` is the rule that it breaks."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class UploadFiles:
    """The files of a pipeline, each read once: a plan is about one state of them."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._known: dict[tuple[str, UploadField], UploadFile | UploadFault] = {}
        self._by_content: dict[str, UploadFile] = {}

    @property
    def by_content(self) -> Mapping[str, UploadFile]:
        """Every good file that was asked for, by its SHA-256."""
        return self._by_content

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of every good file that was asked for, by its name in the manifest."""
        files = (file for file in self._known.values() if isinstance(file, UploadFile))
        return {file.name: file.sha256 for file in files}

    def find(self, name: Json, field: UploadField) -> UploadFile:
        """The file of this name, fit for the field. Raises UploadFault."""
        if not isinstance(name, str):
            raise UploadFault(
                "type", f"found {show(name)} ({json_type(name)}); allowed: the name of a file"
            )
        known = self._known.get((name, field))
        if known is None:
            known = self._known[name, field] = self._read(name, field)
        if isinstance(known, UploadFault):
            raise known
        return known

    def _read(self, name: str, field: UploadField) -> UploadFile | UploadFault:
        path = self._inputs.root / name
        try:
            if keeps_key(path):
                return UploadFault("key", f"{show(name)} {KEPT_KEY}")
            file = _examine(path, name, field, self._inputs.folders)
            self._inputs.check(name, path, file.sha256)
        except UploadFault as fault:
            return fault
        except Unreadable as error:
            return UploadFault(error.kind, self._words(error, name))
        return self._by_content.setdefault(file.sha256, file)

    def _words(self, error: Unreadable, name: str) -> str:
        if error.kind == "missing":
            return f"{show(name)}: no such file{near_file(self._inputs.root, name)}"
        if error.kind == "kind":
            return f"{show(name)} is no file; allowed: the name of a file"
        return error.about(show(name))


class BadUpload(NamedTuple):
    """What is wrong at a place of the request: the rule that is broken, and words."""

    at: KeyPath
    below: KeyPath  # where in the value
    rule: str
    message: str
    value: Mapping[str, Json]


class Taken(NamedTuple):
    """The files of one request, each with its place, and what is wrong with others."""

    files: Sequence[tuple[KeyPath, UploadFile]]
    bad: Sequence[BadUpload]


NOTHING = Taken((), ())


class UploadFields:
    """The upload fields of one operation, with the files that requests name."""

    def __init__(self, operation: Operation, files: UploadFiles) -> None:
        self._fields = operation.uploads.fields if operation.uploads else ()
        self._files = files
        self.places = upload_places(operation)

    @property
    def fields(self) -> set[KeyPath]:
        """The places, `*` for each item of a list, where a request takes a file."""
        return {field.at for field in self._fields}

    @property
    def roots(self) -> set[KeyPath]:
        """The parts of a request, none of them in a list, that hold all that fields look at."""
        return {_root(field) for field in self._fields}

    def take(self, request: Json, late: Collection[KeyPath] = ()) -> Taken:
        """Find each file that the request names, and put a stand-in for its address in its place.

        So the request has the form in which it will be sent, and can be held to the schema.
        `late`: the places of what is known later, which names no file.
        """
        if not self._fields:
            return NOTHING
        files: list[tuple[KeyPath, UploadFile]] = []
        bad: list[BadUpload] = []
        for at, field in self._named(request).items():
            value = value_at(request, at)
            stand_in = _stand_in(field)
            try:
                is_late = any(is_below(place, at) for place in late)
                file = self._find(value, field, request, at, is_late=is_late)
                files.append((at, file))
                stand_in = stand_in_of(file, field)
            except UploadFault as fault:
                below = (UPLOAD,) if UPLOAD in value else ()
                bad.append(BadUpload(at, below, f"upload {fault.kind}", str(fault), value))
            put_at(request, at, stand_in)
        return Taken(files, bad)

    def seconds_of(self, value: Json) -> Decimal | None:
        """How long the file plays that stands for a value of a canonical request."""
        name = value.get(UPLOAD) if isinstance(value, dict) else None
        file = self._files.by_content.get(str(name).removeprefix(BY_CONTENT))
        return file.seconds if file else None

    def contents(self, request: Json) -> list[str]:
        """SHA-256 of the files that a request names, in order; an empty text for each bad one."""
        taken = self.take(request)
        return [*(file.sha256 for _, file in taken.files), *("" for _ in taken.bad)]

    def _named(self, request: Json) -> dict[KeyPath, UploadField]:
        """The places where the request names a file, each with the first field that applies."""
        named: dict[KeyPath, UploadField] = {}
        for field in self._fields:
            for at in (field.at,) if EACH not in field.at else iter_paths(request, field.at):
                if not isinstance(value_at(request, at), dict):
                    continue
                if at not in named or not applies(named[at], request, at):
                    named[at] = field
        return named

    def _find(
        self, value: dict[str, Json], field: UploadField, request: Json, at: KeyPath, *,
        is_late: bool,
    ) -> UploadFile:  # fmt: skip
        if is_late:
            raise UploadFault("late", _LATE)
        if value.keys() != {UPLOAD}:
            raise UploadFault(
                "shape", f"found {show(value)}; allowed: an address, or {{upload: FILE}}"
            )
        if not applies(field, request, at):
            words = f"a file is taken here only beside {self._conditions(at)}"
            raise UploadFault("place", words)
        return self._files.find(value[UPLOAD], field)

    def _conditions(self, at: KeyPath) -> str:
        fields = [field for field in self._fields if fits(at, field.at)]
        return "; or ".join(
            " and ".join(f"{key}: {_alternatives(words)}" for key, words in field.when)
            for field in fields
        )


def stand_in_of(file: UploadFile, field: UploadField) -> str:
    """A text of the form that is sent in place of a file, by which the rest can be checked."""
    if field.is_data:
        return f"{data_url_head(file)}{file.sha256}"
    return f"{_STAND_IN}{file.sha256}"


def is_below(place: KeyPath, at: KeyPath) -> bool:
    """Whether a place of a request is a part of what stands at another."""
    return len(place) > len(at) and place[: len(at)] == at


def _stand_in(field: UploadField) -> str:
    """In place of a file that is refused: a text that the rest of the checks takes."""
    if field.is_data:
        return f"data:{MEDIA[field.media].formats[field.formats[0]]};base64,{_NO_CONTENT}"
    return _STAND_IN


def _root(field: UploadField) -> KeyPath:
    """The part of a request that holds a field, and what its conditions look at."""
    way = field.at[:-1] if field.when else field.at
    ends = (number for number, key in enumerate(way) if key == EACH or isinstance(key, int))
    return way[: next(ends, len(way))]


def by_content(request: Any, taken: Taken) -> Any:
    """The request, in which `{"upload": "sha256:…"}` now stands for each file."""
    for at, file in taken.files:
        put_at(request, at, {UPLOAD: f"{BY_CONTENT}{file.sha256}"})
    return request


def _examine(path: Path, name: str, field: UploadField, folders: Sequence[Path]) -> UploadFile:
    """Raises UploadFault, Unreadable."""
    try:
        with open_file(path, most=UPLOAD_BYTES, folders=folders) as data:
            size = os.fstat(data.fileno()).st_size
            _check_size(size, name, field)
            sha256 = hashlib.file_digest(data, "sha256").hexdigest()
            data.seek(0)
            real = Path(os.path.realpath(path))
            kind = _check_content(data, name, field)
            seconds = _check_length(data, kind, name, field, size=size)
    except OSError as error:
        words = error.strerror or str(error)
        raise UploadFault("name", f"{show(name)}: cannot be read: {words}") from error
    return UploadFile(
        name=name, path=real, sha256=sha256, size=size,
        extension=kind.extension, media_type=kind.media_type,
        seconds=None if seconds is None else Decimal(str(seconds)),
    )  # fmt: skip


def examine_made(run_dir: Path, name: str, field: UploadField) -> UploadFile:
    """A file that another job has made, fit for the field. Raises UploadFault."""
    try:
        return _examine(run_dir / name, name, field, (run_dir,))
    except Unreadable as error:
        raise UploadFault(error.kind, error.about(show(name))) from error


def _check_size(size: int, name: str, field: UploadField) -> None:
    sent = data_url_bytes(size) if field.is_data else size
    if sent > field.max_bytes:
        form = " as base64" if field.is_data else ""
        raise UploadFault(
            "size",
            f"{show(name)} has {sent / _MB:.1f} MB{form} ({sent} bytes); allowed: at most "
            f"{field.max_bytes / _MB:g} MB{form} ({field.max_bytes} bytes)",
        )


def _check_content(data: BinaryIO, name: str, field: UploadField) -> Kind:
    """What the file is, by its content alone; the name does not count."""
    allowed = _alternatives([format_.upper() for format_ in field.formats])
    try:
        kind = kind_of(data.read(HEAD_BYTES), media=field.media)
        if field.media in _TIMED:
            examine(data, Identified(kind, Facts()))
    except ArtifactInvalid as error:
        raise UploadFault("format", f"{show(name)}: {error}; allowed: {allowed}") from error
    if kind.extension not in field.formats:
        words = f"{show(name)} is of format {kind.extension.upper()}; allowed: {allowed}"
        raise UploadFault("format", words)
    if field.media == "image" and (field.min_side or field.max_side or field.ratio):
        data.seek(0)
        _check_sides(data, kind.extension, name, field)
    return kind


def _check_sides(data: IO[bytes], extension: str, name: str, field: UploadField) -> None:
    from PIL import Image  # noqa: PLC0415  # start-up: only a plan with pictures pays for it

    allowed = _sides_words(field)
    try:
        # Only the header is read, so a picture of very many pixels is no danger here.
        with (
            warnings.catch_warnings(category=Image.DecompressionBombWarning, action="ignore"),
            Image.open(data, formats=[_PILLOW[extension]]) as picture,
        ):
            sides = picture.size
    except Image.DecompressionBombError as error:
        words = f"{show(name)} has far too many pixels; allowed: {allowed}"
        raise UploadFault("sides", words) from error
    except Exception as error:  # a decoder may fail in any way on foreign bytes
        words = f"{show(name)}: the picture's header cannot be read: {error}"
        raise UploadFault("format", words) from error
    low, high = field.ratio or (0, math.inf)
    ratio = sides[0] / sides[1]
    is_even = low * (1 - _ROUNDING) <= ratio <= high * (1 + _ROUNDING)
    most = math.inf if field.max_side is None else field.max_side
    if min(sides) < (field.min_side or 0) or max(sides) > most or not is_even:
        words = f"{show(name)} has {sides[0]}x{sides[1]} pixels; allowed: {allowed}"
        raise UploadFault("sides", words)


def _sides_words(field: UploadField) -> str:
    least, most = (f"{side}x{side}" if side else "" for side in (field.min_side, field.max_side))
    words = f"{least} to {most}" if least and most else f"from {least}" if least else ""
    words = words or (f"up to {most}" if most else "")
    if field.ratio is None:
        return words
    ratio = f"width:height from {_ratio_words(field.ratio[0])} to {_ratio_words(field.ratio[1])}"
    return f"{words}, {ratio}" if words else ratio


def _ratio_words(ratio: float) -> str:
    """`1:8`, `2:1`."""
    return f"{ratio:g}:1" if ratio >= 1 else f"1:{1 / ratio:g}"


def _check_length(
    data: BinaryIO, kind: Kind, name: str, field: UploadField, *, size: int
) -> float | None:
    """How long the file plays, as far as its headers tell."""
    seconds = _seconds(data, kind, field.media, size=size)
    if seconds is None:
        return None
    least, most = field.min_s or 0.0, math.inf if field.max_s is None else field.max_s
    if not least <= seconds <= most:
        ends = [f"{field.min_s:g} s" if field.min_s else "", f"{most:g} s" if field.max_s else ""]
        allowed = " to ".join(filter(None, ends))
        allowed = allowed if all(ends) else f"{'at least' if ends[0] else 'at most'} {allowed}"
        words = f"{show(name)} plays {seconds:.1f} s; allowed: {allowed}"
        raise UploadFault("length", words)
    return seconds


def _seconds(data: BinaryIO, kind: Kind, media: str, *, size: int) -> float | None:
    if media == "audio":
        return sound_length(data, kind, size)
    return read_movie(data, size).duration_s if media == "video" else None


def _alternatives(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else "".join(words)
