"""An operation file agrees with itself: what `x-dsrun` names is there, and of the right kind."""

import json
from copy import deepcopy

import orjson
import pytest

from dsrun.common.errors import ManifestError
from dsrun.common.resources import iter_operation_files
from dsrun.common.units import Rate
from dsrun.service.agreement import disagreements
from dsrun.service.catalog import load_catalog
from dsrun.service.families import members
from dsrun.service.operation import Limits

BUNDLED = {name: orjson.loads(raw) for name, raw in iter_operation_files()}
VOICE = "qwen-voice-design"
GONE = object()


@pytest.fixture
def load(tmp_path):
    """The catalog with one operation of the user's: `x-dsrun` of a bundled one, changed."""

    def loader(path, value, *, base="wanx-v1", change=None):
        schema = deepcopy(BUNDLED[base])
        here = schema["x-dsrun"]
        *above, last = [int(key) if key.isdecimal() else key for key in path.split(".")]
        for key in above:
            here = here[key]
        if value is GONE:
            del here[last]
        else:
            here[last] = value
        if change:
            change(schema)
        (tmp_path / "mine.json").write_text(json.dumps(schema, indent=2), encoding="utf-8")
        return load_catalog(tmp_path)["mine"]

    return loader


@pytest.mark.parametrize("name", BUNDLED)
def test_the_bundled_files_agree(name):
    for _, schema in [*members(BUNDLED[name])] or [(name, BUNDLED[name])]:
        assert list(disagreements(schema)) == []


NOWHERE = [
    ("fill.0.at", "/parameters/m", "wanx-v1"),
    ("fill.1.span", "/parameters/m", "wanx-v1"),
    ("price.items.0.units", {"value": "/parameters/m"}, "wanx-v1"),
    ("languages.0.at", "/input/promt", "wanx-v1"),
    ("languages.0.named_by", "/input/lang", VOICE),
    ("artifacts.0.asked", "/parameters/m", "wanx-v1"),
    ("artifacts.0.asked", {"at": "/parameters/m", "at_most": True}, "wanx-v1"),
    ("artifacts.0.seed", "/seed", "wanx-v1"),
    ("artifacts.0.asked_format", "/parameters/format", VOICE),
    ("artifacts.0.asked_rate", "/parameters/rate", VOICE),
    ("uploads.fields.0.at", "/input/image", "wanx-v1"),
    ("uploads.fields.0.at", "/input/ref_img/url", "wanx-v1"),
    ("recovery.size", "/size", "wanx-v1"),
    ("recovery.confirm", {"/input/promt": "/output/a"}, "wanx-v1"),
    ("recovery.match", {"/voice_prompt": "/voice_prompt"}, VOICE),
    ("recovery.holds", {"/input/name": "/voice"}, VOICE),
    ("outputs.voice.binds", {"/input/target": "/model"}, VOICE),
]


@pytest.mark.parametrize(("path", "value", "base"), NOWHERE)
def test_a_place_that_no_request_can_have(load, path, value, base):
    with pytest.raises(ManifestError) as caught:
        load(path, value, base=base)
    problem = next(p for p in caught.value.problems if "which no request can have" in p.message)
    assert problem.where.replace("[", ".").replace("]", "").startswith(f"x-dsrun.{path}")
    assert problem.line > 1
    assert "allowed" in problem.message


def test_the_nearest_place_is_named(load):
    with pytest.raises(ManifestError) as caught:
        load("recovery.size", "/parameters/sise")
    assert "did you mean size?" in caught.value.problems[0].message
    assert "allowed below parameters: style, size, n" in caught.value.problems[0].message


