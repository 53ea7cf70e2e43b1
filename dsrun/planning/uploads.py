"""Local files that requests name as `{upload: FILE}`: found, checked, known by their content.

A door to files of the user; nothing is sent from here. What a file may be is the operation's word
(`x-dsrun.uploads`). In a canonical request a file is `{"upload": "sha256:HEX"}`: neither its name
nor the address that it gets for some hours says what is asked for.
"""

import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, NamedTuple

from dsrun.common.credential import KEPT_KEY, keeps_key
from dsrun.common.media import HEAD_BYTES, ArtifactInvalid, kind_of
from dsrun.common.messages import json_type, show
from dsrun.common.models import Json, UploadFile
from dsrun.common.pointer import KeyPath, put_at, value_at
from dsrun.common.user_files import UPLOAD_BYTES, Inputs, Unreadable, open_file
from dsrun.common.wav import wav_seconds
from dsrun.manifest.files import near_file
from dsrun.service.operation import UploadField, Uploads
from dsrun.service.request import BY_CONTENT, UPLOAD

_PILLOW = {"jpg": "JPEG", "png": "PNG", "bmp": "BMP", "tiff": "TIFF", "webp": "WEBP", "gif": "GIF"}
_MB = 2**20
_STAND_IN = "oss://upload/"


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
    rule: str
    message: str


class Taken(NamedTuple):
    """The files of one request, each with its place, and what is wrong with others."""

    files: Sequence[tuple[KeyPath, UploadFile]]
    bad: Sequence[BadUpload]


NOTHING = Taken((), ())


class UploadFields:
    """The upload fields of one operation, with the files that requests name."""

    def __init__(self, uploads: Uploads | None, files: UploadFiles) -> None:
        self._fields = uploads.fields if uploads else ()
        self._files = files
        self.places = frozenset(field.at for field in self._fields)

    def take(self, request: Json) -> Taken:
        """Find each file that the request names, and put a stand-in for its address in its place.

        So the request has the form in which it will be sent, and can be held to the schema.
        """
        if not self._fields:
            return NOTHING
        files: list[tuple[KeyPath, UploadFile]] = []
        bad: list[BadUpload] = []
        for field in self._fields:
            value = value_at(request, field.at)
            if not isinstance(value, dict):
                continue
            stand_in = _STAND_IN
            try:
                file = self._find(value, field)
                files.append((field.at, file))
                stand_in += file.sha256
            except UploadFault as fault:
                place = (*field.at, UPLOAD) if UPLOAD in value else field.at
                bad.append(BadUpload(place, f"upload {fault.kind}", str(fault)))
            put_at(request, field.at, stand_in)
        return Taken(files, bad)

    def seconds_of(self, value: Json) -> Decimal | None:
        """How long the file plays that stands for a value of a canonical request."""
        name = value.get(UPLOAD) if isinstance(value, dict) else None
        file = self._files.by_content.get(str(name).removeprefix(BY_CONTENT))
        return file.seconds if file else None

    def contents(self, values: Mapping[KeyPath, Json]) -> list[str]:
        """SHA-256 of the files among the values of upload fields; nothing for a bad one."""
        contents = []
        for field in self._fields:
            value = values.get(field.at)
            if isinstance(value, dict):
                try:
                    contents.append(self._find(value, field).sha256)
                except UploadFault:
                    contents.append("")
        return contents

    def _find(self, value: dict[str, Json], field: UploadField) -> UploadFile:
        if value.keys() != {UPLOAD}:
            raise UploadFault(
                "shape", f"found {show(value)}; allowed: an address, or {{upload: FILE}}"
            )
        return self._files.find(value[UPLOAD], field)


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
            media_type, extension = _check_content(data, name, field)
            data.seek(0)
            seconds = wav_seconds(data) if extension == "wav" else None
    except OSError as error:
        words = error.strerror or str(error)
        raise UploadFault("name", f"{show(name)}: cannot be read: {words}") from error
    return UploadFile(
        name=name, path=real, sha256=sha256, size=size, extension=extension, media_type=media_type,
        seconds=None if seconds is None else Decimal(str(seconds)),
    )  # fmt: skip


def _check_size(size: int, name: str, field: UploadField) -> None:
    if size > field.max_bytes:
        raise UploadFault(
            "size",
            f"{show(name)} has {size / _MB:.1f} MB ({size} bytes); allowed: at most "
            f"{field.max_bytes / _MB:g} MB ({field.max_bytes} bytes)",
        )


def _check_content(data: IO[bytes], name: str, field: UploadField) -> tuple[str, str]:
    """Media type and extension, by the content alone; the name does not count."""
    allowed = _alternatives([format_.upper() for format_ in field.formats])
    try:
        kind = kind_of(data.read(HEAD_BYTES), media=field.media)
    except ArtifactInvalid as error:
        raise UploadFault("format", f"{show(name)}: {error}; allowed: {allowed}") from error
    if kind.extension not in field.formats:
        words = f"{show(name)} is of format {kind.extension.upper()}; allowed: {allowed}"
        raise UploadFault("format", words)
    if field.max_side:
        data.seek(0)
        _check_sides(data, kind.extension, name, field)
    return kind.media_type, kind.extension


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
    is_even = not field.max_ratio or max(sides) <= field.max_ratio * min(sides)
    if min(sides) < field.min_side or max(sides) > field.max_side or not is_even:
        words = f"{show(name)} has {sides[0]}x{sides[1]} pixels; allowed: {allowed}"
        raise UploadFault("sides", words)


def _sides_words(field: UploadField) -> str:
    words = f"{field.min_side}x{field.min_side} to {field.max_side}x{field.max_side}"
    ratio = f"{field.max_ratio:g}"
    return f"{words}, width:height from 1:{ratio} to {ratio}:1" if field.max_ratio else words


def _alternatives(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else "".join(words)
