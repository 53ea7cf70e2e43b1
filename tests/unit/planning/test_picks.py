"""`only: FILE` on an axis that runs through a step: which of its children are in the run."""

import pytest

from dsrun.common.errors import ManifestError, UsageError
from dsrun.planning.selection import Selection, chooser_of
from tests.pipelines import plan_of

DRAFTS = """\
version: 1
name: book
steps:
  drafts:
    operation: wanx-v1
    matrix: {beat: [fox, owl, cat], n: [2]}
    input: {prompt: "{{ beat }}"}
    parameters: {n: "{{ n }}"}
    filename: "{{ beat }}/v1.{{ index }}"
"""
LARGE = """\
  large:
    operation: wan2.5-i2i-preview
    matrix: {pick: {step: drafts, each: artifact, only: picks.txt}}
    input: {prompt: "{{ pick.beat }}", images: ["{{ pick.artifact }}"]}
    filename: "{{ pick.beat }}-{{ pick.artifact.index }}"
"""
BY_ROW = LARGE.replace(", each: artifact", "").replace("pick.artifact }}", "pick.artifacts[0] }}")
BY_ROW = BY_ROW.replace("-{{ pick.artifact.index }}", "")
GROUPS = """\
  large:
    operation: wan2.5-i2i-preview
    matrix: {all: {step: drafts, group_by: "'a' in beat", only: picks.txt}}
    input: {prompt: "{{ all.key | string }}", images: ["https://a.example/a.png"]}
"""
THIRD = """\
  third:
    operation: wan2.5-i2i-preview
    matrix: {last: {step: large}}
    input: {prompt: "{{ last.pick.beat }}", images: ["{{ last.artifact }}"]}
"""


class Run:
    """What an invocation would be about."""

    def __init__(self, folder, text, picks=None, **words):
        files = {} if picks is None else {"picks.txt": picks}
        self.plan = plan_of(folder, text, files=files)
        self.chooser = chooser_of(self.plan, Selection(**words), shows_all="dsrun plan")
        self.plan.check(self.chooser.visit)
        self.chosen = self.chooser.end()
        jobs = [job for page in self.chosen.pages() for job in page]
        self.places = [f"{job.step}/{job.index}" for job in jobs]
        self.needed = [f"{job.step}/{job.index}" for job in jobs if job.is_needed]
        self.warnings = [f"{one.line}: {one.message}" for one in self.plan.warnings]

    def of(self, step):
        return [place for place in self.places if place.startswith(step)]


DRAFT_JOBS = ["drafts/0", "drafts/1", "drafts/2"]


@pytest.mark.parametrize(
    "line",
    [
        "artifacts/drafts/owl/v1.1.png",
        "drafts/owl/v1.1.png",
        "drafts/owl/v1.1",
        "artifacts/drafts/owl/v1.1",
        "  artifacts/drafts/owl/v1.1.png  # the best of all",
        "./artifacts/drafts/owl/v1.1.jpeg",
        "outputs/book/0123456789ab/artifacts/drafts/owl/v1.1.png",
        "artifacts\\drafts\\owl\\v1.1.png",
        "\ufeffartifacts/drafts/owl/v1.1.png\r",
    ],
)
def test_a_line_names_a_file_as_a_report_or_a_shell_lists_it(tmp_path, line):
    run = Run(tmp_path, DRAFTS + LARGE, f"{line}\n\n# of today\n")
    assert run.of("large") == ["large/3"]
    assert run.of("drafts") == DRAFT_JOBS
    assert not run.warnings


def test_a_name_with_a_dot_is_not_cut_where_a_file_has_the_whole_name(tmp_path):
    text = DRAFTS.replace("/v1.{{ index }}", "{{ ['', '.5'][index] }}")
    assert Run(tmp_path, text + LARGE, "drafts/owl.5\n").of("large") == ["large/3"]
    assert Run(tmp_path, text + LARGE, "drafts/owl.png\n").of("large") == ["large/2"]


def test_a_name_is_the_same_however_its_letters_are_written(tmp_path):
    text = DRAFTS.replace("owl", "caf\u00e9")
    run = Run(tmp_path, text + LARGE, "artifacts/drafts/cafe\u0301/v1.0.png\n")
    assert run.of("large") == ["large/2"]