@pytest.mark.parametrize("more", [{"additionalProperties": True}, {"patternProperties": {"x": {}}}])
def test_a_place_that_a_request_may_have_is_none_of_them(load, more):
    def change(schema):
        schema["properties"]["input"].update(more)

    assert load("recovery.size", "/input/extra", change=change).recovery.size == "/input/extra"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (
            "artifacts.0.seed",
            "/parameters/style",
            "of type string; allowed: a place of type integer",
        ),
        ("recovery.size", "/parameters/n", "of type integer; allowed: a place of type string"),
        ("fill.1.at", "/input/prompt", "of type string; allowed: a place of type integer"),
        ("fill.0.value", 5, "allowed: 1 to 4"),
        ("fill.0.value", None, "not valid at /parameters/n"),
        ("fill.0.value", GONE, "either value or derive"),
        ("fill.1.value", 1, "either value or derive"),
        ("fill.1", {"at": "/input/prompt", "derive": "name"}, "a derived name has a length"),
        ("fill", [], "has no value for /parameters/n, where the service makes 4"),
        ("languages.0.languages", GONE, "either languages"),
        ("languages.0.languages", [], "either languages"),
        ("price.items.0.units", {"value": "/parameters/style"}, "allowed: a place of type number"),
        ("artifacts.0.asked", "/parameters/seed", 'allowed: "/parameters/seed", which the'),
        ("artifacts.0.asked", GONE, "allowed: nothing, since the artifacts ask for no number"),
        ("uploads.fields.0.formats", ["jpeg"], "did you mean"),
        ("uploads.fields.0.media", "audio", "allowed: aac, amr, flac"),
        ("uploads.fields.0.media", "video", "allowed: mov, mp4"),
        ("uploads.fields.0.media", "movie", "allowed: image, audio, video"),
        ("uploads.fields.0.max_side", 100, "at least min_side, 256"),
        ("recovery.confirm", {"prompt": "/output/a"}, "allowed: a JSON pointer"),
        ("recovery", {"by": "made-list"}, "found made-list with the protocol task"),
        ("recovery.model_name", "wan2.2-t2i", 'allowed: "wanx-v1", the model of the request'),
        ("recovery", {"by": "repeat", "times": 2}, "found repeat with the protocol task"),
        ("recovery.holds", {"/input/prompt": "/a"}, "recovery by task-list has no such key"),
        ("recovery.times", 2, "recovery by task-list has no such key"),
        ("uploads.fields.0.ratio", [2, 1], "the smaller one first"),
        ("uploads.fields.0.at", "/input/*/ref_img", "which no request can have"),
        ("uploads.fields.0.at", "/input", "of type string"),
        ("uploads.fields.0.as", "text", "allowed: address, data"),
        ("price.items.0.bill", ["/usage/n"], "unknown key (did you mean billed?)"),
        ("fills", [], "unknown key (did you mean fill?)"),
        ("artifacts.0.urls", "/url", "unknown key"),
        ("artifacts", {"media": "image", "url": "/output/url"}, "allowed: "),
        ("artifacts", [], "allowed: "),
        ("artifacts.0.at", GONE, "missing; it says where the result stands"),
        ("artifacts.0.as", "file", "allowed: url, base64, value"),
        ("artifacts.0.as", "value", "found value for image; allowed: url, base64"),
        ("artifacts.0.name", "main", "the main one, which has no name"),
        ("artifacts.0.of", "", "nothing here, since it is the main kind"),
        ("artifacts.0.asked", 0, "allowed: "),
        ("artifacts.0.asked", {"at": "/parameters/style"}, "allowed: a place of type integer"),
        ("artifacts.0.error", ["/code"], "allowed: "),
        ("success", {"at": "/output/ok", "is": True, "billd": 1}, "did you mean billed?"),
        ("limits.per_m", 60, "unknown key"),
        ("polling.first", 3, "unknown key"),
        ("recovery.models", "a", "unknown key"),
        ("uploads.hour", 3, "unknown key"),
        ("stream", {}, "unknown key"),
        ("outputs", {"a": {}}, "either at, its place in the answer, or of"),
        ("outputs", {"a": {"at": "output"}}, "allowed: a JSON pointer"),
        ("outputs", {"a": {"at": "/a", "type": "string"}}, "unknown key"),
        ("outputs", {"a": {"at": "/a", "schema": {"type": "text"}}}, "allowed: string, integer"),
        ("outputs", {"a": {"at": "/a", "schema": {"type": []}}}, "allowed: "),
        ("outputs", {"a": {"at": "/a", "binds": {}}}, "allowed: "),
        ("outputs", {"a": {"at": "/a", "binds": {"/model": "model"}}}, "a JSON pointer"),
        ("outputs", {"a": {"at": "/a", "binds": {"model": "/model"}}}, "a JSON pointer"),
        ("outputs", {"a": {"at": "/a/*", "schema": {"type": "string"}}}, "gives a list"),
    ],
)
def test_what_does_not_agree_is_told_at_its_place(load, path, value, words):
    with pytest.raises(ManifestError) as caught:
        load(path, value)
    found = [p for p in caught.value.problems if words in p.message]
    assert found, [p.message for p in caught.value.problems]
    assert all(p.where.startswith("x-dsrun.") and p.line > 1 for p in found)
    assert "$comment" not in found[0].message


