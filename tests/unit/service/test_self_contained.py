"""A user's operation file fetches and reads nothing, and is judged in bounded time."""

import json
import socket
from copy import deepcopy

import orjson
import pytest

from dsrun.common.errors import ManifestError
from dsrun.common.json_schema import SchemaValidator
from dsrun.common.resources import iter_operation_files, read_schema
from dsrun.service.catalog import load_catalog
from dsrun.service.self_contained import name_faults

BUNDLED = {name: orjson.loads(raw) for name, raw in iter_operation_files()}


def prompt(schema):
    return schema["properties"]["input"]["properties"]["prompt"]


@pytest.fixture
def load(tmp_path):
    """The catalog with one operation of the user's: wanx-v1, changed."""
    folder = tmp_path / "operations"
    folder.mkdir()

    def loader(change=None, *, text=None):
        schema = deepcopy(BUNDLED["wanx-v1"])
        schema["properties"]["model"]["const"] = schema["$id"] = "mine"
        if change:
            change(schema)
        (folder / "mine.json").write_text(text or json.dumps(schema, indent=2), encoding="utf-8")
        return load_catalog(folder, folders=(tmp_path,))

    return loader


def problems_of(load, change):
    with pytest.raises(ManifestError) as caught:
        load(change)
    return caught.value.problems


def request(text, **more):
    return {"model": "mine", "input": {"prompt": text, **more}, "parameters": {"n": 1}}


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


ADDRESSES = {
    "http": "http://127.0.0.1:{port}/schema",
    "http with a part": "http://127.0.0.1:{port}/schema#/a",
    "https": "https://127.0.0.1:{port}/schema",
    "file": "file:///etc/hostname",
    "a name beside it": "other.json",
    "an absolute path": "/etc/hostname",
    "another urn": "urn:other",
    "no text": 3,
}


@pytest.mark.parametrize("key", ["$ref", "$dynamicRef", "$recursiveRef", "$schema"])
@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_nothing_is_fetched_and_the_place_is_told(load, listener, key, address):
    if isinstance(address, str):
        address = address.format(port=listener.getsockname()[1])
    elif key == "$schema":
        pytest.skip("JSON Schema itself refuses it")
    found = problems_of(load, lambda schema: prompt(schema).update({key: address}))
    assert [p.where for p in found if p.where.endswith(key)] == [
        f"properties.input.properties.prompt.{key}"
    ]
    assert all(p.line > 1 for p in found if p.where)
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        pytest.param(lambda s: s.update({"$schema": "http://a/b"}), "$schema", id="dialect"),
        pytest.param(
            lambda s: s.update({"$schema": "http://json-schema.org/draft-07/schema#"}),
            "$schema",
            id="an older dialect",
        ),
        pytest.param(
            lambda s: prompt(s).update({"$id": "http://a/b"}),
            "properties.input.properties.prompt.$id",
            id="an id within",
        ),
        pytest.param(
            lambda s: s.update({"$id": "http://127.0.0.1/a", "allOf": [{"$ref": "b"}]}),
            "allOf[0].$ref",
            id="relative to an id",
        ),
        pytest.param(
            lambda s: s.update({"unknown": {"$ref": "http://127.0.0.1/a"}}),
            "unknown.$ref",
            id="below a word that is none of JSON Schema's",
        ),
        pytest.param(
            lambda s: s.update({"$defs": {"const": {"$ref": "http://127.0.0.1/a"}}}),
            "$defs.const.$ref",
            id="a part that is named as a word",
        ),
        pytest.param(
            lambda s: s.update({"allOf": [{"$ref": "#/$defs/none"}]}), "allOf[0].$ref", id="missing"
        ),
        pytest.param(
            lambda s: s.update({"$defs": {"a/b": {}}, "allOf": [{"$ref": "#/$defs/a%2Fb"}]}),
            "allOf[0].$ref",
            id="an encoded slash, which separates",
        ),
        pytest.param(
            lambda s: s.update({"allOf": [{"$ref": "#none"}]}), "allOf[0].$ref", id="no anchor"
        ),
        pytest.param(
            lambda s: s.update({"allOf": [{"$ref": "#/title"}]}), "allOf[0].$ref", id="no schema"
        ),
        pytest.param(
            lambda s: (
                s["x-dsrun"].update({"part": {"$ref": "http://127.0.0.1/a"}})
                or s.update({"allOf": [{"$ref": "#/x-dsrun/part"}]})
            ),
            "allOf[0].$ref.$ref",
            id="through x-dsrun",
        ),
    ],
)
def test_each_way_out_is_told(load, change, where):
    assert where in [problem.where for problem in problems_of(load, change)]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: s.update({"allOf": [{"$ref": "#"}]}), id="itself"),
        pytest.param(
            lambda s: s.update({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
            id="each other",
        ),
        pytest.param(
            lambda s: s.update({"$defs": {"a": {"properties": {"b": {"$ref": "#/$defs/a"}}}}}),
            id="by a property",
        ),
        pytest.param(
            lambda s: s.update(
                {
                    "$defs": {
                        f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(60)
                    }
                    | {"d60": {}}
                }
            ),
            id="doubled sixty times",
        ),
    ],
)
def test_references_that_do_not_end_are_refused(load, change):
    def used(schema):
        change(schema)
        for name in ("a", "d0"):
            if name in schema.get("$defs", {}):
                schema["allOf"] = [{"$ref": f"#/$defs/{name}"}]

    assert problems_of(load, used)