@pytest.mark.parametrize("size", [12, 20, 64])
def test_the_id_of_a_job_picks_all_of_its_files(tmp_path, size):
    job = list(plan_of(tmp_path, DRAFTS).jobs())[1]
    assert Run(tmp_path, DRAFTS + LARGE, job.job_id[:size]).of("large") == ["large/2", "large/3"]


def test_any_file_of_a_row_picks_the_row(tmp_path):
    run = Run(tmp_path, DRAFTS + BY_ROW, "drafts/owl/v1.1.png\ndrafts/cat/v1.0.png\n")
    assert run.of("large") == ["large/1", "large/2"]


def test_any_file_of_a_group_picks_the_group(tmp_path):
    run = Run(tmp_path, DRAFTS + GROUPS, "drafts/owl/v1.1\n")
    assert run.of("large") == ["large/0"]


def test_what_builds_on_a_row_that_is_not_picked_is_not_in_the_run(tmp_path):
    run = Run(tmp_path, DRAFTS + LARGE + THIRD, "drafts/fox/v1.1\n")
    assert run.places == [*DRAFT_JOBS, "large/1", "third/1"]


def test_a_job_of_two_rows_is_in_the_run_where_one_of_them_is_picked(tmp_path):
    text = DRAFTS.replace("[fox, owl, cat]", "[fox, fox]").replace(
        "{{ beat }}/v1", "{{ job.index }}"
    )
    run = Run(tmp_path, text + BY_ROW.replace('{{ pick.beat }}"\n', 'a"\n'), "drafts/1.0.png")
    assert run.of("large") == ["large/1"]


def test_a_file_that_is_not_there_picks_nothing_and_says_so(tmp_path):
    run = Run(tmp_path, DRAFTS + LARGE)
    assert run.places == DRAFT_JOBS
    assert len(run.warnings) == 1
    assert "picks.txt is not there, so nothing is picked" in run.warnings[0]


@pytest.mark.parametrize("words", [{"steps": ("large",)}, {"steps": ("large",), "limit": 2}])
def test_a_run_of_which_nothing_is_picked_is_no_mistake(tmp_path, words):
    assert Run(tmp_path, DRAFTS + LARGE, **words).places == []


def test_a_selection_that_picks_nothing_of_its_own_is_still_one(tmp_path):
    with pytest.raises(UsageError, match="no job is selected"):
        Run(tmp_path, DRAFTS + LARGE, "drafts/owl/v1.1\n", only="job.index == 99")


def test_a_line_that_names_nothing_is_a_warning_at_its_place(tmp_path):
    run = Run(tmp_path, DRAFTS + LARGE, "drafts/owl/v1.1\n# mine\ndrafts/owi/v1.1.png\n")
    assert run.of("large") == ["large/3"]
    assert len(run.warnings) == 1
    assert run.warnings[0].startswith('3: found "drafts/owi/v1.1.png", which names no file')
    assert run.plan.warnings[0].file.endswith("picks.txt")


@pytest.mark.parametrize(
    "line",
    [
        "artifacts/drafts/00001-617264ad.png", "drafts/00001-617264ad-0", "00001-617264ad",
        "outputs/book/a1/artifacts/drafts/00001-617264ad-1.png  # mine", "drafts/100000-617264ad",
    ],
)  # fmt: skip
def test_a_name_that_a_changed_request_has_lost_is_told_why(tmp_path, line):
    drafts = "".join(part for part in DRAFTS.splitlines(True) if "filename" not in part)
    run = Run(tmp_path, drafts + LARGE, f"{line}\n")
    assert "the name holds the id of a job, and that changes with its request" in run.warnings[0]
    assert "star it again in the report of the new run" in run.warnings[0]


@pytest.mark.parametrize("line", ["drafts/00001-owl", "drafts/1-617264ad", "00001-617264adf/owl"])
def test_another_name_is_not_taken_for_one_that_a_request_has_lost(tmp_path, line):
    run = Run(tmp_path, DRAFTS + LARGE, f"{line}\n")
    assert "which names no file; allowed: a file such as" in run.warnings[0]


@pytest.mark.parametrize("line", ["owl/v1.1", "owl/v1.1.png"])
def test_a_line_without_its_step_is_told_with_the_file_that_it_may_mean(tmp_path, line):
    run = Run(tmp_path, DRAFTS + LARGE, f"{line}\n")
    assert f'found "{line}", which names no file (did you mean drafts/owl/v1.1' in run.warnings[0]


