"""Steps that build on steps, run: waiting and waking, the cache, and how they end."""

import json
import shutil
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

CHILD = Path(__file__).parents[1] / "torture/child.py"
TARGET = "qwen3-tts-vd-2026-01-26"


def audiobook(work, names, lines, *, name="demo", take=1, says=None, **execution):
    """Voices, and the lines that they read: pairs of a voice's name and a text."""
    says = says or {}
    cast = [{"name": who, "says": says.get(who, f"the voice of {who}")} for who in names]
    script = [{"by": by, "text": text} for by, text in lines]
    steps = f"""
steps:
  cast:
    operation: qwen-voice-design
    take: {take}
    matrix: {{who: {json.dumps(cast)}}}
    input:
      target_model: {TARGET}
      voice_prompt: "{{{{ who.says }}}}"
      preview_text: Good evening.
    filename: "{{{{ who.name }}}}"
  speech:
    operation: qwen3-tts
    model: "{{{{ voice.request.input.target_model }}}}"
    matrix:
      line: {json.dumps(script)}
      voice: {{step: cast}}
      where: voice.who.name == line.by
    input: {{text: "{{{{ line.text }}}}", voice: "{{{{ voice.output.voice }}}}"}}
    filename: "{{{{ '%03d' | format(job.index) }}}}"
"""
    return work.pipeline(steps, name=name, path=f"{name}.yaml", **execution)


def storyboard(work, *, shots=1, name="demo", n=1, still="still.artifact", each="", **execution):
    """Pictures, and an edit of each."""
    steps = f"""
steps:
  shots:
    operation: wanx-v1
    matrix: {{beat: {{range: [1, {shots}]}}}}
    input: {{prompt: "beat {{{{ beat }}}}"}}
    parameters: {{n: {n}, seed: 7}}
    filename: "{{{{ beat }}}}-{{{{ index }}}}"
  edits:
    operation: wan2.5-i2i-preview
    matrix: {{still: {{step: shots{each}}}}}
    input: {{prompt: "night {{{{ still.beat }}}}", images: ["{{{{ {still} }}}}"]}}
    filename: "{{{{ job.index }}}}-{{{{ index }}}}"
"""
    return work.pipeline(steps, name=name, path=f"{name}.yaml", **execution)


def texts(service):
    """How often each line was read, by its text."""
    read = Counter()
    for body, number in service.creates().items():
        asked = json.loads(body)["input"]
        if "text" in asked:
            read[asked["text"]] += number
    return read


def edits(service):
    """The addresses of the pictures that were to be edited."""
    bodies = [json.loads(body)["input"] for body in service.creates()]
    return [url for body in bodies for url in body.get("images", ())]


def steps_of(work):
    rows = work.query("SELECT step, status, count(*) AS jobs FROM job GROUP BY step, status")
    return {(row["step"], row["status"]): row["jobs"] for row in rows}


def change(work, sql, *, name="demo"):
    with closing(sqlite3.connect(work.run_dir(name) / "ledger.sqlite3")) as db, db:
        db.execute(sql)


LINES = [("a", "one"), ("b", "two"), ("a", "three")]


