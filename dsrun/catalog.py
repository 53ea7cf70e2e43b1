"""The operations that dsrun knows, read from their files."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property, lru_cache
from pathlib import Path

import orjson

from dsrun.digest import json_text
from dsrun.errors import ManifestError, Problem, SetupError
from dsrun.inputs import TEXT_BYTES, Unreadable, read_file
from dsrun.records import (
    ArtifactSpec,
    Fill,
    Json,
    LanguageRule,
    MadeList,
    Operation,
    Polling,
    Price,
    Rate,
    TaskList,
    UploadField,
    Uploads,
)
from dsrun.resources import iter_operation_files, read_schema
from dsrun.schema import SchemaValidator, check_schema, matcher
from dsrun.selfcontained import (
    Fault,
    SchemaFault,
    inlined,
    iter_patterns,
    linear,
    name_faults,
    with_plain_ends,
)
from dsrun.wording import show
from dsrun.yaml_source import dotted, parse_yaml


class Catalog:
    """Operations by name, and one validator for each."""

    def __init__(
        self, operations: Mapping[str, Operation], *, own: Mapping[str, str] | None = None
    ) -> None:
        self.own = dict(own or {})  # texts of the user's operation files, by name
        self._operations = dict(operations)
        self._validators: dict[str, SchemaValidator] = {}

    @cached_property
    def names(self) -> list[str]:
        return sorted(self._operations)

    def __getitem__(self, name: str) -> Operation:
        return self._operations[name]

    def __contains__(self, name: object) -> bool:
        return name in self._operations

    def own_schemas(self) -> tuple[str, ...]:
        """The user's operation files as they are used: nothing in them is left to resolve."""
        return tuple(json_text(self._operations[name].schema) for name in self.own)

    def validator(self, name: str) -> SchemaValidator:
        if name not in self._validators:
            schema, is_foreign = self._operations[name].schema, name in self.own
            self._validators[name] = SchemaValidator(schema, is_foreign=is_foreign)
        return self._validators[name]


def load_catalog(own: Path | None = None, *, folders: Sequence[Path] | None = None) -> Catalog:
    """The bundled operations, and those of a user's folder; `folders`: where its files must lie.

    Raises SetupError when a bundled file is damaged, ManifestError when a user's is wrong.
    """
    found: dict[str, Operation] = {}
    for name, raw in iter_operation_files():
        try:
            found[name] = parse_operation(name, orjson.loads(raw))
        except (KeyError, TypeError, ValueError) as error:
            raise SetupError(f"operation file {name}.json is damaged: {error!r}") from error
    texts = {}
    bundled = {str(one.schema["$id"]): one.schema for one in found.values()}
    for path in sorted(own.glob("*.json")) if own else ():
        raw = _read_own(path, folders)
        if path.stem in texts or path.stem in found:
            words = "dsrun has one of this name; rename the file"
            raise _not_an_operation(path, raw, [Fault((), words)])
        found[path.stem] = _parse_own(path, raw, bundled)
        texts[path.stem] = raw.decode()
    return Catalog(found, own=texts)


def _read_own(path: Path, folders: Sequence[Path] | None) -> bytes:
    try:
        return read_file(path, most=TEXT_BYTES, folders=folders)
    except Unreadable as error:
        problem = Problem(file=str(path), line=0, column=0, where="", message=str(error))
        raise ManifestError([problem]) from error


def _parse_own(path: Path, raw: bytes, bundled: Mapping[str, Json]) -> Operation:
    try:
        schema = orjson.loads(raw)
        faults = list(_faults(schema, bundled))
        if not faults:
            return parse_operation(path.stem, linear(inlined(schema, bundled)))
    except SchemaFault as error:
        faults = [Fault(error.path, str(error))]
    except KeyError as error:
        faults = [Fault((), f"it lacks {error.args[0]}")]
    except RecursionError:
        faults = [Fault((), "it is nested too deeply")]
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        faults = [Fault((), str(error))]
    raise _not_an_operation(path, raw, faults)


def _faults(schema: Json, bundled: Mapping[str, Json]) -> Iterator[Fault]:
    """What is wrong with a user's file."""
    frame = SchemaValidator(orjson.loads(read_schema("operation.json")))
    for problem in frame.problems(schema):
        yield Fault(problem.path, problem.message)
    if not isinstance(schema, dict):
        return
    others = [*name_faults(schema, bundled), *_pattern_faults(schema)]
    yield from others
    if not others:
        try:
            check_schema(schema)
        except ValueError as error:
            yield Fault((), str(error))


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