MADE_LIST = BUNDLED[VOICE]["x-dsrun"]["recovery"].keys() - {"by"}
NEEDLESS = {"$comment", "delete", "holds", "lost", "match", "most", "query", "total"}


@pytest.mark.parametrize("key", sorted(NEEDLESS))
def test_a_list_of_what_was_made_may_lack_some_of_its_places(load, key):
    assert load(f"recovery.{key}", GONE, base=VOICE).recovery is not None


@pytest.mark.parametrize("key", sorted(MADE_LIST - NEEDLESS))
def test_a_list_of_what_was_made_needs_the_others(load, key):
    with pytest.raises(ManifestError) as caught:
        load(f"recovery.{key}", GONE, base=VOICE)
    assert [p.where for p in caught.value.problems] == [f"x-dsrun.recovery.{key}"]


def test_a_derived_name_fits_into_its_field(load):
    with pytest.raises(ManifestError, match="at most 16, the maxLength of /input/preferred_name"):
        load("fill.0.length", 17, base=VOICE)


def test_a_derived_seed_has_a_largest(load):
    def change(schema):
        del schema["properties"]["parameters"]["properties"]["seed"]["maximum"]

    with pytest.raises(ManifestError, match="must state its maximum"):
        load("limits.per_s", 1, change=change)


def test_a_comment_may_stand_anywhere(load):
    assert load("limits.$comment", ["any", {"thing": 1}]).limits.rate.requests == 2


@pytest.mark.parametrize(
    ("limits", "base", "words"),
    [
        ({"running_tasks": 1}, VOICE, "limits.running_tasks: .*makes no tasks; take it out"),
        ({"queued_tasks": 9}, VOICE, "limits.queued_tasks: .*makes no tasks; take it out"),
        ({"running_tasks": 9, "queued_tasks": 8}, "wanx-v1", "queued_tasks is 8 and running_tasks"),
        ({"tokens": 9}, "wanx-v1", "tokens_s"),
        ({"tokens_s": 9}, "wanx-v1", "tokens"),
        ({"group_running": 9}, "wanx-v1", "group"),
        ({"group": "a b"}, "wanx-v1", "limits.group: .*letters, digits"),
        ({"scope": "acount"}, "wanx-v1", "limits.scope: .*did you mean account"),
        ({"queued": 9}, "wanx-v1", "limits.queued: .*did you mean queued_tasks"),
        ({"queued_tasks": 0}, "wanx-v1", "limits.queued_tasks: .*found 0; allowed: 1 to"),
    ],
)
def test_limits_that_cannot_be_are_refused_with_place_and_words(load, limits, base, words):
    with pytest.raises(ManifestError, match=words):
        load("limits", {"requests": 2, "per_s": 1} | limits, base=base)


def test_limits_are_read_whole(load):
    limits = {
        "requests": 5, "per_s": 60, "running_tasks": 10, "queued_tasks": 20, "tokens": 1200,
        "tokens_s": 6, "group": "kling", "group_running": 10, "scope": "key",
    }  # fmt: skip
    assert load("limits", limits).limits == Limits(
        rate=Rate(requests=5, per_s=60), running_tasks=10, queued_tasks=20,
        tokens=Rate(requests=1200, per_s=6), group="kling", group_running=10, scope="key",
    )  # fmt: skip


def test_a_model_takes_500_open_tasks_unless_its_file_says_otherwise(load):
    assert load("limits", {"requests": 2, "per_s": 1}).limits.queued_tasks == 500
    voice = load("limits", {"requests": 2, "per_s": 1}, base=VOICE)
    assert voice.limits.queued_tasks is None


@pytest.mark.parametrize(
    ("recovery", "words"),
    [
        ({"by": "repeat"}, "missing; recovery by repeat needs it"),
        ({"by": "repeat", "times": 0}, "times"),
        ({"by": "repeat", "times": 11}, "times"),
        ({"by": "repeat", "times": 1.5}, "times"),
        ({"by": "repeat", "times": 1, "match": {"/input/preview_text": "/a"}}, "no such key"),
        ({"by": "voice-list"}, "allowed: task-list, made-list, repeat"),
        ({"by": "task-list"}, "found task-list with the protocol sync"),
    ],
)
def test_a_recovery_that_is_none(load, recovery, words):
    with pytest.raises(ManifestError) as caught:
        load("recovery", recovery, base=VOICE)
    assert any(words in str(problem) for problem in caught.value.problems), caught.value


