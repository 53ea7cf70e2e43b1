"""`ro-crate-metadata.json`: a run directory that archives and other tools of research understand.

It is an RO-Crate 1.1 of the Process Run Crate profile, written by hand and a line at a time,
since the `rocrate` package keeps every entity in memory; the tests read it with that package.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from dsrun.digest import json_text
from dsrun.ledger_view import LedgerView
from dsrun.records import JobStatus, Json
from dsrun.results import iter_results
from dsrun.store import write_whole

CRATE_NAME = "ro-crate-metadata.json"
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_CONTEXT = [
    "https://w3id.org/ro/crate/1.1/context",
    {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"},  # the first has no such term
]
_SOFTWARE = "#dsrun"
_LICENSE = "#license"
_ENDED = {
    JobStatus.SUCCEEDED: "CompletedActionStatus",
    JobStatus.PARTIAL: "FailedActionStatus",
    JobStatus.FAILED: "FailedActionStatus",
    JobStatus.CANCELLED: "FailedActionStatus",
}
_OWN_FILES = {
    "manifest.yaml": ("the pipeline, as it was read", "application/yaml"),
    "manifest.lock.json": ("the pipeline with everything resolved", "application/json"),
    "results.jsonl": ("one line a job", "application/jsonl"),
    "ledger.sqlite3": ("jobs, attempts and artifacts", "application/vnd.sqlite3"),
}


def write_crate(view: LedgerView, run_dir: Path, *, name: str, version: str, at: str) -> None:
    """Write the file anew, as one act. `at` is now, `version` dsrun's. Raises SetupError."""
    pieces = _pieces(view, run_dir, name=name, version=version, at=at)
    write_whole(run_dir / CRATE_NAME, pieces)


def _pieces(
    view: LedgerView, run_dir: Path, *, name: str, version: str, at: str
) -> Iterator[bytes]:
    own = [file for file in _OWN_FILES if (run_dir / file).is_file()]
    yield b'{"@context":' + orjson.dumps(_CONTEXT) + b',"@graph":[\n'
    yield from map(_line, _fixed(own, version))
    for line in _ended(view):
        yield from map(_line, _action(line))
    # The root is last, and open until its lists are written: they may be of any length.
    yield orjson.dumps(_root(name, at))[:-1] + b',"hasPart":['
    yield b",".join(orjson.dumps({"@id": file}) for file in own)
    for line in _ended(view):
        for item in line["artifacts"]:
            yield b"," + orjson.dumps({"@id": quote(item["path"])})
    yield b'],"mentions":['
    before = b""
    for line in _ended(view):
        yield before + orjson.dumps({"@id": f"#{line['job_id']}"})
        before = b","
    yield b"]}\n]}\n"


def _ended(view: LedgerView) -> Iterator[dict[str, Any]]:
    return (line for line in iter_results(view) if line["status"] in _ENDED)


def _line(entity: Json) -> bytes:
    return orjson.dumps(entity) + b",\n"


def _fixed(own: list[str], version: str) -> Iterator[dict[str, Json]]:
    yield {
        "@id": CRATE_NAME,
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


def _action(line: dict[str, Any]) -> Iterator[dict[str, Json]]:
    """A job, its request, and its files."""
    action, request = f"#{line['job_id']}", f"#{line['job_id']}-request"
    found: dict[str, Json] = {
        "@id": action,
        "@type": "CreateAction",
        "name": f"{line['step']}/{line['index']}",
        "description": "One request to the generation service, and the files that it made.",
        "instrument": {"@id": _SOFTWARE},
        "object": {"@id": request},
        "actionStatus": f"http://schema.org/{_ENDED[JobStatus(line['status'])]}",
        "endTime": _time(line["ended_at"]),
    }
    files: list[Json] = [{"@id": quote(item["path"])} for item in line["artifacts"]]
    if files:
        found["result"] = files if len(files) > 1 else files[0]  # compacted: no list of one
    if line["submitted_at"] is not None:
        found["startTime"] = _time(line["submitted_at"])
    if line["error"] is not None:
        found["error"] = f"{line['error']['code']}: {line['error']['message']}"
    yield found
    text = json_text(line["request"])
    yield {"@id": request, "@type": "PropertyValue", "name": "request", "value": text}
    for item in line["artifacts"]:
        yield {
            "@id": quote(item["path"]),
            "@type": "File",
            "name": item["path"],
            "encodingFormat": item["media_type"],
            "contentSize": str(item["size"]),
            "sha256": item["sha256"],
        }


def _time(at: str) -> str:
    """A time of the ledger as the profile has it, with an offset."""
    return at.removesuffix("Z") + "+00:00"
