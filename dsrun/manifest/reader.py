"""Reads a manifest, and the files that it names, into a frozen `Manifest`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from dsrun.common import lockfile
from dsrun.common.credential import KEPT_KEY, holds_key, is_key_file, keeps_key
from dsrun.common.digest import canonical_sha256, json_text, sha256_hex
from dsrun.common.errors import ManifestError, Problem
from dsrun.common.messages import json_type, nearest, show
from dsrun.common.models import Json
from dsrun.common.names import path_fault, read_back
from dsrun.common.pointer import KeyPath, fits
from dsrun.common.settings import guard_key
from dsrun.common.shell import command_line
from dsrun.common.user_files import (
    INPUTS,
    LOCKFILE_BYTES,
    MISSING,
    OUTSIDE,
    TEXT_BYTES,
    Inputs,
    Unreadable,
    nearest_path,
    read_file,
)
from dsrun.common.yaml_document import YamlDocument, parse_yaml
from dsrun.common.yaml_scalars import is_text
from dsrun.manifest.calls import read_calls, without_models
from dsrun.manifest.execution import budget_faults, parse_execution
from dsrun.manifest.files import (
    DataFile,
    decoded,
    files_matching,
    misread_problems,
    near_file,
    read_text,
)
from dsrun.manifest.frame import frame_problems
from dsrun.manifest.matrix_reader import MatrixReader
from dsrun.manifest.misread import misread
from dsrun.manifest.model import Calls, Manifest, Step, Text
from dsrun.manifest.notify import read_notify
from dsrun.manifest.picks import PickFile
from dsrun.manifest.schedule import read_schedule, schedule_faults
from dsrun.service.catalog import Catalog
from dsrun.service.request import upload_places

_LOCKFILE_PARTS = {"manifest", "root", "digest", "run", "files"}
PIPELINE_SUFFIXES = (".yaml", ".yml")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}").fullmatch  # that `dsrun init` takes
_MOST_PROBLEMS = 1000  # nobody reads more


def load_manifest(
    path: Path,
    *,
    catalog: Catalog,
    set_params: Mapping[str, str] | None = None,
    allow_files: Sequence[Path] = (),
) -> Manifest:
    """Read a pipeline file and the files that it names. Raises ManifestError."""
    manifest = read_manifest(path, catalog=catalog, set_params=set_params, allow_files=allow_files)
    if manifest.problems:
        raise ManifestError(manifest.problems)
    return manifest


def read_manifest(
    path: Path,
    *,
    catalog: Catalog,
    set_params: Mapping[str, str] | None = None,
    allow_files: Sequence[Path] = (),
) -> Manifest:
    """Read a pipeline file and the files that it names, as far as they can be read.

    `allow_files`: folders beside its own that it may read from. What is wrong stands in
    `problems`. Raises ManifestError where nothing else can be read.
    """
    guard_key()
    opened = _open(path, tuple(allow_files))
    document, inputs = opened.document, opened.inputs
    raw, frame_problems = _read_frame(document, catalog)
    params, param_problems = apply_params(raw["params"], set_params or {}, file=str(path))
    reader = _StepReader(document, inputs, catalog, pinned_picks=_pinned_picks(opened))
    steps = reader.read(raw["steps"])
    notify = read_notify(raw.get("notify"), root=inputs.root, complain=reader.complain)
    faults = list(schedule_faults(raw.get("schedule")))
    execution = parse_execution(raw.get("execution") or {})
    return Manifest(
        path=path,
        inputs=inputs,
        source=opened.source,
        document=document,
        raw={**raw, "params": params, "steps": without_models(raw["steps"], catalog)},
        name=raw["name"],
        params=params,
        steps=steps,
        execution=execution,
        notify=notify,
        schedule=None if faults else read_schedule(raw.get("schedule")),
        keep=raw.get("keep"),
        metadata=raw.get("metadata", True),
        pinned=opened.pinned,
        set_params=dict(set_params or {}),
        problems=(
            *frame_problems,
            *param_problems,
            *reader.problems,
            *(document.problem(at, words) for at, words in (*faults, *budget_faults(execution))),
            *_key_problems(opened, params, catalog),
        ),
        warnings=(*misread_problems(str(path), misread(decoded(opened.source))), *reader.warnings),
    )


class _Opened(NamedTuple):
    """A pipeline file, parsed; `pinned` is what a lock file holds beside the manifest."""

    source: bytes
    document: YamlDocument
    inputs: Inputs
    pinned: Mapping[str, Json] | None = None


def _pinned_picks(opened: _Opened) -> Mapping[str, str | None] | None:
    """The texts of the files of picks that a lock file holds; None where the pipeline is none."""
    return None if opened.pinned is None else lockfile.fitting({**opened.pinned}).get("picks", {})


def _open(path: Path, allowed: tuple[Path, ...]) -> _Opened:
    shown = str(path)
    for named in (path, path.parent.resolve()):  # the lock file will hold it
        if fault := path_fault(named):
            raise ManifestError([_file_problem(str(named), fault)])
    source = _read_bytes(path, shown)
    document = parse_yaml(_text_of(source, shown), file=shown)
    if path.name != lockfile.NAME:
        return _Opened(source, document, Inputs(path.parent, allowed=allowed))
    content = document.value
    if not isinstance(content, dict) or not lockfile.fitting(content).keys() >= _LOCKFILE_PARTS:
        words = "this is no lock file of dsrun"
        raise ManifestError([Problem(file=shown, line=1, column=1, where="", message=words)])
    inputs = Inputs(read_back(content["root"]), path.parent / INPUTS, allowed, content["files"])
    return _Opened(source, document.part("manifest"), inputs, content)


def _read_frame(document: YamlDocument, catalog: Catalog) -> tuple[dict[str, Json], list[Problem]]:
    """What can be read of the manifest, and what is wrong with its frame.

    Raises ManifestError where nothing can.
    """
    broken = list(frame_problems(document, catalog))
    problems = [problem for _, problem in broken]
    readable = _readable_parts(document.value, [at for at, _ in broken])
    if readable is None:
        raise ManifestError(problems)
    return _sorted_maps(readable), problems


def _key_problems(
    opened: _Opened, params: Mapping[str, Json], catalog: Catalog
) -> Iterator[Problem]:
    """The key itself: whatever stands in these texts is copied into every run directory."""
    words = "holds the API key itself; take it out, and give it to dsrun as DASHSCOPE_API_KEY"
    document, lines = opened.document, opened.source.split(b"\n")
    if holds_key(opened.source) or holds_key(json_text([document.value, params])):
        line = next((number for number, text in enumerate(lines, 1) if holds_key(text)), 1)
        yield Problem(file=document.file, line=line, column=1, where="", message=words)
    for name, text in catalog.own.items():
        if holds_key(text):
            yield _file_problem(f"operations/{name}.json", words)


class _StepReader:
    """Reads the steps; collects problems so that all are reported at once."""

    def __init__(
        self,
        document: YamlDocument,
        inputs: Inputs,
        catalog: Catalog,
        *,
        pinned_picks: Mapping[str, str | None] | None = None,
    ) -> None:
        """`pinned_picks`: the texts of files of picks, of which a lock file has its own."""
        self._pinned_picks = pinned_picks
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._document = document
        self._inputs = inputs
        self._catalog = catalog
        self._data_files: dict[Path, DataFile] = {}
        self._upload_places: list[KeyPath] = []
        # All steps, also those that cannot be read: what is wrong with them is told there alone.
        self._names: list[Json] = list(document.value["steps"])

    def read(self, sections: Mapping[str, Mapping[str, Json]]) -> tuple[Step, ...]:
        """The steps in which nothing is wrong; the problems of the others are noted."""
        steps: list[Step] = []
        for name, section in sections.items():
            told = len(self.problems)
            if told >= _MOST_PROBLEMS:
                break
            step = self._read(name, section)
            if len(self.problems) == told:
                steps.append(step)
        return tuple(steps)

    def _read(self, name: str, section: Mapping[str, Json]) -> Step:
        at: KeyPath = ("steps", name)
        place = self._names.index(name)
        called = read_calls(section, at, self._catalog, self.complain)
        self._note_uploads(called.calls, at)
        matrix = MatrixReader(
            at=(*at, "matrix"),
            complain=self.complain,
            load_file=self._load_data,
            find_files=self._find_files,
            load_picks=self._load_picks,
            above=self._names[:place],
            below=self._names[place + 1 :],
            operations=called.listed,
            has_models=called.has_models,
        ).read(section.get("matrix") or {})
        filename = section.get("filename")
        return Step(
            name=name,
            calls=called.calls,
            matrix=matrix,
            repeat=section.get("repeat", 1),
            body={
                part: self._leaves(section[part], (*at, part))
                for part in ("input", "parameters")
                if section.get(part) is not None
            },
            filename=None if filename is None else Text(source=filename, at=(*at, "filename")),
            take=self._leaves(section.get("take", 1), (*at, "take")),
        )

    def _note_uploads(self, calls: Calls, at: KeyPath) -> None:
        for name in filter(self._catalog.__contains__, calls.operations):
            self._upload_places += [(*at, *place) for place in upload_places(self._catalog[name])]

    def _leaves(self, value: Json, at: KeyPath) -> Any:
        if isinstance(value, str):
            return Text(source=value, at=at)
        if isinstance(value, dict):
            if value.keys() == {"file"} and isinstance(value["file"], str):
                return self._prompt_file(value["file"], at)
            return {key: self._leaves(item, (*at, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._leaves(item, (*at, i)) for i, item in enumerate(value)]
        return value

    def _prompt_file(self, name: str, at: KeyPath) -> Text | None:
        path = self._inputs.place(name)
        if keeps_key(path):
            self.complain((*at, "file"), f"{name} {KEPT_KEY}")
            return None
        try:
            text = read_text(path, shown_as=str(path), folders=self._inputs.folders)
            sha256 = sha256_hex(text.encode())
            self._inputs.check(name, path, sha256)
            self.warnings += misread_problems(str(path), misread(text))
            return Text(source=text, at=at, file=name, sha256=sha256)
        except Unreadable as error:
            self.complain((*at, "file"), error.about(name))
        except ManifestError as error:
            if any(fits(at, place) for place in self._upload_places):
                self.complain(at, f"{name} is no text; {{upload: {name}}} uploads a file")
            else:
                self._complain_of_file(error, (*at, "file"), name)
        return None

    def _load_data(self, name: str, at: KeyPath) -> DataFile | None:
        path = self._inputs.place(name)
        if keeps_key(path):
            self.complain(at, f"{name} {KEPT_KEY}")
            return None
        try:
            if path not in self._data_files:
                data = DataFile(
                    path,
                    shown_as=str(path),
                    folders=self._inputs.folders,
                    check=partial(self._inputs.check, name, path),
                )
                self._data_files[path] = data
                self.warnings += data.warnings
            return self._data_files[path]
        except Unreadable as error:
            self.complain(at, error.about(name))
        except ManifestError as error:
            self._complain_of_file(error, at, name)
        return None

    def _load_picks(self, name: str, at: KeyPath) -> PickFile | None:
        """The picks of a file, which need not be there; None where it cannot be read."""
        if self._pinned_picks is not None:
            return PickFile(name, self._pinned_picks.get(name))
        path = self._inputs.place(name)
        if keeps_key(path):
            self.complain(at, f"{name} {KEPT_KEY}")
            return None
        try:
            text = read_text(path, shown_as=str(path), folders=self._inputs.folders)
        except ManifestError as error:
            if any(problem.message != MISSING for problem in error.problems):
                self._complain_of_file(error, at, name)
                return None
            words = (
                f"{name} is not there{near_file(self._inputs.root, name)}, so nothing is picked; "
                "Save list in a report writes such a file"
            )
            self.warnings.append(self._document.problem(at, words))
            return PickFile(str(path), None)
        return PickFile(str(path), text)

    def _find_files(self, pattern: str) -> list[str]:
        """Raises ValueError."""
        names = files_matching(self._inputs.root, pattern, self._inputs.allowed)
        try:
            self._inputs.check(pattern, self._inputs.root, canonical_sha256(names))
        except Unreadable as error:
            raise ValueError(str(error)) from error
        if kept := [name for name in names if is_key_file(self._inputs.root / name)]:
            raise ValueError(f"{kept[0]} {KEPT_KEY}")
        return names

    def _complain_of_file(self, error: ManifestError, at: KeyPath, name: str) -> None:
        """A fault within the file keeps its place; a missing file is reported where it is named."""
        for problem in error.problems:
            if problem.line:
                self.problems.append(problem)
            else:
                is_missing = problem.message == MISSING
                near = near_file(self._inputs.root, name) if is_missing else ""
                joint = " " if problem.message == OUTSIDE else ": "
                self.complain(at, f"{name}{joint}{problem.message}{near}")

    def complain(self, at: KeyPath, message: str, *, of_key: bool = False) -> None:
        self.problems.append(self._document.problem(at, message, of_key=of_key))


def _read_bytes(path: Path, shown: str) -> bytes:
    most = LOCKFILE_BYTES if path.name == lockfile.NAME else TEXT_BYTES
    try:
        return read_file(path, most=most)
    except Unreadable as error:
        words = missing_words(path) if error.kind == "missing" else str(error)
        raise ManifestError([_file_problem(shown, words)]) from error


def missing_words(path: Path) -> str:
    """That there is no such file, the nearest one, and a command that writes one."""
    near = nearest_path(path, suffixes=PIPELINE_SUFFIXES) or nearest_path(path)
    hint = f" (did you mean {near}?)" if near else ""
    init = [] if not Path("dsrun.yaml").exists() else [path.stem]
    is_free = not init or (path.parent == Path() and not Path(f"{path.stem}.yaml").exists())
    if not is_free or (init and not _NAME(path.stem)):
        return f"no such file{hint}"
    command = command_line("dsrun", "init", *init)
    return f"no such file{hint}; `{command}` writes a pipeline to start from"


def _text_of(source: bytes, shown: str) -> str:
    try:
        return decoded(source)
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        words = f"not UTF-8: byte 0x{source[error.start]:02x}; save the file as UTF-8"
        problem = Problem(file=shown, line=line, column=1, where="", message=words)
        raise ManifestError([problem]) from error


def _file_problem(shown: str, message: str) -> Problem:
    return Problem(file=shown, line=0, column=0, where="", message=message)


def _readable_parts(value: Json, bad: list[KeyPath]) -> dict[str, Json] | None:
    """The manifest without the parts that cannot be read; None where too little is left.

    An `x-` key is only a place for anchors. A part is left out so that a slip in one place does
    not hide what is wrong in the others.
    """
    places = {path[:1] for path in bad} | {path[:2] for path in bad if path[:1] == ("steps",)}
    if not isinstance(value, dict) or () in bad or ("steps",) in bad or ("params",) in places:
        return None
    steps = value.get("steps")
    if not isinstance(steps, dict):
        return None
    readable = {name: step for name, step in steps.items() if ("steps", name) not in places}
    kept = {k: v for k, v in value.items() if (k,) not in places and not k.startswith("x-")}
    return {"name": "", **kept, "steps": readable}


def _sorted_maps(value: Json) -> Json:
    """The manifest with sorted mappings: no template sees an order that the digest ignores.

    The order of steps and of the axes of a matrix is kept: it numbers the jobs.
    """
    return {
        **value,
        "params": _sorted(value.get("params") or {}),
        "steps": {
            name: {
                **step,
                "matrix": {key: _sorted(item) for key, item in (step.get("matrix") or {}).items()},
            }
            for name, step in value["steps"].items()
        },
    }


def _sorted(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value


def apply_params(
    params: Mapping[str, Json], set_params: Mapping[str, str], *, file: str
) -> tuple[dict[str, Json], list[Problem]]:
    """The params with those of `--set` in their place, and what is wrong with these."""
    result, problems = dict(params), []
    for key, text in set_params.items():
        if key not in params:
            known = ", ".join(params) or "none: the manifest has no params"
            message = f"unknown param{nearest(key, list(params))}; allowed: {known}"
        else:
            try:
                result[key] = _typed(params[key], text)
                continue
            except ValueError as error:
                message = str(error)
        problems.append(Problem(file=file, line=0, column=0, where=f"--set {key}", message=message))
    return result, problems


def _typed(default: Json, text: str) -> Json:
    """The text as the type of the default. Raises ValueError."""
    if not is_text(text):
        raise ValueError("found bytes that are no UTF-8; allowed: text")
    if isinstance(default, str):
        return text
    try:
        value = parse_yaml(text, file="--set").value
    except ManifestError as error:
        raise ValueError(f"found {show(text)}; {error.problems[0].message}") from error
    wanted = json_type(default)
    fits = json_type(value) == wanted or (wanted == "number" and json_type(value) == "integer")
    if default is not None and not fits:
        raise ValueError(f"found {show(text)}; allowed: {wanted}, as in the manifest")
    return value
