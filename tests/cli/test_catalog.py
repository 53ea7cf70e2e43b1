"""`dsrun operations` and `dsrun schema` tell what can be asked for; results meet their schema."""

import json

import pytest
from jsonschema import Draft202012Validator

from dsrun.common.resources import iter_operation_files
from dsrun.service.catalog import load_catalog
from dsrun.service.catalog_words import price_tables


class TestCatalog:
    def test_operations_show_limits_and_prices(self, work):
        outcome = work.dsrun("operations")
        assert (outcome.code, outcome.err) == (0, "")
        source = "prices of 2026-06 from the model price list, Beijing"
        for words in ("wanx-v1", "qwen-voice-design", "0.16 CNY", "0.2 CNY", source):
            assert words in " ".join(outcome.out.split())

    def test_the_list_says_what_its_columns_are(self, work):
        shown = " ".join(work.dsrun("operations").out.split())
        assert shown.startswith("Of each model: requests a second or a minute, tasks that run at")

    @pytest.mark.parametrize(
        ("name", "rows"),
        [
            (
                "wan2.6-i2v-flash",
                [
                    "resolution audio CNY for each second", "720P false 0.15",
                    "720P true, or none 0.30", "1080P, or none false 0.25",
                    "1080P, or none true, or none 0.50",
                ],
            ),
            ("wan2.6-i2v", ["resolution CNY for each second", "720P 0.60", "1080P, or none 1.00"]),
            ("wan2.2-i2v-plus", ["480P 0.14", "1080P, or none 0.70"]),
            ("happyhorse-1.1-t2v", ["720P 0.90", "1080P, or none 1.20"]),
            ("z-image-turbo", ["prompt_extend CNY for each image", "true 0.20"]),
            ("Tripo/Tripo-P1.0", ["none detailed 4.20", "any other standard, or none 2.80"]),
            (
                "happyhorse-1.0-video-edit",
                ["resolution CNY for each second", "resolution CNY for each second of input film"],
            ),
        ],
    )  # fmt: skip
    def test_a_price_that_hangs_on_fields_is_told_for_each_value(self, work, name, rows):
        lines = work.dsrun("operations", name).out.splitlines()
        assert max(map(len, lines)) <= 80
        shown = [" ".join(line.split()) for line in lines]
        places = [shown.index(row) for row in rows]
        assert places == sorted(places)

    def test_every_amount_of_such_a_table_is_one_of_its_price(self, work):
        catalog = load_catalog()
        for item in map(catalog.__getitem__, catalog.names):
            for rows in price_tables(item):
                amounts = {str(amount) for part in item.price.items for amount in part.amounts}
                assert {row[-1] for row in rows[1:]} <= amounts
                assert all(len(row) == len(rows[0]) and all(row) for row in rows)
                assert len(rows) > 1

    def test_operations_speak_json(self, work):
        found = {item["name"]: item for item in work.dsrun("operations", "--json").answer}
        assert found.keys() >= {"wanx-v1", "qwen-voice-design"}
        wanx = found["wanx-v1"]
        assert (wanx["requests"], wanx["per_s"], wanx["running_tasks"]) == (2, 1, 1)
        assert wanx["price"]["amount"] == 0.16

    def test_operations_have_a_row_for_each_model_that_fits_a_terminal(self, work):
        lines = work.dsrun("operations").out.splitlines()
        # A price of several parts, and a name with its vendor, is wrapped by a terminal alone.
        plain = [line for line in lines if " + " not in line and "kling/" not in line]
        assert max(len(line) for line in plain if "Tripo/" not in line) <= 80
        names = [item["name"] for item in work.dsrun("operations", "--json").answer]
        rows = {line.split()[0]: line for line in lines if line.startswith("  ")}
        assert set(names) <= rows.keys()
        for words in ("2/s", "2 running", "500 open", "0.14 CNY an image"):
            assert words in rows["wan2.2-t2i-flash"]

    def test_json_has_family_results_limits_date_and_source(self, work):
        found = {item["name"]: item for item in work.dsrun("operations", "--json").answer}
        model = found["wan2.5-t2i-preview"]
        assert (model["family"], model["protocol"], model["results"]) == (
            "wan-t2i", "task", ["image"],
        )  # fmt: skip
        assert (model["requests"], model["running_tasks"], model["queued_tasks"]) == (5, 5, 500)
        assert model["price"]["as_of"] == "2026-05"
        assert "catalogue" in model["source"]["price"]

    def test_a_model_that_is_no_longer_developed_says_what_to_use(self, work):
        shown = " ".join(work.dsrun("operations").out.split())
        assert "no longer developed; the page names Wan V2 instead: wan2.2-t2i-flash" in shown
        found = {item["name"]: item["note"] for item in work.dsrun("operations", "--json").answer}
        assert [name for name, note in found.items() if note] == ["wanx-v1"]
        plan = work.dsrun("plan", work.posters(2))
        assert plan.out.count("no longer developed") == 1
        assert "no longer developed" not in plan.err
        (note,) = work.dsrun("plan", "demo.yaml", "--json").answer["notes"]
        assert note.startswith("wanx-v1: Its page calls it outdated")

    @pytest.mark.parametrize("name", ["wanx-v1", "wan2.6-t2i", "qwen-voice-design"])
    def test_one_operation_tells_its_fields_and_gives_an_example_that_can_be_planned(
        self, work, name
    ):
        told = work.dsrun("operations", name).out
        assert max(map(len, told.splitlines())) <= 80
        example = told.partition("As a pipeline:\n")[2]
        (work.folder / "example.yaml").write_text(example)
        assert work.dsrun("plan", "example.yaml", "--json").answer["jobs"] == 1
        (found,) = work.dsrun("operations", name, "--json").answer
        assert all(place in told for place in found["fields"])

    def test_a_file_of_several_models_tells_of_all(self, work):
        names = [item["name"] for item in work.dsrun("operations", "wan-image", "--json").answer]
        assert names == ["wan2.6-t2i", "wan2.6-image", "wan2.7-image-pro", "wan2.7-image"]

    def test_models_that_differ_by_name_only_are_told_of_together(self, work):
        told = work.dsrun("operations", "qwen-image").out
        assert "\nqwen-image-max, qwen-image-max-2025-12-30: Text to image" in told
        assert "qwen-image-2.0, qwen-image-2.0-2026-03-03: " in told
        # Its fields have the same words, but another voice.
        assert "\nqwen3-tts-vd-2026-01-26: " in work.dsrun("operations", "qwen3-tts").out

    def test_it_tells_the_outputs_that_steps_below_can_read(self, work):
        voice = " ".join(work.dsrun("operations", "qwen-voice-design").out.split())
        assert "outputs voice, target_model, for templates of the steps below" in voice
        assert "outputs" not in work.dsrun("operations", "wanx-v1").out

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("qwen-voice-clone", "input.audio.data at most 10485760 characters, or {upload: FILE}"),
            ("wan2.5-i2i-preview", "input.images 1 to 3 items, or {upload: FILE}"),
            ("wanx-v1", "input.ref_img or {upload: FILE}"),
            ("qwen-image-max", "parameters.n integer, 1 Number of pictures"),
            ("z-image-turbo", "input.messages required; array, 1 item One message"),
        ],
    )
    def test_a_field_tells_what_it_takes(self, work, name, words):
        told = " ".join(work.dsrun("operations", name).out.split())
        place, _, what = words.partition(" ")
        assert what in told.partition(f" {place} ")[2][:120]

    @pytest.mark.parametrize(
        ("name", "place", "meaning"),
        [
            (
                "z-image-turbo",
                "input.prompt",
                "What the picture should show, in Chinese or English.",
            ),
            ("wanx-v1", "parameters.ref_strength", "the larger, the closer to the reference"),
            ("wanx-v1", "parameters.seed", "dsrun derives one from the job"),
            ("wanx2.1-imageedit", "input.function", "What to do with the picture."),
        ],
    )
    def test_a_field_tells_what_it_means(self, work, name, place, meaning):
        told = " ".join(work.dsrun("operations", name).out.split())
        assert meaning in told.partition(f" {place} ")[2][:300]
        (found,) = work.dsrun("operations", name, "--json").answer
        assert meaning in found["meanings"][place]

    def test_every_field_of_every_operation_has_a_meaning(self, work):
        for name, _ in iter_operation_files():
            for item in work.dsrun("operations", name, "--json").answer:
                silent = item["fields"].keys() - item["meanings"].keys()
                assert silent <= {"input.action"}, name

    def test_a_limit_that_is_told_is_not_told_again_as_a_meaning(self, work):
        told = " ".join(work.dsrun("operations", "wanx-v1").out.split())
        assert told.count("at most 500 characters") == 1
        assert "At most 500 characters" not in told

    def test_a_name_of_a_model_and_of_a_file_of_others_tells_of_all(self, work):
        names = [item["name"] for item in work.dsrun("operations", "qwen-image", "--json").answer]
        assert names[0] == "qwen-image"
        assert {"qwen-image-2.0", "qwen-image-max"} < set(names)
        assert len(names) == len(set(names))

    def test_an_unknown_name_is_told_with_the_nearest(self, work):
        outcome = work.dsrun("operations", "wanx-v2")
        assert outcome.code == 2
        assert "no operation, pipeline or folder wanx-v2 (did you mean wanx-v1?)" in outcome.err

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
        files = {name for name, _ in iter_operation_files()}
        models = {item["name"] for item in work.dsrun("operations", "--json").answer}
        names = set(work.dsrun("schema").out.split())
        assert names >= models
        for name in names - models | files:
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
