"""The upload fields of a request: a file in the manifest, its content in the ledger.

Pure, but for the files that it asks for. In a canonical request a file is
`{"upload": "sha256:HEX"}`: neither its name nor the address that it gets for some hours says
what is asked for.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dsrun.common.messages import show
from dsrun.common.models import Json, UploadFile
from dsrun.common.pointer import put_at, value_at
from dsrun.planning.upload_files import UploadFault, UploadFiles
from dsrun.service.operation import UploadField, Uploads
from dsrun.service.request import BY_CONTENT, UPLOAD

_STAND_IN = "oss://upload/"


class BadUpload(NamedTuple):
    """What is wrong at a place of the request: the rule, and words."""

    at: tuple[str, ...]
    rule: str
    message: str


class Taken(NamedTuple):
    """The files of one request, by place, and what is wrong with others."""

    files: Sequence[tuple[tuple[str, ...], UploadFile]]
    bad: Sequence[BadUpload]


NOTHING = Taken((), ())


class UploadFields:
    """The upload fields of one operation, with the files that requests name."""

    def __init__(self, uploads: Uploads | None, files: UploadFiles) -> None:
        self._fields = uploads.fields if uploads else ()
        self._files = files
        self.places = frozenset(field.at for field in self._fields)

    def take(self, request: Json) -> Taken:
        """Find each file that the request names, and put an address of no file in its place.

        So the request has the form in which it will be sent, and can be held to the schema.
        """
        if not self._fields:
            return NOTHING
        files: list[tuple[tuple[str, ...], UploadFile]] = []
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

    def contents(self, values: Mapping[tuple[str | int, ...], Json]) -> list[str]:
        """SHA-256 of the files among the values of upload fields; nothing for a bad one."""
        found = []
        for field in self._fields:
            value = values.get(field.at)
            if isinstance(value, dict):
                try:
                    found.append(self._find(value, field).sha256)
                except UploadFault:
                    found.append("")
        return found

    def _find(self, value: dict[str, Json], field: UploadField) -> UploadFile:
        if value.keys() != {UPLOAD}:
            raise UploadFault(
                "shape", f"found {show(value)}; allowed: an address, or {{upload: FILE}}"
            )
        return self._files.find(value[UPLOAD], field)


def by_content(request: Any, taken: Taken) -> Any:
    """The request with each of its files as `{"upload": "sha256:…"}`, in place."""
    for at, file in taken.files:
        put_at(request, at, {UPLOAD: f"{BY_CONTENT}{file.sha256}"})
    return request
