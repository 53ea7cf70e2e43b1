"""The operations that dsrun knows, read from their files."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from dsrun.common.digest import json_text
from dsrun.common.errors import ManifestError, Problem, SetupError
from dsrun.common.json_schema import SchemaValidator, check_schema, matcher
from dsrun.common.messages import show
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath, dotted, pointer, resolve, value_at
from dsrun.common.resources import iter_operation_files, read_schema
from dsrun.common.units import Price, Rate
from dsrun.common.user_files import TEXT_BYTES, Unreadable, read_file
from dsrun.common.yaml_document import parse_yaml
from dsrun.service.families import members, models_of
from dsrun.service.operation import (
    ArtifactSpec,
    Fill,
    LanguageRule,
    MadeList,
    Operation,
    Polling,
    TaskList,
    UploadField,
    Uploads,
)
from dsrun.service.self_contained import (
    Fault,
    SchemaFault,
    inlined,
    iter_patterns,
    linear,
    name_faults,
    with_plain_ends,
)
from dsrun.service.short_form import Part, ShortForm

_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_HEADER = re.compile(r"x-dashscope-[a-z0-9-]+", re.IGNORECASE)
_WORKSPACE = "x-dashscope-workspace"

_DAY_S = 86400.0
_MOST = 1_000_000
_NEEDED = object()
_LARGEST = 2**53  # beyond which not every reader of JSON tells integers apart
_LONGEST_NAME = 64


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

    def own_schemas(self) -> tuple[str, ...]:
        """The schemas of the user's operation files, with every reference resolved."""
        own = (one for one in self._operations.values() if one.family in self.own)
        return tuple(json_text(one.schema) for one in own)

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
    texts = {}
    taken = {name for one in operations for name in (one.name, one.family)}
    for path in sorted(own.glob("*.json")) if own else ():
        raw = _read_own(path, folders)
        if path.stem in taken:
            words = "dsrun has one of this name; rename the file"
            raise _not_an_operation(path, raw, [Fault((), words)])
        more = _parse_own(path, raw, bundled)
        if clash := sorted(taken & {one.name for one in more}):
            words = f"dsrun has an operation {clash[0]} already; take that model out of the enum"
            raise _not_an_operation(path, raw, [Fault(("properties", "model"), words)])
        operations += more
        taken |= {path.stem, *(one.name for one in more)}
        texts[path.stem] = raw.decode()
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


def _parse_own(path: Path, raw: bytes, bundled: Mapping[str, Json]) -> list[Operation]:
    try:
        schema = orjson.loads(raw)
        faults = list(_faults(schema, bundled))
        if not faults:
            check_endpoint(schema["x-dsrun"]["endpoint"])
            return _parse_inlined(path.stem, inlined(schema, bundled))
    except SchemaFault as error:
        faults = [Fault(error.path, str(error))]
    except KeyError as error:
        faults = [Fault((), f"it lacks {error.args[0]}")]
    except RecursionError:
        faults = [Fault((), "it is nested too deeply")]
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        faults = [Fault((), str(error))]
    raise _not_an_operation(path, raw, faults)


def _parse_inlined(name: str, schema: Mapping[str, Json]) -> list[Operation]:
    """The operations of a user's file. Raises SchemaFault and what `parse_file` raises."""
    if not models_of(schema):
        return [parse_operation(name, linear(schema))]
    operations = []
    for model, own in members(schema):
        for fault in _schema_faults(own):
            raise SchemaFault((), f"for {model}: {fault.message}")
        operations.append(parse_operation(model, linear(own), family=name))
    return operations


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
    if not named:
        yield from _schema_faults(schema)


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


def check_endpoint(endpoint: Mapping[str, Json]) -> None:
    """A path below the base URL, and no header of ours. Raises ValueError.

    The key goes with each request, so a file of a user's cannot choose the host.
    """
    path, headers = endpoint["path"], endpoint["headers"]
    if not _PATH.fullmatch(path) or "/../" in f"{path}/" or "/./" in f"{path}/":
        raise ValueError(
            f"found endpoint.path {show(path)}; allowed: a path such as /services/aigc/NAME, "
            "below the base URL"
        )
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or name.lower() == _WORKSPACE:
            raise ValueError(
                f"found header {show(name)} in endpoint.headers; allowed: those that begin with "
                "X-DashScope-, but the workspace, which DASHSCOPE_WORKSPACE names"
            )
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise ValueError(f"header {show(name)} has a value that no header can have")


