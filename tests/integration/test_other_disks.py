"""Disks that refuse names or links: nothing is sent that they could not keep, the rest is made."""

import json
from pathlib import Path

import pytest

from tests.integration.test_full_disk import can_mount, unshared

ELSEWHERE = Path(__file__).parents[1] / "elsewhere.py"
REFUSED = [
    ("ntfs", "Dune: Part Two"),
    ("ntfs", "Who?"),
    ("ntfs", "The end./poster"),
    ("ecryptfs", "灯" * 47),
    ("ecryptfs", "a" * 140),
    ("latin-1", "灯笼"),
]


def films(work, *titles, filename="{{ title }}", **execution):
    steps = f"""
steps:
  posters:
    operation: wanx-v1
    matrix: {{title: {json.dumps(titles, ensure_ascii=False)}}}
    input: {{prompt: "{{{{ title }}}}"}}
    filename: "{filename}"
"""
    return work.pipeline(steps, **execution)


def run_on(work, disk, *arguments):
    outcome = work.spawn_script(ELSEWHERE, disk, *arguments).end()
    assert outcome.code != 4, outcome.err
    return outcome


@pytest.mark.parametrize(("disk", "title"), REFUSED)
def test_a_job_whose_name_is_refused_is_not_sent_and_the_others_are_made(
    work, emulator, disk, title
):
    outcome = run_on(work, disk, films(work, "Alien", title, "Heat"))
    assert outcome.code == 3
    assert f"artifacts/posters/{title}" in outcome.err
    assert "Free the disk" not in outcome.err
    assert "filename" in outcome.err
    assert work.statuses() == {"succeeded": 2, "pending": 1}
    assert emulator.paid() == 2
    assert len(work.files()) == 2
    again = run_on(work, disk, "demo.yaml")
    assert again.code == 3
    assert emulator.paid() == 2


def test_once_the_name_is_another_only_its_job_is_paid(work, emulator):
    run_on(work, "ntfs", films(work, "Dune: Part Two", "Alien", "Heat"))
    renamed = films(work, "Dune: Part Two", "Alien", "Heat", filename="{{ title | slug }}")
    assert run_on(work, "ntfs", renamed).code == 0
    assert list(emulator.creates().values()) == [1, 1, 1]


def test_names_that_fit_exactly_are_taken(work, emulator):
    assert run_on(work, "ecryptfs", films(work, "a" * 139, "b" * 3)).code == 0
    assert emulator.paid() == 2


def test_where_every_name_is_refused_nothing_is_sent(work, emulator):
    titles = [f"Part {number}: the end" for number in range(12)]
    outcome = run_on(work, "ntfs", films(work, *titles))
    assert outcome.code == 3
    assert "12 jobs not sent" in outcome.err
    assert outcome.err.count("warning: the disk refuses the name") == 5
    assert "every job of the plan has ended" not in outcome.err
    assert emulator.requests() == []


def test_a_job_is_not_sent_where_one_of_its_names_is_refused(work, emulator):
    """Two rows that make the same request are one job with two names."""
    steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {title: ["Alien", "Dune: Part Two"]}
    input: {prompt: a desert}
    parameters: {seed: 7}
    filename: "{{ title }}"
"""
    assert run_on(work, "ntfs", work.pipeline(steps)).code == 3
    assert emulator.requests() == []


def test_a_voice_whose_name_is_refused_is_not_made(work, emulator):
    steps = """
steps:
  voices:
    operation: qwen-voice-design
    matrix: {tone: ["calm", "warm: low"]}
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: "A {{ tone }} voice"
      preview_text: Good evening.
      language: en
    filename: "{{ tone }}"
"""
    outcome = run_on(work, "ntfs", work.pipeline(steps))
    assert outcome.code == 3
    assert "artifacts/voices/warm: low" in outcome.err
    assert emulator.paid() == 1


def test_the_emulator_shows_it_too(work):
    outcome = run_on(work, "ntfs", films(work, "Alien", "Dune: Part Two"), "--emulate")
    assert outcome.code == 3
    assert "Dune: Part Two" in outcome.err


def test_what_is_paid_already_is_kept_under_another_name(work, serve, standing_clock):
    """The run directory may have been moved to such a disk while tasks were running."""
    service = serve(clock=standing_clock)
    assert work.dsrun(films(work, "Dune: Part Two", "Alien", timeout="1s")).code == 3
    assert work.statuses() == {"submitted": 2}
    standing_clock.release()
    outcome = run_on(work, "ntfs", films(work, "Dune: Part Two", "Alien"))
    assert outcome.code == 0, outcome.err
    assert service.paid() == 2
    [alien, dune] = work.files()
    assert alien == "artifacts/posters/Alien.png"
    assert dune.startswith("artifacts/posters/Dune-Part-Two-")
    assert f"kept as {dune}" in outcome.err
    assert work.dsrun("verify", work.run_dir()).code == 0
    assert run_on(work, "ntfs", "demo.yaml").code == 0
    assert service.paid() == 2


def test_a_file_that_the_pipeline_reads_may_have_a_name_that_the_disk_refuses(work, emulator):
    (work.folder / "films: 2026.csv").write_text("title\nAlien\nHeat\n", encoding="utf-8")
    steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {film: {file: "films: 2026.csv"}}
    input: {prompt: "{{ film.title }}"}
"""
    outcome = run_on(work, "ntfs", work.pipeline(steps))
    assert outcome.code == 0, outcome.err
    assert "films: 2026.csv is not kept" in outcome.err
    lockfile = work.run_dir() / "manifest.lock.json"
    assert run_on(work, "ntfs", lockfile).code == 0
    assert emulator.paid() == 2


