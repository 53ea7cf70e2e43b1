"""Files in requests: by name in the manifest, by content in the job, by address when sent."""

import io

import pytest
from PIL import Image

from dsrun.common.errors import ManifestError
from dsrun.common.pointer import put_at
from dsrun.service.catalog import load_catalog
from dsrun.service.request import iter_uploads
from tests.pipelines import jobs_of, one_step, plan_of

UPLOADS = load_catalog()["wanx-v1"].uploads


def picture(colour):
    file = io.BytesIO()
    Image.new("RGB", (256, 256), colour).save(file, "PNG")
    return file.getvalue()


RED, BLUE = picture("red"), picture("blue")
ONE = one_step("    input: {prompt: a pot, ref_img: {upload: refs/a.png}}\n")
MANY = one_step(
    "    matrix: {name: [a, b]}\n"
    '    input: {prompt: a pot, ref_img: {upload: "refs/{{ name }}.png"}}\n'
)


def test_a_job_names_a_file_by_its_content(tmp_path):
    [job] = jobs_of(tmp_path, ONE, files={"refs/a.png": RED})
    [(at, sha256, _)] = iter_uploads(job.request, UPLOADS)
    assert job.request["input"]["ref_img"] == {"upload": f"sha256:{sha256}"}
    assert at == ("input", "ref_img")
    assert b"refs" not in job.body


def test_the_sent_request_names_it_by_its_address(tmp_path):
    [job] = jobs_of(tmp_path, ONE, files={"refs/a.png": RED})
    put_at(job.request, ("input", "ref_img"), "oss://folder/a.png")
    assert load_catalog().validator("wanx-v1").is_valid(job.request)


def test_a_file_that_is_refused_is_told_once(tmp_path):
    step = (
        "    input:\n      target_model: qwen3-tts-vc-2026-01-22\n"
        "      audio: {data: {upload: a.wav}}\n"
    )
    text = one_step(step).replace("wanx-v1", "qwen-voice-clone")
    with pytest.raises(ManifestError) as caught:
        jobs_of(tmp_path, text, files={"a.wav": b"hello"})
    [problem] = caught.value.problems
    assert "the file is no audio" in problem.message


def test_an_address_in_the_manifest_is_left_as_it_is(tmp_path):
    step = "    input: {prompt: a pot, ref_img: 'https://example.com/a.png'}\n"
    [job] = jobs_of(tmp_path, one_step(step))
    assert job.request["input"]["ref_img"] == "https://example.com/a.png"
    assert list(iter_uploads(job.request, UPLOADS)) == []


def test_the_name_of_a_file_is_a_template(tmp_path):
    first, second = jobs_of(tmp_path, MANY, files={"refs/a.png": RED, "refs/b.png": BLUE})
    assert first.job_id != second.job_id
    assert first.request["parameters"]["seed"] != second.request["parameters"]["seed"]


def test_a_template_may_give_the_whole_mapping(tmp_path):
    rows = (
        "    matrix: {ref: [{upload: refs/a.png}, 'https://example.com/a.png']}\n"
        '    input: {prompt: a pot, ref_img: "{{ ref }}"}\n'
    )
    first, second = jobs_of(tmp_path, one_step(rows), files={"refs/a.png": RED})
    [written] = jobs_of(tmp_path, ONE, files={"refs/a.png": RED})
    assert first.job_id == written.job_id
    assert second.request["input"]["ref_img"] == "https://example.com/a.png"


def test_another_name_for_the_same_content_is_the_same_plan(tmp_path):
    renamed = ONE.replace("refs/a.png", "b.png")
    before = plan_of(tmp_path, ONE, files={"refs/a.png": RED})
    after = plan_of(tmp_path, renamed, files={"b.png": RED})
    assert before.digest == after.digest
    assert [job.job_id for job in before.jobs()] == [job.job_id for job in after.jobs()]


