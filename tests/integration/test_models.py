"""A family of models: each is an operation of its own, in its own lane; and more picture models."""

import orjson
import pytest
from PIL import Image

STEPS = """\
steps:
  old:
    operation: wanx-v1
    matrix: {thing: [a lamp, a boat]}
    input: {prompt: "{{ thing }}"}
  quick:
    operation: wan2.2-t2i-flash
    matrix: {thing: [a lamp, a boat]}
    input: {prompt: "{{ thing }}"}
    parameters: {size: 800*600}
  fine:
    operation: wan-t2i
    model: wan2.5-t2i-preview
    matrix: {thing: [a lamp, a boat]}
    input: {prompt: "{{ thing }}"}
"""


def test_models_run_side_by_side(work):
    pipeline = work.pipeline(STEPS)
    assert work.dsrun("run", pipeline, "--emulate", "--no-progress").code == 0
    run_dir = next((work.folder / "outputs/demo").glob("emulated-*"))
    rows = [orjson.loads(line) for line in (run_dir / "results.jsonl").read_bytes().splitlines()]
    assert [row["request"]["model"] for row in rows] == [
        *["wanx-v1"] * 2, *["wan2.2-t2i-flash"] * 2, *["wan2.5-t2i-preview"] * 2
    ]  # fmt: skip
    assert {row["status"] for row in rows} == {"succeeded"}
    assert [row["cost"]["amount"] for row in rows] == [0.16, 0.16, 0.14, 0.14, 0.2, 0.2]


def test_a_model_is_the_same_operation_by_either_name(work):
    by_file = work.dsrun("plan", work.pipeline(STEPS), "--json").answer
    by_model = STEPS.replace("operation: wan-t2i\n    model:", "operation:")
    assert (
        work.dsrun("plan", work.pipeline(by_model), "--json").answer["digest"] == by_file["digest"]
    )


def test_a_file_of_several_models_wants_to_know_which(work):
    refused = work.dsrun(
        "validate", work.pipeline(STEPS.replace("    model: wan2.5-t2i-preview\n", ""))
    )
    assert refused.code == 2
    assert "steps.fine.model: missing; allowed: wan2.5-t2i-preview, " in refused.err


MESSAGES = """\
steps:
  text:
    operation: wan2.6-t2i
    matrix: {thing: [a lamp, a boat]}
    input: {prompt: "{{ thing }}"}
    parameters: {n: 2}
  edit:
    operation: wan2.7-image
    input: {prompt: in oil, images: ["https://pictures.example/a.png"]}
"""


def test_results_in_the_parts_of_choices_are_fetched(work):
    assert work.dsrun("run", work.pipeline(MESSAGES), "--emulate", "--no-progress").code == 0
    run_dir = next((work.folder / "outputs/demo").glob("emulated-*"))
    rows = [orjson.loads(line) for line in (run_dir / "results.jsonl").read_bytes().splitlines()]
    assert [len(row["artifacts"]) for row in rows] == [2, 2, 1]
    content = [{"image": "https://pictures.example/a.png"}, {"text": "in oil"}]
    assert rows[2]["request"]["input"]["messages"] == [{"role": "user", "content": content}]


def test_the_short_form_and_the_documented_one_are_one_job(work):
    def ids(text):
        plan = work.dsrun("plan", work.pipeline(text), "--json", "--full").answer
        return [job["job_id"] for job in plan["job_list"]]

    written_out = '{messages: [{role: user, content: [{text: "{{ thing }}"}]}]}'
    assert ids(MESSAGES) == ids(MESSAGES.replace('{prompt: "{{ thing }}"}', written_out))


def test_a_problem_of_a_part_is_told_where_it_is_written(work):
    refused = work.dsrun("validate", work.pipeline(MESSAGES.replace("in oil", '""')))
    assert refused.code == 2
    assert "steps.edit.input.prompt: found an empty text" in refused.err


PICTURES = """\
steps:
  draw:
    operation: qwen-image-tasks
    model: qwen-image-plus
    matrix: {thing: [a lamp, a boat]}
    input: {prompt: "{{ thing }}"}
  edit:
    operation: wanx2.1-imageedit
    input:
      function: description_edit_with_mask
      prompt: a red hat
      base_image_url: {upload: a.png}
      mask_image_url: {upload: mask.png}
    parameters: {n: 2}
  mix:
    operation: wan2.5-i2i-preview
    input: {prompt: both, images: ["https://pictures.example/a.png", "https://a.example/b.png"]}
    parameters: {n: 2, size: 1280*1280}
  translate:
    operation: qwen-mt-image
    matrix: {language: [en, ja]}
    input: {image_url: {upload: a.png}, source_lang: zh, target_lang: "{{ language }}"}
"""


