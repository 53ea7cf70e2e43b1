"""`dsrun operations`: the catalog with limits and prices; `dsrun operations NAME`: one of it."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from dsrun.cli.schema import catalog_of
from dsrun.common.console import answer, answer_json, answer_table, terminal_width
from dsrun.common.errors import ExitCode, UsageError
from dsrun.common.escaping import Shown
from dsrun.common.messages import nearest
from dsrun.common.models import Json
from dsrun.common.pointer import dotted
from dsrun.common.shell import command_line, option
from dsrun.common.text_table import table, wrapped
from dsrun.service.catalog import Catalog
from dsrun.service.catalog_words import limit_words, limits_of, price_tables, price_words, rate_text
from dsrun.service.example_request import example_request, short_parts
from dsrun.service.operation import Operation
from dsrun.service.operation_file import schema_at
from dsrun.service.short_form import Part

_WIDTH = 80  # columns, where the terminal has them
_INDENT = 4
_BESIDE = 9  # columns before what stands beside a key
_COLUMNS = (
    "Of each model: requests a second or a minute, tasks that run at once, tasks that are open "
    "(they run or wait), and the price."
)
_LEAST = 24  # columns for words beside a key
_SENTENCE = re.compile(r"(?<=[.]) ")
_LIMIT = re.compile(r"(?:At (?:most|least) [0-9]+ \w+|[0-9.]+ to [0-9.]+)[.]").fullmatch
_MOST_VALUES = 12  # of an enum, before the rest is counted


def run(
    name: str | None, *, where: Path | None, allow_files: tuple[Path, ...], as_json: bool
) -> int:
    """List the operations of dsrun and of `where`, a pipeline or a folder, or tell of one.

    A single `name` that no operation has may be the place. Raises UsageError for neither.
    """
    if name is not None and where is None and Path(name).exists():
        here = catalog_of(Path(), allow_files)
        name, where = (name, None) if _has(here, name) else (None, Path(name))
    catalog = catalog_of(where or Path(), allow_files)
    chosen = [catalog[each] for each in _chosen(catalog, name)]
    if as_json:
        answer_json([_report(item, full=name is not None) for item in chosen])
    elif name is None:
        _answer_list(chosen, where, allow_files)
    else:
        for alike in _groups(chosen):
            _answer_one(alike[0], names=[item.name for item in alike])
    return ExitCode.OK


def _has(catalog: Catalog, name: str) -> bool:
    return name in catalog or name in catalog.families


def _chosen(catalog: Catalog, name: str | None) -> list[str]:
    if name is None:
        return catalog.names
    # A name may be that of a model and that of a file of others; a step means the model.
    found = dict.fromkeys([*([name] if name in catalog else ()), *catalog.families.get(name, ())])
    if not found:
        near = nearest(name, [*catalog.names, *catalog.families])
        raise UsageError(
            f"no operation, pipeline or folder {name}{near}; `dsrun operations` lists all"
        )
    return list(found)


def _answer_list(
    operations: list[Operation], where: Path | None, allow_files: tuple[Path, ...]
) -> None:
    """A heading for each file, and a row for each of its models."""
    families: dict[str, list[Operation]] = {}
    for item in operations:
        families.setdefault(item.family, []).append(item)
    _say(_COLUMNS)
    answer("")
    for family, models in families.items():
        _say(_heading(family, models[0]))
        answer_table(_rows(models), indent=2)
        for note in dict.fromkeys(item.note for item in models if item.note):
            _say(f"Note: {note}", indent=2)
        answer("")
    folders = [option("allow-files", folder) for folder in allow_files]
    place = [where] if where not in (None, Path()) else []
    name = operations[0].name
    tell = command_line("dsrun", "operations", name, *place, *folders)
    show = command_line("dsrun", "schema", name, *place, *folders)
    answer(f"`{tell}` tells more of {name}.")
    answer(f"`{show}` prints every field of {name} as a JSON Schema.")


def _heading(family: str, item: Operation) -> str:
    """What holds for all models of a file."""
    source = _sources(item).get("price", "").partition(";")[0]
    prices = f"prices of {item.price.as_of}{source and f' from the {source}'}"
    return f"{family} ({item.protocol}, {', '.join(_kinds(item))}): {item.description} ({prices})"


def _say(text: str, *, indent: int = 0) -> None:
    """Prints a text in lines that fit a terminal."""
    for line in wrapped(text, _room() - indent):
        answer(f"{' ' * indent}{line}")


def _room() -> int:
    return min(_WIDTH, terminal_width() or _WIDTH)


def _rows(models: Iterable[Operation]) -> list[tuple[str, ...]]:
    """A row for each model, without the columns that say nothing of any of them."""
    columns = zip(*map(_row, models), strict=True)
    return list(zip(*filter(any, columns), strict=True))


def _row(item: Operation) -> list[str]:
    limits = item.limits
    running, queued = limits.running_tasks, limits.queued_tasks
    return [
        item.name,
        rate_text(limits.rate),
        f"{running} running" if running else "",
        f"{queued} open" if queued else "",
        str(item.price),
    ]


def _kinds(item: Operation) -> list[str]:
    return list(dict.fromkeys(spec.media for spec in item.artifacts))


def _sources(item: Operation) -> dict[str, str]:
    """Where the facts are from, as the file says it."""
    about = item.schema["x-dsrun"]
    parts = {"fields": item.schema, "limits": about["limits"], "price": about["price"]}
    return {name: part["$comment"] for name, part in parts.items() if "$comment" in part}


def _groups(operations: Iterable[Operation]) -> list[list[Operation]]:
    """Models of which all is the same but the name, together."""
    groups: dict[str, list[Operation]] = {}
    for item in operations:
        about = _report(item, full=True)
        told = [about[key] for key in about if key not in ("name", "example")]
        fields = {**item.schema["properties"], "model": ""}
        groups.setdefault(repr((told, fields)), []).append(item)
    return list(groups.values())


def _answer_one(item: Operation, *, names: Iterable[str]) -> None:
    """`names`: its own, and those of models that are like it."""
    _say(f"{', '.join(names)}: {item.description}")
    if item.note:
        _say(f"Note: {item.note}")
    answer("")
    _entry("file", item.family)
    _entry("kind", f"{item.protocol}, gives {', '.join(_kinds(item))}")
    if item.output_rules:
        _entry("outputs", f"{', '.join(item.output_rules)}, for templates of the steps below it")
    _entry("call", f"{item.method} {item.path}")
    _entry("limits", limit_words(item.limits))
    _entry("price", price_words(item))
    for rows in price_tables(item):
        for line in table(rows, titled=True, width=_room() - _BESIDE).split("\n"):
            answer(Shown(f"{'':<{_BESIDE}}{line}"))
    for name, words in _sources(item).items():
        _entry("source", f"of {name}: {words}")
    answer("")
    for place, words, meaning in _all_fields(item):
        _entry(place, words, meaning, width=36)
    answer("")
    answer("As a pipeline:")
    answer("")
    for line in example_manifest(item).splitlines():
        answer(f"    {line}")
    answer("")


def _entry(key: str, *texts: str, width: int = 8) -> None:
    """A key, and texts beside it in a column of their own, each on lines of its own."""
    is_narrow = _room() - width - 1 < _LEAST
    room = _room() - (_INDENT if is_narrow else width) - 1
    if len(key) > width or is_narrow:
        answer(key)
        key, width = "", _INDENT if is_narrow else width
    for line in (line for words in texts for line in wrapped(words, room)):
        answer(f"{key:<{width}} {line}".rstrip())
        key = ""


def _all_fields(item: Operation) -> Iterator[tuple[str, str, str]]:
    """Each field that a step may give: its place, what it may be, and what it means."""
    for part in short_parts(item):
        several = " each" if part.is_many else ""
        words = f"short for a part {{{part.becomes}: ...}}{several}"
        yield f"input.{part.key}", words, _meaning_of_part(item, part)
    filled = {tuple(map(str, fill.at)) for fill in item.fills}
    uploads = item.uploads.fields if item.uploads else ()
    files = {dotted(field.at) for field in uploads}
    for section in ("input", "parameters"):
        below = item.schema["properties"].get(section, {})
        for place, words, meaning in _fields(below, (section,), filled):
            # A list of addresses has no line for its items.
            takes_file = not files.isdisjoint((place, f"{place}.*"))
            yield place, f"{words}{', or {upload: FILE}' if takes_file else ''}", meaning


def _fields(
    schema: Mapping[str, Json], at: tuple[str, ...], filled: Collection[tuple[str, ...]]
) -> Iterator[tuple[str, str, str]]:
    """`filled`: what dsrun gives where a step does not."""
    if isinstance(schema.get("items"), Mapping):
        yield from _fields(schema["items"], (*at, "*"), filled)
    for key, inner in schema.get("properties", {}).items():
        is_given = "const" in inner or (*at, key) in filled
        needed = "required; " if key in schema.get("required", ()) and not is_given else ""
        yield ".".join((*at, key)), f"{needed}{_limits_and_values(inner)}", _meaning(inner)
        yield from _fields(inner, (*at, key), filled)


def _meaning_of_part(item: Operation, part: Part) -> str:
    """What the part of the documented form means that a key of the short form becomes."""
    form = item.short
    assert form is not None  # noqa: S101  # it has parts
    return _meaning(schema_at(item.schema, (*form.content, 0, part.becomes)))


def _meaning(schema: Mapping[str, Json]) -> str:
    """What the file says of a field, without the limits that stand beside it."""
    return " ".join(
        sentence
        for sentence in _SENTENCE.split(str(schema.get("description", "")))
        if not _LIMIT(sentence)
    )


def _limits_and_values(schema: Mapping[str, Json]) -> str:
    words = limits_of(schema)
    if "const" in schema:
        return f"always {schema['const']}"
    values = [str(value) for value in schema.get("enum", ())]
    if not values:
        return words
    more = len(values) - _MOST_VALUES
    rest = f" and {more} more" if more > 0 else ""
    return f"{words}: {', '.join(values[:_MOST_VALUES])}{rest}"


def example_manifest(item: Operation) -> str:
    """A pipeline of one job."""
    step = {"operation": item.name, **example_request(item)}
    whole = {"version": 1, "name": "example", "steps": {"one": step}}
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=_WIDTH)


def _report(item: Operation, *, full: bool) -> dict[str, object]:
    limits = item.limits
    told: dict[str, object] = {
        "name": item.name,
        "family": item.family,
        "description": item.description,
        "note": item.note or None,
        "protocol": item.protocol,
        "results": _kinds(item),
        "outputs": list(item.output_rules),
        "method": item.method,
        "path": item.path,
        "requests": limits.rate.requests,
        "per_s": limits.rate.per_s,
        "running_tasks": limits.running_tasks,
        "queued_tasks": limits.queued_tasks,
        "tokens": limits.tokens and limits.tokens.requests,
        "tokens_s": limits.tokens and limits.tokens.per_s,
        "group": limits.group or None,
        "group_running": limits.group_running,
        "scope": limits.scope,
        "price": item.price.details(),
        "source": _sources(item),
    }
    if full:
        told["fields"] = {place: words for place, words, _ in _all_fields(item)}
        told["meanings"] = {place: words for place, _, words in _all_fields(item) if words}
        told["example"] = example_request(item)
    return told