def test_other_content_under_the_same_name_is_another_plan(tmp_path):
    before = plan_of(tmp_path, ONE, files={"refs/a.png": RED})
    after = plan_of(tmp_path, ONE, files={"refs/a.png": BLUE})
    assert before.digest != after.digest
    assert [job.job_id for job in before.jobs()] != [job.job_id for job in after.jobs()]


def test_two_files_that_change_places_are_another_plan(tmp_path):
    before = plan_of(tmp_path, MANY, files={"refs/a.png": RED, "refs/b.png": BLUE})
    after = plan_of(tmp_path, MANY, files={"refs/a.png": BLUE, "refs/b.png": RED})
    assert before.digest != after.digest


def test_a_plan_without_uploads_has_the_digest_that_it_always_had(tmp_path):
    digest = plan_of(tmp_path, one_step("    input: {prompt: a pot}\n")).digest
    assert digest == "305ea15ef2bf66df075dde114b14d2245139c0349e968320c5986c69d3630638"


def test_each_bad_file_is_told_with_its_row(tmp_path):
    with pytest.raises(ManifestError) as caught:
        plan_of(tmp_path, MANY, files={"refs/a.png": b"text"}).check()
    no_image, missing = caught.value.problems
    place = (no_image.line, no_image.column, no_image.where)
    assert place == (7, 46, "steps.s.input.ref_img.upload")
    assert no_image.message == (
        "\"refs/a.png\": the file is no image: it starts with 'text' in 1 of 2 jobs, job 0; "
        "allowed: JPG, PNG, BMP, TIFF or WEBP"
    )
    assert missing.message == (
        '"refs/b.png": no such file (did you mean refs/a.png?) in 1 of 2 jobs, job 1'
    )


def test_a_bad_file_hides_nothing_else(tmp_path):
    step = (
        "    input: {prompt: '', negative_prompt: '{{ mood }}', ref_img: {upload: a.png}}\n"
        "    parameters: {n: 9}\n    filename: ../x\n"
    )
    with pytest.raises(ManifestError) as caught:
        plan_of(tmp_path, one_step(step)).check()
    assert {problem.where for problem in caught.value.problems} == {
        "steps.s.input.prompt",
        "steps.s.input.negative_prompt",
        "steps.s.input.ref_img.upload",
        "steps.s.parameters.n",
        "steps.s.filename",
    }


@pytest.mark.parametrize(
    ("value", "where", "words"),
    [
        pytest.param(
            "{path: a.png}",
            "ref_img",
            'found {"path":"a.png"}; allowed: an address, or {upload: FILE}',
            id="another key",
        ),
        pytest.param(
            "{upload: a.png, keep: 1}",
            "ref_img.upload",
            'found {"upload":"a.png","keep":1}; allowed: an address, or {upload: FILE}',
            id="a further key",
        ),
        pytest.param(
            "{upload: 7}",
            "ref_img.upload",
            "found 7 (integer); allowed: the name of a file",
            id="a number",
        ),
        pytest.param(
            '{upload: "{{ x }}"}',
            "ref_img.upload",
            "x is undefined; defined here: job, matrix, params, run",
            id="an undefined name",
        ),
        pytest.param(
            "refs/a.png",
            "ref_img",
            'found "refs/a.png"; allowed: an http, https or oss address without spaces or '
            "Chinese characters (percent-encode them), or {upload: FILE}",
            id="a name alone",
        ),
    ],
)
def test_what_is_no_upload_is_told_once(value, where, words, tmp_path):
    step = f"    input: {{prompt: a pot, ref_img: {value}}}\n"
    with pytest.raises(ManifestError) as caught:
        plan_of(tmp_path, one_step(step)).check()
    [problem] = caught.value.problems
    assert (problem.where, problem.message) == (f"steps.s.input.{where}", words)


def test_an_upload_where_the_api_takes_none_is_refused(tmp_path):
    step = "    input: {prompt: {upload: a.png}}\n"
    with pytest.raises(ManifestError, match=r"steps\.s\.input\.prompt: found"):
        plan_of(tmp_path, one_step(step), files={"a.png": RED}).check()