@pytest.mark.parametrize("line", ["drafts/owi/v1.0", "drafts/fox/v9", "draft/owl/v1.0", "owl/v9"])
def test_no_other_file_is_guessed_since_picking_it_would_be_paid(tmp_path, line):
    run = Run(tmp_path, DRAFTS + LARGE, f"{line}\n")
    assert len(run.warnings) == 1
    assert "did you mean" not in run.warnings[0]


def test_many_idle_lines_are_told_in_short(tmp_path):
    run = Run(tmp_path, DRAFTS + LARGE, "".join(f"nothing/{n}\n" for n in range(100)))
    assert len(run.warnings) == 21
    assert "80 more lines name nothing" in run.warnings[-1]


def test_one_file_may_pick_of_two_steps(tmp_path):
    other = LARGE.replace("large:", "small:").replace('prompt: "', 'prompt: "small ')
    run = Run(tmp_path, DRAFTS + LARGE + other, "drafts/owl/v1.1\n")
    assert run.places == [*DRAFT_JOBS, "large/3", "small/3"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"picks.txt": b"\xff\xfe"}, "not UTF-8"),
        ({"picks.txt/a": "1"}, "Is a directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path, files, words):
    with pytest.raises(ManifestError) as caught:
        plan_of(tmp_path, DRAFTS + LARGE, files=files).check()
    assert any(words in problem.message for problem in caught.value.problems)


def test_picks_of_another_folder_are_not_read(tmp_path):
    with pytest.raises(ManifestError, match="outside the folder of the manifest"):
        plan_of(tmp_path / "in", DRAFTS + LARGE.replace("picks.txt", "../p"), files={"../p": "a"})


def test_what_is_chosen_brings_along_what_it_waits_for(tmp_path):
    run = Run(tmp_path, DRAFTS + LARGE.replace(", only: picks.txt", "") + THIRD, steps=("third",))
    assert run.needed == [*DRAFT_JOBS, *(f"large/{n}" for n in range(6))]
    assert run.of("third") == [f"third/{n}" for n in range(6)]


@pytest.mark.parametrize(
    ("words", "places", "needed"),
    [
        ({"only": "last is defined and last.pick.beat == 'owl'"},
         ["drafts/1", "large/2", "large/3", "third/2", "third/3"],
         ["drafts/1", "large/2", "large/3"]),
        ({"steps": ("third",), "limit": 1}, ["drafts/0", "large/0", "third/0"],
         ["drafts/0", "large/0"]),
        ({"steps": ("large",), "limit": 1}, ["drafts/0", "large/0"], ["drafts/0"]),
        ({"limit": 2}, ["drafts/0", "drafts/1"], []),
        ({"steps": ("drafts",)}, DRAFT_JOBS, []),
        ({"steps": ("drafts", "large"), "limit": 4}, [*DRAFT_JOBS, "large/0"], []),
        ({"only": "job.index == 0"}, ["drafts/0", "large/0", "third/0"], []),
    ],
)  # fmt: skip
def test_a_selection_names_targets(tmp_path, words, places, needed):
    run = Run(tmp_path, DRAFTS + LARGE.replace(", only: picks.txt", "") + THIRD, **words)
    assert (run.places, run.needed) == (places, needed)


def test_a_sample_is_of_targets_and_its_ancestors_come_in_plan_order(tmp_path):
    text = DRAFTS + LARGE.replace(", only: picks.txt", "") + THIRD
    run = Run(tmp_path, text, steps=("third",), sample=2)
    assert len(run.of("third")) == 2
    assert run.needed == run.of("drafts") + run.of("large")
    assert [place.replace("third", "large") for place in run.of("third")] == run.of("large")


def test_a_parent_of_which_nothing_late_is_read_does_not_come_along(tmp_path):
    plain = LARGE.replace(", each: artifact, only: picks.txt", "").replace(
        "{{ pick.artifact }}", "https://pictures.example/a.png"
    )
    run = Run(tmp_path, DRAFTS + plain.replace("-{{ pick.artifact.index }}", ""), steps=("large",))
    assert run.places == ["large/0", "large/1", "large/2"]


def test_a_row_that_is_not_picked_is_not_needed_either(tmp_path):
    run = Run(tmp_path, DRAFTS + LARGE + THIRD, "drafts/cat/v1.0\n", steps=("third",))
    assert run.places == ["drafts/2", "large/4", "third/4"]