def test_pictures_are_drawn_edited_and_translated(work):
    for name, colour in (("a.png", "red"), ("mask.png", "white")):
        Image.new("RGB", (512, 600), colour).save(work.folder / name)
    outcome = work.dsrun("run", work.pipeline(PICTURES), "--emulate", "--no-progress")
    assert outcome.code == 0, outcome.err
    run_dir = next((work.folder / "outputs/demo").glob("emulated-*"))
    rows = [orjson.loads(line) for line in (run_dir / "results.jsonl").read_bytes().splitlines()]
    assert {row["status"] for row in rows} == {"succeeded"}
    assert [len(row["artifacts"]) for row in rows] == [1, 1, 2, 2, 1, 1]
    assert [row["cost"]["amount"] for row in rows] == [0.2, 0.2, 0.28, 0.4, 0.003, 0.003]
    assert rows[0]["request"]["parameters"]["size"] == "1664*928"
    assert rows[2]["request"]["input"]["mask_image_url"].keys() == {"upload"}


def test_a_picture_at_the_edge_of_what_a_model_takes_is_worked_on(work):
    Image.new("RGB", (15, 150)).save(work.folder / "a.png")
    translate = "steps:\n" + PICTURES[PICTURES.index("  translate:") :]
    outcome = work.dsrun("run", work.pipeline(translate), "--emulate", "--no-progress")
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize("size", [(511, 512), (512, 4097)], ids=str)
def test_a_picture_that_a_model_does_not_take_is_not_sent(work, size):
    Image.new("RGB", (512, 512)).save(work.folder / "a.png")
    Image.new("RGB", size).save(work.folder / "mask.png")
    refused = work.dsrun("validate", work.pipeline(PICTURES))
    assert refused.code == 2
    assert "steps.edit.input.mask_image_url.upload: " in refused.err
    assert "512x512 to 4096x4096" in refused.err


SIDE_BY_SIDE = """\
steps:
  compare:
    operation: [wan2.6-t2i, qwen-image-plus, wan2.2-t2i-flash, wanx-v1]
    matrix: {thing: [a lamp, a boat]}
    input: {prompt: "{{ thing }}"}
    filename: "{{ thing | slug }}/{{ operation }}"
"""
BY_ROW = """\
steps:
  compare:
    operation: wan-t2i
    model: "{{ model }}"
    matrix: {model: [wan2.2-t2i-flash, wan2.5-t2i-preview], thing: [a lamp, a boat]}
    input: {prompt: "{{ thing }}"}
"""


def results_of(work):
    run_dir = next((work.folder / "outputs/demo").glob("emulated-*"))
    return [orjson.loads(line) for line in (run_dir / "results.jsonl").read_bytes().splitlines()]


def test_the_same_prompts_run_on_several_models(work):
    assert work.dsrun("run", work.pipeline(SIDE_BY_SIDE), "--emulate", "--no-progress").code == 0
    rows = results_of(work)
    assert [(row["matrix"]["operation"], row["matrix"]["thing"]) for row in rows] == [
        (name, thing)
        for name in ("wan2.6-t2i", "qwen-image-plus", "wan2.2-t2i-flash", "wanx-v1")
        for thing in ("a lamp", "a boat")
    ]
    assert [row["request"]["model"] for row in rows] == [row["matrix"]["operation"] for row in rows]
    assert {row["status"] for row in rows} == {"succeeded"}
    assert [row["cost"]["amount"] for row in rows[::2]] == [0.2, 0.2, 0.14, 0.16]
    assert rows[0]["artifacts"][0]["path"] == "artifacts/compare/a-lamp/wan2.6-t2i.png"


def test_a_row_names_the_model_of_its_family(work):
    assert work.dsrun("run", work.pipeline(BY_ROW), "--emulate", "--no-progress").code == 0
    rows = results_of(work)
    assert [row["request"]["model"] for row in rows] == [row["matrix"]["model"] for row in rows]
    assert [row["cost"]["amount"] for row in rows] == [0.14, 0.14, 0.2, 0.2]


def test_a_job_is_not_sent_again_by_a_step_that_compares(work):
    alone = SIDE_BY_SIDE.replace("[wan2.6-t2i, qwen-image-plus, wan2.2-t2i-flash, wanx-v1]", "{}")
    for name in ("wanx-v1", "qwen-image-plus"):
        text = alone.replace("{}", name).replace("{{ operation }}", name)
        assert work.dsrun("run", work.pipeline(text), "--emulate", "--no-progress").code == 0
    plan = work.dsrun("plan", work.pipeline(SIDE_BY_SIDE), "--emulate", "--json").answer
    assert (plan["cached"], plan["to_send"]) == (4, 4)
    assert {name: each["to_send"] for name, each in plan["by_model"].items()} == {
        "wan2.6-t2i": 2, "qwen-image-plus": 0, "wan2.2-t2i-flash": 2, "wanx-v1": 0
    }  # fmt: skip


