"""Where an operation is called; the key goes there, so its file chooses no host."""

import copy
from dataclasses import replace

import orjson
import pytest

from dsrun.common.errors import ManifestError, SetupError
from dsrun.common.resources import iter_operation_files
from dsrun.service.catalog import load_catalog
from dsrun.service.endpoint import address_of

VOICE = orjson.loads(dict(iter_operation_files())["qwen-voice-design"])
RERANK = replace(load_catalog()["qwen-voice-design"], root="/compatible-api/v1", path="/reranks")
USUAL = replace(RERANK, root="/api/v1")


@pytest.mark.parametrize(
    ("base", "address"),
    [
        ("https://api.example/api/v1", "https://api.example/compatible-api/v1/reranks"),
        ("https://api.example/api/v1/", "https://api.example/compatible-api/v1/reranks"),
        ("http://10.0.0.1:8080/x/api/v1", "http://10.0.0.1:8080/x/compatible-api/v1/reranks"),
        (
            "https://gate.example/compatible-api/v1",
            "https://gate.example/compatible-api/v1/reranks",
        ),
        (
            "https://api.example/a/compatible-api/v1/",
            "https://api.example/a/compatible-api/v1/reranks",
        ),
    ],
)
def test_another_root_takes_the_place_of_the_usual_one(base, address):
    assert address_of(RERANK, base) == address


@pytest.mark.parametrize(
    "base",
    ["https://gate.example/ai", "https://gate.example", "http://api/v1", "https://x/api/v1/more"],
)
def test_a_base_url_with_another_end_has_to_name_the_root(base):
    with pytest.raises(SetupError, match="DASHSCOPE_HTTP_BASE_URL") as caught:
        address_of(RERANK, base)
    assert "/compatible-api/v1" in str(caught.value)


@pytest.mark.parametrize("base", ["https://gate.example/ai", "https://api.example/api/v1/"])
def test_the_usual_root_is_in_every_base_url(base):
    assert address_of(USUAL, base) == base.rstrip("/") + "/reranks"


def test_a_path_may_end_in_a_slash():
    operation = replace(USUAL, path="/services/a/")
    assert address_of(operation, "https://a.example/api/v1").endswith("/services/a/")


@pytest.fixture
def load(tmp_path):
    def loader(**endpoint):
        schema = copy.deepcopy(VOICE)
        schema["properties"]["model"] = {"type": "string", "enum": ["one", "two"]}
        schema["x-dsrun"]["endpoint"] |= endpoint
        (tmp_path / "mine.json").write_bytes(orjson.dumps(schema, option=orjson.OPT_INDENT_2))
        return load_catalog(tmp_path)

    return loader


def by_model(**rows):
    return {"by": ["/model"], "table": rows}


def test_path_and_headers_may_differ_by_model(load):
    header = {"X-DashScope-DataInspection": "enable"}
    catalog = load(
        root="/compatible-api/v1",
        path=by_model(one="/a", two="/b/"),
        headers=by_model(one=header, two={}),
    )
    assert [catalog[name].path for name in ("one", "two")] == ["/a", "/b/"]
    assert [catalog[name].headers for name in ("one", "two")] == [header, {}]
    assert {catalog[name].root for name in ("one", "two")} == {"/compatible-api/v1"}


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("root", "//evil.example"), ("root", "@evil.example"), ("root", "api/v1"), ("root", "/a/"),
        ("root", "/../a"), ("root", "/a/.."), ("root", 5), ("root", "/a?b"),
        ("path", "//evil.example"), ("path", "/a//"), ("path", "/a/./b"), ("path", "/%2e%2e/a"),
        ("path", by_model(one="/a", two="/../b")), ("path", by_model(one="/a", two=5)),
        ("path", by_model(one="/a")), ("path", by_model(one="/a", two="@evil.example")),
        ("headers", by_model(one={}, two={"Authorization": "x"})),
        ("headers", by_model(one={}, two={"X-DashScope-A": "a\r\nb: c"})),
        ("headers", by_model(one={}, two={"X-DashScope-A": 5})),
        ("headers", by_model(one={}, two=[])),
        ("headers", by_model(one={}, two={"X-DashScope-WorkSpace": "ws"})),
    ],
)  # fmt: skip
def test_what_would_lead_elsewhere_is_refused(load, key, wrong):
    with pytest.raises(ManifestError) as caught:
        load(**{key: wrong})
    assert "not an operation file" in str(caught.value)
