"""The manifest's JSON Schema for editors: the frame, and every operation's fields inside it.

It is made for yaml-language-server and must mean the same there and to a validator of 2020-12, so
it uses no word that draft-07 lacks. Where a template stands, nothing is known before it is
rendered and nothing is said; `dsrun validate` judges what comes out.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dsrun.common.digest import json_text
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath, dotted, fits
from dsrun.service.catalog_words import fill_words, limits_of, price_words, rate_words
from dsrun.service.operation import Fill, Operation, families_of
from dsrun.service.short_form import ShortForm
from dsrun.service.tables import Table

Schema = dict[str, Any]

_SIGNS = re.compile(r"[\\*_<>\[\]]")  # of Markdown, where a text means them as they are

_ID = "urn:dsrun:manifest:1"
_ONE = ("additionalProperties", "items", "propertyNames", "contains", "if", "then", "else", "not")
_MANY = ("allOf", "anyOf", "oneOf")
_NAMED = ("properties", "patternProperties", "$defs")
# Words about a value, which stay true of it when a template gives it.
_ABOUT = ("title", "description", "markdownDescription", "default", "examples")

_TEMPLATE: Schema = {"type": "string", "pattern": "\\{[{%#]"}


def _mapping_of(key: str, words: str) -> Schema:
    value = {"type": "string", "minLength": 1, "description": words}
    return {
        "type": "object",
        "required": [key],
        "additionalProperties": False,
        "properties": {key: value},
    }


def _silently(*forms: Schema) -> Schema:
    """Any of these forms, said with a double "not", whose failure has no words of its own.

    Then an editor tells what is wrong with a value, not that it could have been a template.
    """
    return {"title": "template", "not": {"not": {"anyOf": list(forms)}}}


_DEFS: Schema = {
    "computed": _silently(_TEMPLATE, {"$ref": "#/$defs/file"}),
    "computed_or_null": _silently(_TEMPLATE, {"$ref": "#/$defs/file"}, {"type": "null"}),
    "uploaded": _silently(_TEMPLATE, {"$ref": "#/$defs/upload"}),
    "uploaded_or_null": _silently(_TEMPLATE, {"$ref": "#/$defs/upload"}, {"type": "null"}),
    "file": _mapping_of(
        "file",
        "Stands for the text of this file, which is a template too; "
        "relative to the manifest's folder.",
    ),
    "upload": _mapping_of(
        "upload",
        "A file of yours, which dsrun checks and uploads; relative to the manifest's folder.",
    ),
}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


_COMPUTED = _ref("computed")
# Two, since an editor writes a single one out as the only way to give a value.
_TEMPLATE_SNIPPET = {"label": "{{ template }}", "body": '"{{ $1 }}"'}
_MODEL_SNIPPET = {"label": "{{ model }}", "body": '"{{ model }}"'}
_TEXT_SNIPPETS: list[Schema] = [
    _TEMPLATE_SNIPPET,
    {"label": "file: NAME", "body": {"file": "${1:prompts/prompt.j2}"}},
]
_UPLOAD_SNIPPETS: list[Schema] = [
    _TEMPLATE_SNIPPET,
    {"label": "upload: NAME", "body": {"upload": "${1:refs/picture.jpg}"}},
]


# What no schema can know, the names of the manifest's own steps, is left to be typed.
_AXIS_SNIPPETS: list[Schema] = [
    {"label": "step: NAME", "body": {"step": "${1:name}"}},
    {"label": "step: NAME, each: artifact", "body": {"step": "${1:name}", "each": "artifact"}},
    {
        "label": "step: NAME, group_by: EXPRESSION",
        "body": {"step": "${1:name}", "group_by": "${2:axis}.${3:key}"},
    },
    {"label": "file: NAME", "body": {"file": "${1:rows.csv}"}},
    {"label": "glob: PATTERN", "body": {"glob": "${1:refs/*.jpg}"}},
    {"label": "range: [FIRST, LAST]", "body": {"range": ["^${1:1}", "^${2:10}"]}},
]


def manifest_schema(frame: Mapping[str, Json], operations: Iterable[Operation]) -> dict[str, Json]:
    """The schema of manifests that use these operations.

    `frame` says what holds for every operation; its `$defs/step` gets one branch for each.
    """
    known = list(operations)
    schema = _plain(frame)
    schema["$id"] = _ID
    defs = schema["$defs"]
    defs |= _DEFS
    defs["axis"]["defaultSnippets"] = _AXIS_SNIPPETS
    step = defs["step"]
    one, several = step["properties"]["operation"]["anyOf"]
    one |= _choice(known)
    several["items"] |= _choice(known, families=False)
    shared = families_of(known).keys()
    branches = (_branch(each, is_shared=each.name in shared) for each in known)
    step["allOf"] = [*branches, *_family_branches(known), *map(_listed, known)]
    for operation in known:
        for section in _sections(operation):
            whole = defs[_name(operation, section)] = _section(operation, section)
            defs[f"{_name(operation, section)}.fields"] = _fields(whole)
    return schema


def _choice(operations: list[Operation], *, families: bool = True) -> Schema:
    """The names of a step's operation; in a list of them none stands for several models."""
    words = {
        item.name: f"{item.description} {price_words(item)}; {rate_words(item)}."
        for item in operations
    }
    for name, members in families_of(operations).items() if families else ():
        if name in words:
            words[name] += " `model` may name another."
        else:
            words[name] = f"{members[0].description} `model` says which."
    return {
        "enum": [*words],
        "enumDescriptions": [*words.values()],
        "markdownEnumDescriptions": [*words.values()],
    }


