"""A step on several models: a list of operations, or a model that a template gives."""

import pytest

from dsrun.common.errors import ManifestError
from tests.pipelines import jobs_of, plan_of

HEAD = "version: 1\nname: test\nsteps:\n  s:\n"
THREE = HEAD + (
    "    operation: [wan2.6-t2i, qwen-image-plus, wanx-v1]\n"
    "    matrix: {thing: [a lamp, a boat]}\n"
    '    input: {prompt: "{{ thing }}"}\n'
)
FAMILY = HEAD + (
    "    operation: wan-t2i\n"
    '    model: "{{ model }}"\n'
    "    matrix: {thing: [a lamp, a boat], model: [wan2.2-t2i-flash, wan2.5-t2i-preview]}\n"
    '    input: {prompt: "{{ thing }}"}\n'
)


def problems_of(tmp_path, text):
    with pytest.raises(ManifestError) as caught:
        plan_of(tmp_path, text).check()
    return [str(problem) for problem in caught.value.problems]


def called(jobs):
    return [(job.operation, job.matrix["thing"]) for job in jobs]


class TestAList:
    def test_is_the_first_axis_and_each_row_has_a_request_of_its_own_operation(self, tmp_path):
        jobs = jobs_of(tmp_path, THREE)
        assert called(jobs) == [
            (name, thing)
            for name in ("wan2.6-t2i", "qwen-image-plus", "wanx-v1")
            for thing in ("a lamp", "a boat")
        ]
        assert [job.request["model"] for job in jobs] == [job.operation for job in jobs]
        assert [job.matrix["operation"] for job in jobs] == [job.operation for job in jobs]
        content = [{"text": "a lamp"}]
        assert jobs[0].request["input"] == {"messages": [{"role": "user", "content": content}]}
        assert jobs[2].request["input"] == {"prompt": "a lamp"}
        assert [job.request["parameters"].get("size") for job in jobs[::2]] == [
            *("1280*1280", "1664*928", None)
        ]

    def test_gives_the_jobs_that_a_step_for_each_operation_gives(self, tmp_path):
        listed = [job.job_id for job in jobs_of(tmp_path, THREE)]
        alone = []
        for name in ("wan2.6-t2i", "qwen-image-plus", "wanx-v1"):
            text = THREE.replace("[wan2.6-t2i, qwen-image-plus, wanx-v1]", name)
            alone += (job.job_id for job in jobs_of(tmp_path, text))
        assert listed == alone

    def test_of_one_is_an_axis_too(self, tmp_path):
        one = THREE.replace("[wan2.6-t2i, qwen-image-plus, wanx-v1]", "{}")
        listed = jobs_of(tmp_path, one.replace("{}", "[wanx-v1]"))
        named = jobs_of(tmp_path, one.replace("{}", "wanx-v1"))
        assert [job.job_id for job in listed] == [job.job_id for job in named]
        assert [job.matrix for job in listed] == [
            {"operation": "wanx-v1", **job.matrix} for job in named
        ]

    def test_counts_in_the_digest_and_so_does_its_order(self, tmp_path):
        digests = {
            plan_of(tmp_path, THREE.replace("[wan2.6-t2i, qwen-image-plus, wanx-v1]", names)).digest
            for names in ("[wanx-v1, wan2.6-t2i]", "[wan2.6-t2i, wanx-v1]", "[wanx-v1]", "wanx-v1")
        }
        assert len(digests) == 4

    def test_may_be_named_by_templates_and_rules(self, tmp_path):
        text = THREE.replace(
            "[a lamp, a boat]",
            "[a lamp, a boat], exclude: [{operation: [wan2.6-t2i], thing: a boat}], "
            "include: [{operation: wanx-v1, size: 720*1280}]",
        ) + (
            '    parameters: {size: "{{ size | default(none) }}"}\n'
            '    filename: "{{ operation }}/{{ thing | slug }}"\n'
        )
        jobs = jobs_of(tmp_path, text)
        assert [job.stems[0] for job in jobs] == [
            "wan2.6-t2i/a-lamp", "qwen-image-plus/a-lamp", "qwen-image-plus/a-boat",
            "wanx-v1/a-lamp", "wanx-v1/a-boat",
        ]  # fmt: skip
        assert [job.request["parameters"]["size"] for job in jobs] == [
            *("1280*1280", "1664*928", "1664*928", "720*1280", "720*1280")
        ]

    def test_may_get_a_row_of_another_operation_from_include(self, tmp_path):
        row = "include: [{operation: wanx2.1-t2i-turbo, thing: a tree}]"
        text = THREE.replace("[a lamp, a boat]", f"[a lamp], {row}")
        assert called(jobs_of(tmp_path, text))[-1] == ("wanx2.1-t2i-turbo", "a tree")

    def test_needs_an_operation_in_each_row(self, tmp_path):
        text = THREE.replace("[a lamp, a boat]", "[a lamp], include: [{thing: a tree}]")
        (problem,) = problems_of(tmp_path, text)
        assert "steps.s.operation: a rule of `include` makes a row that names none" in problem

    @pytest.mark.parametrize(
        ("names", "problem"),
        [
            (
                "[wanx-v1, wan2.6-t3i]",
                'p.yaml:5:26: steps.s.operation[1]: found "wan2.6-t3i" (did you mean wan2.6-t2i?)',
            ),
            (
                "[wanx-v1, wanx-v1]",
                'p.yaml:5:26: steps.s.operation[1]: found "wanx-v1" a second time; remove one',
            ),
            (
                "[wanx-v1, wan-t2i]",
                'p.yaml:5:26: steps.s.operation[1]: found "wan-t2i", which has several models; ',
            ),
            ("[]", "p.yaml:5:16: steps.s.operation: found no item; allowed: at least 1"),
            ("[wanx-v1, 7]", "p.yaml:5:26: steps.s.operation[1]: found 7"),
            (
                "[wanx-v1]\n    model: wanx-v1",
                'p.yaml:6:12: steps.s.model: found "wanx-v1" beside a list of operations',
            ),
        ],
        ids=["unknown", "twice", "of several models", "none", "a number", "with a model"],
    )
    def test_holds_names_of_one_model_each_once(self, tmp_path, names, problem):
        text = THREE.replace("[wan2.6-t2i, qwen-image-plus, wanx-v1]", names)
        (told,) = problems_of(tmp_path, text)
        assert told.removeprefix(f"{tmp_path}/").startswith(problem)

    def test_has_its_name_for_itself(self, tmp_path):
        (problem,) = problems_of(tmp_path, THREE.replace("thing: [", "operation: [x], thing: ["))
        assert "matrix.operation: this name is reserved; `operation: [...]` of the step" in problem

    def test_checks_each_row_against_its_own_operation(self, tmp_path):
        (problem,) = problems_of(tmp_path, THREE + "    parameters: {n: 4}\n")
        assert "steps.s.parameters.n: found 4 in 2 of 6 jobs, first in job 2" in problem

    def test_tells_a_problem_of_a_text_once(self, tmp_path):
        (problem,) = problems_of(tmp_path, THREE.replace("{{ thing }}", "{{ thing "))
        assert "steps.s.input.prompt" in problem