def test_a_list_without_a_text_of_the_request_tells_nothing(load):
    recovery = {**BUNDLED[VOICE]["x-dsrun"]["recovery"]}
    del recovery["match"], recovery["holds"]
    with pytest.raises(ManifestError, match="needs match or holds"):
        load("recovery", recovery, base=VOICE)


BY_NAME = {"body": {"model": "m", "input": {"action": "query"}}, "name": "/input/voice"}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("recovery.query.name", "/inputs/voice", "a free place in an object of body"),
        ("recovery.query.name", "/input/action", "a free place in an object of body"),
        ("recovery.delete.name", "/model/voice", "a free place in an object of body"),
        ("recovery.delete.name", "voice", "a JSON pointer"),
        ("recovery.delete", BY_NAME | {"row": "/output"}, "found in delete; allowed: in query"),
        ("recovery.query", {"body": {}}, "name"),
        ("recovery.query", BY_NAME | {"rows": "/output"}, "unknown key"),
        ("recovery.most", 0, "most"),
        ("recovery.most", "1000", "most"),
    ],
)
def test_asking_by_name_that_cannot_be(load, path, value, words):
    with pytest.raises(ManifestError) as caught:
        load(path, value, base=VOICE)
    assert any(words in str(problem) for problem in caught.value.problems), caught.value


@pytest.mark.parametrize("other", ["query", "body"])
def test_what_deletes_is_no_other_request(load, other):
    recovery = json.loads(json.dumps(BUNDLED[VOICE]["x-dsrun"]["recovery"]))
    recovery["delete"]["body"] = recovery["body"] if other == "body" else recovery[other]["body"]
    with pytest.raises(ManifestError, match="one body for two of listing, query and delete"):
        load("recovery", recovery, base=VOICE)


def test_a_list_may_say_neither_how_it_is_asked_nor_how_it_is_deleted_from(load):
    recovery = BUNDLED[VOICE]["x-dsrun"]["recovery"]
    less = {key: value for key, value in recovery.items() if key not in ("query", "delete", "most")}
    made = load("recovery", less, base=VOICE).recovery
    assert (made.query, made.delete, made.most) == (None, None, None)
    whole = load("recovery", recovery, base=VOICE).recovery
    assert (whole.query.row, whole.delete.name, whole.most) == ("/output", ("input", "voice"), 1000)


@pytest.mark.parametrize(
    "name",
    [n for n, one in BUNDLED.items() if "items" in one["x-dsrun"].get("recovery", {})],
)
def test_every_bundled_list_says_how_one_is_asked_for_and_deleted(name):
    recovery = BUNDLED[name]["x-dsrun"]["recovery"]
    listing = recovery["body"]["input"]["action"]
    for verb in ("query", "delete"):
        assert recovery[verb]["body"]["model"] == recovery["body"]["model"]
        assert recovery[verb]["body"]["input"] == {"action": listing.replace("list", verb)}


LISTENING = "paraformer"


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ({"of": "words"}, 'found "words"; allowed: the name of a kind that is a text or JSON: ""'),
        ({"of": "text", "at": "/usage/duration"}, "either at, its place in the answer, or of"),
        ({}, "either at, its place in the answer, or of"),
        ({"of": "text", "schema": {"type": "array"}}, "allowed: string, for a file"),
        ({"of": "text", "schema": {"type": ["string", "object"]}}, "allowed: string, for a file"),
        ({"of": 1}, "of"),
    ],
)
def test_an_output_of_a_file_that_cannot_be(load, output, words):
    with pytest.raises(ManifestError) as caught:
        load("outputs", {"text": output}, base=LISTENING)
    assert any(words in str(problem) for problem in caught.value.problems), caught.value


def test_an_output_of_a_file_is_none_of_the_answer():
    operation = load_catalog()["paraformer-v2"]
    assert operation.file_outputs == {"text": "text"}
    assert operation.output_rules["text"].types == ("string",)
    assert operation.outputs == {}


def test_a_picture_is_no_text(load):
    with pytest.raises(ManifestError, match="is a text or JSON: there is none"):
        load("outputs", {"text": {"of": ""}})