def _family_branches(operations: Sequence[Operation]) -> Iterator[Schema]:
    """A step may name the file and say the model; then it is as if it named the model.

    Where a model has the name of the file, it is meant when the step says none. A template may give
    the model, row by row.
    """
    models_by_name = {item.name for item in operations}
    for name, members in families_of(operations).items():
        chosen = {"properties": {"operation": {"const": name}}, "required": ["operation"]}
        is_model = name in models_by_name
        known = dict.fromkeys([*([name] if is_model else []), *(item.name for item in members)])
        names = {"title": "a model", "enum": [*known]}
        models = {"anyOf": [names, _COMPUTED], "defaultSnippets": [_MODEL_SNIPPET]}
        then: Schema = {"properties": {"model": models}}
        yield {"if": chosen, "then": then if is_model else {"required": ["model"], **then}}
        by_row = {"operation": {"const": name}, "model": _TEMPLATE}
        yield {
            "if": {"properties": by_row, "required": [*by_row]},
            "then": _offered(members),
        }
        for item in members:
            both = {"operation": {"const": name}, "model": {"const": item.name}}
            if item.name != name:
                yield {
                    "if": {"properties": both, "required": [*both]},
                    "then": _branch(item)["then"],
                }


def _listed(operation: Operation) -> Schema:
    """What a list of operations offers for one of them."""
    has = {"type": "array", "contains": {"const": operation.name}}
    chosen = {"properties": {"operation": has}, "required": ["operation"]}
    return {"if": chosen, "then": _offered([operation])}


def _offered(operations: Iterable[Operation]) -> Schema:
    """The fields of operations of which a row calls one: shown, and judged when rows are known."""
    names: dict[str, list[Schema]] = {}
    for operation in operations:
        for section in _sections(operation):
            names.setdefault(section, []).append(_ref(f"{_name(operation, section)}.fields"))
    return {"properties": {name: {"allOf": refs} for name, refs in names.items()}}


def _fields(section: Schema) -> Schema:
    """The keys of a section with what they mean, and no rule."""
    about = {
        key: {word: field[word] for word in _ABOUT if word in field}
        for key, field in section["properties"].items()
    }
    return {"properties": about}


def _branch(operation: Operation, *, is_shared: bool = False) -> Schema:
    """What a step of this operation has; `is_shared`: a file has its name, and `model` tells."""
    named: Schema = {"operation": {"const": operation.name}}
    if is_shared:
        named["model"] = {"const": operation.name}  # or none
    chosen = {"properties": named, "required": ["operation"]}
    sections = _sections(operation)
    then: Schema = {
        "properties": {name: {"$ref": f"#/$defs/{_name(operation, name)}"} for name in sections}
    }
    if model := operation.schema["properties"].get("model"):
        then["properties"]["model"] = {"const": model.get("const", operation.name)}
    wanted = [name for name in sections if _required(operation, (name,))]
    if wanted:
        then["required"] = wanted
    return {"if": chosen, "then": then}


def _sections(operation: Operation) -> list[str]:
    properties = operation.schema["properties"]
    return [name for name in ("input", "parameters") if name in properties]


def _name(operation: Operation, section: str) -> str:
    return f"{operation.name.replace('/', '-')}.{section}"  # a / would end a part of a pointer


def _section(operation: Operation, section: str) -> Schema:
    """A section is written out: its parts may be templates, it may not."""
    made = _object(operation, (section,), operation.schema["properties"][section])
    if section == "input" and operation.short is not None:
        made["properties"] |= _short_fields(operation, operation.short)
        made.pop("required", None)
    return made


def _short_fields(operation: Operation, form: ShortForm) -> Schema:
    """The keys that stand for parts of a message."""
    fields: Schema = {}
    for part in form.parts:
        is_upload = _is_upload(operation, (*form.content, "0", part.becomes))
        words = f"Short for a {{{part.becomes}: ...}} part of the message."
        kind = {"type": ["array", "string"]} if part.is_many else {"type": "string"}
        other = _ref("uploaded_or_null" if is_upload else "computed_or_null")
        fields[part.key] = {
            "markdownDescription": words,
            "anyOf": [{"title": part.key, **kind}, other],
        }
        if not part.is_many:
            fields[part.key]["defaultSnippets"] = _UPLOAD_SNIPPETS if is_upload else _TEXT_SNIPPETS
    return fields


