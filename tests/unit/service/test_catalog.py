"""The operations, and the way into their schemas and answers."""

import copy
from decimal import Decimal

import orjson
import pytest
from jsonschema import Draft202012Validator

from dsrun.common.errors import ManifestError
from dsrun.common.resources import iter_operation_files, read_schema
from dsrun.common.units import Rate
from dsrun.service.catalog import load_catalog
from dsrun.service.operation import Fill, Polling
from dsrun.service.operation_file import constants, parse_operation, schema_at

FILES = dict(iter_operation_files())


def test_the_two_core_apis_are_there():
    catalog = load_catalog()
    assert {"wanx-v1", "qwen-voice-design"} <= set(catalog.names)
    assert catalog.names == sorted(catalog.names)
    assert "wanx-v2" not in catalog


def test_wanx_v1_as_its_page_has_it():
    operation = load_catalog()["wanx-v1"]
    assert (operation.protocol, operation.method) == ("task", "POST")
    assert operation.path == "/services/aigc/text2image/image-synthesis"
    assert operation.headers == {"X-DashScope-Async": "enable"}
    assert operation.limits.rate == Rate(requests=2, per_s=1)
    assert operation.limits.running_tasks == 1
    assert operation.polling == Polling(first_s=3, factor=1.5, max_s=15, timeout_s=86400)
    assert (operation.price.amount, operation.price.currency) == (Decimal("0.16"), "CNY")
    assert operation.fills == (
        Fill(at=("parameters", "n"), value=1, maximum=4),
        Fill(
            at=("parameters", "seed"),
            derive="seed",
            span=("parameters", "n"),
            maximum=2147483647,
        ),
    )


def test_voice_design_as_its_page_has_it():
    operation = load_catalog()["qwen-voice-design"]
    assert (operation.protocol, operation.method) == ("sync", "POST")
    assert operation.path == "/services/audio/tts/customization"
    assert "X-DashScope-Async" not in operation.headers
    assert operation.limits.rate == Rate(requests=3, per_s=1)
    assert (operation.limits.running_tasks, operation.polling) == (None, None)
    assert (operation.price.amount, operation.price.currency) == (Decimal("0.2"), "CNY")
    assert [(fill.derive, fill.length) for fill in operation.fills] == [("name", 16)]


@pytest.mark.parametrize("name", FILES)
def test_every_operation_file_is_a_json_schema(name):
    Draft202012Validator.check_schema(orjson.loads(FILES[name]))


@pytest.mark.parametrize("name", FILES)
def test_every_limit_names_its_source(name):
    nameless = [
        path
        for path, leaf in leaves(orjson.loads(FILES[name]))
        if leaf.keys() & {"enum", "const", "minimum", "maximum", "maxLength", "pattern"}
        and "$comment" not in leaf
    ]
    assert nameless == []


@pytest.mark.parametrize("name", FILES)
def test_every_leaf_and_its_section_are_closed_to_unknown_keys(name):
    schema = orjson.loads(FILES[name])
    sections = [schema, *(part for part in schema["properties"].values() if "properties" in part)]
    assert all(section["additionalProperties"] is False for section in sections)


@pytest.mark.parametrize("name", ["manifest.json", "errors.json"])
def test_the_other_schemas_are_json(name):
    assert isinstance(orjson.loads(read_schema(name)), dict)


def test_constants_are_what_has_one_legal_value():
    catalog = load_catalog()
    assert constants(catalog["wanx-v1"].schema) == {"model": "wanx-v1"}
    assert constants(catalog["qwen-voice-design"].schema) == {
        "model": "qwen-voice-design",
        "input": {"action": "create"},
    }


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        pytest.param(("input", "prompt"), "string", id="a leaf"),
        pytest.param(("input",), "object", id="a section"),
        pytest.param(("input", "nothing"), None, id="unknown"),
        pytest.param(("input", "prompt", "deeper"), None, id="below a leaf"),
        pytest.param(("input", 0), None, id="an item of what is no list"),
    ],
)
def test_the_schema_at_a_path(path, kind):
    assert schema_at(load_catalog()["wanx-v1"].schema, path).get("type") == kind


def test_the_schema_of_an_item():
    assert schema_at({"items": {"type": "string"}}, (3,)) == {"type": "string"}


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda schema: schema.pop("x-dsrun"), id="no x-dsrun"),
        pytest.param(lambda schema: schema["x-dsrun"].pop("price"), id="no price"),
        pytest.param(lambda schema: schema["x-dsrun"].update(price="free"), id="price is text"),
        pytest.param(lambda schema: schema["x-dsrun"]["limits"].pop("per_s"), id="no time"),
        pytest.param(lambda schema: schema["x-dsrun"].pop("endpoint"), id="no endpoint"),
    ],
)
def test_a_damaged_operation_file_is_an_error_that_can_be_told(damage):
    schema = copy.deepcopy(orjson.loads(FILES["wanx-v1"]))
    damage(schema)
    with pytest.raises((KeyError, TypeError, ValueError)):
        parse_operation("x", schema)


def test_a_user_s_own_operation_stands_beside_the_others(tmp_path):
    (tmp_path / "mine.json").write_bytes(FILES["wanx-v1"])
    catalog = load_catalog(tmp_path)
    assert "mine" in catalog
    assert catalog["mine"].name == "mine"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        pytest.param("wanx-v1.json", FILES["wanx-v1"], "dsrun has one of this name", id="taken"),
        pytest.param("mine.json", b"{", "not an operation file", id="no JSON"),
        pytest.param("mine.json", b"[]", "not an operation file", id="a list"),
        pytest.param("mine.json", b"{}", "not an operation file", id="empty"),
        pytest.param("mine.json", b"\xff", "not an operation file", id="bytes"),
        pytest.param("mine.json", b'{"type": "text"}', "not a JSON Schema", id="no schema"),
    ],
)
def test_what_is_wrong_in_a_user_s_operation_is_the_user_s_to_know(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=words) as caught:
        load_catalog(tmp_path)
    assert caught.value.problems[0].file == str(tmp_path / name)


def test_a_folder_of_operations_that_is_not_there_is_none(tmp_path):
    assert load_catalog(tmp_path / "none").names == load_catalog().names


def leaves(schema, path=()):
    for key, leaf in schema.get("properties", {}).items():
        yield (*path, key), leaf
        yield from leaves(leaf, (*path, key))
