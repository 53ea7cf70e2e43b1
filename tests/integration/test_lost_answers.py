"""A create whose answer was lost is looked for, and never paid for twice."""

import json
from urllib.request import Request, urlopen

import pytest

from dsrun.common.resources import iter_operation_files

LOST_VOICES = """
steps:
  voices:
    operation: qwen-voice-design
    matrix: {mood: [calm, bright, grave]}
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: "A {{ mood }} voice"
      preview_text: Good evening.
    filename: "{{ mood }}"
"""


class TestLostAnswer:
    """A create may have been accepted: it is looked for before anything is sent again."""

    @pytest.mark.parametrize("fault", ["lost-answer", "server-error-after"])
    def test_a_create_that_was_accepted_is_found_and_adopted(self, work, serve, fault):
        service = serve(fault)
        assert work.dsrun(work.posters(4)).code == 0
        assert list(service.creates().values()) == [1] * 4
        assert work.statuses() == {"succeeded": 4}
        assert len({line["task_id"] for line in work.results()}) == 4
        outcomes = [row["outcome"] for row in work.query("SELECT outcome FROM attempt")]
        assert (outcomes.count("lost"), outcomes.count("found")) == (4, 4)

    @pytest.mark.parametrize("fault", ["server-error", "html", "reset"])
    def test_a_create_that_was_not_accepted_is_sent_again(self, work, serve, fault):
        service = serve(fault)
        service.strike_only(2)  # a create, and another one or a look for it
        assert work.dsrun(work.posters(4)).code == 0
        assert list(service.creates().values()) == [1] * 4
        assert work.query("SELECT 1 FROM attempt WHERE outcome = 'lost'")

    def test_where_it_may_be_the_only_task_allowed_nobody_waits_for_another(self, work, serve):
        """The next create cannot show what became of it: that one has no room."""
        service = serve("reset")
        service.strike_only(1)
        limits = {"wanx-v1": {"queued_tasks": 1, "running_tasks": 1}}
        child = work.spawn(work.posters(3, limits=limits))
        work.until(lambda: child.process.poll() is not None, what="the end")
        assert work.statuses() == {"succeeded": 2, "unknown": 1}
        assert service.paid() == 2

    def test_every_picture_is_that_of_its_own_job(self, work, serve):
        """Half of the answers are lost; the files are those of a run without trouble."""
        pipeline = work.posters(8, seed="7")
        serve()
        work.dsrun(pipeline, "-o", "quiet")
        quiet = work.folder / "quiet/demo"
        [run_dir] = [path for path in quiet.iterdir() if path.name != "latest"]
        wanted = {path.name: path.read_bytes() for path in run_dir.glob("artifacts/posters/*")}
        service = serve("lost-answer=0.5", seed=5)
        assert work.dsrun(pipeline).code == 0
        assert list(service.creates().values()) == [1] * 8
        found = {path.rpartition("/")[2]: data for path, data in work.files().items()}
        assert found == wanted

    def test_a_list_that_is_late_is_asked_again_within_the_grace(self, work, serve):
        service = serve("lost-answer", "late-list")
        assert work.dsrun(work.posters(1, grace="3s")).code == 0
        assert service.paid() == 1

    def test_a_wide_window_keeps_the_promise_and_leaves_what_cannot_be_told(self, work, serve):
        service = serve("lost-answer=0.3", seed=4)
        outcome = work.dsrun(work.posters(20, concurrency=10, submit_window=10))
        assert list(service.creates().values()) == [1] * 20
        assert outcome.code in (0, 1)
        assert set(work.statuses()) <= {"succeeded", "unknown"}

    def test_voices_are_found_by_their_own_texts(self, work, serve):
        service = serve("lost-answer")
        outcome = work.dsrun(work.pipeline(LOST_VOICES))
        assert outcome.code == 1
        assert list(service.creates().values()) == [1, 1, 1]
        for line in work.results():
            assert line["status"] == "partial"
            assert line["output"]["voice"].startswith("qwen-tts-vd-v")
            assert line["cost"]["amount"] == 0.2
            assert "the preview audio" in line["error"]["message"]
        assert work.dsrun("demo.yaml", "--retry-failed").code == 1
        assert service.paid() == 3

    def test_where_the_list_gives_all_again_nothing_is_lost(self, work, serve):
        schema = json.loads(dict(iter_operation_files())["qwen-voice-design"])
        schema["properties"]["model"]["const"] = "clone-1"
        recovery = schema["x-dsrun"]["recovery"]
        recovery["body"]["model"] = "clone-1"  # whose list it is
        del recovery["lost"]
        text = json.dumps(schema)
        (work.folder / "operations").mkdir()
        (work.folder / "operations/clone.json").write_text(text, encoding="utf-8")
        service = serve("lost-answer", operations=(text,))
        outcome = work.dsrun(work.pipeline(LOST_VOICES.replace("qwen-voice-design", "clone")))
        assert outcome.code == 0, outcome.err
        assert list(service.creates().values()) == [1, 1, 1]
        for line in work.results():
            assert line["status"] == "succeeded"
            assert line["output"]["voice"].startswith("qwen-tts-vd-v")

    def test_voices_that_were_not_made_are_made(self, work, serve):
        service = serve("server-error")
        service.strike_only(1)
        assert work.dsrun(work.pipeline(LOST_VOICES)).code == 0
        assert list(service.creates().values()) == [1, 1, 1]
        assert work.query("SELECT 1 FROM attempt WHERE outcome = 'lost'")


