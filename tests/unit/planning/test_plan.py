"""Plans: what the digest counts, that ids depend on the job alone, and how problems are told."""

import json
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsrun.common.errors import ManifestError
from tests.pipelines import RUN_VALUES, jobs_of, one_step, plan_of, write

BASE = {
    "version": 1,
    "name": "base",
    "description": "some words",
    "params": {"tone": "soft", "count": 2},
    "steps": {
        "posters": {
            "operation": "wanx-v1",
            "matrix": {
                "subject": ["lantern", "river"],
                "product": {"file": "products.csv"},
                "exclude": [{"subject": "river", "product": {"name": "fan"}}],
            },
            "input": {
                "prompt": "{{ subject }} {{ product.name }} {{ params.tone }}",
                "negative_prompt": {"file": "negative.j2"},
            },
            "parameters": {"n": "{{ params.count }}", "style": "<anime>"},
            "filename": "{{ subject }}-{{ product.name }}-{{ index }}",
        },
        "voices": {
            "operation": "qwen-voice-design",
            "input": {
                "target_model": "qwen3-tts-vd-2026-01-26",
                "voice_prompt": "{% include 'voice.j2' %}",
                "preview_text": "Good evening.",
                "language": "en",
            },
        },
    },
    "execution": {"concurrency": 4},
    "schedule": "0 3 * * *",
}
FILES = {
    "products.csv": "name,colour\nteapot,red\nfan,blue\n",
    "negative.j2": "blurry\ntext\n",
    "voice.j2": "A warm voice.\n",
}
ORDERED = {("steps",), ("steps", "posters", "matrix")}  # their order numbers the jobs


@pytest.fixture(scope="session")
def base_digest(tmp_path_factory):
    return digest_of(tmp_path_factory.mktemp("base"), BASE)


@given(
    random=st.randoms(use_true_random=False),
    line_end=st.sampled_from(["\n", "\r\n"]),
    bom=st.sampled_from(["", "\ufeff"]),
)
@settings(max_examples=40)
def test_comments_key_order_and_line_ends_do_not_count(
    tmp_path_factory, base_digest, random, line_end, bom
):
    lines = list(block_yaml(BASE, random))
    text = bom + line_end.join(lines) + line_end
    files = {name: bom + content.replace("\n", line_end) for name, content in FILES.items()}
    folder = tmp_path_factory.mktemp("other")
    assert plan_of(folder, text, files=files).digest == base_digest


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({("description",): "other words"}, id="description"),
        pytest.param({("description",): None}, id="no description"),
        pytest.param({("schedule",): "@daily"}, id="schedule"),
        pytest.param({("x-notes",): {"a": [1, None]}}, id="a place for anchors"),
        pytest.param({("execution",): {"concurrency": 9, "max_cost": "1 CNY"}}, id="execution"),
        pytest.param({("execution",): None}, id="no execution"),
        pytest.param({("steps", "posters", "model"): "wanx-v1"}, id="the operation's own model"),
    ],
)
def test_what_makes_no_request_does_not_count(tmp_path, base_digest, changes):
    assert digest_of(tmp_path, changed(BASE, changes)) == base_digest


def test_where_the_manifest_lies_does_not_count(tmp_path, base_digest):
    assert digest_of(tmp_path / "deep" / "er", BASE) == base_digest


def test_the_name_of_a_file_does_not_count_but_its_content_does(tmp_path, base_digest):
    renamed = changed(BASE, {(*POSTERS, "matrix", "product"): {"file": "goods.csv"}})
    files = {**FILES, "goods.csv": FILES["products.csv"]}
    assert plan_of(tmp_path, json.dumps(renamed), files=files).digest == base_digest