class TestNoLinks:
    """SMB and FAT have no symbolic links, and Windows gives the right to make them to few."""

    def test_the_run_goes_on_without_latest(self, work, emulator):
        outcome = run_on(work, "no-links", work.posters(2))
        assert outcome.code == 0
        assert "warning: outputs/demo/latest cannot be made" in outcome.err
        assert emulator.paid() == 2
        assert not (work.folder / "outputs/demo/latest").exists()

    @pytest.mark.parametrize(
        ("command", "words"),
        [
            ("status", "2 jobs: 2 succeeded"),
            ("verify", "2 files checked"),
            ("explain", "lantern 1"),
        ],
    )
    def test_the_folder_of_a_pipeline_still_stands_for_its_newest_real_run(
        self, work, emulator, command, words
    ):
        run_on(work, "no-links", work.posters(1))
        run_on(work, "no-links", work.posters(2))
        run_on(work, "no-links", work.posters(3), "--emulate")
        arguments = ["posters/1"] if command == "explain" else []
        outcome = run_on(work, "no-links", command, *arguments, "outputs/demo")
        assert outcome.code == 0, outcome.err
        assert words in outcome.out

    def test_a_plan_is_still_compared_with_the_last_run(self, work, emulator):
        run_on(work, "no-links", work.posters(2))
        plan = run_on(work, "no-links", "plan", work.posters(3), "--json").answer
        assert plan["difference"]["added"] == 1

    def test_no_link_goes_on_naming_an_older_run(self, work, emulator):
        work.dsrun(work.posters(1))
        assert run_on(work, "no-links", work.posters(2)).code == 0
        assert not (work.folder / "outputs/demo/latest").is_symlink()

    @pytest.mark.parametrize("in_the_way", ["folder", "file"])
    def test_neither_does_something_in_its_place_stop_the_run(self, work, emulator, in_the_way):
        latest = work.folder / "outputs/demo/latest"
        latest.mkdir(parents=True)
        if in_the_way == "file":
            latest.rmdir()
            latest.write_text("mine", encoding="utf-8")
        outcome = work.dsrun(work.posters(1))
        assert outcome.code == 0
        assert in_the_way == "file" or "latest cannot be made" in outcome.err


class TestReadOnlyCheckout:
    """A pipeline in a folder that nobody can write to, as in a container or a CI job."""

    @pytest.fixture
    def run(self, work):
        if words := can_mount():
            pytest.skip(f"no mount namespace here: {words}")
        mounts = (
            'for folder in . "$HOME"; do mount --bind "$folder" "$folder"; '
            'mount -o remount,ro,bind "$folder" "$folder"; done; cd "$PWD"; exec "$@"'
        )

        def start(*arguments):
            shell = [*unshared(as_root=False), mounts, "sh", *work.command]
            outcome = work.spawn_command([*shell, *map(str, arguments)]).end()
            assert outcome.code != 4, outcome.err
            return outcome

        return start

    def test_it_is_planned_and_its_run_says_what_to_do(self, work, emulator, run):
        pipeline = work.posters(2)
        assert run("validate", pipeline).code == 0
        assert run("plan", pipeline, "--json").answer["to_send"] == 2
        outcome = run(pipeline)
        assert outcome.code == 3
        assert "--out" in outcome.err
        assert "Free the disk" not in outcome.err
        assert emulator.requests() == []

    def test_it_runs_with_its_output_elsewhere(self, work, emulator, run, tmp_path):
        pipeline, out = work.posters(2), tmp_path / "elsewhere"
        outcome = run(pipeline, "-o", out)
        assert outcome.code == 0, outcome.err
        assert run("status", pipeline, "-o", out, "--json").answer["jobs"]["succeeded"] == 2
        assert run(pipeline, "-o", out).code == 0
        assert emulator.paid() == 2


class TestAddresses:
    @pytest.mark.parametrize(
        "out", ["s3://bucket/x", "gs://b", "oss://b/c", "file:///tmp/x", "https://h/x", "s3:/b"]
    )
    def test_an_address_is_no_output_directory(self, work, emulator, out):
        outcome = work.dsrun(work.posters(1), "-o", out)
        assert outcome.code == 2
        assert out in outcome.err
        assert "address" in outcome.err
        assert {path.name for path in work.folder.iterdir()} == {"demo.yaml"}
        assert emulator.requests() == []

    @pytest.mark.parametrize("option", ["--junit", "--textfile", "--log-file"])
    def test_nor_a_file_to_write(self, work, emulator, option):
        outcome = work.dsrun(work.posters(1), option, "s3://bucket/x.txt")
        assert outcome.code == 2
        assert emulator.requests() == []

    def test_nor_in_the_environment(self, work, emulator, monkeypatch):
        monkeypatch.setenv("DSRUN_OUT", "s3://bucket/x")
        for command in ("run", "plan", "status"):
            assert work.dsrun(command, work.posters(1)).code == 2

    def test_a_folder_with_a_colon_is_none(self, work, emulator):
        assert work.dsrun(work.posters(1), "-o", "a:b/c").code == 0
        assert (work.folder / "a:b/c/demo").is_dir()
