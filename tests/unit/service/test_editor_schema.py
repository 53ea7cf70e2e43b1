"""The manifest's schema for editors: made of the frame and the operation files."""

import json
from pathlib import Path

import orjson
import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from dsrun.cli.main import main
from dsrun.cli.schema import manifest_text
from dsrun.common.resources import read_schema
from dsrun.common.yaml_document import parse_yaml
from dsrun.service.catalog import load_catalog
from dsrun.service.editor_schema import manifest_schema

ROOT = Path(__file__).resolve().parent.parent.parent.parent
MANIFESTS = [
    *ROOT.glob("tests/manifests/valid/*.yaml"),
    *ROOT.glob("examples/**/*.yaml"),
    *ROOT.glob("pipelines/*.yaml"),
]
SCHEMA = orjson.loads(manifest_text(load_catalog()))
TO_REGENERATE = "dsrun schema manifest >schemas/manifest.json"

OWN = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "sketch",
    "description": "Sketches.",
    "type": "object",
    "required": ["model", "input", "parameters"],
    "properties": {
        "model": {"const": "sketch-1"},
        "input": {
            "type": "object",
            "required": ["messages"],
            "additionalProperties": False,
            "properties": {
                "messages": {
                    "type": "array",
                    "maxItems": 2,
                    "items": {
                        "type": "object",
                        "required": ["text"],
                        "properties": {"text": {"type": "string", "maxLength": 5}},
                    },
                }
            },
        },
        "parameters": {
            "type": "object",
            "required": ["width"],
            "properties": {
                "width": {"type": "integer", "minimum": 64},
                "watermark": {"type": "boolean"},
            },
        },
    },
    "x-dsrun": {
        "protocol": "sync",
        "endpoint": {"method": "POST", "path": "/sketch", "headers": {}, "timeout_s": 60},
        "fill": [],
        "artifacts": [{"media": "image", "at": "/output/picture", "as": "base64"}],
        "outputs": {},
        "price": {
            "currency": "CNY",
            "as_of": "2026-11",
            "items": [{"unit": "image", "amount": "0.5", "units": {"count": True}}],
        },
        "limits": {"requests": 10, "per_s": 60},
    },
}


def step(operation, **sections):
    return {
        "version": 1,
        "name": "a",
        "steps": {"s": {"operation": operation, "input": {"prompt": "a"}, **sections}},
    }


def is_valid(manifest, schema=SCHEMA):
    return Draft202012Validator(schema).is_valid(manifest)


def wanx(**parameters):
    return step("wanx-v1", parameters=parameters)


def reference(address):
    return step("wanx-v1", input={"prompt": "a", "ref_img": address})


def voice(**given):
    required = {"target_model": "qwen3-tts-vd-2026-01-26", "voice_prompt": "a", "preview_text": "a"}
    return step("qwen-voice-design", input=required | given)


def test_the_shipped_schema_is_fresh():
    shipped = (ROOT / "schemas/manifest.json").read_text(encoding="utf-8")
    assert shipped == manifest_text(load_catalog()) + "\n", f"stale; run: {TO_REGENERATE}"


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_every_valid_manifest_is_valid_in_an_editor(path):
    text = path.read_bytes().decode("utf-8-sig")
    value = parse_yaml(text, file=path.name).value
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(value)] == []


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(wanx(n="{{ params.n }}"), id="a number from a template"),
        pytest.param(wanx(style="{% if a %}<anime>{% endif %}"), id="an enum from a statement"),
        pytest.param(wanx(n={"file": "count.txt"}), id="a value from a file"),
        pytest.param(wanx(n=2, seed="{{ seed }}"), id="a field that a rule bounds"),
        pytest.param(reference({"upload": "refs/teapot.jpg"}), id="a file to upload"),
        pytest.param(reference("{{ product.picture }}"), id="an address from a template"),
        pytest.param(wanx(seed=None), id="a seed that is not sent"),
        pytest.param(wanx(n=None, style=None), id="null, which sends nothing"),
        pytest.param(
            step(["wanx-v1", "wan2.6-t2i"], input={"prompt": "a"}), id="a list of operations"
        ),
        pytest.param(
            step("wan-t2i", model="{{ model }}", input={"prompt": "a"}), id="a model from a row"
        ),
        pytest.param(wanx(n=4, seed=2147483644), id="the last seed of four pictures"),
        pytest.param(voice(), id="constants and derived names left out"),
        pytest.param(voice(action="create"), id="a constant written out"),
        pytest.param(step("wanx-v1", input={"prompt": "🏮" * 800}), id="800 emoji"),
    ],
)
def test_what_a_run_would_take_is_valid(manifest):
    assert is_valid(manifest)


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(step("wanx-v9"), id="an operation that is none"),
        pytest.param(step(["wanx-v1", "wanx-v9"], input={}), id="a list with one that is none"),
        pytest.param(step([], input={}), id="a list of none"),
        pytest.param(step(["wan-t2i"], input={}), id="a list with one of several models"),
        pytest.param(
            step("wan-t2i", model="wanx-v1", input={"prompt": "a"}), id="a model of another file"
        ),
        pytest.param(wanx(n=5), id="past a limit"),
        pytest.param(wanx(n="2"), id="a number in quotes"),
        pytest.param(wanx(n=4, seed=2147483645), id="past a rule of two fields"),
        pytest.param(wanx(sample_rate=8000), id="a parameter of another operation"),
        pytest.param(reference({"file": "refs/teapot.jpg"}), id="the text of a picture"),
        pytest.param(wanx(style={"upload": "a.txt"}), id="an upload where none is taken"),
        pytest.param(wanx(n={"file": "a", "folder": "b"}), id="more than a file"),
        pytest.param(step("wanx-v1", input={}), id="a required field left out"),
        pytest.param(step("wanx-v1", input="{{ a }}"), id="a template for a whole section"),
        pytest.param(step("wanx-v1", input={"prompt": "🏮" * 801}), id="801 emoji"),
        pytest.param(voice(preferred_name=None), id="null where the API wants a value"),
        pytest.param(voice(preferred_name="x" * 17), id="a length beside a pattern"),
    ],
)
def test_what_a_run_would_refuse_is_not_valid(manifest):
    assert not is_valid(manifest)