class TestAModel:
    def test_may_be_an_axis(self, tmp_path):
        jobs = jobs_of(tmp_path, FAMILY)
        assert called(jobs) == [
            (name, thing)
            for thing in ("a lamp", "a boat")
            for name in ("wan2.2-t2i-flash", "wan2.5-t2i-preview")
        ]
        assert [job.request["model"] for job in jobs] == [job.operation for job in jobs]
        assert [job.request["parameters"]["size"] for job in jobs[:2]] == ["1024*1024", "1280*1280"]

    @pytest.mark.parametrize(
        ("model", "axis"),
        [
            ("{{ model }}", "model: [wan2.2-t2i-flash]"),
            ("{{ m }}", "m: [wan2.2-t2i-flash]"),
            ("{{ m.name }}", "m: [{name: wan2.2-t2i-flash}]"),
            ("wan2.2-t2i-{{ m }}", "m: [flash]"),
            ("{{ matrix.model }}", "model: [wan2.2-t2i-flash]"),
        ],
    )
    def test_of_a_row_makes_the_job_that_the_model_makes_by_its_name(self, tmp_path, model, axis):
        text = FAMILY.replace("{{ model }}", model).replace(
            "model: [wan2.2-t2i-flash, wan2.5-t2i-preview]", axis
        )
        named = HEAD + (
            "    operation: wan2.2-t2i-flash\n    matrix: {thing: [a lamp, a boat]}\n"
            '    input: {prompt: "{{ thing }}"}\n'
        )
        ids = [job.job_id for job in jobs_of(tmp_path, text)]
        assert ids == [job.job_id for job in jobs_of(tmp_path, named)]

    def test_that_is_none_of_the_family_is_a_problem_of_its_rows(self, tmp_path):
        text = FAMILY.replace("wan2.5-t2i-preview]", "wan2.5-t2i-previev]")
        (problem,) = problems_of(tmp_path, text)
        assert (
            'p.yaml:6:12: steps.s.model: found "wan2.5-t2i-previev" (did you mean '
            "wan2.5-t2i-preview?) in 2 of 4 jobs, first in job 1; allowed: wan2.5-t2i-preview, "
        ) in problem

    @pytest.mark.parametrize(
        ("model", "words"),
        [
            ("{{ modle }}", "steps.s.model: modle is undefined (did you mean model?)"),
            ("{{ model ", "steps.s.model: the template cannot be read"),
        ],
    )
    def test_that_a_template_gets_wrong_is_told_at_its_place(self, tmp_path, model, words):
        (problem,) = problems_of(tmp_path, FAMILY.replace("{{ model }}", model))
        assert words in problem

    def test_of_another_family_is_refused(self, tmp_path):
        (problem,) = problems_of(tmp_path, FAMILY.replace("wan2.5-t2i-preview]", "wanx-v1]"))
        assert 'found "wanx-v1"' in problem

    def test_is_a_reserved_name_where_the_step_has_no_such_model(self, tmp_path):
        text = THREE.replace("thing: [", "model: [x], thing: [")
        (problem,) = problems_of(tmp_path, text)
        assert "matrix.model: this name is reserved for the model of the step" in problem

    def test_checks_each_row_against_its_own_model(self, tmp_path):
        text = FAMILY + "    parameters: {size: 512*512}\n"
        (problem,) = problems_of(tmp_path, text)
        assert "steps.s.parameters.size: found " in problem
        assert "in 2 of 4 jobs, first in job 1" in problem