def parse_operation(name: str, schema: Mapping[str, Json]) -> Operation:
    """The record of an operation file. Raises KeyError, TypeError or ValueError on a bad one."""
    about = schema["x-dsrun"]
    endpoint = about["endpoint"]
    return Operation(
        name=name,
        description=schema["description"],
        schema=schema,
        protocol=about["protocol"],
        method=endpoint["method"],
        path=endpoint["path"],
        headers=endpoint["headers"],
        timeout_s=endpoint["timeout_s"],
        fills=tuple(_parse_fill(item, schema) for item in about["fill"]),
        artifacts=_parse_artifacts(about["artifacts"]),
        outputs=about["outputs"],
        price=_parse_price(about["price"]),
        rate=Rate(requests=about["limits"]["requests"], per_s=about["limits"]["per_s"]),
        running_tasks=about["limits"].get("running_tasks"),
        polling=_parse_polling(about.get("polling")),
        languages=tuple(_parse_language(item, schema) for item in about.get("languages", ())),
        uploads=_parse_uploads(about.get("uploads")),
        recovery=_parse_recovery(about.get("recovery")),
    )


def constants(schema: Mapping[str, Json]) -> Json:
    """The part of a request that has only one legal value, such as `model`."""
    fixed: dict[str, Json] = {}
    for key, inner in schema.get("properties", {}).items():
        if "const" in inner:
            fixed[key] = inner["const"]
        elif inner.get("type") == "object" and (below := constants(inner)):
            fixed[key] = below
    return fixed


def schema_at(schema: Mapping[str, Json], path: Sequence[str | int]) -> Mapping[str, Json]:
    """The sub-schema of the value at `path`; empty where the schema says nothing."""
    for step in path:
        below = (
            schema.get("items") if isinstance(step, int) else schema.get("properties", {}).get(step)
        )
        if not isinstance(below, Mapping):
            return {}
        schema = below
    return schema


@lru_cache
def pointer(text: str | None) -> tuple[str, ...] | None:
    """The steps of a JSON pointer (RFC 6901)."""
    if text is None:
        return None
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])


def resolve(value: Json, at: str | None) -> Json:
    """The part of an answer that a JSON pointer names, or None."""
    if at is None:
        return None
    for step in pointer(at) or ():
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def asked_value(request: Json, operation: Operation, at: str) -> Json:
    """What a request asks for at a JSON pointer: its own value, else the schema's default."""
    given = resolve(request, at)
    return schema_at(operation.schema, at.split("/")[1:]).get("default") if given is None else given


def _parse_fill(item: Mapping[str, Json], schema: Mapping[str, Json]) -> Fill:
    at = pointer(item["at"]) or ()
    return Fill(
        at=at,
        value=item.get("value"),
        derive=item.get("derive"),
        span=pointer(item.get("span")),
        length=item.get("length", 0),
        maximum=schema_at(schema, at).get("maximum", 0),
    )


def _parse_language(item: Mapping[str, Json], schema: Mapping[str, Json]) -> LanguageRule:
    named_by = pointer(item.get("named_by"))
    return LanguageRule(
        at=pointer(item["at"]) or (),
        languages=tuple(item.get("languages", ())),
        named_by=named_by,
        default=schema_at(schema, named_by or ()).get("default", ""),
    )


def _parse_artifacts(about: Mapping[str, Json]) -> ArtifactSpec:
    names = (
        "list",
        "url",
        "error_code",
        "error_message",
        "base64",
        "format",
        "sample_rate",
        "asked",
        "asked_rate",
    )
    return ArtifactSpec(
        media=about["media"],
        count=pointer(about.get("count")),
        seed=pointer(about.get("seed")),
        url_hours=about.get("url_hours", 24.0),
        **{name: about.get(name) for name in names},
    )


def _parse_price(about: Mapping[str, Json]) -> Price:
    return Price(
        amount=Decimal(about["amount"]),
        currency=about["currency"],
        unit=about["unit"],
        billed=about.get("billed"),
        count=pointer(about.get("count")),
        as_of=about["as_of"],
    )


def _parse_polling(about: Mapping[str, Json] | None) -> Polling | None:
    if about is None:
        return None
    return Polling(
        first_s=about["first_s"],
        factor=about["factor"],
        max_s=about["max_s"],
        timeout_s=about["timeout_s"],
    )


def _parse_uploads(about: Mapping[str, Json] | None) -> Uploads | None:
    if about is None:
        return None
    fields = (
        UploadField(
            at=pointer(item["at"]) or (),
            media=item["media"],
            formats=tuple(item["formats"]),
            max_bytes=item["max_bytes"],
            min_side=item.get("min_side", 0),
            max_side=item.get("max_side", 0),
        )
        for item in about["fields"]
    )
    return Uploads(
        fields=tuple(fields),
        hours=about["hours"],
        rate=Rate(requests=about["requests"], per_s=about["per_s"]),
        lost=frozenset(about["lost"]),
    )


def _parse_recovery(about: Mapping[str, Json] | None) -> TaskList | MadeList | None:
    if about is None:
        return None
    if about["by"] == "task-list":
        return TaskList(model_name=about["model_name"])
    names = ("body", "items", "total", "match", "holds", "made_at", "outputs", "lost")
    return MadeList(
        page=pointer(about["page"]) or (),
        page_size=pointer(about["page_size"]) or (),
        **{name: about[name] for name in names},
    )
