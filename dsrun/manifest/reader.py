"""A manifest: YAML text and the files that it names, read, checked and frozen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from dsrun.common.credential import KEPT_KEY, holds_key, is_key_file, keeps_key
from dsrun.common.digest import canonical_sha256, json_text, sha256_hex
from dsrun.common.errors import ManifestError, Problem
from dsrun.common.json_schema import SchemaValidator
from dsrun.common.lockfile import fitting
from dsrun.common.messages import json_type, nearest, show
from dsrun.common.models import Json
from dsrun.common.names import path_fault, read_back
from dsrun.common.resources import read_schema
from dsrun.common.settings import guard_key
from dsrun.common.user_files import (
    INPUTS,
    LOCK_BYTES,
    MISSING,
    OUTSIDE,
    TEXT_BYTES,
    Inputs,
    Unreadable,
    read_file,
)
from dsrun.common.yaml_document import YamlDocument, parse_yaml
from dsrun.common.yaml_scalars import is_text
from dsrun.manifest.execution import Execution, parse_execution
from dsrun.manifest.files import DataFile, decoded, files_matching, near_file, read_text
from dsrun.manifest.matrix import Matrix, MatrixReader
from dsrun.manifest.notify import Notify, read_notify
from dsrun.manifest.schedule import Schedule, read_schedule, schedule_faults
from dsrun.service.catalog import Catalog, constants
from dsrun.service.operation import Operation

LOCK_NAME = "manifest.lock.json"
FORMAT_VERSION = 1
_LOCK_PARTS = {"manifest", "root", "digest", "run", "files"}
_MOST_PROBLEMS = 1000  # nobody reads more

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text of `input`, `parameters` or `filename`: a template, from the manifest or a file."""

    source: str
    at: Path_
    file: str | None = None  # the prompt file, as the manifest spells it
    sha256: str | None = None  # of the prompt file


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. The leaves of `body` (input and parameters) are Text or constants."""

    name: str
    operation: str
    matrix: Matrix
    repeat: int
    body: Mapping[str, Any]
    filename: Text | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that a pipeline says. `raw` is the manifest's value with the params resolved."""

    path: Path
    inputs: Inputs  # where the files lie that it names
    source: bytes
    document: YamlDocument
    raw: Mapping[str, Json]
    name: str
    params: Mapping[str, Json]
    steps: tuple[Step, ...]
    execution: Execution
    notify: Notify | None
    pinned: Mapping[str, Json] | None  # the lock file, where the pipeline is one
    schedule: Schedule | None = None
    keep: int | None = None  # run directories that stay; None: all
    metadata: bool = True  # pictures carry their request
    problems: tuple[Problem, ...] = ()  # `steps` lack what these are about

    @property
    def root(self) -> Path:
        """The folder that file names are relative to."""
        return self.inputs.root


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
    `problems`, and in a ManifestError where nothing else can be read.
    """
    guard_key()
    shown = str(path)
    for named in (path, path.parent.resolve()):  # the lock file will hold it
        if fault := path_fault(named):
            raise ManifestError([_file_problem(str(named), fault)])
    allowed, pinned = tuple(allow_files), None
    source = _read_bytes(path, shown)
    document = parse_yaml(_text_of(source, shown), file=shown)
    inputs = Inputs(path.parent, allowed=allowed)
    if path.name == LOCK_NAME:
        document, pinned = _open_lock(document, shown)
        inputs = Inputs(read_back(pinned["root"]), path.parent / INPUTS, allowed, pinned["files"])
    problems = list(structure_problems(document))
    readable = readable_parts(document.value, [path for path, _ in problems])
    if readable is None:
        raise ManifestError([problem for _, problem in problems])
    raw = sorted_maps(readable)
    params, wrong = apply_params(raw["params"], set_params or {}, file=shown)
    raw = {**raw, "params": params}
    reader = _StepReader(document, inputs, catalog)
    steps = tuple(
        reader.read(name, section)
        for name, section in raw["steps"].items()
        if len(reader.problems) < _MOST_PROBLEMS
    )
    raw["steps"] = {name: _without_model(step) for name, step in raw["steps"].items()}
    notify = read_notify(raw.get("notify"), root=inputs.root, complain=reader.complain)
    late = [document.problem(at, words) for at, words in schedule_faults(raw.get("schedule"))]
    late += _key_problems(shown, source, json_text([document.value, params]), catalog)
    return Manifest(
        path=path,
        inputs=inputs,
        source=source,
        document=document,
        raw=raw,
        name=raw["name"],
        params=params,
        steps=tuple(step for step in steps if step is not None),
        execution=parse_execution(raw.get("execution") or {}),
        notify=notify,
        schedule=None if late else read_schedule(raw.get("schedule")),
        keep=raw.get("keep"),
        metadata=raw.get("metadata", True),
        pinned=pinned,
        problems=(*(problem for _, problem in problems), *wrong, *reader.problems, *late),
    )


def _key_problems(shown: str, source: bytes, value: str, catalog: Catalog) -> Iterator[Problem]:
    """The key itself: whatever stands in these texts is copied into every run directory."""
    words = "holds the API key itself; take it out, and give it to dsrun as DASHSCOPE_API_KEY"
    if holds_key(source) or holds_key(value):
        lines = (number for number, line in enumerate(source.split(b"\n"), 1) if holds_key(line))
        yield Problem(file=shown, line=next(lines, 1), column=1, where="", message=words)
    for name, text in catalog.own.items():
        if holds_key(text):
            yield _file_problem(f"operations/{name}.json", words)


class _StepReader:
    """Reads the steps; collects problems so that all are told at once."""

    def __init__(self, document: YamlDocument, inputs: Inputs, catalog: Catalog) -> None:
        self.problems: list[Problem] = []
        self._document = document
        self._inputs = inputs
        self._catalog = catalog
        self._data_files: dict[Path, DataFile] = {}
        self._upload_places: set[Path_] = set()

    def read(self, name: str, section: Mapping[str, Json]) -> Step | None:
        """The step, or None where it cannot be used; its problems are noted."""
        told = len(self.problems)
        step = self._read(name, section)
        return step if len(self.problems) == told else None

    def _read(self, name: str, section: Mapping[str, Json]) -> Step:
        at: Path_ = ("steps", name)
        operation = section["operation"]
        if operation not in self._catalog:
            known = self._catalog.names
            self.complain(
                (*at, "operation"),
                f"found {show(operation)}{nearest(operation, known)}; allowed: {', '.join(known)}",
            )
        else:
            self._check_model(section, self._catalog[operation], at)
            if uploads := self._catalog[operation].uploads:
                self._upload_places |= {(*at, *field.at) for field in uploads.fields}
        matrix = MatrixReader(
            at=(*at, "matrix"),
            complain=self.complain,
            load_file=self._load_data,
            find_files=self._find_files,
        ).read(section.get("matrix") or {})
        filename = section.get("filename")
        return Step(
            name=name,
            operation=operation,
            matrix=matrix,
            repeat=section.get("repeat", 1),
            body={
                part: self._leaves(section[part], (*at, part))
                for part in ("input", "parameters")
                if section.get(part) is not None
            },
            filename=None if filename is None else Text(source=filename, at=(*at, "filename")),
        )

    def _check_model(self, section: Mapping[str, Json], operation: Operation, at: Path_) -> None:
        """A request from the API's documentation is pasted with its `model`, which must be ours."""
        model = constants(operation.schema).get("model", operation.name)
        if section.get("model", model) != model:
            found = f"found {show(section['model'])}; allowed: {model}, which the operation sends"
            self.complain((*at, "model"), found)

    def _leaves(self, value: Json, at: Path_) -> Any:
        if isinstance(value, str):
            return Text(source=value, at=at)
        if isinstance(value, dict):
            if value.keys() == {"file"} and isinstance(value["file"], str):
                return self._prompt_file(value["file"], at)
            return {key: self._leaves(item, (*at, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._leaves(item, (*at, i)) for i, item in enumerate(value)]
        return value

    def _prompt_file(self, name: str, at: Path_) -> Text | None:
        path = self._inputs.place(name)
        if keeps_key(path):
            self.complain((*at, "file"), f"{name} {KEPT_KEY}")
            return None
        try:
            text = read_text(path, shown_as=str(path), folders=self._inputs.folders)
            sha256 = sha256_hex(text.encode())
            self._inputs.check(name, path, sha256)
            return Text(source=text, at=at, file=name, sha256=sha256)
        except Unreadable as error:
            self.complain((*at, "file"), error.about(name))
        except ManifestError as error:
            if at in self._upload_places:
                self.complain(at, f"{name} is no text; {{upload: {name}}} uploads a file")
            else:
                self._complain_of_file(error, (*at, "file"), name)
        return None

    def _load_data(self, name: str, at: Path_) -> DataFile | None:
        path = self._inputs.place(name)
        if keeps_key(path):
            self.complain(at, f"{name} {KEPT_KEY}")
            return None
        try:
            if path not in self._data_files:
                self._data_files[path] = DataFile(
                    path,
                    shown_as=str(path),
                    folders=self._inputs.folders,
                    check=partial(self._inputs.check, name, path),
                )
            return self._data_files[path]
        except Unreadable as error:
            self.complain(at, error.about(name))
        except ManifestError as error:
            self._complain_of_file(error, at, name)
        return None

    def _find_files(self, pattern: str) -> list[str]:
        """Raises ValueError."""
        found = files_matching(self._inputs.root, pattern, self._inputs.allowed)
        try:
            self._inputs.check(pattern, self._inputs.root, canonical_sha256(found))
        except Unreadable as error:
            raise ValueError(str(error)) from error
        if kept := [file for file in found if is_key_file(self._inputs.root / file)]:
            raise ValueError(f"{kept[0]} {KEPT_KEY}")
        return found

    def _complain_of_file(self, error: ManifestError, at: Path_, name: str) -> None:
        """A fault inside the file keeps its own place; a missing file is the manifest's fault."""
        for problem in error.problems:
            if problem.line:
                self.problems.append(problem)
            else:
                is_missing = problem.message == MISSING
                near = near_file(self._inputs.root, name) if is_missing else ""
                joint = " " if problem.message == OUTSIDE else ": "
                self.complain(at, f"{name}{joint}{problem.message}{near}")

    def complain(self, at: Path_, message: str, *, of_key: bool = False) -> None:
        self.problems.append(self._document.problem(at, message, of_key=of_key))


def _without_model(section: Mapping[str, Json]) -> Json:
    """The model changes no request: the operation sends it, so the digest does not count it."""
    return {key: value for key, value in section.items() if key != "model"}


def iter_texts(value: Any) -> Iterator[Text]:
    """Every Text leaf of a step's body."""
    if isinstance(value, Text):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from iter_texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from iter_texts(item)


def _open_lock(document: YamlDocument, shown: str) -> tuple[YamlDocument, Mapping[str, Json]]:
    lock = document.value
    if not isinstance(lock, dict) or not fitting(lock).keys() >= _LOCK_PARTS:
        raise ManifestError(
            [
                Problem(
                    file=shown, line=1, column=1, where="", message="this is no lock file of dsrun"
                )
            ]
        )
    return document.part("manifest"), lock


def _read_bytes(path: Path, shown: str) -> bytes:
    most = LOCK_BYTES if path.name == LOCK_NAME else TEXT_BYTES
    try:
        return read_file(path, most=most)
    except Unreadable as error:
        hint = "no such file; `dsrun init` writes a pipeline to start from"
        words = hint if error.kind == "missing" else str(error)
        raise ManifestError([_file_problem(shown, words)]) from error


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


def structure_problems(document: YamlDocument) -> Iterator[tuple[Path_, Problem]]:
    """What breaks the frame of every manifest, each with the path that it is about."""
    validator = SchemaValidator(orjson.loads(read_schema("frame.json")))
    if validator.is_valid(document.value):
        return
    is_nameless = _is_nameless(document.value)
    if is_nameless:
        message = "this stands where a step has its name; put it below one, such as `posters:`"
        yield ("steps",), document.problem(("steps", "operation"), message, of_key=True)
    for found in validator.problems(document.value):
        if is_nameless and found.path[:1] == ("steps",):
            continue
        problem = document.problem(found.path, found.message, of_key=found.of_key)
        yield found.path, problem


def _is_nameless(value: Json) -> bool:
    """Whether `steps` holds the keys of one step, instead of steps by name."""
    steps = value.get("steps") if isinstance(value, dict) else None
    return isinstance(steps, dict) and isinstance(steps.get("operation"), str)


def readable_parts(value: Json, bad: list[Path_]) -> dict[str, Json] | None:
    """The manifest without what its shape makes unreadable; None where too little is left.

    So that a slip in one place does not hide what is wrong in the others.
    """
    places = {path[:1] for path in bad} | {path[:2] for path in bad if path[:1] == ("steps",)}
    if not isinstance(value, dict) or () in bad or ("steps",) in bad or ("params",) in places:
        return None
    steps = value.get("steps")
    if not isinstance(steps, dict):
        return None
    readable = {name: step for name, step in steps.items() if ("steps", name) not in places}
    kept = {key: item for key, item in value.items() if (key,) not in places}
    return {"name": "", **kept, "steps": readable}


def sorted_maps(value: Json) -> Json:
    """Mappings in order of key, so that a template cannot see an order that the digest ignores.

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
    params: Mapping[str, Json], given: Mapping[str, str], *, file: str
) -> tuple[dict[str, Json], list[Problem]]:
    """The params with the given ones replaced, and what is wrong with those."""
    result, problems = dict(params), []
    for key, text in given.items():
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