def _is_upload(operation: Operation, at: KeyPath) -> bool:
    """Whether a file of the user may stand at a place."""
    uploads = operation.uploads
    return uploads is not None and any(fits(at, field.at) for field in uploads.fields)


def _object(operation: Operation, at: KeyPath, schema: Mapping[str, Json]) -> Schema:
    made = {key: value for key, value in _plain(schema).items() if key != "required"}
    made["properties"] = {
        key: _part(operation, (*at, key), inner, needed=key in schema.get("required", ()))
        for key, inner in schema.get("properties", {}).items()
    }
    wanted = _required(operation, at, schema)
    if wanted:
        made["required"] = wanted
    for word in _MANY:
        if word in schema:
            made[word] = [_rule(inner) for inner in schema[word]]
    return made


def _part(
    operation: Operation, at: KeyPath, schema: Mapping[str, Json], *, needed: bool = False
) -> Schema:
    """A value as the API takes it, or a template that gives one."""
    fill = _fill_at(operation, at)
    if schema.get("type") == "object":
        judged = _object(operation, at, schema)
    elif isinstance(schema.get("items"), Mapping):
        item = _part(operation, (*at, "0"), schema["items"], needed=True)
        judged = {**_plain(schema), "items": item}
    else:
        judged = _plain(schema)
    part = {word: judged.pop(word) for word in _ABOUT if word in judged}
    if fill is not None and fill.derive is None:
        part |= {} if isinstance(fill.value, Table) else {"default": fill.value}
    part["markdownDescription"] = _hover(operation, at, schema, fill)
    is_upload = _is_upload(operation, at)
    if schema.get("type") == "string" and not schema.keys() & {"enum", "const"}:
        part["defaultSnippets"] = _UPLOAD_SNIPPETS if is_upload else _TEXT_SNIPPETS
    # Null sends nothing, so it may stand where nothing need be said.
    other = _ref(("uploaded" if is_upload else "computed") + ("" if needed else "_or_null"))
    title = f"{operation.name} {dotted(at)}"
    return {**part, "anyOf": [{"title": title, **judged}, other]}


def _hover(operation: Operation, at: KeyPath, schema: Mapping[str, Json], fill: Fill | None) -> str:
    facts = [limits_of(schema)]
    if fill is not None:
        facts.append(f"{fill_words(fill)} when absent")
    elif "default" in schema:
        default = schema["default"]
        told = default if isinstance(default, str) else json_text(default)
        facts.append(f"`{told}` when absent")
    if at == operation.main.count:
        facts.append(price_words(operation))
    described = _SIGNS.sub(r"\\\g<0>", schema.get("description", ""))
    return "\n\n".join(filter(None, (described, "; ".join(filter(None, facts)))))


def _required(
    operation: Operation, at: KeyPath, schema: Mapping[str, Json] | None = None
) -> list[str]:
    """Keys that the manifest itself must give: dsrun adds constants and fills."""
    if schema is None:
        schema = operation.schema["properties"][at[0]]
    properties = schema.get("properties", {})
    return [
        key
        for key in schema.get("required", ())
        if "const" not in properties.get(key, {}) and _fill_at(operation, (*at, key)) is None
    ]


def _fill_at(operation: Operation, at: KeyPath) -> Fill | None:
    return next((fill for fill in operation.fills if fill.at == at), None)


def _rule(schema: Mapping[str, Json]) -> Schema:
    """A rule between fields, which does not hold for a field that is a template."""
    made = _plain(schema)
    for word in ("then", "else"):
        inner = made.get(word)
        if isinstance(inner, dict) and "properties" in inner:
            inner["properties"] = {
                key: {"anyOf": [{"title": key, **below}, _ref("computed_or_null")]}
                for key, below in inner["properties"].items()
            }
    return made


def _plain(schema: Mapping[str, Json]) -> Schema:
    """The same schema as editors read it, without what is for dsrun alone."""
    made: Schema = {}
    for key, value in schema.items():
        if key in _NAMED:
            made[key] = {name: _plain(inner) for name, inner in value.items()}
        elif key in _MANY:
            made[key] = [_plain(inner) for inner in value]
        elif key in _ONE and isinstance(value, Mapping):
            made[key] = _plain(value)
        elif key not in _OWN_WORDS:
            made[key] = value
    own = schema.get("errorMessage", {})
    if "pattern" in own:
        made["patternErrorMessage"] = f"Allowed: {own['pattern']}"
    if "maxLength" in schema:
        made["allOf"] = [*made.get("allOf", ()), _longest(schema["maxLength"])]
    return made


def _longest(limit: int) -> Schema:
    """Editors count UTF-16 units for maxLength, in which an emoji is two characters."""
    return {
        "pattern": f"^[\\s\\S]{{0,{limit}}}(?![\\s\\S])",
        "patternErrorMessage": f"Too long. Allowed: at most {limit} characters.",
    }


_OWN_WORDS = ("$comment", "x-dsrun", "errorMessage", "maxLength")
