"""The operations that dsrun knows, read from their files."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path

import orjson

from dsrun.common.digest import json_text
from dsrun.common.errors import ManifestError, Problem, SetupError
from dsrun.common.json_schema import SchemaValidator, check_schema, matcher, shipped_validator
from dsrun.common.messages import nearest, show
from dsrun.common.models import Json
from dsrun.common.picture_size import bounds_fault
from dsrun.common.pointer import dotted
from dsrun.common.resources import iter_operation_files
from dsrun.common.user_files import TEXT_BYTES, Unreadable, read_file
from dsrun.common.yaml_document import parse_yaml
from dsrun.service.agreement import disagreements
from dsrun.service.endpoint import check_endpoint
from dsrun.service.families import each_model
from dsrun.service.likeness import is_likeness, likeness_faults, models_like, place_of_model
from dsrun.service.operation import Operation, families_of
from dsrun.service.operation_file import parse_operation
from dsrun.service.price import Price
from dsrun.service.proof import Proof, prove
from dsrun.service.runnable import unrunnable
from dsrun.service.self_contained import (
    Fault,
    SchemaFault,
    inlined,
    iter_patterns,
    iter_sizes,
    linear,
    name_faults,
    with_plain_ends,
)
from dsrun.service.table_faults import table_faults


class Catalog:
    """Operations by name, and one validator for each."""

    def __init__(
        self, operations: Iterable[Operation], *, own: Mapping[str, str] | None = None
    ) -> None:
        self.own = dict(own or {})  # texts of the user's operation files, by name
        self._operations = {one.name: one for one in operations}
        self._validators: dict[str, SchemaValidator] = {}

    @cached_property
    def names(self) -> list[str]:
        return sorted(self._operations)

    @cached_property
    def families(self) -> Mapping[str, tuple[str, ...]]:
        """The operations of each file that serves several models, by the name of the file."""
        families = families_of(self._operations.values())
        return {name: tuple(one.name for one in members) for name, members in families.items()}

    def with_prices(self, prices: Mapping[str, Price]) -> "Catalog":
        """The same operations, some at another price."""
        own = (
            replace(one, price=prices.get(name, one.price))
            for name, one in self._operations.items()
        )
        return Catalog(own, own=self.own)

    @cached_property
    def prices(self) -> Mapping[str, Price]:
        return {name: one.price for name, one in self._operations.items()}

    def __getitem__(self, name: str) -> Operation:
        return self._operations[name]

    def __contains__(self, name: object) -> bool:
        return name in self._operations

    def own_schemas(self, used: Collection[str]) -> tuple[str, ...]:
        """The schemas of the user's operation files in use, with every reference resolved."""
        own = (one for one in self._operations.values() if one.family in self.own)
        return tuple(json_text(one.schema) for one in own if one.name in used)

    def validator(self, name: str) -> SchemaValidator:
        if name not in self._validators:
            operation = self._operations[name]
            self._validators[name] = SchemaValidator(
                operation.schema, is_foreign=operation.family in self.own
            )
        return self._validators[name]


def load_catalog(own: Path | None = None, *, folders: Sequence[Path] | None = None) -> Catalog:
    """The bundled operations, and those of a user's folder; `folders`: where its files must lie.

    Raises SetupError when a bundled file is damaged, ManifestError when a user's is wrong.
    """
    shipped, bundled = _load_bundled()
    operations = list(shipped)
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    taken = _names_of(operations)
    for path in sorted(own.glob("*.json")) if own else ():
        try:
            raw = _read_own(path, folders)
            more = _parse_own(path, raw, bundled, taken=taken)
        except ManifestError as error:
            problems += error.problems
            continue
        operations += more
        taken |= {path.stem, *(one.name for one in more)}
        texts[path.stem] = raw.decode()
    if problems:
        raise ManifestError(problems)
    return Catalog(operations, own=texts)


def prove_file(path: Path, *, folders: Sequence[Path] | None = None) -> list[Proof]:
    """What the sample of a user's file shows, for each of its models.

    Raises ManifestError where the file, or its sample, is wrong.
    """
    operations, bundled = _load_bundled()
    raw = _read_own(path, folders)
    shown = [prove(one) for one in _parse_own(path, raw, bundled, taken=_names_of(operations))]
    if faults := [fault for one in shown for fault in one.faults]:
        raise _not_an_operation(path, raw, faults)
    return shown


@cache
def _load_bundled() -> tuple[Sequence[Operation], Mapping[str, Json]]:
    """Dsrun's own operations, and the schemas of their files by id. Raises SetupError."""
    operations: list[Operation] = []
    schemas: dict[str, Json] = {}
    for name, raw in iter_operation_files():
        try:
            schema = orjson.loads(raw)
            operations += parse_file(name, schema)
            schemas[schema["$id"]] = schema
        except (KeyError, TypeError, ValueError) as error:
            raise SetupError(f"operation file {name}.json is damaged: {error!r}") from error
    return operations, schemas


def _names_of(operations: Iterable[Operation]) -> set[str]:
    return {name for one in operations for name in (one.name, one.family)}


def parse_file(name: str, schema: Mapping[str, Json]) -> list[Operation]:
    """The operations of a file: one, or one for each model of its family.

    Raises KeyError, TypeError or ValueError on a bad file.
    """
    return [parse_operation(model, own, family=name) for model, own in each_model(name, schema)]


