"""The operations that dsrun knows, read from their files."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import orjson

from dsrun.common.digest import json_text
from dsrun.common.errors import ManifestError, Problem, SetupError
from dsrun.common.json_schema import SchemaValidator, check_schema, matcher
from dsrun.common.messages import show
from dsrun.common.models import Json
from dsrun.common.pointer import dotted
from dsrun.common.resources import iter_operation_files, read_schema
from dsrun.common.user_files import TEXT_BYTES, Unreadable, read_file
from dsrun.common.yaml_document import parse_yaml
from dsrun.service.agreement import disagreements
from dsrun.service.endpoint import check_endpoint
from dsrun.service.families import members, models_of
from dsrun.service.operation import (
    Operation,
)
from dsrun.service.operation_file import parse_operation
from dsrun.service.runnable import unrunnable
from dsrun.service.self_contained import (
    Fault,
    SchemaFault,
    inlined,
    iter_patterns,
    linear,
    name_faults,
    with_plain_ends,
)


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
        families: dict[str, tuple[str, ...]] = {}
        for one in self._operations.values():
            if one.family != one.name:
                families[one.family] = (*families.get(one.family, ()), one.name)
        return families

    def __getitem__(self, name: str) -> Operation:
        return self._operations[name]

    def __contains__(self, name: object) -> bool:
        return name in self._operations

    def own_schemas(self, used: Container[str]) -> tuple[str, ...]:
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
    operations: list[Operation] = []
    bundled: dict[str, Json] = {}
    for name, raw in iter_operation_files():
        try:
            schema = orjson.loads(raw)
            operations += parse_file(name, schema)
            bundled[schema["$id"]] = schema
        except (KeyError, TypeError, ValueError) as error:
            raise SetupError(f"operation file {name}.json is damaged: {error!r}") from error
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    taken = {name for one in operations for name in (one.name, one.family)}
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


def parse_file(name: str, schema: Mapping[str, Json]) -> list[Operation]:
    """The operations of a file: one, or one for each model of its family.

    Raises KeyError, TypeError or ValueError on a bad file.
    """
    if not models_of(schema):
        return [parse_operation(name, schema)]
    return [parse_operation(model, own, family=name) for model, own in members(schema)]


def _read_own(path: Path, folders: Sequence[Path] | None) -> bytes:
    try:
        return read_file(path, most=TEXT_BYTES, folders=folders)
    except Unreadable as error:
        problem = Problem(file=str(path), line=0, column=0, where="", message=str(error))
        raise ManifestError([problem]) from error


def _parse_own(
    path: Path, raw: bytes, bundled: Mapping[str, Json], *, taken: Container[str]
) -> list[Operation]:
    try:
        schema = orjson.loads(raw)
        faults = list(_faults(schema, bundled))
        if not faults:
            more, faults = _parse_inlined(path.stem, inlined(schema, bundled))
            faults += _clashes(path.stem, more, taken)
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


def _parse_inlined(name: str, schema: Mapping[str, Json]) -> tuple[list[Operation], list[Fault]]:
    """The operations of a user's file, and what is wrong with it.

    Raises SchemaFault and what `parse_file` raises.
    """
    family = models_of(schema)
    operations: list[Operation] = []
    faults: list[Fault] = []
    for model, each in members(schema) if family else [(name, schema)]:
        if family and (unsound := list(_schema_faults(each))):
            faults += [Fault((), f"for {model}: {fault.message}") for fault in unsound]
            continue
        whole = linear(each)
        check_endpoint(whole["x-dsrun"]["endpoint"])
        wrong = [*unrunnable(whole), *disagreements(whole)]
        faults += [fault for fault in wrong if fault not in faults]
        if not wrong:
            operations.append(parse_operation(model, whole, family=name))
    return operations, faults


def _clashes(name: str, operations: Sequence[Operation], taken: Container[str]) -> list[Fault]:
    """Names of a user's file that dsrun, or another file, has already."""
    if name in taken:
        return [Fault((), "dsrun has one of this name; rename the file")]
    return [
        Fault(("properties", "model"), f"{one.name} is an operation already; take it out")
        for one in operations
        if one.name in taken
    ]


def _schema_faults(schema: Mapping[str, Json]) -> Iterator[Fault]:
    """What is wrong with a schema as such."""
    faults = list(_pattern_faults(schema))
    yield from faults
    if not faults:
        try:
            check_schema(schema)
        except ValueError as error:
            yield Fault((), str(error))


def _faults(schema: Json, bundled: Mapping[str, Json]) -> Iterator[Fault]:
    """What is wrong with a user's file."""
    frame = SchemaValidator(orjson.loads(read_schema("operation.json")))
    for problem in frame.problems(schema):
        yield Fault(problem.path, problem.message)
    if not isinstance(schema, dict):
        return
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