class TestNull:
    @pytest.mark.parametrize(
        "body",
        [
            "    input: {prompt: a, negative_prompt: null}\n",
            "    input: {prompt: a, negative_prompt: '{{ none }}'}\n",
            "    input: {prompt: a}\n    parameters: {style: null, n: '{{ none }}'}\n",
        ],
        ids=["written", "from a template", "also for what dsrun fills in"],
    )
    def test_sends_nothing_and_makes_the_same_job(self, tmp_path, body):
        (job,) = jobs_of(tmp_path, f"{HEAD}    operation: wanx-v1\n{body}")
        (plain,) = jobs_of(tmp_path, f"{HEAD}    operation: wanx-v1\n    input: {{prompt: a}}\n")
        assert job.job_id == plain.job_id
        assert "null" not in job.body.decode()

    def test_is_no_word_against_what_says_how_much_is_billed(self, tmp_path):
        text = HEAD + "    operation: wanx-v1\n    input: {prompt: a}\n    parameters: {n: null}\n"
        (job,) = jobs_of(tmp_path, text)
        assert (job.request["parameters"]["n"], job.units) == (1, 1)

    def test_of_a_seed_derives_none(self, tmp_path):
        text = HEAD + (
            "    operation: wanx-v1\n    input: {prompt: a}\n    parameters: {seed: '{{ none }}'}\n"
        )
        (job,) = jobs_of(tmp_path, text)
        assert job.request["parameters"] == {"n": 1}

    def test_leaves_out_a_part_of_the_short_form(self, tmp_path):
        text = HEAD + (
            "    operation: wan2.7-image\n    matrix: {picture: [null, 'https://a.example/a.png']}\n"
            "    input: {images: '{{ picture }}', prompt: a}\n"
        )
        without, with_picture = (
            job.request["input"]["messages"][0]["content"] for job in jobs_of(tmp_path, text)
        )
        assert without == [{"text": "a"}]
        assert with_picture == [{"image": "https://a.example/a.png"}, {"text": "a"}]

    def test_leaves_the_places_of_the_other_parts(self, tmp_path):
        text = HEAD + (
            "    operation: wan2.7-image\n    input: {images: '{{ none }}', prompt: ''}\n"
        )
        (problem,) = problems_of(tmp_path, text)
        assert "steps.s.input.prompt: found an empty text" in problem

    @pytest.mark.parametrize("item", ["null", "'{{ none }}'"])
    def test_in_a_list_is_a_problem(self, tmp_path, item):
        text = HEAD + (f"    operation: wan2.7-image\n    input: {{images: [{item}], prompt: a}}\n")
        (problem,) = problems_of(tmp_path, text)
        assert "steps.s.input.images[0]: found null in a list; elsewhere a null sends" in problem

    def test_may_stand_for_a_picture_that_one_model_alone_takes(self, tmp_path):
        text = HEAD + (
            "    operation: [wanx-v1, qwen-image-plus]\n"
            "    matrix: {include: [{operation: wanx-v1, look: 'https://a.example/a.png'}]}\n"
            "    input: {prompt: a, ref_img: '{{ look | default(none) }}'}\n"
        )
        one, other = jobs_of(tmp_path, text)
        assert one.request["input"] == {"prompt": "a", "ref_img": "https://a.example/a.png"}
        assert other.request["input"] == {"prompt": "a"}