class TestReuse:
    def test_one_row_of_the_cast_edited_sends_that_voice_and_its_lines_alone(self, work, emulator):
        assert work.dsrun(audiobook(work, "ab", LINES)).code == 0
        assert emulator.paid() == 5
        assert work.dsrun(audiobook(work, "ab", LINES, says={"a": "hoarse"})).code == 0
        assert emulator.paid() == 8
        assert sorted(texts(emulator)) == ["one", "three", "two"]
        assert steps_of(work) == {("cast", "succeeded"): 2, ("speech", "succeeded"): 3}
        cached = work.query("SELECT step, count(*) AS jobs FROM job WHERE cached GROUP BY step")
        assert {row["step"]: row["jobs"] for row in cached} == {"cast": 1, "speech": 1}

    def test_one_line_edited_is_one_job(self, work, emulator):
        work.dsrun(audiobook(work, "ab", LINES))
        assert work.dsrun(audiobook(work, "ab", [*LINES[:2], ("a", "other")])).code == 0
        assert emulator.paid() == 6

    def test_a_cached_chain_sends_nothing(self, work, emulator):
        work.dsrun(audiobook(work, "ab", LINES))
        second = audiobook(work, "ab", LINES, name="second")
        assert work.dsrun("plan", second, "--json").answer["cached"] == 5
        assert work.dsrun(second).code == 0
        assert emulator.paid() == 5

    @pytest.mark.parametrize("is_in_ledger", [True, False])
    def test_a_parent_remade_differently_sends_its_children(self, work, emulator, is_in_ledger):
        work.dsrun(audiobook(work, "ab", LINES))
        forget(work, "cast")
        if not is_in_ledger:
            shutil.rmtree(work.run_dir())
        shutil.rmtree(work.folder / "outputs/demo")
        second = audiobook(work, "ab", LINES, name="second")
        assert work.dsrun("plan", second, "--json").answer["to_send"] == 5
        assert work.dsrun(second, "--step", "cast").code == 0
        plan = work.dsrun("plan", audiobook(work, "ab", LINES), "--json").answer
        assert (plan["cached"], plan["to_send"]) == (2, 3)
        assert work.dsrun(second).code == 0
        assert emulator.paid() == 10
        # and from now on the new ones are in the cache
        assert work.dsrun(audiobook(work, "ab", LINES, name="third")).code == 0
        assert emulator.paid() == 10

    def test_a_parent_remade_identically_gives_its_children_from_the_cache(self, work, serve):
        service = serve(picture_scale=0.5)
        assert work.dsrun(storyboard(work, shots=2)).code == 0
        assert service.paid() == 4
        forget(work, "shots")
        shutil.rmtree(work.folder / "outputs/demo")
        assert work.dsrun(storyboard(work, shots=2, name="second")).code == 0
        assert service.paid() == 6
        assert len(edits(service)) == 2

    def test_a_child_of_a_cached_parent_goes_by_upload_with_the_same_id(self, work, serve):
        service = serve(picture_scale=0.5)
        work.dsrun(storyboard(work))
        ids = {line["job_id"] for line in work.results()}
        forget(work, "edits")
        shutil.rmtree(work.folder / "outputs/demo")
        assert work.dsrun(storyboard(work, name="second")).code == 0
        lines = (work.run_dir("second") / "results.jsonl").read_text().splitlines()
        assert {json.loads(line)["job_id"] for line in lines} == ids
        assert [url.partition(":")[0] for url in edits(service)] == ["http", "oss"]

    def test_take_makes_a_parent_and_all_below_again(self, work, emulator):
        work.dsrun(audiobook(work, "ab", LINES))
        assert work.dsrun(audiobook(work, "ab", LINES, take=2)).code == 0
        assert emulator.paid() == 10
        (work.run_dir() / ".ledger-tail").unlink()
        assert work.dsrun("verify", work.run_dir()).code == 0

    def test_gc_drops_no_parent_before_its_children(self, work, emulator):
        work.dsrun(audiobook(work, "a", [("a", "one"), ("a", "two")]))
        index = work.folder / "outputs/.cache/index.sqlite3"
        with closing(sqlite3.connect(index)) as db, db:
            db.execute("UPDATE entry SET used_at = '2020-01-01T00:00:00.000Z'")
        work.dsrun(audiobook(work, "a", [("a", "one")], name="second"))
        work.dsrun("gc", "--older-than", "1d")
        with closing(sqlite3.connect(index)) as db:
            rows = db.execute("SELECT parents FROM entry ORDER BY parents").fetchall()
        assert [row[0] is None for row in rows] == [True, False]


def forget(work, step):
    """The cache forgets what the jobs of a step have made."""
    ids = [row["job_id"] for row in work.query(f"SELECT job_id FROM job WHERE step = '{step}'")]
    with closing(sqlite3.connect(work.folder / "outputs/.cache/index.sqlite3")) as db, db:
        db.execute(
            "DELETE FROM entry WHERE job_id IN (SELECT value FROM json_each(?))", (json.dumps(ids),)
        )


