"""The cache in real runs: what any pipeline has finished, no other sends again."""

import io
import json
import shutil
import sqlite3
from contextlib import closing
from functools import partial

import pytest
from PIL import Image

VOICE = """
steps:
  voices:
    operation: qwen-voice-design
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: A calm voice
      preview_text: Good evening.
    filename: NAME
"""
TWINS = """
steps:
  posters:
    operation: wanx-v1
    matrix: {copy: [front, back]}
    input: {prompt: a lantern 0}
    parameters: {n: 2}
    filename: "{{ copy }}-{{ index }}"
"""
MIXED = """
steps:
  good:
    operation: wanx-v1
    matrix: {number: {range: [0, 2]}}
    input: {prompt: "a lantern {{ number }}"}
    parameters: {n: 2}
"""


def edited(work, count, *, at, pictures=1):
    """The posters pipeline under another name, with the prompt of one job changed."""
    text = work.posters(count, pictures=pictures).read_text(encoding="utf-8")
    changed = text.replace(
        "a lantern {{ number }}",
        f"{{{{ 'a kite' if number == {at} else 'a lantern' }}}} {{{{ number }}}}",
    )
    assert changed != text
    path = work.folder / "edited.yaml"
    path.write_text(changed.replace("name: demo", "name: edited"), encoding="utf-8")
    return path


def cached(work):
    return [line["index"] for line in work.results() if line["cached"]]


def objects(work, cache=".cache"):
    return sorted((work.folder / "outputs" / cache / "objects").rglob("*-*"))


def _has_files(work, child, number):
    """Whether a child has brought in so many files, or has ended."""
    files = list((work.folder / "outputs/demo").glob("*/artifacts/**/*.png"))
    return len(files) >= number or child.process.poll() is not None


