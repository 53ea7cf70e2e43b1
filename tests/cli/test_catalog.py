"""`dsrun operations` and `dsrun schema` tell what can be asked for; results meet their schema."""

import json

import pytest
from jsonschema import Draft202012Validator


class TestCatalog:
    def test_operations_show_limits_and_prices(self, work):
        outcome = work.dsrun("operations")
        assert (outcome.code, outcome.err) == (0, "")
        source = "price of 2026-06: model price list, Beijing"
        for words in ("wanx-v1", "qwen-voice-design", "0.16 CNY", "0.2 CNY", source):
            assert words in outcome.out

    def test_operations_speak_json(self, work):
        found = {item["name"]: item for item in work.dsrun("operations", "--json").answer}
        assert found.keys() >= {"wanx-v1", "qwen-voice-design"}
        wanx = found["wanx-v1"]
        assert (wanx["requests"], wanx["per_s"], wanx["running_tasks"]) == (2, 1, 1)
        assert wanx["price"]["amount"] == 0.16

    @pytest.mark.parametrize(
        ("folder", "arguments"),
        [(".", []), ("far off", ["far off"]), ("far off", ["far off/demo.yaml"])],
    )
    def test_operations_beside_the_pipeline_are_listed_too(self, work, folder, arguments):
        own = work.folder / folder / "operations"
        own.mkdir(parents=True)
        text = work.dsrun("schema", "wanx-v1").out.replace("wanx-v1", "a-mine")
        (own / "a-mine.json").write_text(text)
        work.posters(1, path=f"{folder}/demo.yaml")
        assert "a-mine" in work.dsrun("operations", *arguments).out
        names = [item["name"] for item in work.dsrun("operations", *arguments, "--json").answer]
        assert {"a-mine", "wanx-v1"} <= set(names)
        assert ("a-mine" in work.dsrun("operations").out) is (folder == ".")

    def test_schema_without_a_name_lists_the_names(self, work):
        outcome = work.dsrun("schema")
        assert outcome.code == 0
        assert set(outcome.out.split()) >= {"manifest", "results", "wanx-v1", "qwen-voice-design"}

    def test_every_schema_is_printed_as_json(self, work):
        for name in work.dsrun("schema").out.split():
            outcome = work.dsrun("schema", name)
            assert (outcome.code, outcome.err) == (0, "")
            assert outcome.answer["$schema"].startswith("https://json-schema.org/")

    def test_results_meet_their_schema(self, work, serve):
        serve("failed-task=0.3", "partial-task=0.5", "moderation=0.2", seed=6)
        work.dsrun(work.posters(6, pictures=2))
        work.dsrun(work.posters_and_voices("calm", name="voices", path="voices.yaml"))
        validator = Draft202012Validator(work.dsrun("schema", "results").answer)
        lines = work.results()
        text = (work.run_dir("voices") / "results.jsonl").read_text().splitlines()
        for line in [*lines, *map(json.loads, text)]:
            assert [error.message for error in validator.iter_errors(line)] == []
