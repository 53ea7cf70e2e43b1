"""Operation files of the user's beside a manifest: served as they say, or always refused."""

import copy
import json

import orjson
import pytest

from dsrun.common.resources import iter_operation_files

BUNDLED = {name: orjson.loads(raw) for name, raw in iter_operation_files()}
WANX, VOICE = BUNDLED["wanx-v1"], BUNDLED["qwen-voice-design"]


@pytest.fixture
def write(work):
    """Write an operation file: a bundled one, changed; returns its file's name."""

    def writer(name, base, change):
        schema = copy.deepcopy(base)
        change(schema)
        folder = work.folder / "operations"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(schema, indent=2), encoding="utf-8")
        return f"operations/{name}.json"

    return writer


def scent(schema):
    schema["x-dsrun"]["artifacts"][0]["media"] = "scent"


def pictures_at_once(schema):
    """A sync operation that answers with addresses."""
    about = schema["x-dsrun"]
    about["protocol"] = "sync"
    about["endpoint"]["headers"] = {}
    about["limits"] = {"requests": 2, "per_s": 1}
    del about["recovery"]


def uses(work, name, words="input: {prompt: a cat}", **more):
    steps = f"steps:\n  s:\n    operation: {name}\n    {words}\n"
    return work.pipeline(steps + "".join(f"    {k}: {v}\n" for k, v in more.items()))


def task_nobody_fetches(schema):
    """A sync operation that asks for a task."""
    pictures_at_once(schema)
    schema["x-dsrun"]["endpoint"]["headers"] = {"X-DashScope-Async": "enable"}


@pytest.fixture(params=[scent, task_nobody_fetches])
def refused(request, write):
    """The name of a file that dsrun cannot run."""
    return write("mine", WANX, request.param)


@pytest.mark.parametrize("used", ["wanx-v1", "mine"])
@pytest.mark.parametrize(
    "command",
    [
        ["run", "--emulate"], ["run"], ["plan", "--json"], ["validate"], ["status", "--json"],
        ["cron"], ["ledger"], ["schema", "manifest"],
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_run_is_refused_used_or_not(work, emulator, refused, command, used):
    outcome = work.dsrun(*command, uses(work, used))
    assert outcome.code == 2
    assert f"{refused}:" in outcome.err
    assert ": x-dsrun." in outcome.err
    assert "not an operation file: " in outcome.err
    assert emulator.creates() == {}


@pytest.mark.parametrize("command", ["report", "verify", "ledger", "explain s/0", "status"])
def test_a_run_made_before_it_came_can_still_be_looked_at(work, emulator, write, command):
    assert work.dsrun(uses(work, "wanx-v1")).code == 0
    write("mine", WANX, scent)
    assert work.dsrun(*command.split(), work.run_dir()).code == 0


def test_all_files_that_are_wrong_are_told_at_once(work, write):
    files = [write("scent", WANX, scent), write("talk", VOICE, scent)]
    (work.folder / "operations/broken.json").write_text("{", encoding="utf-8")
    outcome = work.dsrun("validate", uses(work, "wanx-v1"))
    assert outcome.code == 2
    for file in ("operations/broken.json", *files):
        assert f"{file}:" in outcome.err


def no_header(schema):
    schema["x-dsrun"]["endpoint"]["headers"] = {}


def no_bill(schema):
    del schema["x-dsrun"]["price"]["items"][0]["billed"]


def elsewhere(schema):
    schema["x-dsrun"]["endpoint"]["path"] = "/pictures/new"


def another_list(schema):
    schema["x-dsrun"]["artifacts"][0] |= {"each": "/output/images/*", "at": "/at/address"}


def any_size(schema):
    schema["properties"]["parameters"]["properties"]["size"] = True
    del schema["x-dsrun"]["recovery"]


@pytest.mark.parametrize("change", [no_header, no_bill, elsewhere, another_list, any_size])
def test_a_task_as_its_file_has_it_is_emulated(work, write, change):
    write("mine", WANX, change)
    pipeline = uses(work, "mine", parameters="{n: 2}")
    assert work.dsrun(pipeline, "--emulate").code == 0
    (line,) = work.results()
    assert [len(line["artifacts"]), line["status"]] == [2, "succeeded"]


def test_a_picture_in_the_answer_itself_is_emulated(work, write):
    def change(schema):
        pictures_at_once(schema)
        schema["x-dsrun"]["artifacts"] = [
            {"media": "image", "at": "/output/picture", "as": "base64"}
        ]
        schema["x-dsrun"]["fill"] = []

    write("mine", WANX, change)
    assert work.dsrun(uses(work, "mine"), "--emulate").code == 0
    (line,) = work.results()
    assert [item["media_type"] for item in line["artifacts"]] == ["image/png"]


def test_pictures_at_addresses_in_the_answer_are_emulated(work, write):
    write("mine", WANX, pictures_at_once)
    assert work.dsrun(uses(work, "mine", parameters="{n: 2}"), "--emulate").code == 0
    (line,) = work.results()
    assert [len(line["artifacts"]), line["status"]] == [2, "succeeded"]


def test_a_made_thing_with_other_words_than_a_voice_is_emulated(work, write):
    def change(schema):
        words = schema["properties"]["input"]
        for old, new in {"voice_prompt": "look", "preview_text": "text"}.items():
            words["properties"][new] = words["properties"].pop(old)
            words["required"][words["required"].index(old)] = new
        about = schema["x-dsrun"]
        about["languages"] = []
        about["recovery"]["match"] = {"/input/look": "/look"}

    write("mine", VOICE, change)
    words = "input: {target_model: qwen3-tts-vd-2026-01-26, look: calm, text: Good evening.}"
    assert work.dsrun(uses(work, "mine", words), "--emulate").code == 0


def test_a_narrower_file_of_the_same_model_changes_nothing_for_the_bundled_one(work, write):
    def change(schema):
        schema["properties"]["parameters"]["properties"]["n"]["maximum"] = 1
        schema["x-dsrun"]["artifacts"][0]["each"] = "/output/others/*"

    write("mine", WANX, change)
    assert work.dsrun(uses(work, "wanx-v1", parameters="{n: 3}"), "--emulate").code == 0
    (line,) = work.results()
    assert len(line["artifacts"]) == 3


@pytest.mark.parametrize("command", [["run", "--emulate"], ["plan"], ["schema", "manifest"]])
@pytest.mark.parametrize("at", ["input", "input.properties.prompt", "parameters.properties.size"])
def test_a_part_that_may_be_anything_is_no_bug(work, write, command, at):
    def change(schema):
        *above, last = at.split(".")
        here = schema["properties"]
        for key in above:
            here = here[key]
        here[last] = True
        schema["x-dsrun"]["languages"] = []
        del schema["x-dsrun"]["uploads"], schema["x-dsrun"]["recovery"]

    write("mine", WANX, change)
    assert work.dsrun(*command, uses(work, "mine")).code == 0


def test_a_key_that_no_request_may_have_is_told(work, write):
    def change(schema):
        schema["properties"]["parameters"]["properties"]["style"] = False

    write("mine", WANX, change)
    outcome = work.dsrun("plan", uses(work, "mine", parameters="{style: '<anime>'}"))
    assert outcome.code == 2
    assert "steps.s.parameters.style" in outcome.err
