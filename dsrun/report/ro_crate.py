"""`ro-crate-metadata.json`: makes a run directory readable for archives and research tools.

An RO-Crate 1.1 with the Process Run Crate profile, written line by line without the `rocrate`
package, which keeps every entity in memory; the tests read it with that package.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO
from urllib.parse import quote

import orjson

from dsrun.common import lockfile
from dsrun.common.digest import json_text
from dsrun.common.models import JobStatus, Json
from dsrun.storage.files import whole_file
from dsrun.storage.layout import CRATE, LEDGER, MANIFEST, RESULTS

PathOf = Callable[[str, int], str | None]
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_CONTEXT = [
    "https://w3id.org/ro/crate/1.1/context",
    {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"},  # the first has no such term
]
_SOFTWARE = "#dsrun"
_KEEP_IN_MEMORY = 1 << 20
_LICENSE = "#license"
_ENDED = {
    JobStatus.SUCCEEDED: "CompletedActionStatus",
    JobStatus.PARTIAL: "FailedActionStatus",
    JobStatus.FAILED: "FailedActionStatus",
    JobStatus.CANCELLED: "FailedActionStatus",
}
_OWN_FILES = {
    MANIFEST: ("the pipeline, as it was read", "application/yaml"),
    lockfile.NAME: ("the pipeline with everything resolved", "application/json"),
    RESULTS: ("one line a job", "application/jsonl"),
    LEDGER: ("jobs, attempts and artifacts", "application/vnd.sqlite3"),
}


class Crate:
    """Takes the lines of results.jsonl one by one; `end` completes the file.

    The lists of the root may have any length, so their items wait in files, not in memory.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        parts: IO[bytes],
        mentions: IO[bytes],
        own: list[str],
        version: str,
        path_of: PathOf,
    ) -> None:
        """`parts` and `mentions` are empty files for the items that wait."""
        self._path_of = path_of
        self._file = file
        self._own = own
        self._parts = parts
        self._mentions = mentions
        self._actions = 0
        file.write(b'{"@context":' + orjson.dumps(_CONTEXT) + b',"@graph":[\n')
        file.writelines(map(_line, _fixed(self._own, version)))

    def add(self, line: dict[str, Any]) -> None:
        """Add a job that has ended, with its request and its files."""
        if line["status"] not in _ENDED:
            return
        files = [{"@id": quote(item["path"])} for item in line["artifacts"]]
        self._file.writelines(map(_line, _entities(line, files, self._path_of)))
        for file in files:
            self._parts.write(b"," + orjson.dumps(file))
        comma = b"," if self._actions else b""
        self._mentions.write(comma + orjson.dumps({"@id": f"#{line['job_id']}"}))
        self._actions += 1

    def end(self, *, name: str, at: str) -> None:
        """Write the root entity, which comes last because it lists all others."""
        self._file.write(orjson.dumps(_root(name, at))[:-1] + b',"hasPart":[')
        self._file.write(b",".join(orjson.dumps({"@id": file}) for file in self._own))
        opens, closes = (b"", b"") if self._actions == 1 else (b"[", b"]")  # as in `_entities`
        between, after_all = b'],"mentions":' + opens, closes + b"}\n]}\n"
        for waiting, after in ((self._parts, between), (self._mentions, after_all)):
            waiting.seek(0)
            shutil.copyfileobj(waiting, self._file)
            self._file.write(after)


@contextmanager
def writing_crate(
    run_dir: Path, *, name: str, version: str, at: str, path_of: PathOf
) -> Iterator[Crate]:
    """Replace the file atomically by the lines that are added in the block.

    `at` is now, `version` that of dsrun; `path_of` knows the file of a job by its number. By the
    end of the block results.jsonl must exist. Raises SetupError.
    """
    own = [file for file in _OWN_FILES if file == RESULTS or (run_dir / file).is_file()]
    with (
        whole_file(run_dir / CRATE) as file,
        SpooledTemporaryFile(_KEEP_IN_MEMORY) as parts,
        SpooledTemporaryFile(_KEEP_IN_MEMORY) as mentions,
    ):
        crate = Crate(
            file, parts=parts, mentions=mentions, own=own, version=version, path_of=path_of
        )
        yield crate
        crate.end(name=name, at=at)


def _line(entity: Json) -> bytes:
    return orjson.dumps(entity) + b",\n"


def _fixed(own: list[str], version: str) -> Iterator[dict[str, Json]]:
    yield {
        "@id": CRATE,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
    }
    yield {"@id": _PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    yield {
        "@id": _SOFTWARE,
        "@type": "SoftwareApplication",
        "name": "dsrun",
        "softwareVersion": version,
    }
    yield {
        "@id": _LICENSE,
        "@type": "CreativeWork",
        "name": "not stated",
        "description": "The terms of the generation service and of its user hold.",
    }
    for file in own:
        about, kind = _OWN_FILES[file]
        yield {"@id": file, "@type": "File", "name": about, "encodingFormat": kind}


def _root(name: str, at: str) -> dict[str, Json]:
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": name,
        "description": f"What dsrun made of the pipeline {name}, and how.",
        "datePublished": at,
        "license": {"@id": _LICENSE},
        "conformsTo": {"@id": _PROFILE},
    }


def _entities(
    line: dict[str, Any], files: list[dict[str, str]], path_of: PathOf
) -> Iterator[dict[str, Json]]:
    """The entities of a job: its action, its request and its files, which are called `files`.

    The action works on the request, and on the files of other jobs that are in it.
    """
    action, request = f"#{line['job_id']}", f"#{line['job_id']}-request"
    taken = [
        path_of(parent["job_id"], parent["file"])
        for parent in line.get("parents", ())
        if parent["file"] is not None
    ]
    objects = [{"@id": request}, *({"@id": quote(path)} for path in taken if path)]
    entity: dict[str, Json] = {
        "@id": action,
        "@type": "CreateAction",
        "name": f"{line['step']}/{line['index']}",
        "description": "One request to the generation service, and the files that it made.",
        "instrument": {"@id": _SOFTWARE},
        "object": objects if len(objects) > 1 else objects[0],  # as `result` below
        "actionStatus": f"http://schema.org/{_ENDED[line['status']]}",
        "endTime": _time(line["ended_at"]),
    }
    if files:
        entity["result"] = files if len(files) > 1 else files[0]  # compacted: no list of one
    if line["submitted_at"] is not None:
        entity["startTime"] = _time(line["submitted_at"])
    if line["error"] is not None:
        entity["error"] = f"{line['error']['code']}: {line['error']['message']}"
    yield entity
    text = json_text(line["request"])
    yield {"@id": request, "@type": "PropertyValue", "name": "request", "value": text}
    for item, name in zip(line["artifacts"], files, strict=True):
        file: dict[str, Json] = {
            **name,
            "@type": "File",
            "name": item["path"],
            "encodingFormat": item["media_type"],
            "contentSize": str(item["size"]),
            "sha256": item["sha256"],
        }
        if item.get("duration_s") is not None:
            file["duration"] = f"PT{item['duration_s']}S"  # ISO 8601
        yield file


def _time(at: str) -> str:
    """A time of the ledger in the form of the profile, with an offset."""
    return at.removesuffix("Z") + "+00:00"