POSTERS = ("steps", "posters")
SUBJECT = (*POSTERS, "matrix", "subject")
REORDERED = {
    "product": BASE["steps"]["posters"]["matrix"]["product"],
    "subject": BASE["steps"]["posters"]["matrix"]["subject"],
    "exclude": BASE["steps"]["posters"]["matrix"]["exclude"],
}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({("name",): "other"}, id="name"),
        pytest.param({("params", "tone"): "noir"}, id="a param"),
        pytest.param({("params", "count"): 2.0}, id="the type of a param"),
        pytest.param({("params", "count"): "2"}, id="a param as text"),
        pytest.param({("params", "new"): 1}, id="a new param"),
        pytest.param({(*POSTERS, "input", "prompt"): "{{ subject }}"}, id="prompt"),
        pytest.param({(*POSTERS, "parameters", "style"): "<sketch>"}, id="parameter"),
        pytest.param({(*POSTERS, "parameters", "seed"): 1}, id="a new parameter"),
        pytest.param({(*POSTERS, "filename"): "{{ job.index }}-{{ index }}"}, id="filename"),
        pytest.param({(*POSTERS, "repeat"): 2}, id="repeat"),
        pytest.param({SUBJECT: ["river", "lantern"]}, id="order of the values of an axis"),
        pytest.param({SUBJECT: ["lantern", "river", "tea"]}, id="a value more"),
        pytest.param({(*POSTERS, "matrix"): REORDERED}, id="order of the axes"),
        pytest.param({(*POSTERS, "matrix", "exclude"): None}, id="exclude"),
        pytest.param({(*POSTERS, "matrix", "include"): [{"mood": 1}]}, id="include"),
    ],
)
def test_what_makes_a_request_or_a_file_counts(tmp_path, base_digest, changes):
    assert digest_of(tmp_path, changed(BASE, changes)) != base_digest


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"products.csv": "name,colour\nteapot,red\nfan,green\n"}, id="a cell"),
        pytest.param({"products.csv": "name,colour\nfan,blue\nteapot,red\n"}, id="order of rows"),
        pytest.param({"negative.j2": "blurry\nsigns\n"}, id="prompt file"),
        pytest.param({"voice.j2": "A cold voice.\n"}, id="included file"),
    ],
)
def test_the_content_of_every_file_counts(tmp_path, base_digest, files):
    plan = plan_of(tmp_path, json.dumps(BASE), files={**FILES, **files})
    assert plan.digest != base_digest


def test_a_set_param_counts_like_one_of_the_manifest(tmp_path):
    by_hand = changed(BASE, {("params", "tone"): "noir"})
    by_option = plan_of(tmp_path / "a", json.dumps(BASE), files=FILES, set_params={"tone": "noir"})
    assert by_option.digest == digest_of(tmp_path / "b", by_hand)


@pytest.mark.parametrize(
    ("prompt", "counts"),
    [
        pytest.param("plain", set(), id="unused"),
        pytest.param("{{ run.date }}", {"date"}, id="the date"),
        pytest.param("{{ run.id }} {{ run.date }}", {"id", "date"}, id="two of them"),
        pytest.param("{{ run }}", {"id", "date", "datetime"}, id="all of them"),
    ],
)
def test_only_the_run_values_that_templates_use_count(tmp_path, prompt, counts):
    text = one_step(f"    input: {{prompt: {json.dumps(prompt)}}}\n")
    base = plan_of(tmp_path, text)
    assert set(base.run_values) == counts
    for name in RUN_VALUES:
        other = plan_of(tmp_path, text, run_values={**RUN_VALUES, name: "other"})
        assert (other.digest != base.digest) == (name in counts)


def test_a_run_value_in_a_filename_counts_too(tmp_path):
    text = one_step('    input: {prompt: a}\n    filename: "{{ run.date }}"\n')
    assert dict(plan_of(tmp_path, text).run_values) == {"date": "2026-11-22"}


CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=5)


@given(
    rows=st.lists(CELLS, min_size=1, max_size=6, unique=True),
    new=CELLS,
    position=st.integers(0, 6),
    repeat=st.integers(1, 2),
)
@settings(max_examples=40)
def test_another_row_changes_no_other_job(tmp_path_factory, rows, new, position, repeat):
    text = one_step(
        f"    repeat: {repeat}\n"
        "    matrix: {row: {file: rows.json}}\n"
        '    input: {prompt: "a {{ row }}"}\n'
    )
    folder = tmp_path_factory.mktemp("rows")
    longer = [*rows[:position], new, *rows[position:]]
    before = by_row(jobs_of(folder, text, files={"rows.json": json.dumps(rows)}))
    after = by_row(jobs_of(folder, text, files={"rows.json": json.dumps(longer)}))
    assert before.items() <= after.items()
    assert set(after) - set(before) <= {(new, replica) for replica in range(repeat)}


def by_row(jobs):
    return {
        (job.matrix["row"], job.replica): (job.job_id, job.body, job.request["parameters"]["seed"])
        for job in jobs
    }


def test_a_derived_voice_name_is_the_job_s_own(tmp_path):
    def names(rows):
        text = f"""\
version: 1
name: voices
steps:
  voices:
    operation: qwen-voice-design
    matrix: {{age: {rows}}}
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: "{{{{ age }}}} years old"
      preview_text: Good evening.
"""
        jobs = jobs_of(tmp_path, text)
        return {job.matrix["age"]: job.request["input"]["preferred_name"] for job in jobs}

    few, more = names([30, 40]), names([20, 30, 35, 40])
    assert few.items() <= more.items()
    assert len(set(more.values())) == 4


def test_the_id_is_of_operation_replica_and_request_alone(tmp_path):
    def ids(name, step, description):
        text = f"""\
version: 1
name: {name}
description: {description}
steps:
  {step}:
    operation: wanx-v1
    matrix: {{subject: [a lantern, a river]}}
    repeat: 2
    input: {{prompt: "{{{{ subject }}}}"}}
    filename: "{step}-{{{{ job.index }}}}"
"""
        return [job.job_id for job in jobs_of(tmp_path, text)]

    one, other = ids("one", "first", "x"), ids("other", "second", "y")
    assert one == other
    assert len(set(one)) == 4


