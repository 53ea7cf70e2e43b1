"""docs/reference/operations.md, and a page below it for each operation file."""

from collections.abc import Iterator, Sequence

from dsrun.cli.operations import example_manifest
from dsrun.common.pointer import dotted
from dsrun.service.catalog import Catalog, load_catalog
from dsrun.service.catalog_words import limit_words, rate_text
from dsrun.service.example_request import short_parts
from dsrun.service.operation import MadeList, Operation, Repeat, TaskList, UploadField
from dsrun.service.tables import Table, key_values
from generator.markdown import Schema, code, keys_table, made_by, plain, table

HEAD = f"""\
# Operations

{made_by("the operation files in `schemas/operations/`")}
An operation file serves one model or several. In a step, `operation: NAME` takes a model or a file,
and a file of several models wants `model` beside it. Where both have one name, as `qwen-image` has,
it is the model, unless `model` stands beside it. `dsrun operations` prints what stands here, with
the operations of your own folder.

Prices and limits are those that the vendor publishes for Beijing, at the date that stands beside
them: `execution.prices` and `execution.limits` replace them where your account has others.
"""


def operation_pages() -> dict[str, str]:
    """The pages by their path below docs/reference/."""
    catalog = load_catalog()
    families = _families(catalog)
    pages = {f"operations/{name}.md": _page(name, models) for name, models in families.items()}
    return {"operations.md": _overview(families), **pages}


def _families(catalog: Catalog) -> dict[str, list[Operation]]:
    found: dict[str, list[Operation]] = {}
    for name in catalog.names:
        found.setdefault(catalog[name].family, []).append(catalog[name])
    return dict(sorted(found.items()))


def _overview(families: dict[str, list[Operation]]) -> str:
    heads = ("file", "model", "gives", "price", "as of", "requests")
    rows = [
        (
            f"[{family}](operations/{family}.md)", code(item.name), ", ".join(_kinds(item)),
            plain(str(item.price)), item.price.as_of, rate_text(item.limits.rate),
        )
        for family, models in families.items()
        for item in models
    ]  # fmt: skip
    return f"{HEAD}\n{table(heads, rows)}"


def _kinds(item: Operation) -> list[str]:
    return list(dict.fromkeys(spec.media for spec in item.artifacts))


def _page(family: str, models: Sequence[Operation]) -> str:
    return "\n".join([f"# {family}\n", *_page_parts(models)])


def _page_parts(models: Sequence[Operation]) -> Iterator[str]:
    first = models[0]
    yield made_by(f"`schemas/operations/{first.family}.json`")
    yield f"{plain(first.description)}\n"
    for note in dict.fromkeys(item.note for item in models if item.note):
        yield f"**Note:** {plain(note)}\n"
    yield "## Models, prices and limits\n"
    yield from _models(models)
    yield from _sources(first)
    groups: dict[str, list[Operation]] = {}
    for item in models:
        groups.setdefault("\n".join(_body(item)), []).append(item)
    for text, alike in groups.items():
        names = ", ".join(item.name for item in alike)
        yield f"## {names}\n" if len(groups) > 1 else "## The request\n"
        yield text
        yield "### Example\n"
        yield f"```yaml\n{example_manifest(alike[0]).rstrip()}\n```\n"


def _models(models: Sequence[Operation]) -> Iterator[str]:
    heads = ("model", "price", "as of", "limits")
    rows = [
        (code(item.name), plain(str(item.price)), item.price.as_of, plain(limit_words(item.limits)))
        for item in models
    ]
    yield table(heads, rows)
    if len(models) > 1 and models[0].family not in {item.name for item in models}:
        yield f"`operation: {models[0].family}` wants one of these as `model`.\n"
    for item in models:
        for part in item.price.items:
            if isinstance(part.amount, Table):
                yield f"The price of `{item.name}`:\n"
                yield _price_table(part.amount, f"{item.price.currency} for each {part.unit}")


def _price_table(amounts: Table, each: str) -> str:
    """The amounts by the fields of the request that they hang on."""
    fields = [dotted(at) for at in amounts.by]
    heads = (*map(code, fields), each)
    rows = [(*map(_key_words, keys), str(amount)) for keys, amount in amounts.keyed()]
    return table(heads, rows)