def _read_own(path: Path, folders: Sequence[Path] | None) -> bytes:
    try:
        return read_file(path, most=TEXT_BYTES, folders=folders)
    except Unreadable as error:
        problem = Problem(file=str(path), line=0, column=0, where="", message=str(error))
        raise ManifestError([problem]) from error


def _parse_own(
    path: Path, raw: bytes, bundled: Mapping[str, Json], *, taken: Collection[str]
) -> list[Operation]:
    """The operations of a user's file. Raises ManifestError."""
    try:
        content = orjson.loads(raw)
        models, faults = _models_of_own(path.stem, content, bundled)
        more = [parse_operation(model, own, family=path.stem) for model, own in models]
        if path.stem in taken:
            faults.append(Fault((), "dsrun has one of this name; rename the file"))
        else:
            faults += _clashes(content, models, taken)
            faults += _strangers(more, taken)
        if not faults:
            return more
    except SchemaFault as error:
        faults = [Fault(error.path, str(error))]
    except KeyError as error:
        faults = [Fault((), f"it lacks {error.args[0]}")]
    except RecursionError:
        faults = [Fault((), "it is nested too deeply")]
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        faults = [Fault((), str(error))]
    raise _not_an_operation(path, raw, faults)


def _models_of_own(
    name: str, content: Json, bundled: Mapping[str, Json]
) -> tuple[list[tuple[str, Mapping[str, Json]]], list[Fault]]:
    """Each model of a user's file with a schema of its own, and what is wrong with the file.

    Raises SchemaFault, and what `members` raises.
    """
    if is_likeness(content):
        families = {schema["title"]: schema for schema in bundled.values()}
        faults = list(likeness_faults(content, families))
        return ([] if faults else list(models_like(content, families))), faults
    faults = list(_faults(content, bundled))
    if faults:
        return [], faults
    return _sound_models(name, inlined(content, bundled))


def _sound_models(
    name: str, schema: Mapping[str, Json]
) -> tuple[list[tuple[str, Mapping[str, Json]]], list[Fault]]:
    """As above, of a file whose references are written out."""
    models: list[tuple[str, Mapping[str, Json]]] = []
    faults: list[Fault] = []
    for model, each in each_model(name, schema):
        if model != name and (unsound := list(_schema_faults(each))):
            faults += [Fault((), f"for {model}: {fault.message}") for fault in unsound]
            continue
        whole = linear(each)
        check_endpoint(whole["x-dsrun"]["endpoint"])
        wrong = [*unrunnable(whole), *disagreements(whole)]
        faults += [fault for fault in wrong if fault not in faults]
        models.append((model, whole))
    return ([] if faults else models), faults


def _clashes(
    content: Json, models: Iterable[tuple[str, Json]], taken: Collection[str]
) -> Iterator[Fault]:
    """Models of a user's file that dsrun, or another file, has already."""
    for model, _ in models:
        if model in taken:
            words = f"{model} is an operation already; take it out"
            yield Fault(place_of_model(content, model), words)


def _strangers(operations: Sequence[Operation], taken: Collection[str]) -> Iterator[Fault]:
    """Models of other files that a user's file may be named with, and nobody has."""
    for number, name in enumerate(operations[0].also if operations else ()):
        if name not in taken:
            words = f"found {show(name)}, which is no operation{nearest(name, sorted(taken))}"
            yield Fault(("x-dsrun", "also", number), words)


def _schema_faults(schema: Mapping[str, Json]) -> Iterator[Fault]:
    """What is wrong with a schema as such."""
    faults = list(_pattern_faults(schema))
    faults += [Fault(at, words) for at, size in iter_sizes(schema) if (words := bounds_fault(size))]
    yield from faults
    if not faults:
        try:
            check_schema(schema)
        except ValueError as error:
            yield Fault((), str(error))


def _faults(schema: Json, bundled: Mapping[str, Json]) -> Iterator[Fault]:
    """What is wrong with a user's file."""
    frame = shipped_validator("operation.json")
    framed = [Fault(problem.path, problem.message) for problem in frame.problems(schema)]
    yield from framed
    if not isinstance(schema, dict):
        return
    if not framed:
        yield from table_faults(schema, frame)
    named = list(name_faults(schema, bundled))
    yield from named
    if named:
        return
    unsound = list(_schema_faults(schema))
    yield from unsound
    if not unsound:
        try:
            inlined(schema, bundled)
        except SchemaFault as error:
            yield Fault(error.path, str(error))


def _pattern_faults(schema: Json) -> Iterator[Fault]:
    for path, pattern in iter_patterns(schema):
        try:
            matcher(with_plain_ends(pattern))
        except ValueError:
            words = "cannot be matched in bounded time, or is none"
            hint = "allowed: no lookaround, no backreference, and not too large"
            yield Fault(path, f"the pattern {show(pattern)} {words}; {hint}")


def _not_an_operation(path: Path, raw: bytes, faults: Sequence[Fault]) -> ManifestError:
    try:
        document = parse_yaml(raw.decode(), file=str(path))  # JSON is YAML, and that has places
    except (ManifestError, UnicodeDecodeError):
        document = None
    problems = []
    for at, message in faults:
        words = f"not an operation file: {message}"
        if document is not None and at:
            problems.append(document.problem(at, words))
        else:
            problem = Problem(file=str(path), line=1, column=1, where=dotted(at), message=words)
            problems.append(problem)
    return ManifestError(problems)