def test_a_plan_tells_jobs_and_cost_of_each_model(work):
    pipeline = work.pipeline(SIDE_BY_SIDE)
    plan = work.dsrun("plan", pipeline, "--json").answer
    assert plan["cost"]["amount"] == 1.4
    step = plan["steps"]["compare"]
    assert (step["operation"], step["price"]) == (list(plan["by_model"]), None)
    assert (step["jobs"], step["cost"]["amount"]) == (8, 1.4)
    wan = plan["by_model"]["wan2.6-t2i"]
    assert wan["cost"] == {"amount": 0.4, "currency": "CNY"}
    assert (wan["jobs"], wan["running_tasks"]) == (2, 5)
    told = work.dsrun("plan", pipeline).out
    assert [line.split()[1:3] for line in told.splitlines() if line.startswith("compare  ")] == [
        [name, "2"] for name in plan["by_model"]
    ]


def test_the_slowest_model_bounds_the_time(work):
    (work.folder / "own.yaml").write_text("version: 1\nname: own\n" + SIDE_BY_SIDE)
    plan = work.dsrun("plan", "own.yaml", "--json").answer
    assert plan["by_model"]["wan2.6-t2i"]["rate"] == {"requests": 1, "per_s": 1}
    assert plan["by_model"]["wanx-v1"]["rate"] == {"requests": 2, "per_s": 1}
    assert (plan["shortest_time_s"], plan["bound_by"]) == (1.0, "wan2.6-t2i: 1 request a second")


def test_a_selection_of_one_model_costs_what_it_costs(work):
    plan = work.dsrun(
        "plan", work.pipeline(SIDE_BY_SIDE), "--json", "--only", "operation == 'wan2.2-t2i-flash'"
    ).answer
    assert (plan["jobs"], plan["cost"]["amount"]) == (2, 0.28)


def test_status_tells_what_became_of_each_model(work):
    assert work.dsrun("run", work.pipeline(BY_ROW), "--emulate", "--no-progress").code == 0
    run_dir = next((work.folder / "outputs/demo").glob("emulated-*"))
    told = work.dsrun("status", run_dir).out
    assert "  wan2.2-t2i-flash: 2 succeeded\n  wan2.5-t2i-preview: 2 succeeded\n" in told
    by_model = work.dsrun("status", run_dir, "--json").answer["by_model"]
    assert {name: each["jobs"] for name, each in by_model.items()} == {
        "wan2.2-t2i-flash": {"succeeded": 2}, "wan2.5-t2i-preview": {"succeeded": 2}
    }  # fmt: skip


def test_beside_a_step_that_compares_the_model_of_another_step_is_told_too(work):
    other = """
  again:
    operation: wanx-v1
    input: {prompt: a lamp}
"""
    assert work.dsrun("run", work.pipeline(BY_ROW + other), "--emulate", "--no-progress").code == 0
    run_dir = next((work.folder / "outputs/demo").glob("emulated-*"))
    told = work.dsrun("status", run_dir).out
    assert "  wan2.5-t2i-preview: 2 succeeded\n  wanx-v1: 1 succeeded\n" in told


def test_where_no_step_compares_the_models_have_no_lines(work):
    one = """
steps:
  one: {operation: wanx-v1, input: {prompt: a lamp}}
  two: {operation: wan2.2-t2i-flash, input: {prompt: a lamp}}
"""
    assert work.dsrun("run", work.pipeline(one), "--emulate", "--no-progress").code == 0
    run_dir = next((work.folder / "outputs/demo").glob("emulated-*"))
    assert "  wanx-v1:" not in work.dsrun("status", run_dir).out


def test_the_money_of_each_model_is_its_own(work, emulator):
    assert work.dsrun("run", work.pipeline(BY_ROW), "--no-progress").code == 0
    answer = work.dsrun("status", work.run_dir(), "--json").answer
    costs = [each["cost"]["amount"] for each in answer["by_model"].values()]
    assert (costs, answer["cost"]["amount"]) == ([0.28, 0.4], 0.68)


def test_the_lock_file_runs_the_same_jobs(work):
    for text in (SIDE_BY_SIDE, BY_ROW):
        first = work.dsrun("plan", work.pipeline(text), "--json", "--full").answer
        assert work.dsrun("run", work.pipeline(text), "--emulate", "--no-progress").code == 0
        run_dir = work.folder / f"outputs/demo/emulated-{first['digest'][:12]}"
        again = work.dsrun("plan", run_dir / "manifest.lock.json", "--json", "--full").answer
        assert again["digest"] == first["digest"]
        assert [job["job_id"] for job in again["job_list"]] == [
            job["job_id"] for job in first["job_list"]
        ]


def test_no_model_waits_for_another(work, emulator):
    text = SIDE_BY_SIDE.replace("[a lamp, a boat]", "{range: [1, 8]}").replace(
        "{{ thing }}", "a {{ thing }}"
    )
    assert work.dsrun("run", work.pipeline(text), "--no-progress").code == 0
    lines = (work.run_dir() / "results.jsonl").read_bytes().splitlines()
    rows = [orjson.loads(line) for line in lines]
    sent = {}
    for row in rows:
        sent.setdefault(row["request"]["model"], []).append(row["submitted_at"])
    firsts, lasts = [min(times) for times in sent.values()], [max(times) for times in sent.values()]
    assert max(firsts) < min(lasts)
