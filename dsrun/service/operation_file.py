"""Reads one operation file, of one model, into the record that the rest of dsrun knows."""

import math
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from dsrun.common.models import Json
from dsrun.common.pointer import EACH, KeyPath, place_in_request, pointer, resolve, value_at
from dsrun.common.units import Rate
from dsrun.service.endpoint import ROOT
from dsrun.service.operation import (
    ArtifactSpec,
    Asked,
    ByName,
    Fill,
    LanguageRule,
    Limits,
    MadeList,
    Operation,
    OutputRule,
    Polling,
    Recovery,
    Repeat,
    Success,
    TaskList,
    UploadField,
    Uploads,
)
from dsrun.service.price import EXACT, Measure, Price, PriceItem, measure_kind
from dsrun.service.short_form import Part, ShortForm
from dsrun.service.tables import is_table, parse_table

_ASYNC = ("X-DashScope-Async", "enable")
_DAY_S = 86400.0
_MOST = 1_000_000
_NEEDED = object()
_LARGEST = 2**53  # beyond which not every reader of JSON tells integers apart
_LONGEST_NAME = 64
_MOST_REPEATS = 10
# Of every model, by the upload page: an address lives 48 h; 100 policies a second.
_UPLOAD_HOURS = 40.0
_POLICIES = 100
_MOST_ZEROS = 9  # of the number of units that an amount is for
_QUEUED_TASKS = 500  # of each model an account has no more waiting or running


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
        root=endpoint.get("root", ROOT),
        headers=_headers(endpoint["headers"], about["protocol"]),
        timeout_s=_number_in(endpoint, "timeout_s", most=_DAY_S),
        fills=tuple(_parse_fill(item, schema) for item in about["fill"]),
        artifacts=tuple(map(_parse_artifacts, about["artifacts"])),
        outputs={key: at for key, one in about["outputs"].items() if (at := output_place(one))},
        file_outputs={
            key: one["of"]
            for key, one in about["outputs"].items()
            if isinstance(one, Mapping) and "of" in one
        },
        output_rules={key: _parse_output(output) for key, output in about["outputs"].items()},
        price=parse_price(about["price"]),
        limits=parse_limits(about["limits"], protocol=about["protocol"]),
        polling=_parse_polling(about.get("polling")),
        languages=tuple(_parse_language(item, schema) for item in about.get("languages", ())),
        uploads=_parse_uploads(about.get("uploads")),
        recovery=_parse_recovery(about.get("recovery"), model=_model_of(schema) or name),
        short=_parse_short(about.get("short")),
        note=about.get("note", ""),
        also=tuple(about.get("also", ())),
        success=_parse_success(about.get("success")),
    )


def _headers(headers: Mapping[str, Json], protocol: str) -> Mapping[str, Json]:
    """A create makes a task only with the header that asks for one."""
    is_asked = protocol != "task" or any(name.lower() == _ASYNC[0].lower() for name in headers)
    return headers if is_asked else {**headers, _ASYNC[0]: _ASYNC[1]}


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


def output_place(output: Json) -> str | None:
    """The pointer of an output, which may be all that is said of it; None for that of a file."""
    return output.get("at") if isinstance(output, Mapping) else str(output)


def _parse_output(output: Json) -> OutputRule:
    if not isinstance(output, Mapping):
        return OutputRule(types=("array",) if EACH in (pointer(output) or ()) else ())
    type_ = output.get("schema", {}).get("type", [])
    binds = output.get("binds", {}).items()
    return OutputRule(
        types=tuple(type_) if isinstance(type_, list) else (type_,),
        binds={pointer(own) or (): pointer(other) or () for own, other in binds},
    )


def _parse_rate(about: Mapping[str, Json]) -> Rate:
    return Rate(
        requests=_whole_in(about, "requests"), per_s=_number_in(about, "per_s", most=_DAY_S)
    )