class TestServerWithoutList:
    """Nobody can tell what became of a lost create; the user decides."""

    def test_leaves_the_job_unknown_and_names_it(self, work, serve):
        service = serve("lost-answer", "no-list")
        outcome = work.dsrun(work.posters(2))
        assert outcome.code == 1
        assert list(service.creates().values()) == [1, 1]
        for line in work.results():
            assert (line["status"], line["error"]["class"]) == ("unknown", "unknown")
        assert "--resubmit-unknown" in outcome.err
        assert "unknown: posters/0-0" in outcome.err
        assert "the list is refused" in outcome.err
        assert "posters/0-0" in work.dsrun("status", "demo.yaml").out

    def test_is_never_sent_again_by_itself(self, work, serve):
        service = serve("lost-answer", "no-list")
        pipeline = work.posters(2)
        work.dsrun(pipeline)
        assert work.dsrun(pipeline).code == 1
        assert work.dsrun(pipeline, "--retry-failed").code == 1
        assert list(service.creates().values()) == [1, 1]

    def test_is_found_by_a_later_run_when_there_is_a_list(self, work, serve, monkeypatch):
        service = serve("lost-answer", "no-list=0.75", seed=2)
        pipeline = work.posters(1)
        assert work.dsrun(pipeline).code == 1
        for _ in range(20):
            if work.dsrun(pipeline).code == 0:
                break
        assert work.statuses() == {"succeeded": 1}
        assert service.paid() == 1

    def test_is_looked_for_first_when_the_user_decides_to_send_it_again(self, work, serve):
        service = serve("lost-answer", "no-list")
        pipeline = work.posters(1)
        work.dsrun(pipeline)
        service.heal()
        assert work.dsrun(pipeline, "--resubmit-unknown").code == 0
        assert list(service.creates().values()) == [1]
        assert work.statuses() == {"succeeded": 1}

    def test_the_users_decision_holds_for_what_was_in_doubt_before_and_is_sent_once(
        self, work, serve
    ):
        service = serve("lost-answer", "no-list")
        pipeline = work.posters(1)
        work.dsrun(pipeline)
        assert work.dsrun(pipeline, "--resubmit-unknown").code == 1
        assert service.paid() == 2
        assert work.statuses() == {"unknown": 1}

    def test_is_not_looked_for_at_another_endpoint(self, work, serve):
        service = serve("lost-answer", "no-list")
        pipeline = work.posters(1)
        work.dsrun(pipeline)
        other = serve()
        outcome = work.dsrun(pipeline)
        assert outcome.code == 3
        assert service.base_url in outcome.err
        assert other.requests() == []

    def test_counts_against_the_budget_since_it_may_be_paid(self, work, serve):
        service = serve("lost-answer", "no-list")
        assert work.dsrun(work.posters(4), "--max-cost", "0.40 CNY").code == 3
        assert service.paid() == 2
        assert work.statuses() == {"unknown": 2, "pending": 2}


MODELS = """
steps:
  flash:
    operation: wan2.2-t2i-flash
    matrix: {what: [a lantern, a river]}
    input: {prompt: "{{ what }}"}
  plus:
    operation: wan2.2-t2i-plus
    matrix: {what: [a lantern, a river]}
    input: {prompt: "{{ what }}"}
  old:
    operation: wanx-v1
    input: {prompt: a lantern}
"""


@pytest.mark.parametrize("faults", [("lost-answer",), ("lost-answer", "late-list")])
def test_each_model_s_lost_creates_are_found_in_the_list_of_their_own_model(
    work, serve, key, faults
):
    """The same prompts in all of them, so that a task of another model could pass for ours.

    Of wanx-v1 there is one: its tasks tell no prompt, so two of one time cannot be told apart.
    """
    service = serve(*faults)
    outcome = work.dsrun(work.pipeline(MODELS, grace="2s"))
    assert outcome.code == 0, outcome.err
    assert set(service.creates().values()) == {1}
    assert service.paid() == 5
    for model in ("wan2.2-t2i-flash", "wan2.2-t2i-plus", "wanx-v1"):
        address = f"{service.base_url}/tasks/?page_size=100&model_name={model}"
        request = Request(address, headers={"Authorization": f"Bearer {key}"})
        with urlopen(request) as answer:
            listed = {row["task_id"] for row in json.load(answer)["data"]}
        lines = [line for line in work.results() if line["request"]["model"] == model]
        assert {line["task_id"] for line in lines} == listed


CLONE = """
steps:
  voices:
    operation: cloning
    input:
      target_model: qwen3-tts-vc-2026-01-22
      audio: {data: "https://example.com/voice.wav"}
"""


class TestFoundVoice:
    """A cloned voice that is found in the list is whole, although no answer gave a file."""

    @pytest.fixture
    def service(self, work, serve):
        """Loses its first answer; a voice costs 0.10 CNY, and its call 0.03 CNY more."""
        schema = json.loads(dict(iter_operation_files())["qwen-voice-clone"])
        [item] = schema["x-dsrun"]["price"]["items"]
        schema["x-dsrun"]["price"]["items"] = [
            item | {"amount": "0.10"}, item | {"amount": "0.03", "unit": "call"}
        ]  # fmt: skip
        text = json.dumps(schema)
        (work.folder / "operations").mkdir()
        (work.folder / "operations/cloning.json").write_text(text, encoding="utf-8")
        one = serve("lost-answer", operations=(text,))
        one.strike_only(1)
        return one

    def test_it_costs_what_an_answer_would_have_billed(self, work, service):
        assert work.dsrun(work.pipeline(CLONE)).code == 0
        assert service.paid() == 1
        assert [line["cost"]["amount"] for line in work.results()] == [pytest.approx(0.13)]

    def test_another_pipeline_takes_it_from_the_cache(self, work, service):
        assert work.dsrun(work.pipeline(CLONE)).code == 0
        assert work.dsrun(work.pipeline(CLONE, name="other", path="other.yaml")).code == 0
        assert service.paid() == 1