def test_jobs_are_numbered_within_their_step_and_replicas_follow_each_other(tmp_path):
    text = (
        one_step('    repeat: 2\n    matrix: {a: [x, y]}\n    input: {prompt: "{{ a }}"}\n')
        + '  t:\n    operation: wanx-v1\n    input: {prompt: "t"}\n'
    )
    assert [
        (job.step, job.index, job.replica, dict(job.matrix)) for job in jobs_of(tmp_path, text)
    ] == [
        ("s", 0, 0, {"a": "x"}),
        ("s", 1, 1, {"a": "x"}),
        ("s", 2, 0, {"a": "y"}),
        ("s", 3, 1, {"a": "y"}),
        ("t", 0, 0, {}),
    ]


def test_the_steps_run_in_the_order_written(tmp_path):
    text = """\
version: 1
name: order
steps:
  zebra: {operation: wanx-v1, input: {prompt: z}}
  ant: {operation: wanx-v1, input: {prompt: a}}
"""
    assert [job.step for job in jobs_of(tmp_path, text)] == ["zebra", "ant"]


def test_equal_requests_are_counted_and_shown_once(tmp_path):
    text = one_step(
        '    matrix: {shelf: [front, back], a: [x, y]}\n    input: {prompt: "{{ a }}"}\n'
    )
    shown = []
    checked = plan_of(tmp_path, text).check(lambda job, is_new: shown.append((job.index, is_new)))
    assert checked == 2
    assert shown == [(0, True), (1, True), (2, False), (3, False)]


def test_every_job_is_checked_and_equal_problems_are_told_once(tmp_path):
    text = one_step(
        "    matrix: {count: {range: [1, 9]}}\n"
        '    input: {prompt: "{{ count }}"}\n'
        '    parameters: {n: "{{ count }}"}\n'
    )
    with pytest.raises(ManifestError) as caught:
        plan_of(tmp_path, text).check()
    assert [(problem.line, problem.message) for problem in caught.value.problems] == [
        (7, "found 1 (integer), or the like, in all 9 jobs, first in job 0; allowed: a string"),
        (8, "found 5 to 9 in 5 of 9 jobs, first in job 4; allowed: 1 to 4"),
    ]


def test_a_data_file_that_changes_under_way_is_an_error(tmp_path):
    rows = "".join(f"row number {number} of a long file\n" for number in range(12000))
    text = one_step('    matrix: {row: {file: rows.txt}}\n    input: {prompt: "{{ row }}"}\n')
    plan = plan_of(tmp_path, text, files={"rows.txt": rows})
    write(tmp_path, {"rows.txt": rows + "one more\n"})
    with pytest.raises(ManifestError, match="changed while dsrun was reading it"):
        plan.check()


def test_a_plan_of_a_million_jobs_gives_its_first_at_once(tmp_path):
    text = one_step(
        "    matrix: {a: {range: [1, 1000]}, b: {range: [1, 1000]}}\n"
        '    input: {prompt: "{{ a }} {{ b }}"}\n'
    )
    assert next(plan_of(tmp_path, text).jobs()).request["input"]["prompt"] == "1 1"


def digest_of(folder, manifest):
    return plan_of(folder, json.dumps(manifest), files=FILES).digest


def changed(value, changes, at=()):
    """A copy with the values at some paths replaced; None removes."""
    if at in changes:
        return changes[at]
    if not isinstance(value, dict):
        return value
    keys = [*value, *(path[-1] for path in changes if path[:-1] == at and path[-1] not in value)]
    copy = {key: changed(value.get(key), changes, (*at, key)) for key in keys}
    return {key: item for key, item in copy.items() if item is not None}


def block_yaml(value, random, at=()):
    """Lines of YAML with keys in random order, comments and empty lines strewn in."""
    indent = "  " * len(at)
    keys = list(value)
    if at not in ORDERED:
        random.shuffle(keys)
    for key in keys:
        if random.random() < 0.3:
            yield random.choice(["", f"{indent}# a note", "      # {{ not a template }}"])
        item = value[key]
        if isinstance(item, dict):
            yield f"{indent}{key}:" + random.choice(["", "  # why"])
            yield from block_yaml(item, random, (*at, key))
        else:
            yield f"{indent}{key}: {json.dumps(item)}"


def test_the_folder_of_a_stem_is_below_its_step(tmp_path):
    text = one_step('    input: {prompt: a}\n    filename: "x/y"\n')
    (job,) = jobs_of(tmp_path, text)
    assert [PurePosixPath(stem).parts for stem in job.stems] == [("x", "y")]