def test_it_says_the_same_in_draft_07():
    for manifest in (wanx(n=5), wanx(n="{{ n }}"), voice(), voice(language="xx"), step("x")):
        assert Draft7Validator(SCHEMA).is_valid(manifest) == is_valid(manifest)


def test_it_has_no_words_that_are_for_dsrun_alone():
    assert not {'"x-dsrun"', '"errorMessage"', '"$comment"'} & set(json.dumps(SCHEMA).split())
    assert "errorMessage" not in manifest_text(load_catalog()).replace("patternErrorMessage", "")


def test_every_field_of_every_operation_is_described_with_what_it_costs():
    fields = SCHEMA["$defs"]["wanx-v1.parameters"]["properties"]
    assert fields["n"]["markdownDescription"].endswith(
        "\n\ninteger, 1 to 4; 1 when absent; 0.16 CNY an image (2026-06)"
    )
    assert fields["seed"]["markdownDescription"].endswith(
        "\n\ninteger, 0 to 2147483647; derived when absent"
    )
    bare = [
        f"{name}.{key}"
        for name, section in SCHEMA["$defs"].items()
        if "." in name
        for key, field in section["properties"].items()
        if not field["markdownDescription"]
    ]
    assert bare == []


class TestOwnOperations:
    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "operations").mkdir()
        (tmp_path / "operations/sketch.json").write_text(json.dumps(OWN), encoding="utf-8")
        return tmp_path

    @pytest.fixture
    def schema(self, folder):
        catalog = load_catalog(folder / "operations")
        frame = orjson.loads(read_schema("frame.json"))
        return manifest_schema(frame, [catalog[name] for name in catalog.names])

    def test_are_a_choice_like_any_other(self, schema):
        choice, several = schema["$defs"]["step"]["properties"]["operation"]["anyOf"]
        assert {"qwen-voice-design", "sketch", "wanx-v1", "wan-t2i"} <= set(choice["enum"])
        assert choice["enumDescriptions"][choice["enum"].index("sketch")] == (
            "Sketches. 0.5 CNY an image (2026-11); 10 requests a minute."
        )
        assert {"sketch", "wan2.6-t2i"} <= set(several["items"]["enum"])
        assert "wan-t2i" not in several["items"]["enum"]

    @pytest.mark.parametrize(
        ("messages", "parameters", "valid"),
        [
            pytest.param([{"text": "abcde"}], {"width": 64}, True, id="good"),
            pytest.param([{"text": "{{ long }}"}], {"width": 64}, True, id="a template deep down"),
            pytest.param("{{ rows }}", {"width": 64}, True, id="a list from a template"),
            pytest.param(["{{ row }}"], {"width": 64}, True, id="an item from a template"),
            pytest.param([{"text": "abcdef"}], {"width": 64}, False, id="a limit deep down"),
            pytest.param([{}], {"width": 64}, False, id="a required field deep down"),
            pytest.param([{"text": "a"}] * 3, {"width": 64}, False, id="too many items"),
            pytest.param([{"text": "a"}], {}, False, id="a required parameter"),
            pytest.param([{"text": "a"}], None, False, id="a required section"),
            pytest.param([{"text": "a"}], {"width": 64, "watermark": 1}, False, id="no boolean"),
        ],
    )
    def test_are_checked_to_the_last_leaf(self, schema, messages, parameters, valid):
        manifest = step("sketch", input={"messages": messages})
        if parameters is not None:
            manifest["steps"]["s"]["parameters"] = parameters
        assert is_valid(manifest, schema) == valid

    def test_are_known_where_the_command_is_given_the_pipeline(self, folder, capsys, monkeypatch):
        (folder / "p.yaml").touch()
        for where in ([str(folder)], [str(folder / "p.yaml")]):
            assert main(["schema", "manifest", *where]) == 0
            assert '"sketch.input"' in capsys.readouterr().out
        assert main(["schema", "sketch", str(folder)]) == 0
        assert json.loads(capsys.readouterr().out) == OWN
        monkeypatch.chdir(folder)
        assert main(["schema", "manifest"]) == 0
        assert '"sketch.input"' in capsys.readouterr().out

    def test_are_not_looked_for_where_nothing_is(self, tmp_path, capsys):
        where = tmp_path / "no-such-folder"
        assert main(["schema", "manifest", str(where)]) == 2
        assert capsys.readouterr().err == f"{where}: no such pipeline or folder\n"