def parse_operation(name: str, schema: Mapping[str, Json], *, family: str = "") -> Operation:
    """The record of an operation file. Raises KeyError, TypeError or ValueError on a bad one."""
    about = schema["x-dsrun"]
    endpoint = about["endpoint"]
    return Operation(
        name=name,
        family=family or name,
        description=schema["description"],
        schema=schema,
        protocol=about["protocol"],
        method=endpoint["method"],
        path=endpoint["path"],
        headers=endpoint["headers"],
        timeout_s=_number_in(endpoint, "timeout_s", most=_DAY_S),
        fills=tuple(_parse_fill(item, schema) for item in about["fill"]),
        artifacts=_parse_artifacts(about["artifacts"]),
        outputs=about["outputs"],
        price=_parse_price(about["price"]),
        rate=_parse_rate(about["limits"]),
        running_tasks=_whole_in(about["limits"], "running_tasks", default=None),
        polling=_parse_polling(about.get("polling")),
        languages=tuple(_parse_language(item, schema) for item in about.get("languages", ())),
        uploads=_parse_uploads(about.get("uploads")),
        recovery=_parse_recovery(about.get("recovery"), model=_model_of(schema) or name),
        short=_parse_short(about.get("short")),
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


def schema_at(schema: Mapping[str, Json], path: KeyPath) -> Mapping[str, Json]:
    """The sub-schema of the value at `path`; empty where the schema says nothing."""
    for step in path:
        below = (
            schema.get("items") if isinstance(step, int) else schema.get("properties", {}).get(step)
        )
        if not isinstance(below, Mapping):
            return {}
        schema = below
    return schema


def asked_value(request: Json, operation: Operation, at: str) -> Json:
    """What a request asks for at a JSON pointer: its own value, else the schema's default."""
    asked = resolve(request, at)
    return schema_at(operation.schema, pointer(at) or ()).get("default") if asked is None else asked


def _parse_rate(about: Mapping[str, Json]) -> Rate:
    return Rate(
        requests=_whole_in(about, "requests"), per_s=_number_in(about, "per_s", most=_DAY_S)
    )


def _parse_fill(item: Mapping[str, Json], schema: Mapping[str, Json]) -> Fill:
    at = pointer(item["at"]) or ()
    return Fill(
        at=at,
        value=item.get("value"),
        derive=item.get("derive"),
        span=pointer(item.get("span")),
        length=_whole_in(item, "length", least=0, most=_LONGEST_NAME, default=0),
        maximum=_parse_maximum(schema_at(schema, at), derives="derive" in item),
    )


def _parse_maximum(schema: Mapping[str, Json], *, derives: bool) -> int:
    """What dsrun derives itself must be a number that the ledger can hold."""
    if not derives:
        return int(schema.get("maximum", 0))
    return int(_whole_in(schema, "maximum", least=0, most=_LARGEST, default=0))


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
        url_hours=_number_in(about, "url_hours", most=_MOST, default=24.0),
        **{name: about.get(name) for name in names},
    )


def _parse_amount(value: Json) -> Decimal:
    words = f'amount: found {value!r}; allowed: 0 up to {_MOST}, such as "0.16"'
    try:
        amount = Decimal("NaN" if isinstance(value, bool) else str(value))
    except ArithmeticError:
        raise ValueError(words) from None
    if not (amount.is_finite() and 0 <= amount <= _MOST):
        raise ValueError(words)
    return amount


def _parse_price(about: Mapping[str, Json]) -> Price:
    return Price(
        amount=_parse_amount(about["amount"]),
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
        first_s=_number_in(about, "first_s", least=0.0, most=_DAY_S),
        factor=_number_in(about, "factor", least=1.0, most=_MOST),
        max_s=_number_in(about, "max_s", most=_DAY_S),
        timeout_s=_number_in(about, "timeout_s", most=_DAY_S * 365),
    )


def _parse_uploads(about: Mapping[str, Json] | None) -> Uploads | None:
    if about is None:
        return None
    fields = (
        UploadField(
            at=pointer(item["at"]) or (),
            media=item["media"],
            formats=tuple(item["formats"]),
            max_bytes=_whole_in(item, "max_bytes", most=_LARGEST),
            min_side=_whole_in(item, "min_side", least=0, default=0),
            max_side=_whole_in(item, "max_side", least=0, default=0),
            max_ratio=_number_in(item, "max_ratio", least=1.0, most=_MOST, default=0.0),
        )
        for item in about["fields"]
    )
    return Uploads(
        fields=tuple(fields),
        hours=_number_in(about, "hours", most=_MOST),
        rate=_parse_rate(about),
        lost=frozenset(about["lost"]),
    )


def _parse_short(about: Mapping[str, Json] | None) -> ShortForm | None:
    if about is None:
        return None
    parts = (
        Part(key=item["key"], becomes=item["as"], is_many=item.get("many", False))
        for item in about["parts"]["from"]
    )
    content = tuple(int(k) if k.isdigit() else k for k in pointer(about["parts"]["at"]) or ())
    form = ShortForm(base=about["base"], content=content, parts=tuple(parts))
    if not isinstance(value_at({"input": form.base}, content), list):
        raise ValueError("short.parts.at names no list of short.base")  # noqa: TRY004  # bad data
    return form


def _model_of(schema: Mapping[str, Json]) -> str | None:
    return schema_at(schema, ("model",)).get("const")


def _parse_recovery(about: Mapping[str, Json] | None, *, model: str) -> TaskList | MadeList | None:
    if about is None:
        return None
    if about["by"] == "task-list":
        return TaskList(
            model_name=about.get("model_name", model),
            confirm=about.get("confirm", {}),
            size=about.get("size"),
        )
    names = ("body", "items", "total", "match", "holds", "made_at", "outputs", "lost")
    return MadeList(
        page=pointer(about["page"]) or (),
        page_size=pointer(about["page_size"]) or (),
        **{name: about[name] for name in names},
    )


def _number_in(
    about: Mapping[str, Json], key: str, *, most: float, least: float | None = None,
    default: Any = _NEEDED,
) -> Any:  # fmt: skip
    """The number at a key: above 0, or from `least`, up to `most`. Raises KeyError, ValueError."""
    if default is not _NEEDED and about.get(key) is None:
        return default
    value = about[key]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_enough = is_number and (value > 0 if least is None else value >= least)
    if not (is_enough and math.isfinite(value) and value <= most):
        range_ = "above 0" if least is None else f"from {least:g}"
        raise ValueError(f"{key}: found {value!r}; allowed: a number {range_} up to {most:g}")
    return value


def _whole_in(
    about: Mapping[str, Json], key: str, *, least: int = 1, most: int = _MOST,
    default: Any = _NEEDED,
) -> Any:  # fmt: skip
    """The whole number at a key. Raises KeyError, ValueError."""
    value = _number_in(about, key, least=least, most=most, default=default)
    if value is not default and not isinstance(value, int):
        raise ValueError(f"{key}: found {value!r}; allowed: a whole number")
    return value