def test_what_stands_in_the_file_is_put_in_its_place(load):
    def change(schema):
        schema["$defs"] = {"short": {"type": "string", "maxLength": 5, "$anchor": "brief"}}
        inner = schema["properties"]["input"]["properties"]
        inner["prompt"] = {"$ref": "#/$defs/short", "description": "what to draw"}
        inner["negative_prompt"] = {"$ref": "mine#brief", "minLength": 2}

    catalog = load(change)
    fields = catalog["mine"].schema["properties"]["input"]["properties"]
    assert fields["prompt"] == {"type": "string", "maxLength": 5, "description": "what to draw"}
    validator = catalog.validator("mine")
    assert validator.is_valid(request("12345", negative_prompt="12345"))
    assert not validator.is_valid(request("123456"))
    assert not validator.is_valid(request("1", negative_prompt="1"))
    assert not validator.is_valid(request("1", negative_prompt="123456"))
    assert list(name_faults(catalog["mine"].schema, {})) == []


def test_a_name_in_a_reference_is_escaped_as_in_a_json_pointer(load):
    def change(schema):
        schema["$defs"] = {"a/b c": {"type": "string", "maxLength": 5}}
        prompt(schema).clear()
        prompt(schema).update({"$ref": "#/$defs/a~1b%20c"})

    validator = load(change).validator("mine")
    assert validator.is_valid(request("12345"))
    assert not validator.is_valid(request("123456"))


def test_a_part_of_a_bundled_operation_can_be_meant(load):
    def change(schema):
        ref = "urn:dsrun:operation:wanx-v1#/properties/input/properties/prompt"
        schema["properties"]["input"]["properties"]["prompt"] = {"$ref": ref}

    catalog = load(change)
    assert not catalog.validator("mine").is_valid(request("a" * 801))
    assert catalog.validator("mine").is_valid(request("a" * 800))


@pytest.mark.parametrize(
    "pattern", [r"^(?=a)a$", r"(a)\1", r"(?<=a)b", "a{1000}{1000}{1000}", "(", "[^]", r"a\Z"]
)
def test_a_pattern_that_only_going_back_can_match_is_refused(load, pattern):
    (problem,) = problems_of(load, lambda schema: prompt(schema).update({"pattern": pattern}))
    assert problem.where == "properties.input.properties.prompt.pattern"
    assert "no lookaround, no backreference" in problem.message


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|aa)+$", "^(a|a?)+$", "^(.*a){30}$"])
def test_a_pattern_that_would_take_for_ever_elsewhere_takes_no_time(load, pattern):
    def change(schema):
        prompt(schema).update({"pattern": pattern, "maxLength": 100000})
        schema["properties"]["input"]["patternProperties"] = {pattern: True}

    validator = load(change).validator("mine")
    bad = request("a" * 50000 + "b", **{"a" * 5000 + "b": 1})
    assert not validator.is_valid(bad)
    found = {(problem.path[-1][:9], problem.rule) for problem in validator.problems(bad)}
    assert ("prompt", "pattern") in found
    assert ("aaaaaaaaa", "additionalProperties") in found