class TestReuse:
    def test_one_edited_prompt_of_fifty_sends_one(self, work, emulator):
        assert work.dsrun(work.posters(50)).code == 0
        pipeline = edited(work, 50, at=7)
        plan = work.dsrun("plan", pipeline, "--json").answer
        assert (plan["jobs"], plan["cached"], plan["to_send"]) == (50, 49, 1)
        assert plan["cost"]["amount"] == 0.16
        assert "49 cached, 1 to send" in work.dsrun("plan", pipeline).out

        outcome = work.dsrun(pipeline, "--max-cost", "0.16 CNY")
        assert outcome.code == 0
        assert "50 succeeded (49 from the cache); cost so far: 0.16 CNY" in outcome.err
        assert emulator.paid() == 51
        assert work.dsrun("verify", "outputs/edited").code == 0
        plan = work.dsrun("plan", pipeline, "--json").answer
        assert (plan["done"], plan["cached"], plan["to_send"]) == (50, 0, 0)

    def test_the_line_of_a_cached_job_tells_all_but_a_cost(self, work, emulator):
        work.dsrun(work.posters(2, pictures=2))
        first = work.results()
        work.dsrun(edited(work, 2, at=0, pictures=2))
        root = (work.folder / "outputs/edited/latest").resolve()
        lines = [json.loads(line) for line in (root / "results.jsonl").read_text().splitlines()]
        assert [line["cached"] for line in lines] == [False, True]
        line = lines[1]
        assert line["artifacts"] == first[1]["artifacts"]
        assert line["request"] == first[1]["request"]
        assert (line["status"], line["error"], line["attempts"]) == ("succeeded", None, 0)
        assert line["cost"] == {"amount": 0.0, "currency": "CNY"}
        assert line["task_id"] is line["submitted_at"] is None
        assert line["ended_at"] > first[1]["ended_at"]

    def test_every_row_of_a_cached_job_gets_its_files(self, work, emulator):
        work.dsrun(work.posters(1, pictures=2, seed="5"))
        pictures = list(work.files().values())
        work.dsrun(work.pipeline(TWINS.replace("n: 2", "n: 2, seed: 5")))
        assert work.files() == {
            f"artifacts/posters/{name}-{index}.png": pictures[index]
            for name in ("back", "front")
            for index in (0, 1)
        }
        assert emulator.paid() == 1

    def test_a_voice_comes_with_its_name_and_preview(self, work, emulator):
        work.dsrun(work.pipeline(VOICE.replace("NAME", "calm")))
        [first], files = work.results(), work.files()
        outcome = work.dsrun(work.pipeline(VOICE.replace("NAME", "other")))
        assert outcome.code == 0
        [line] = work.results()
        assert line["output"] == first["output"]
        assert line["artifacts"][0]["sample_rate"] == first["artifacts"][0]["sample_rate"]
        assert list(work.files().values()) == list(files.values())
        assert list(work.files()) == ["artifacts/voices/other.wav"]
        assert emulator.paid() == 1

    def test_the_run_directory_that_made_it_may_be_gone(self, work, emulator):
        work.dsrun(work.posters(3))
        shutil.rmtree(work.folder / "outputs/demo")
        assert work.dsrun(work.posters(3)).code == 0
        assert cached(work) == [0, 1, 2]
        assert emulator.paid() == 3
        assert work.dsrun("verify", work.run_dir()).code == 0

    def test_only_what_is_selected_is_brought_in(self, work, emulator):
        work.dsrun(work.posters(4))
        shutil.rmtree(work.folder / "outputs/demo")
        assert work.dsrun(work.posters(4), "--limit", "2").code == 0
        assert work.statuses() == {"succeeded": 2, "pending": 2}

    def test_a_deleted_file_comes_back_without_a_request(self, work, emulator):
        pipeline = work.posters(2)
        work.dsrun(pipeline)
        files, requests = work.files(), emulator.requests()
        (work.run_dir() / "artifacts/posters/1-0.png").unlink()
        outcome = work.dsrun(pipeline)
        assert outcome.code == 0
        assert "brought back from the cache" in outcome.err
        assert work.files() == files
        assert emulator.requests() == requests

    def test_partial_and_failed_jobs_are_not_kept(self, work, serve):
        service = serve("partial-task")
        assert work.dsrun(work.pipeline(MIXED)).code == 1
        assert objects(work) == []
        plan = work.dsrun("plan", work.posters(3, pictures=2), "--json").answer
        assert (plan["cached"], service.paid()) == (0, 3)

    def test_what_was_completed_later_is_kept_whole_by_the_next_run(self, work, serve):
        serve("partial-task")
        pipeline = work.posters(2, pictures=3)
        assert work.dsrun(pipeline).code == 1
        service = serve()
        assert work.dsrun(pipeline, "--retry-failed").code == 0
        assert len(objects(work)) in (0, 6)
        assert work.dsrun(pipeline).code == 0
        assert len(objects(work)) == 6
        files, paid = work.files(), service.paid()
        shutil.rmtree(work.folder / "outputs/demo")
        assert work.dsrun(pipeline).code == 0
        assert (work.files(), service.paid()) == (files, paid)

    def test_no_cache_takes_nothing_and_adds_nothing(self, work, emulator, monkeypatch):
        pipeline = work.posters(2)
        work.dsrun(pipeline, "--no-cache")
        assert not (work.folder / "outputs/.cache").exists()
        shutil.rmtree(work.folder / "outputs/demo")
        work.dsrun(pipeline)
        shutil.rmtree(work.folder / "outputs/demo")
        monkeypatch.setenv("DSRUN_NO_CACHE", "1")
        assert work.dsrun("plan", pipeline, "--json").answer["cached"] == 0
        assert work.dsrun(pipeline).code == 0
        assert (cached(work), emulator.paid()) == ([], 6)

    def test_an_emulated_result_never_stands_in_for_a_real_one(self, work, emulator):
        pipeline = work.posters(1)
        work.dsrun(pipeline, "--emulate")
        assert (objects(work), len(objects(work, ".cache/emulated"))) == ([], 1)
        assert work.dsrun(pipeline).code == 0
        assert emulator.paid() == 1
        shutil.rmtree(work.folder / "outputs/demo")
        assert work.dsrun("plan", pipeline, "--emulate", "--json").answer["cached"] == 1
        assert "1 from the cache" in work.dsrun(pipeline, "--emulate").err