def _key_words(key: str) -> str:
    words = {"*": "any other, or none", "-": "none"}
    return words.get(key) or " or ".join(map(code, key_values(key)))


def _sources(item: Operation) -> Iterator[str]:
    """Where the facts are from, as the file says it."""
    about = item.schema["x-dsrun"]
    parts = {"fields": item.schema, "limits": about["limits"], "price": about["price"]}
    told = {name: part["$comment"] for name, part in parts.items() if "$comment" in part}
    if told:
        yield "Sources:\n"
        yield from (f"- {name}: {plain(words)}" for name, words in told.items())
        yield ""


def _body(item: Operation) -> Iterator[str]:
    """What may be the same for several models."""
    yield from _facts(item)
    yield from _fields(item)


def _facts(item: Operation) -> Iterator[str]:
    yield f"- Call: `{item.method} {item.root}{item.path}`"
    yield f"- Answer: {_answer_words(item)}"
    if item.outputs:
        named = ", ".join(code(f"output.{name}") for name in item.outputs)
        yield f"- Steps below it can read {named}."
    for field in item.uploads.fields if item.uploads else ():
        place = dotted(field.at).replace(".*", "[]")
        yield f"- `{place}` takes `{{upload: FILE}}`: {_file_words(field)}."
    if item.uploads:
        yield f"- An address of an upload is used for {item.uploads.hours:g} hours."
    yield f"- An answer that is lost: {_recovery(item)}\n"


def _answer_words(item: Operation) -> str:
    kinds = ", ".join(_kinds(item))
    if item.polling is None:
        return f"{kinds}, at once."
    return (
        f"a task that gives {kinds}; it is first asked for after {item.polling.first_s:g} s, then "
        f"with pauses of up to {item.polling.max_s:g} s."
    )


def _file_words(field: UploadField) -> str:
    formats = ", ".join(name.upper() for name in field.formats)
    parts = [f"{formats}, at most {field.max_bytes / (1 << 20):g} MB"]
    if field.max_side is not None:
        parts.append(f"sides of {field.min_side or 1} to {field.max_side} pixels")
    if field.ratio is not None:
        parts.append(f"width to height {field.ratio[0]:g} to {field.ratio[1]:g}")
    if field.max_s is not None:
        parts.append(f"{field.min_s or 0:g} to {field.max_s:g} s")
    if field.is_data:
        parts.append("sent within the request")
    return ", ".join(parts)


def _recovery(item: Operation) -> str:
    match item.recovery:
        case TaskList():
            return "dsrun looks for the task in the service's list, and adopts it or sends again."
        case MadeList():
            return "dsrun looks in the service's list of what was made, and adopts or sends again."
        case Repeat():
            return (
                "dsrun asks again, where the call costs at most `execution.repeat_below`; both may "
                "be paid."
            )
    return "the job ends `unknown`, since nothing at the service tells what became of it."


def _fields(item: Operation) -> Iterator[str]:
    for name in ("input", "parameters"):
        section = item.schema["properties"].get(name)
        if section is not None:
            yield f"### {name}\n\n{plain(section['description'])}\n"
            if section["properties"]:
                yield keys_table(section, item.schema, operation=item, at=(name,))
            yield from _inner(item, name, section)
    yield from _short(item)


def _inner(item: Operation, name: str, schema: Schema) -> Iterator[str]:
    """The fields of mappings and of the items of lists, however deep."""
    for key, inner in schema["properties"].items():
        place = f"{name}.{key}[]" if "items" in inner else f"{name}.{key}"
        holder = inner.get("items", inner)
        if "properties" in holder:
            yield f"#### {place}\n"
            yield keys_table(holder, item.schema)
            yield from _inner(item, place, holder)


def _short(item: Operation) -> Iterator[str]:
    parts = short_parts(item)
    if not parts:
        return
    yield "### Short form\n\nIn `input`, these keys may stand for the parts of the message:\n"
    rows = [
        (code(part.key), f"a part `{{{part.becomes}: …}}`{' for each' if part.is_many else ''}")
        for part in parts
    ]
    yield table(("key", "stands for"), rows)