def parse_limits(about: Mapping[str, Json], *, protocol: str) -> Limits:
    """The limits of one model. Raises KeyError, ValueError."""
    is_task = protocol == "task"
    return Limits(
        rate=_parse_rate(about),
        running_tasks=_whole_in(about, "running_tasks", default=None),
        queued_tasks=_whole_in(about, "queued_tasks", default=_QUEUED_TASKS if is_task else None),
        tokens=_parse_tokens(about),
        group=about.get("group", ""),
        group_running=_whole_in(about, "group_running", default=None),
        scope=about.get("scope", "account"),
    )


def _parse_tokens(about: Mapping[str, Json]) -> Rate | None:
    if "tokens" not in about:
        return None
    return Rate(
        requests=_whole_in(about, "tokens", most=_LARGEST),
        per_s=_number_in(about, "tokens_s", most=_DAY_S),
    )


def _parse_fill(item: Mapping[str, Json], schema: Mapping[str, Json]) -> Fill:
    at = pointer(item["at"]) or ()
    return Fill(
        at=at,
        value=parse_table(item.get("value"), lambda leaf: leaf),
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
    error = about.get("error")
    names = (
        "each", "at", "format", "sample_rate", "asked_format", "asked_rate", "of", "begin", "end",
        "text",
    )  # fmt: skip
    return ArtifactSpec(
        media=about["media"],
        name=about.get("name", ""),
        given=about.get("as", "url"),
        error=(error[0], error[1]) if error else None,
        asked=_parse_asked(about.get("asked", 1)),
        seed=pointer(about.get("seed")),
        url_hours=_number_in(about, "url_hours", most=_MOST, default=24.0),
        **{name: about.get(name) for name in names},
    )


def _parse_asked(about: Json) -> Asked:
    if is_table(about):
        return Asked(number=parse_table(about, lambda leaf: _whole_in({"asked": leaf}, "asked")))
    if isinstance(about, Mapping):
        return replace(_parse_asked(about["at"]), at_most=bool(about.get("at_most", False)))
    if isinstance(about, str):
        return Asked(at=pointer(about))
    return Asked(number=_whole_in({"asked": about}, "asked"))


def _parse_success(about: Mapping[str, Json] | None) -> Success | None:
    if about is None:
        return None
    return Success(
        at=about["at"],
        value=about["is"],
        code=about.get("code"),
        message=about.get("message"),
        billed=about.get("billed", False),
    )


def parse_amount(value: Json) -> Decimal:
    words = f'amount: found {value!r}; allowed: 0 up to {_MOST}, such as "0.16"'
    try:
        amount = Decimal("NaN" if isinstance(value, bool) else str(value))
    except ArithmeticError:
        raise ValueError(words) from None
    if not (amount.is_finite() and 0 <= amount <= _MOST):
        raise ValueError(words)
    return amount


def parse_price(about: Mapping[str, Json], *, is_own: bool = False) -> Price:
    """Raises KeyError, TypeError or ValueError on a bad one."""
    return Price(
        currency=about["currency"],
        as_of=about["as_of"],
        items=tuple(map(_parse_item, about["items"])),
        source=about.get("$comment", ""),
        is_own=is_own,
    )


def _parse_item(about: Mapping[str, Json]) -> PriceItem:
    return PriceItem(
        unit=about["unit"],
        amount=parse_table(about["amount"], parse_amount),
        per=_whole_in(about, "per", most=10**_MOST_ZEROS, default=1),
        units=_parse_measure(about["units"]),
        billed=tuple(about.get("billed", ())),
        sure=about.get("sure", EXACT),
        is_free_on_failure=about.get("free_on_failure", True),
    )


def _parse_measure(about: Mapping[str, Json], *, is_factor: bool = False) -> Measure:
    """`is_factor`: a list that is not there multiplies by one, and counts nothing by itself."""
    kind = measure_kind(about)
    places = about[kind] if kind not in ("count", "most", "else") else []
    most, absent = about.get("most"), about.get("else", int(is_factor) if kind == "items" else None)
    return Measure(
        kind=kind,
        at=tuple(pointer(at) or () for at in ([places] if isinstance(places, str) else places)),
        absent=None if absent is None else parse_amount(absent),
        wide=about.get("wide", 1),
        most=None if most is None else parse_amount(most),
        times=_parse_measure(about["times"], is_factor=True) if "times" in about else None,
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
    return Uploads(
        fields=tuple(map(_parse_upload_field, about["fields"])),
        hours=_number_in(about, "hours", most=_MOST, default=_UPLOAD_HOURS),
        rate=Rate(
            requests=_whole_in(about, "requests", default=_POLICIES),
            per_s=_number_in(about, "per_s", most=_DAY_S, default=1.0),
        ),
        lost=frozenset(about.get("lost", ())),
    )


def _parse_upload_field(item: Mapping[str, Json]) -> UploadField:
    return UploadField(
        at=place_in_request(item["at"]),
        media=item["media"],
        formats=tuple(item["formats"]),
        max_bytes=_whole_in(item, "max_bytes", most=_LARGEST),
        when=tuple((key, tuple(words.split(" | "))) for key, words in item.get("when", {}).items()),
        is_data=item.get("as") == "data",
        min_side=_whole_in(item, "min_side", default=None),
        max_side=_whole_in(item, "max_side", default=None),
        ratio=_pair_in(item, "ratio"),
        min_s=_number_in(item, "min_s", most=_DAY_S, default=None),
        max_s=_number_in(item, "max_s", most=_DAY_S, default=None),
        fps=_pair_in(item, "fps"),
    )


def _parse_short(about: Mapping[str, Json] | None) -> ShortForm | None:
    if about is None:
        return None
    parts = (
        Part(key=item["key"], becomes=item["as"], is_many=item.get("many", False))
        for item in about["parts"]["from"]
    )
    content = place_in_request(about["parts"]["at"])
    form = ShortForm(base=about["base"], content=content, parts=tuple(parts))
    if not isinstance(value_at({"input": form.base}, content), list):
        raise ValueError("short.parts.at names no list of short.base")  # noqa: TRY004  # bad data
    return form


def _model_of(schema: Mapping[str, Json]) -> str | None:
    return schema_at(schema, ("model",)).get("const")


def _parse_recovery(about: Mapping[str, Json] | None, *, model: str) -> Recovery | None:
    if about is None:
        return None
    if about["by"] == "task-list":
        return TaskList(model_name=model, confirm=about.get("confirm", {}), size=about.get("size"))
    if about["by"] == "repeat":
        return Repeat(times=_whole_in(about, "times", most=_MOST_REPEATS))
    names = ("body", "items", "made_at", "outputs")
    return MadeList(
        page=pointer(about["page"]) or (),
        page_size=pointer(about["page_size"]) or (),
        total=about.get("total"),
        match=about.get("match", {}),
        holds=about.get("holds", {}),
        filter=about.get("filter", {}),
        lost=about.get("lost", ""),
        query=_parse_by_name(about.get("query")),
        delete=_parse_by_name(about.get("delete")),
        most=_whole_in(about, "most", default=None),
        **{name: about[name] for name in names},
    )


def _parse_by_name(about: Mapping[str, Json] | None) -> ByName | None:
    if about is None:
        return None
    return ByName(about["body"], pointer(about["name"]) or (), about.get("row"))


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


def _pair_in(about: Mapping[str, Json], key: str) -> tuple[float, float] | None:
    """The least and the largest number at a key. Raises ValueError."""
    if about.get(key) is None:
        return None
    low, high = (_number_in({key: number}, key, least=0.0, most=_MOST) for number in about[key])
    if low > high:
        raise ValueError(f"{key}: found {about[key]!r}; allowed: the smaller number first")
    return low, high


def _whole_in(
    about: Mapping[str, Json], key: str, *, least: int = 1, most: int = _MOST,
    default: Any = _NEEDED,
) -> Any:  # fmt: skip
    """The whole number at a key. Raises KeyError, ValueError."""
    value = _number_in(about, key, least=least, most=most, default=default)
    if value is not default and not isinstance(value, int):
        raise ValueError(f"{key}: found {value!r}; allowed: a whole number")
    return value