class TestTrouble:
    @pytest.mark.parametrize("content", [b"damaged", None], ids=["damaged", "gone"])
    def test_a_bad_file_is_a_miss_and_its_job_is_sent_again(self, work, emulator, content):
        pipeline = work.posters(3)
        work.dsrun(pipeline)
        files = work.files()
        shutil.rmtree(work.folder / "outputs/demo")
        bad = objects(work)[1]
        size = bad.stat().st_size
        bad.unlink()
        if content is not None:
            bad.write_bytes(content.ljust(size, b"x"))
        assert work.dsrun(pipeline).code == 0
        assert len(cached(work)) == 2
        assert emulator.paid() == 4
        assert work.dsrun("verify", work.run_dir()).code == 0

        shutil.rmtree(work.folder / "outputs/demo")
        assert work.dsrun(pipeline).code == 0
        assert (len(cached(work)), emulator.paid()) == (3, 4)
        assert work.files().keys() == files.keys()

    @pytest.mark.parametrize("kind", ["a file", "no database"])
    def test_a_cache_that_cannot_be_used_is_a_warning(self, work, emulator, kind):
        cache = work.folder / "outputs/.cache"
        (work.folder / "outputs").mkdir()
        if kind == "a file":
            cache.write_text("in the way")
        else:
            cache.mkdir()
            (cache / "index.sqlite3").write_text("no database " * 100)
        pipeline = work.posters(2)
        assert work.dsrun("plan", pipeline, "--json").answer["to_send"] == 2
        outcome = work.dsrun(pipeline)
        assert outcome.code == 0
        assert outcome.err.count("warning: the cache") == 1
        assert work.statuses() == {"succeeded": 2}

    def test_what_a_killed_run_has_not_given_its_next_run_gives(self, work, serve, standing_clock):
        service = serve(clock=standing_clock)
        pipeline = work.posters(3, concurrency=1)
        child = work.spawn(pipeline)
        work.until(lambda: service.tasks_asked_for() == 1, what="a task")
        standing_clock.advance(10)
        work.until(lambda: service.tasks_asked_for() == 2, what="the next task")
        child.kill()
        standing_clock.release()
        work.dsrun(pipeline, "--limit", "1")
        assert len(objects(work)) >= 1

    def test_kill_9_while_it_takes_costs_nothing(self, work, emulator):
        pipeline = work.posters(60)
        work.dsrun(pipeline)
        shutil.rmtree(work.folder / "outputs/demo")
        for number in (1, 20, 40):
            child = work.spawn(pipeline)
            work.until(partial(_has_files, work, child, number), what=f"{number} files")
            child.kill()
        assert work.dsrun(pipeline).code == 0
        assert emulator.paid() == 60
        assert len(cached(work)) == 60
        assert not (work.run_dir() / ".tmp").exists()
        for content in work.files().values():
            Image.open(io.BytesIO(content)).verify()

    def test_two_pipelines_at_once_both_end_and_leave_one_good_cache(self, work, emulator):
        children = [
            work.spawn(work.posters(12, concurrency=4)),
            work.spawn(edited(work, 12, at=3), "--max-concurrency", "4"),
        ]
        for child in children:
            assert child.end().code == 0
        assert emulator.paid() <= 24
        assert len(objects(work)) == 13
        shutil.rmtree(work.folder / "outputs/demo")
        paid = emulator.paid()
        assert work.dsrun(work.posters(12)).code == 0
        assert (len(cached(work)), emulator.paid()) == (12, paid)


class TestCollect:
    @pytest.fixture
    def kept(self, work, emulator):
        """Three results, one of them used long ago; the run directory is gone."""
        work.dsrun(work.posters(3))
        shutil.rmtree(work.folder / "outputs/demo")
        with closing(sqlite3.connect(work.folder / "outputs/.cache/index.sqlite3")) as db:
            oldest = "(SELECT min(job_id) FROM entry)"
            db.execute(f"UPDATE entry SET used_at = '2020' WHERE job_id = {oldest}")
            db.commit()
        return objects(work)

    def test_a_dry_run_says_what_a_real_one_does(self, work, kept):
        told = work.dsrun("gc", "--dry-run", "--json").answer
        size = kept[0].stat().st_size
        assert told == {"dry_run": True, "results": 1, "files": 1, "freed": size, "held": 0}
        assert objects(work) == kept
        assert work.dsrun("gc", "--json").answer == told | {"dry_run": False}
        assert objects(work) == kept[1:]

    def test_its_words(self, work, kept):
        assert (
            "1 result not used for 30d and 1 file would be removed"
            in work.dsrun("gc", "--dry-run").out
        )
        assert "0 results not used for 2000000h" in work.dsrun("gc", "--older-than", "2000000h").out

    def test_never_touches_run_directories(self, work, emulator):
        work.dsrun(work.posters(2))
        files = work.files()
        answer = work.dsrun("gc", "--older-than", "0s", "--json").answer
        assert (answer["results"], answer["files"]) == (2, 2)
        assert work.files() == files
        assert work.dsrun("verify", work.run_dir()).code == 0

    def test_is_safe_while_a_run_goes_on(self, work, serve, standing_clock):
        service = serve(clock=standing_clock)
        child = work.spawn(work.posters(2))
        work.until(lambda: service.tasks_asked_for() == 2, what="both tasks")
        assert work.dsrun("gc", "--older-than", "0s").code == 0
        standing_clock.release()
        assert child.end().code == 0
        assert len(objects(work)) == 2

    def test_without_a_cache_there_is_nothing_to_do_and_nothing_is_made(self, work):
        assert work.dsrun("gc", "--json").answer["results"] == 0
        assert list(work.folder.iterdir()) == []

    @pytest.mark.parametrize("age", ["30", "month", "", "-1d", "1e400d"])
    def test_an_age_that_is_none_is_refused(self, work, age):
        outcome = work.dsrun("gc", "--older-than", age)
        assert outcome.code == 2
        assert "30d" in outcome.err
