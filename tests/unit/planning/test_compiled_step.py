"""From a row to a request and its file names."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.common.digest import canonical_json, job_id_of, sha256_hex
from dsrun.common.errors import ManifestError
from tests.pipelines import jobs_of, one_step, plan_of


@given(
    operation=st.text(st.characters(exclude_categories=("Cs",)), min_size=1),
    replica=st.integers(0, 10**5),
    request_=st.dictionaries(st.text(), st.integers(-5, 5) | st.text(), max_size=4),
)
def test_a_job_id_is_the_digest_of_operation_replica_and_request(operation, replica, request_):
    whole = {"operation": operation, "replica": replica, "request": request_}
    assert job_id_of(operation, replica, canonical_json(request_)) == sha256_hex(
        canonical_json(whole)
    )


def test_constants_and_fills_complete_the_request(tmp_path):
    (job,) = jobs_of(tmp_path, one_step("    input: {prompt: a lantern}\n"))
    seed = job.request["parameters"]["seed"]
    assert job.request == {
        "model": "wanx-v1",
        "input": {"prompt": "a lantern"},
        "parameters": {"n": 1, "seed": seed},
    }
    assert job.body == canonical_json(job.request)
    assert (job.units, type(seed)) == (1, int)


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        pytest.param("{{ a }} {{ matrix.a }}", "x x", id="an axis, by both its names"),
        pytest.param("{{ params.tone }}", "soft", id="a param"),
        pytest.param("{{ run.date }}", "2026-11-22", id="the run"),
        pytest.param("{{ job.index }}-{{ job.replica }}", "0-0", id="the job"),
        pytest.param("{{ matrix | length }}", 1, id="the row itself"),
        pytest.param("{{ a | slug }}", "x", id="a filter"),
    ],
)
def test_the_variables_of_a_template(tmp_path, template, prompt):
    text = one_step(
        f"    matrix: {{a: [x]}}\n    input: {{prompt: {json.dumps('- ' + template)}}}\n",
        head="params: {tone: soft}\n",
    )
    (job,) = jobs_of(tmp_path, text)
    assert job.request["input"]["prompt"] == f"- {prompt}"


def test_a_template_may_stand_at_any_depth_and_in_a_file(tmp_path):
    text = one_step(
        "    matrix: {a: [x]}\n"
        "    input: {prompt: {file: p.j2}, negative_prompt: {file: plain.txt}}\n"
        '    parameters: {style: "<{{ s }}>"}\n'.replace("{{ s }}", "anime")
    )
    files = {"p.j2": "one {{ a }}\r\ntwo\r\n", "plain.txt": "blurry\r\nsigns\r\n"}
    (job,) = jobs_of(tmp_path, text, files=files)
    assert job.request["input"] == {"prompt": "one x\ntwo", "negative_prompt": "blurry\nsigns"}


@pytest.mark.parametrize(
    ("step", "stems"),
    [
        pytest.param('    filename: "{{ a }}"\n', ["x"], id="one picture"),
        pytest.param(
            '    parameters: {n: 3}\n    filename: "{{ a }}-{{ index }}"\n',
            ["x-0", "x-1", "x-2"],
            id="index counts the pictures",
        ),
        pytest.param(
            '    parameters: {n: 2, seed: 7}\n    filename: "{{ seed }}"\n',
            ["7", "8"],
            id="seed is the picture's own",
        ),
        pytest.param('    filename: "{{ a }}/{{ job.index }}"\n', ["x/0"], id="a folder"),
        pytest.param('    filename: "{{ 7 }}"\n', ["7"], id="a number alone"),
        pytest.param('    filename: "Cafe\\u0301"\n', ["Caf\u00e9"], id="composed"),
        pytest.param('    filename: ".hidden"\n', [".hidden"], id="a leading dot"),
        pytest.param('    filename: "a..b/c."\n', ["a..b/c."], id="dots inside a name"),
    ],
)
def test_a_filename_is_a_template_of_each_picture(tmp_path, step, stems):
    text = one_step('    matrix: {a: [x]}\n    input: {prompt: "p {{ a }}"}\n' + step)
    (job,) = jobs_of(tmp_path, text)
    assert list(job.stems) == stems


def test_without_a_filename_the_number_and_the_id_name_the_files(tmp_path):
    (job,) = jobs_of(tmp_path, one_step("    input: {prompt: a}\n    parameters: {n: 2}\n"))
    assert job.stems == (f"00000-{job.job_id[:8]}-0", f"00000-{job.job_id[:8]}-1")


@pytest.mark.parametrize(
    "filename",
    [
        pytest.param("..", id="parent"),
        pytest.param(".", id="here"),
        pytest.param("a/../b", id="parent inside"),
        pytest.param("a/./b", id="here inside"),
        pytest.param("../a", id="above"),
        pytest.param("a/..", id="parent at the end"),
        pytest.param("/a", id="absolute"),
        pytest.param("a/", id="empty last part"),
        pytest.param("a//b", id="empty part"),
        pytest.param("a\\b", id="backslash"),
        pytest.param("C:\\a", id="drive"),
        pytest.param("a\nb", id="line end"),
        pytest.param("a\x00b", id="nul"),
        pytest.param("a\x7fb", id="delete"),
        pytest.param("灯" * 81, id="longer than 240 bytes"),
        pytest.param("/".join(["a" * 200] * 6), id="longer than 1000 bytes in all"),
    ],
)
def test_a_file_name_that_leaves_its_folder_or_fits_none_is_refused(tmp_path, filename):
    text = one_step(
        f"    matrix: {{name: [{json.dumps(filename)}]}}\n"
        '    input: {prompt: a}\n    filename: "{{ name }}"\n'
    )
    with pytest.raises(ManifestError) as caught:
        plan_of(tmp_path, text).check()
    assert [problem.where for problem in caught.value.problems] == ["steps.s.filename"]


@pytest.mark.parametrize(
    "filename",
    [
        pytest.param("灯" * 80, id="240 bytes"),
        pytest.param("/".join(["a" * 199] * 5), id="999 bytes"),
        pytest.param("a b'c\"d", id="spaces and quotes"),
        pytest.param("-rf", id="a leading dash"),
    ],
)
def test_a_file_name_at_the_edge_is_allowed(tmp_path, filename):
    text = one_step(
        f"    matrix: {{name: [{json.dumps(filename)}]}}\n"
        '    input: {prompt: a}\n    filename: "{{ name }}"\n'
    )
    assert plan_of(tmp_path, text).check() == 1


@pytest.mark.parametrize(
    ("step", "line", "column"),
    [
        pytest.param('    input: {prompt: "{{ x }}"}\n', 6, 25, id="in a flow mapping"),
        pytest.param('    input:\n      prompt: "{{ x }}"\n', 7, 19, id="in a block mapping"),
        pytest.param(
            "    input:\n      prompt: |\n        a\n        {{ x }}\n", 9, 12, id="literal"
        ),
        pytest.param(
            "    input:\n      prompt: |\n        {{ x }}\n        a\n", 8, 12, id="first line"
        ),
        pytest.param(
            '    input: &in {prompt: "{{ x }}"}\n    parameters: {}\n', 6, 29, id="after an anchor"
        ),
    ],
)
def test_a_template_problem_is_told_at_its_own_line(tmp_path, step, line, column):
    with pytest.raises(ManifestError) as caught:
        plan_of(tmp_path, one_step(step)).check()
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (line, column)
    assert problem.message.startswith("x is undefined; defined here: job, matrix, params, run")


def test_a_null_seed_sends_none(tmp_path):
    (job,) = jobs_of(tmp_path, one_step("    input: {prompt: a}\n    parameters: {seed: null}\n"))
    assert job.request["parameters"] == {"n": 1}


def test_an_integral_float_is_sent_as_the_integer_that_the_api_asks_for(tmp_path):
    (job,) = jobs_of(
        tmp_path, one_step("    input: {prompt: a}\n    parameters: {n: 2.0, seed: 7.0}\n")
    )
    assert (b'"n":2,"seed":7' in job.body, job.units, len(job.stems)) == (True, 2, 2)


def test_an_extension_in_a_file_name_is_left_to_the_file(tmp_path):
    step = "    input: {prompt: x}\n    filename: a.PNG\n"
    (job,) = jobs_of(tmp_path, one_step(step))
    assert job.stems == ("a",)


def test_a_folder_named_like_a_picture_is_refused(tmp_path):
    step = "    input: {prompt: x}\n    filename: a.png/b\n"
    with pytest.raises(ManifestError, match=r"a\.png/b"):
        jobs_of(tmp_path, one_step(step))


def test_a_file_name_may_use_the_seed_of_a_request_that_is_wrong_elsewhere(tmp_path):
    text = one_step(
        '    input: {prompt: "{{ nothing }}"}\n    parameters: {n: 9}\n'
        '    filename: "{{ seed }}-{{ nothing }}"\n'
    )
    with pytest.raises(ManifestError) as caught:
        plan_of(tmp_path, text).check()
    assert [(problem.line, problem.column) for problem in caught.value.problems] == [
        (6, 25),
        (7, 21),
        (8, 30),
    ]


@pytest.mark.parametrize(
    ("filename", "advises_slug"),
    [
        pytest.param("../{{ a }}", True, id="a folder above"),
        pytest.param("/{{ a }}", True, id="absolute"),
        pytest.param('"one\\n{{ a }}"', True, id="a control character"),
        pytest.param("{{ '🎈' | slug }}", False, id="an emoji"),
        pytest.param("{{ '..' }}", False, id="dots alone"),
        pytest.param("{{ a }}/{{ '🎈🎉' | slug }}", False, id="the second part"),
        pytest.param("{{ '—' | slug }}/{{ a }}", False, id="the first part"),
        pytest.param("{{ a }}//x", False, id="an empty part"),
    ],
)
def test_slug_is_advised_only_where_it_leaves_something(tmp_path, filename, advises_slug):
    name = filename if filename.startswith('"') else json.dumps(filename)
    text = one_step(
        f'    matrix: {{a: [x]}}\n    input: {{prompt: "{{{{ a }}}}"}}\n    filename: {name}\n'
    )
    with pytest.raises(ManifestError) as caught:
        plan_of(tmp_path, text).check()
    (problem,) = caught.value.problems
    assert problem.message.endswith("`| slug` makes any text fit") == advises_slug
    assert ("{{ NAME | slug or job.index }}" in problem.message) != advises_slug


def test_the_advice_for_a_slug_of_nothing_gives_a_name(tmp_path):
    text = one_step(
        '    matrix: {a: [🎈, x]}\n    input: {prompt: "{{ a }}"}\n'
        '    parameters: {n: 1}\n    filename: "{{ a | slug or job.index }}"\n'
    )
    assert [job.stems for job in jobs_of(tmp_path, text)] == [("0",), ("x",)]