def test_names_that_a_pattern_allows_are_allowed(load):
    def change(schema):
        schema["properties"]["input"]["patternProperties"] = {"^x_": {"type": "integer"}}

    validator = load(change).validator("mine")
    assert validator.is_valid(request("a", x_one=1))
    assert validator.problems(request("a", x_one=1)) == []
    assert [p.path for p in validator.problems(request("a", x_one="1", y=1))] == [
        ("input", "x_one"),
        ("input", "y"),
    ]


def test_a_bundled_file_can_be_copied(load):
    validator = load().validator("mine")
    assert validator.is_valid(request("a", ref_img="https://a/b"))
    assert not validator.is_valid(request("a", ref_img="https://a/b\n"))


@pytest.mark.parametrize("name", BUNDLED)
def test_the_bundled_files_have_what_every_file_must_have(name):
    frame = SchemaValidator(orjson.loads(read_schema("operation.json")))
    assert frame.problems(BUNDLED[name]) == []


def at(path, value):
    def change(schema):
        for step in path[:-1]:
            schema = schema[step]
        schema[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("limits", "requests"), 0, id="no request"),
        pytest.param(("limits", "requests"), -1, id="fewer"),
        pytest.param(("limits", "requests"), 10**30, id="very many"),
        pytest.param(("limits", "requests"), "2", id="a number as text"),
        pytest.param(("limits", "per_s"), 0, id="in no time"),
        pytest.param(("limits", "running_tasks"), 0, id="no task"),
        pytest.param(("endpoint", "timeout_s"), 0, id="no time to answer"),
        pytest.param(("endpoint", "path"), "http://evil/a", id="another host"),
        pytest.param(("endpoint", "path"), "/a b", id="a space"),
        pytest.param(("endpoint", "path"), "/a\r\nb", id="a line end"),
        pytest.param(("endpoint", "path"), "/a?b", id="a query"),
        pytest.param(("endpoint", "path"), "/\u706f", id="no ASCII"),
        pytest.param(("endpoint", "headers"), {"X-A": "a\r\nX-B: b"}, id="a header in a header"),
        pytest.param(("endpoint", "headers"), {"X A": "a"}, id="no name of a header"),
        pytest.param(("endpoint", "headers"), {"X-A": 1}, id="a header that is no text"),
        pytest.param(("endpoint", "method"), "PUT", id="another method"),
        pytest.param(("protocol",), "stream", id="another protocol"),
        pytest.param(("price", "items", 0, "amount"), "1e999999999", id="a price without end"),
        pytest.param(("price", "items", 0, "amount"), "-1", id="a price below zero"),
        pytest.param(("price", "items", 0, "amount"), "NaN", id="a price that is none"),
        pytest.param(("price", "currency"), "yuan", id="another currency"),
        pytest.param(("price", "items", 0, "unit"), "", id="no unit"),
        pytest.param(("polling", "factor"), 0, id="a factor of zero"),
        pytest.param(("polling", "first_s"), -1, id="ask before"),
        pytest.param(("fill",), {}, id="no list"),
        pytest.param(("fill",), [{"at": ""}], id="fill the whole"),
        pytest.param(("fill",), [{"at": "/a", "derive": "dice"}], id="another derivation"),
        pytest.param(("artifacts", 0, "url_hours"), 0, id="gone at once"),
        pytest.param(("uploads", "hours"), 0, id="lives no time"),
        pytest.param(("uploads", "requests"), 0, id="no upload"),
        pytest.param(("outputs",), {"a": 1}, id="an output that is no pointer"),
        pytest.param(("recovery",), {"by": "magic"}, id="another recovery"),
    ],
)
def test_a_value_that_cannot_be_is_told_with_its_place(load, path, value):
    found = problems_of(load, at(("x-dsrun", *path), value))
    assert all(p.where.startswith("x-dsrun." + path[0]) for p in found)
    assert all(p.line > 1 for p in found)


NO_FILES = ["", "[]", "null", "3", '"a"', "{}", '{"x-dsrun": 3}', '{"x-dsrun": {"price": {}}}']
NO_FILES += ["{'a': 1}", "\ufeff{}", '{"a": 1e999}', "\x00", "[" * 5000, '{"a":' * 900 + "}" * 900]


@pytest.mark.parametrize("text", NO_FILES)
def test_what_is_no_operation_file_is_told(load, text):
    with pytest.raises(ManifestError):
        load(text=text or " ")
