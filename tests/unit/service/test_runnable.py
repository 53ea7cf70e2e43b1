"""A user's operation file that dsrun cannot run yet is refused when it is loaded, at its place."""

import json
from copy import deepcopy

import orjson
import pytest

from dsrun.common.errors import ManifestError
from dsrun.common.media import MEDIA
from dsrun.common.resources import iter_operation_files
from dsrun.service.catalog import load_catalog
from dsrun.service.families import members
from dsrun.service.runnable import unrunnable

BUNDLED = {name: orjson.loads(raw) for name, raw in iter_operation_files()}


@pytest.fixture
def load(tmp_path):
    """The catalog with one operation of the user's: a bundled one, changed."""

    def loader(change, *, base="wanx-v1"):
        schema = deepcopy(BUNDLED[base])
        change(schema)
        (tmp_path / "mine.json").write_text(json.dumps(schema, indent=2), encoding="utf-8")
        return load_catalog(tmp_path)["mine"]

    return loader


@pytest.fixture
def refused(load, tmp_path):
    """The problems of a file that is refused: place and words."""

    def check(change, *, base="wanx-v1"):
        with pytest.raises(ManifestError) as caught:
            load(change, base=base)
        problems = caught.value.problems
        assert {p.file for p in problems} == {str(tmp_path / "mine.json")}
        assert all(p.line > 1 for p in problems)
        assert all(p.message.startswith("not an operation file: ") for p in problems)
        return {p.where: p.message.removeprefix("not an operation file: ") for p in problems}

    return check


def putting(path, value):
    """A change of `x-dsrun` at a dotted path."""

    def change(schema):
        here = schema["x-dsrun"]
        *above, last = path.split(".")
        for key in above:
            here = here[int(key)] if isinstance(here, list) else here[key]
        here[int(last) if isinstance(here, list) else last] = value

    return change


def as_sync(schema):
    schema["x-dsrun"]["protocol"] = "sync"
    schema["x-dsrun"]["endpoint"]["headers"] = {}
    del schema["x-dsrun"]["recovery"]
    for key in ("running_tasks", "queued_tasks"):
        del schema["x-dsrun"]["limits"][key]


def as_task(schema):
    schema["x-dsrun"]["protocol"] = "task"
    del schema["x-dsrun"]["recovery"]


@pytest.mark.parametrize("name", BUNDLED)
def test_the_bundled_files_can_be_run(name):
    for _, schema in [*members(BUNDLED[name])] or [(name, BUNDLED[name])]:
        assert list(unrunnable(schema)) == []


@pytest.mark.parametrize("media", MEDIA)
def test_files_of_every_kind_can_be_kept(media):
    schema = deepcopy(BUNDLED["wanx-v1"])
    putting("artifacts.0.media", media)(schema)
    assert list(unrunnable(schema)) == []


@pytest.mark.parametrize("media", ["Image", "movie", ""])
def test_a_kind_of_files_that_nobody_knows(refused, media):
    words = refused(putting("artifacts.0.media", media))["x-dsrun.artifacts[0].media"]
    assert ", ".join(MEDIA) in words


def test_a_sync_operation_may_answer_with_addresses(load):
    assert load(as_sync).main.given == "url"


def test_a_task_may_have_its_file_in_the_answer(load):
    assert load(as_task, base="qwen-voice-design").main.given == "base64"


@pytest.mark.parametrize(
    "model",
    [{"type": "string"}, {"const": 7}, {"const": ""}, {"enum": []}, True],
)
def test_anything_but_one_model_with_a_name(refused, model):
    found = refused(lambda schema: schema["properties"].update(model=model))
    assert list(found) == ["properties.model"]
    assert "allowed: the name of one model, as its const" in found["properties.model"]


def test_no_model_at_all(refused):
    assert list(refused(lambda schema: schema["properties"].pop("model"))) == ["properties.model"]


def test_a_sync_operation_that_asks_for_a_task(refused):
    headers = {"X-DashScope-Async": "enable"}
    found = refused(putting("endpoint.headers", headers), base="qwen-voice-design")
    assert list(found) == ["x-dsrun.endpoint.headers.X-DashScope-Async"]


@pytest.mark.parametrize("value", ["", "disable", "Enable"])
def test_a_task_that_asks_for_none(refused, value):
    found = refused(putting("endpoint.headers", {"x-dashscope-async": value}))
    assert found == {
        "x-dsrun.endpoint.headers.x-dashscope-async": f'found "{value}"; allowed: enable, for a '
        "task"
    }


def test_a_task_is_asked_for_also_where_the_file_forgets_it(load):
    assert load(putting("endpoint.headers", {})).headers == {"X-DashScope-Async": "enable"}


def test_a_star_that_would_find_nothing(refused):
    found = refused(putting("price.items.0.billed.0", "/output/results/*"))
    assert list(found) == ["x-dsrun.price.items[0].billed[0]"]
    assert all("* in artifacts, outputs, units, uploads and" in words for words in found.values())


@pytest.mark.parametrize("path", ["artifacts.0.at", "outputs"])
def test_a_star_that_finds_each(load, path):
    load(putting(path, {"a": "/output/*/a"} if path == "outputs" else "/output/results/*"))


@pytest.mark.parametrize(
    ("path", "headers"), [("/a/../b", {}), ("/a", {"Authorization": "x"})], ids=["path", "header"]
)
def test_an_endpoint_that_is_none_is_told_at_its_place(refused, path, headers):
    (where,) = refused(
        lambda schema: schema["x-dsrun"]["endpoint"].update(path=path, headers=headers)
    )
    assert where.startswith("x-dsrun.endpoint.")