class TestEnds:
    def test_one_failed_voice_is_one_failure_and_its_lines_are_skipped(self, work, serve):
        service = serve("moderation")
        service.strike_only(1)
        lines = [("a", f"line {number}") for number in range(40)] + [("b", "two")]
        outcome = work.dsrun(audiobook(work, "ab", lines, max_failures=2, concurrency=1))
        assert outcome.code == 1
        assert steps_of(work) == {
            ("cast", "failed"): 1, ("cast", "succeeded"): 1, ("speech", "skipped"): 40,
            ("speech", "succeeded"): 1,
        }  # fmt: skip
        assert work.dsrun(audiobook(work, "ab", lines, max_failures=2)).code == 1
        assert service.paid() == 2
        assert work.dsrun(audiobook(work, "ab", lines), "--retry-failed").code == 0
        assert service.paid() == 43
        assert set(texts(service).values()) == {1}

    def test_children_of_the_files_that_are_there_run_and_the_rest_after_a_retry(self, work, serve):
        service = serve("partial-task", picture_scale=0.5)
        pipeline = storyboard(work, n=4, each=", each: artifact")
        assert work.dsrun(pipeline).code == 1
        made = steps_of(work)
        assert made["shots", "partial"] == 1
        assert made["edits", "succeeded"] + made["edits", "skipped"] == 4
        assert made["edits", "skipped"] > 0
        service.heal()
        assert work.dsrun(pipeline, "--retry-failed").code == 0
        assert steps_of(work) == {("shots", "succeeded"): 1, ("edits", "succeeded"): 4}
        assert len(edits(service)) == 4

    def test_children_of_an_unknown_parent_wait_until_it_is_adopted(self, work, serve):
        service = serve("lost-answer", "no-list")
        pipeline = audiobook(work, "a", [("a", "one")])
        assert work.dsrun(pipeline).code != 0
        assert steps_of(work)["speech", "waiting"] == 1
        service.heal()
        assert work.dsrun(pipeline).code in (0, 1)
        assert steps_of(work)["speech", "succeeded"] == 1
        assert service.paid() == 2

    def test_a_late_value_of_another_type_fails_its_children_unsent(self, work, emulator):
        pipeline = audiobook(work, "ab", LINES)
        assert work.dsrun(pipeline, "--step", "cast").code == 0
        change(work, "UPDATE job SET output = json_set(output, '$.voice', 7) WHERE idx = 0 "
               "AND step = 'cast'")  # fmt: skip
        assert work.dsrun(pipeline).code == 1
        assert steps_of(work) == {
            ("cast", "succeeded"): 2, ("speech", "failed"): 2, ("speech", "succeeded"): 1
        }  # fmt: skip
        assert texts(emulator) == {"two": 1}
        error = work.results()[2]["error"]
        assert error["code"] == "InvalidRequest"

    def test_ctrl_c_leaves_newly_ready_children_unsent(self, work, serve):
        service = serve(picture_scale=0.5, task_time_s=1.0)
        pipeline = storyboard(work, shots=2)
        child = work.spawn("run", pipeline)
        work.until(lambda: service.paid() == 2, what="two tasks")
        child.send(signal.SIGINT)
        assert child.end().code == 130
        assert steps_of(work) == {("shots", "succeeded"): 2, ("edits", "pending"): 2}
        assert edits(service) == []
        assert work.dsrun(pipeline).code == 0
        assert len(edits(service)) == 2


class TestDeletedVoices:
    def test_a_cached_voice_is_asked_for_once_before_its_first_use(self, work, emulator):
        work.dsrun(audiobook(work, "a", LINES[:1]))
        before = emulator.count("POST", "/customization")
        lines = [("a", f"new {number}") for number in range(5)]
        assert work.dsrun(audiobook(work, "a", lines)).code == 0
        assert emulator.count("POST", "/customization") == before + 1
        assert emulator.paid() == 7

    def test_lines_of_a_voice_that_is_gone_fail_unsent_and_name_take_and_its_cost(
        self, work, serve
    ):
        serve()
        work.dsrun(audiobook(work, "a", LINES[:1]))
        service = serve()
        outcome = work.dsrun(audiobook(work, "a", [("a", "new"), ("a", "newer")]))
        assert (outcome.code, service.paid()) == (1, 0)
        errors = [line["error"] for line in work.results() if line["error"]]
        assert [error["code"] for error in errors] == ["Deleted"] * 2
        assert "a higher `take` in step cast makes it again, for 0.2 CNY" in errors[0]["message"]
