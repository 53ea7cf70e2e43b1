"""The digest of a pipeline: of all that determines its requests and file names (design 1.5)."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dsrun.common.digest import canonical_sha256, tagged
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath, fits
from dsrun.manifest.matrix import Matrix
from dsrun.manifest.model import FORMAT_VERSION, Manifest, Step, Text, iter_texts


class StepUploads(NamedTuple):
    """Where a step's requests take local files, and a digest of the contents (None: no file)."""

    places: Collection[KeyPath]
    sha256: str | None


NO_UPLOADS = StepUploads(frozenset(), None)


def plan_digest(
    manifest: Manifest,
    used: Mapping[str, Json],
    files: Mapping[str, str],
    own_operations: Mapping[str, str],
    uploads: Mapping[str, StepUploads],
) -> str:
    """The digest of a pipeline.

    `own_operations` are the user's files that are in use, by name; `uploads` are by step.
    """
    sections = manifest.raw["steps"]
    source = {
        "format": FORMAT_VERSION,
        "name": manifest.name,
        "params": manifest.params,
        "steps": {
            step.name: _step_source(step, sections[step.name], uploads.get(step.name, NO_UPLOADS))
            for step in manifest.steps
        },
        "run": dict(used),
        "included": dict(files),
        "operations": dict(own_operations),
    }
    return canonical_sha256(tagged(source))


def file_digests(manifest: Manifest, included: Mapping[str, str]) -> dict[str, str]:
    """SHA-256 of every file that a plan reads, by the name that the manifest uses.

    Of a glob pattern it is that of the list of names.
    """
    digests: dict[str, str] = {}
    for step in manifest.steps:
        digests |= {name: data.sha256 for name, data in step.matrix.files.items()}
        digests |= {name: canonical_sha256(list(n)) for name, n in step.matrix.globs.items()}
        digests |= {t.file: t.sha256 for t in iter_texts(step.body) if t.file and t.sha256}
    return digests | {name: canonical_sha256(text) for name, text in included.items()}


def _step_source(step: Step, section: Mapping[str, Json], uploads: StepUploads) -> Json:
    """What the digest counts of a step: files by their content, axes in their order."""
    matrix = section.get("matrix") or {}
    source = {
        "operation": section["operation"],
        "matrix": [[key, _by_content(value, step.matrix)] for key, value in matrix.items()],
        "repeat": step.repeat,
        "body": _leaf_sources(step.body, (), uploads.places),
        "filename": section.get("filename"),
    }
    if step.calls.model is not None:
        source["model"] = step.calls.model.source
    if step.take != 1:
        source["take"] = _leaf_sources(step.take, ("take",), ())
    return source if uploads.sha256 is None else {**source, "uploads": uploads.sha256}


def _by_content(value: Json, matrix: Matrix) -> Json:
    if isinstance(value, dict) and "file" in value:
        data = matrix.files[value["file"]]
        return {"file": data.sha256, "kind": Path(data.name).suffix.lower()}
    if isinstance(value, dict) and "step" in value:
        return {key: part for key, part in value.items() if key != "only"}  # it selects
    if isinstance(value, dict) and "glob" in value:
        return {"glob": list(matrix.globs[value["glob"]])}
    return value


def _leaf_sources(value: Any, at: KeyPath, upload_places: Collection[KeyPath]) -> Json:
    if isinstance(value, Text):
        return {"file": value.sha256} if value.sha256 else value.source
    if isinstance(value, dict):
        if value.keys() == {"upload"} and any(fits(at, place) for place in upload_places):
            return {"upload": None}  # its content counts, not its name
        return {key: _leaf_sources(item, (*at, key), upload_places) for key, item in value.items()}
    if isinstance(value, list):
        return [_leaf_sources(item, (*at, i), upload_places) for i, item in enumerate(value)]
    return value
