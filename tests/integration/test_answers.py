"""An operation that answers at once, in a file of the user's own: what it answers is never lost.

Nothing at the service remembers such a create, so it is never sent a second time.
"""

import base64
import io
import json
import shutil
import signal
import sqlite3
import wave
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from dsrun.ledger.schema import SINCE_ANSWERS
from tests.answering import Answering, write_operation
from tests.older import downgrade

CHILD = Path(__file__).parents[1] / "torture/child.py"
ADDRESS = {"media": "image", "at": "/output/url"}
PICTURES = {
    "media": "image", "each": "/output/results/*", "at": "/url", "error": ["/code", "/message"],
    "asked": "/parameters/n", "seed": "/parameters/seed",
}  # fmt: skip
SPEECH = {"media": "audio", "at": "/output/audio/url"}


def picture(number=0):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (number, 0, 0)).save(file, "PNG")
    return file.getvalue()


def sound():
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(1600))
    return file.getvalue()


def one_address(key, name):
    def answer(_, host):
        output = {"url": f"http://{host}/files/{name}"}
        return {"output": {key: output} if key else output, "usage": {"count": 1}, "code": ""}

    return answer


def several(body, host):
    first, count = body["parameters"]["seed"], body["parameters"]["n"]
    results = [{"url": f"http://{host}/files/{seed}"} for seed in range(first, first + count)]
    return {"output": {"results": results}, "usage": {"count": count}}


@pytest.fixture
def service(monkeypatch, key):
    """Answers with one picture where a test says nothing else."""
    one = Answering(one_address("", "a.png"))
    one.files = {"a.png": picture(), "a.wav": sound()}
    with one.open() as address:
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", address)
        monkeypatch.setenv("DASHSCOPE_API_KEY", key)
        yield one


@pytest.fixture
def pipeline(work):
    """Write the operation file and a pipeline of so many jobs."""

    def write(*artifacts, jobs=1, parameters="", name="demo", **about):
        write_operation(work.folder, artifacts=list(artifacts), **about)
        more = f"    parameters: {parameters}\n" if parameters else ""
        steps = (
            "steps:\n  s:\n    operation: mine\n"
            f"    matrix: {{number: {{range: [0, {jobs - 1}]}}}}\n"
            '    input: {prompt: "a lamp {{ number }}"}\n'
            f'{more}    filename: "{{{{ number }}}}-{{{{ index }}}}"\n'
        )
        return work.pipeline(steps, name=name, path=f"{name}.yaml", max_attempts=2)

    return write


def age(work, hours):
    """Make every answer of the ledger so many hours older."""
    shift = f"-{hours} hours"
    with closing(sqlite3.connect(work.run_dir() / "ledger.sqlite3")) as db, db:
        for place in ("at", "until"):
            db.execute(
                "UPDATE job SET answer = json_set(answer, '$.' || ?1, "
                "strftime('%Y-%m-%dT%H:%M:%fZ', json_extract(answer, '$.' || ?1), ?2))",
                (place, shift),
            )


def kill_at_download(work, service, file, *options, jobs=1):
    """Run, and `kill -9` while the files of so many jobs are on their way."""
    service.asked.clear()
    service.gate.clear()
    child = work.spawn(file, *options)
    work.until(lambda: service.asked.total() == jobs, what="so many downloads")
    child.kill()
    service.gate.set()


TEXT = {"media": "text", "at": "/output/text", "as": "value"}
LIST = {"media": "json", "at": "/output/list", "as": "value"}
INSIDE = {"media": "audio", "at": "/output/data", "as": "base64"}

KINDS = {
    "a picture by address": (ADDRESS, one_address("", "a.png"), "0-0.png", None),
    "audio by address": (SPEECH, one_address("audio", "a.wav"), "0-0.wav", sound()),
    "a text": (
        TEXT, lambda _, __: {"output": {"text": "Grüße\n"}, "code": ""}, "0-0.txt",
        "Grüße\n".encode(),
    ),
    "JSON": (
        LIST, lambda _, __: {"output": {"list": [{"b": 1.5, "a": None}]}}, "0-0.json",
        b'[{"a":null,"b":1.5}]',
    ),
    "audio in the answer": (
        INSIDE, lambda _, __: {"output": {"data": base64.b64encode(sound()).decode()}}, "0-0.wav",
        sound(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("protocol", ["sync", "task"])
@pytest.mark.parametrize("one", KINDS.values(), ids=KINDS)
def test_every_kind_of_result_becomes_a_file(work, service, pipeline, one, protocol):
    kind, service.answer, name, data = one
    assert work.dsrun(pipeline(kind, protocol=protocol)).code == 0
    [(path, found)] = work.files().items()
    assert path == f"artifacts/s/{name}"
    assert data is None or found == data
    assert service.total() == 1
    assert work.dsrun(pipeline(kind, protocol=protocol)).code == 0
    assert service.total() == 1


@pytest.mark.parametrize("protocol", ["sync", "task"])
def test_further_kinds_get_a_suffix_and_decide_nothing(work, service, pipeline, protocol):
    def answer(_, host):
        url = f"http://{host}/files/a.png"
        return {"output": {"url": url, "preview": url, "words": {"b": [1]}}}

    service.answer = answer
    further = [
        {"media": "image", "name": "preview", "at": "/output/preview"},
        {"media": "json", "name": "words", "at": "/output/words", "as": "value"},
        {"media": "audio", "name": "sound", "at": "/output/sound"},
    ]
    assert work.dsrun(pipeline(ADDRESS, *further, protocol=protocol)).code == 0
    assert list(work.files()) == [
        f"artifacts/s/0-0{ending}" for ending in ("-preview.png", "-words.json", ".png")
    ]
    [line] = work.results()
    assert [item.get("name", "") for item in line["artifacts"]] == ["", "preview", "words"]
    assert line["status"] == "succeeded"
    assert work.dsrun("verify", work.run_dir()).code == 0


def test_a_further_kind_does_not_take_the_name_of_another_job(work, service, pipeline):
    words = {"media": "text", "name": "a", "at": "/output/words", "as": "value"}
    write_operation(work.folder, artifacts=[ADDRESS, words])
    steps = (
        "steps:\n  s:\n    operation: mine\n    matrix: {name: [x, x-a]}\n"
        '    input: {prompt: "a {{ name }}"}\n    filename: "{{ name }}"\n'
    )
    outcome = work.dsrun(work.pipeline(steps))
    assert (outcome.code, service.total()) == (2, 0)
    assert "jobs 0 and 1 would be written to the same file" in outcome.err


def test_further_kinds_come_from_the_cache_too(work, service, pipeline):
    service.answer = lambda _, host: {
        "output": {"url": f"http://{host}/files/a.png", "words": "a lamp"}
    }
    words = {"media": "text", "name": "words", "at": "/output/words", "as": "value"}
    assert work.dsrun(pipeline(ADDRESS, words)).code == 0
    first = work.files()
    (work.run_dir() / "artifacts/s/0-0-words.txt").unlink()
    assert work.dsrun(pipeline(ADDRESS, words)).code == 0
    assert work.files() == first
    assert work.dsrun(pipeline(ADDRESS, words, name="other")).code == 0
    assert set(work.run_dir("other").rglob("0-0*")) == {
        work.run_dir("other") / path for path in first
    }
    assert service.total() == 1


class TestKilled:
    def test_between_answer_and_download_a_job_is_never_sent_again(self, work, service, pipeline):
        file = pipeline(ADDRESS, jobs=2)
        kill_at_download(work, service, file, jobs=2)
        assert work.statuses() == {"submitted": 2}
        assert work.dsrun(file).code == 0
        assert work.statuses() == {"succeeded": 2}
        assert service.total() == 2

    def test_the_log_of_the_ledger_may_be_gone_too(self, work, service, pipeline):
        file = pipeline(ADDRESS)
        kill_at_download(work, service, file)
        (work.run_dir() / "ledger.sqlite3-wal").unlink()
        outcome = work.dsrun(file)
        assert (outcome.code, work.statuses()) == (0, {"succeeded": 1})
        assert service.total() == 1

    def test_a_damaged_ledger_is_repaired_with_the_answer(self, work, service, pipeline):
        file = pipeline(ADDRESS)
        kill_at_download(work, service, file)
        ledger = work.run_dir() / "ledger.sqlite3"
        ledger.write_bytes(b"no database" * 1000)
        ledger.with_name("ledger.sqlite3-wal").unlink()
        assert work.dsrun("verify", "--repair", work.run_dir()).code == 0
        assert work.dsrun(file).code == 0
        assert (service.total(), work.statuses()) == (1, {"succeeded": 1})

    @pytest.mark.parametrize("answer", ["{}", "[1]", '{"results": [["gone", 1]]}'])
    def test_an_answer_of_another_form_is_a_damaged_ledger(self, work, service, pipeline, answer):
        kill_at_download(work, service, file := pipeline(ADDRESS))
        with closing(sqlite3.connect(work.run_dir() / "ledger.sqlite3")) as db, db:
            db.execute("UPDATE job SET answer = ?", (answer,))
        outcome = work.dsrun(file)
        assert outcome.code == 3
        assert "is damaged" in outcome.err
        assert service.total() == 1

    def test_another_run_directory_takes_the_answer_over(self, work, service, pipeline):
        kill_at_download(work, service, pipeline(ADDRESS))
        assert work.dsrun(pipeline(ADDRESS, name="other")).code == 0
        assert service.total() == 1
        assert [line["status"] for line in _results(work, "other")] == ["succeeded"]

    def test_a_part_of_a_job_is_not_sent_again(self, work, service, pipeline):
        service.answer, service.files = lacking_one, {str(n): picture(n) for n in range(9)}
        file = pipeline(PICTURES, parameters="{n: 3, seed: 1}")
        assert work.dsrun(file).code == 1
        service.answer = several
        kill_at_download(work, service, file, "--retry-failed")
        assert work.dsrun(file).code == 0
        assert [body["parameters"] for body in service.bodies] == [
            {"n": 3, "seed": 1}, {"n": 1, "seed": 2}
        ]  # fmt: skip
        assert len(work.files()) == 3

    @pytest.mark.parametrize("option", ["--retry-failed", "--resubmit-unknown"])
    def test_no_option_sends_an_answered_job_again(self, work, service, pipeline, option):
        file = pipeline(ADDRESS)
        kill_at_download(work, service, file)
        assert work.dsrun(file, option).code == 0
        assert service.total() == 1

    def test_its_cost_is_counted_once(self, work, service, pipeline):
        file = pipeline(ADDRESS, jobs=2)
        kill_at_download(work, service, file, jobs=2)
        assert work.dsrun(file, "--max-cost", "1 CNY").code == 0
        assert [line["cost"]["amount"] for line in work.results()] == [0.5, 0.5]


def lacking_one(body, host):
    answer = several(body, host)
    answer["output"]["results"][1] = {"code": "InternalError", "message": "no luck"}
    answer["usage"]["count"] -= 1
    return answer


def _results(work, name):
    text = (work.run_dir(name) / "results.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


class TestFilesThatDoNotCome:
    def test_a_file_host_that_fails_leaves_the_job_to_a_later_run(self, work, service, pipeline):
        service.files.clear()
        file = pipeline(ADDRESS)
        assert work.dsrun(file).code == 3
        assert work.statuses() == {"submitted": 1}
        service.files["a.png"] = picture()
        assert work.dsrun(file).code == 0
        assert service.total() == 1

    def test_an_address_that_lives_no_longer_leaves_it_unknown(self, work, service, pipeline):
        service.files.clear()
        file = pipeline(ADDRESS)
        assert work.dsrun(file).code == 3
        age(work, 25)
        assert work.dsrun(file).code == 1
        [line] = work.results()
        assert (line["status"], line["error"]["code"]) == ("unknown", "Expired")
        assert line["error"]["message"].startswith("paid, lost: expired")
        assert work.dsrun(file).code == 1
        assert (service.total(), work.statuses()) == (1, {"unknown": 1})

    def test_what_is_lost_then_stays_counted(self, work, service, pipeline):
        service.files.clear()
        file = pipeline(ADDRESS, jobs=4)
        assert work.dsrun(file, "--limit", "2").code == 3
        age(work, 25)
        outcome = work.dsrun(file, "--max-cost", "1 CNY", "--max-concurrency", "1")
        assert "max_cost of 1 CNY would be passed" in outcome.err
        assert (service.total(), work.statuses()) == (2, {"unknown": 2, "pending": 2})

    @pytest.mark.parametrize("protocol", ["task", "sync"])
    def test_a_further_kind_that_never_comes_does_not_take_the_main_one_with_it(
        self, work, service, pipeline, protocol
    ):
        def both(_, host):
            files = {"url": f"http://{host}/files/a.png", "thumb": f"http://{host}/files/gone"}
            return {"output": files, "usage": {"count": 1}}

        service.answer = both
        thumb = {"media": "image", "name": "thumb", "at": "/output/thumb"}
        file = pipeline(ADDRESS, thumb, protocol=protocol)
        first = work.dsrun(file)
        if protocol == "sync":  # nobody gives another address, and this one may come yet
            assert first.code == 3
            age(work, 25)
            first = work.dsrun(file)
        assert first.code == 0
        assert list(work.files()) == ["artifacts/s/0-0.png"]
        assert work.statuses() == {"succeeded": 1}
        told = work.query("SELECT error_message FROM attempt WHERE phase = 'end'")
        assert "0-0-thumb" in told[-1]["error_message"]

    def test_the_user_may_send_it_again_then(self, work, service, pipeline):
        service.files.clear()
        file = pipeline(ADDRESS)
        assert work.dsrun(file).code == 3
        age(work, 25)
        assert work.dsrun(file).code == 1
        service.files["a.png"] = picture()
        assert work.dsrun(file, "--resubmit-unknown").code == 0
        assert service.total() == 2
        assert work.results()[0]["cost"]["amount"] == 1.0  # both were answered

    def test_a_host_that_keeps_it_longer_is_asked(self, work, service, pipeline):
        kill_at_download(work, service, file := pipeline(ADDRESS))
        age(work, 25)
        assert work.dsrun(file).code == 0
        assert service.total() == 1

    def test_an_operation_says_how_long_its_addresses_live(self, work, service, pipeline):
        service.files.clear()
        file = pipeline(ADDRESS | {"url_hours": 2})
        assert work.dsrun(file).code == 3
        age(work, 3)
        assert work.dsrun(file).code == 1

    def test_a_lost_file_of_a_job_that_ended_is_fetched_again(self, work, service, pipeline):
        file = pipeline(ADDRESS)
        assert work.dsrun(file, "--no-cache").code == 0
        before = work.files()
        [path] = before
        (work.run_dir() / path).unlink()
        assert work.dsrun(file, "--no-cache").code == 0
        assert (work.files(), service.total()) == (before, 1)

    def test_one_of_several_is_asked_for_alone(self, work, service, pipeline):
        service.answer, service.files = lacking_one, {str(n): picture(n) for n in range(9)}
        file = pipeline(PICTURES, parameters="{n: 3, seed: 1}")
        assert work.dsrun(file).code == 1
        [line] = work.results()
        assert (line["status"], line["error"]["code"]) == ("partial", "InternalError")
        service.answer = several
        assert work.dsrun(file, "--retry-failed").code == 0
        assert service.bodies[1]["parameters"] == {"n": 1, "seed": 2}
        assert [item["seed"] for item in work.results()[0]["artifacts"]] == [1, 2, 3]

    def test_a_part_is_paid_for_alone_where_no_answer_bills(self, work, service, pipeline):
        """Its task is asked once more first, and gives what is there already."""

        def first_alone(body, host):
            answer = several(body, host) | {"usage": {}}
            if body["parameters"]["n"] == 3:
                answer["output"]["results"][1:] = [{"code": "InternalError", "message": "no"}] * 2
            return answer

        service.answer = first_alone
        service.files = {str(seed): picture(seed) for seed in (7, 8, 9)}
        file = pipeline(PICTURES, parameters="{n: 3, seed: 7}", protocol="task")
        assert work.dsrun(file).code == 1
        assert work.dsrun(file, "--retry-failed").code == 0
        assert service.total() == 2
        assert [line["cost"]["amount"] for line in work.results()] == [1.5]

    def test_one_whose_address_has_expired_is_asked_for_alone_too(self, work, service, pipeline):
        service.answer, service.files = several, {"1": picture(1), "3": picture(3)}
        file = pipeline(PICTURES, parameters="{n: 3, seed: 1}")
        assert work.dsrun(file).code == 3
        age(work, 25)
        assert work.dsrun(file).code == 1
        [line] = work.results()
        assert (line["status"], line["error"]["code"]) == ("partial", "Expired")
        assert line["cost"]["amount"] == 1.5
        service.files["2"] = picture(2)
        assert work.dsrun(file, "--retry-failed").code == 0
        assert [body["parameters"] for body in service.bodies[1:]] == [{"n": 1, "seed": 2}]
        assert work.results()[0]["cost"]["amount"] == 2.0

    def test_a_number_of_results_that_no_request_names(self, work, service, pipeline):
        service.answer = lambda _, host: {
            "output": {"urls": [f"http://{host}/files/{name}" for name in "ab"]}
        }
        service.files = {"a": picture(1), "b": picture(2)}
        assert (
            work.dsrun(pipeline({"media": "image", "at": "/output/urls/*", "asked": 2})).code == 0
        )
        assert list(work.files()) == ["artifacts/s/0-0.png", "artifacts/s/0-1.png"]
        assert work.results()[0]["cost"]["amount"] == 1.0

    def test_without_a_seed_it_stays_partial(self, work, service, pipeline):
        service.answer, service.files = lacking_one, {str(n): picture(n) for n in range(9)}
        kind = {key: value for key, value in PICTURES.items() if key != "seed"}
        file = pipeline(kind, parameters="{n: 3, seed: 1}")
        assert work.dsrun(file).code == 1
        assert work.dsrun("plan", file, "--retry-failed", "--json").answer["to_send"] == 0
        assert work.dsrun(file, "--retry-failed").code == 1
        assert (service.total(), work.statuses()) == (1, {"partial": 1})

    def test_fewer_than_a_model_may_make_are_all(self, work, service, pipeline):
        def answer(body, host):
            made = several(body, host)
            del made["output"]["results"][1:]
            return made

        service.answer, service.files = answer, {"1": picture()}
        kind = PICTURES | {"asked": {"at": "/parameters/n", "at_most": True}}
        assert work.dsrun(pipeline(kind, parameters="{n: 3, seed: 1}")).code == 0
        assert len(work.files()) == 1


WORDS = (
    {"media": "json", "at": "/output/heard", "as": "value"},
    {"media": "text", "name": "text", "of": "", "at": "/transcripts/*/text"},
    {
        "media": "captions", "name": "captions", "of": "",
        "each": "/transcripts/*/sentences/*", "begin": "/begin_time", "end": "/end_time",
        "text": "/text",
    },
)  # fmt: skip
HEARD = {
    "transcripts": [
        {
            "text": "Good evening. Good night.",
            "sentences": [
                {"begin_time": 50, "end_time": 1200, "text": "Good evening."},
                {"begin_time": 3_601_000, "end_time": 3_602_345, "text": "Good\nnight."},
            ],
        }
    ]
}


class TestDerived:
    def test_texts_and_captions_are_made_of_json(self, work, service, pipeline):
        service.answer = lambda _, __: {"output": {"heard": HEARD}}
        assert work.dsrun(pipeline(*WORDS)).code == 0
        files = work.files()
        assert files["artifacts/s/0-0-text.txt"] == b"Good evening. Good night."
        assert files["artifacts/s/0-0-captions.srt"].decode() == (
            "1\n00:00:00,050 --> 00:00:01,200\nGood evening.\n\n"
            "2\n01:00:01,000 --> 01:00:02,345\nGood night.\n"
        )

    @pytest.mark.parametrize("heard", [{"transcripts": []}, {"other": 1}, [], {"transcripts": 7}])
    def test_what_cannot_be_made_is_told_and_the_job_succeeds(self, work, service, pipeline, heard):
        service.answer = lambda _, __: {"output": {"heard": heard or {"a": 1}}}
        outcome = work.dsrun(pipeline(*WORDS))
        assert (outcome.code, list(work.files())) == (0, ["artifacts/s/0-0.json"])
        assert "no captions was made of artifacts/s/0-0.json" in outcome.err


RULE = {"at": "/output/status", "is": 0, "code": "/output/reason", "message": "/output/words"}


class TestSuccess:
    def test_an_answer_that_says_so_is_a_success(self, work, service, pipeline):
        service.answer = lambda _, host: {
            "output": {"status": 0, "url": f"http://{host}/files/a.png"}
        }
        assert work.dsrun(pipeline(ADDRESS, success=RULE)).code == 0

    @pytest.mark.parametrize("billing", [(True, 0.5), (False, 0.0)])
    @pytest.mark.parametrize("status", [1, False, None, "0"])
    def test_any_other_is_a_failed_job(self, work, service, pipeline, billing, status):
        billed, cost = billing
        output = {"status": status, "reason": "NoFace", "words": "no face was found"}
        service.answer = lambda _, __: {"output": output}
        assert work.dsrun(pipeline(ADDRESS, success=RULE | {"billed": billed})).code == 1
        [line] = work.results()
        assert (line["status"], line["error"]["code"]) == ("failed", "NoFace")
        assert line["error"]["message"] == "no face was found"
        assert line["cost"]["amount"] == cost
        assert service.total() == 1


def test_an_answer_that_holds_nothing_leaves_the_job_unknown(work, service, pipeline):
    service.answer = lambda _, __: {"output": {"url": None}}
    file = pipeline(ADDRESS)
    work.dsrun(file)
    work.dsrun(file)
    assert service.total() == 1


SENT = ("after Ledger.record_intent", "before ApiClient.create")
IN_DOUBT = (*SENT, "after ApiClient.create", "before Ledger.record_answer")
FETCHED = ("before ApiClient.fetch", "after ApiClient.fetch")
POINTS = (
    "before Ledger.record_intent", *IN_DOUBT, "after Ledger.record_answer",
    "before ArtifactStore.keep", "inside store.write", "before store.replace",
    "after store.replace", "after ArtifactStore.keep", "before Ledger.record_result",
    "after Ledger.record_result", "before Ledger.end_run",
)  # fmt: skip
BODY = {"output": {"data": base64.b64encode(sound()).decode()}}
RESULTS = {
    "address": (ADDRESS, one_address("", "a.png")),
    "value": (TEXT | {"at": "/output/data"}, lambda _, __: BODY),
    "base64": (INSIDE, lambda _, __: BODY),
}
KILLS = [(point, name) for point in POINTS for name in RESULTS]


@pytest.mark.parametrize(("point", "name"), [*KILLS, *((point, "address") for point in FETCHED)])
def test_killed_at_any_point_it_is_paid_once_and_not_lost(work, service, pipeline, point, name):
    """Only between intent and answer is it in doubt, and then it is the user's to judge."""
    kind, service.answer = RESULTS[name]
    file = pipeline(kind)
    assert work.spawn_script(CHILD, point, "1", file).end().code == -signal.SIGKILL
    again = work.dsrun(file)
    if point in IN_DOUBT:
        assert (again.code, work.statuses()) == (1, {"unknown": 1})
    else:
        assert (again.code, work.statuses()) == (0, {"succeeded": 1})
        assert len(work.files()) == 1
    assert work.dsrun(file).code == again.code
    assert service.total() == (0 if point in SENT else 1)


def test_a_large_body_is_on_disk_or_told_as_lost(work, service, pipeline):
    """It is not kept in the ledger, so that its answer is not as large as its file."""
    large = base64.b64encode(sound() * 100).decode()
    service.answer = lambda _, __: {"output": {"data": large}}
    file = pipeline(INSIDE)
    work.spawn_script(CHILD, "after store.replace", "1", file).end()
    assert work.dsrun(file).code == 0
    assert service.total() == 1
    assert len(work.query("SELECT answer FROM job WHERE answer IS NULL")) == 1
    other = pipeline(INSIDE, name="other")
    work.spawn_script(CHILD, "after Ledger.record_answer", "1", other, "--no-cache").end()
    assert work.dsrun(other, "--no-cache").code == 1
    [line] = _results(work, "other")
    assert (line["status"], line["error"]["code"]) == ("partial", "NotWritten")
    assert service.total() == 2


@pytest.mark.parametrize(
    ("point", "status"),
    [("after store.replace", "succeeded"), ("after Ledger.record_answer", "partial")],
)
def test_an_answer_that_an_older_dsrun_has_read_is_settled(work, service, pipeline, point, status):
    """Its ledger has the output and the units of a job that it calls `submitting`."""
    large = base64.b64encode(sound() * 100).decode()
    service.answer = lambda _, __: {"output": {"data": large}, "usage": {"count": 1}}
    file = pipeline(INSIDE)
    work.spawn_script(CHILD, point, "1", file).end()
    ledger = work.run_dir() / "ledger.sqlite3"
    with closing(sqlite3.connect(ledger)) as db, db:
        db.execute("UPDATE job SET status = 'submitting', units = 1")
    downgrade(ledger, SINCE_ANSWERS - 1)
    ledger.with_name(".ledger-tail").unlink()
    work.dsrun(file)
    [line] = work.results()
    assert (line["status"], line["cost"]["amount"]) == (status, 0.5)
    assert service.total() == 1


def test_an_answer_that_was_given_before_is_not_taken_for_another_job(work, service, pipeline):
    """A proxy that answers from its cache: what became of the second create nobody knows."""
    service.answer = lambda _, host: {
        "output": {"url": f"http://{host}/files/a.png"}, "request_id": "the same"
    }  # fmt: skip
    assert work.dsrun(pipeline(ADDRESS, jobs=2)).code == 1
    assert work.statuses() == {"succeeded": 1, "unknown": 1}
    assert "one that an earlier create was given" in work.results()[1]["error"]["message"]
    assert service.total() == 2


def test_a_partial_job_in_a_ledger_of_an_older_version_is_planned(work, service, pipeline):
    service.answer, service.files = lacking_one, {str(n): picture(n) for n in range(9)}
    file = pipeline(PICTURES, parameters="{n: 3, seed: 1}")
    assert work.dsrun(file).code == 1
    ledger = work.run_dir() / "ledger.sqlite3"
    downgrade(ledger, SINCE_ANSWERS - 1)
    ledger.with_name(".ledger-tail").unlink()
    assert work.dsrun("plan", file, "--retry-failed", "--json").answer["to_send"] == 1
    service.answer = several
    assert work.dsrun(file, "--retry-failed").code == 0
    assert service.bodies[1]["parameters"] == {"n": 1, "seed": 2}


class TestCacheOfKinds:
    """What the cache gives to another pipeline is what was made, under the names of its kinds."""

    def test_fewer_results_than_the_most_are_no_damage(self, work, service, pipeline):
        at_most = PICTURES | {"asked": {"at": "/parameters/n", "at_most": True}}
        service.answer = lambda body, host: several(
            {"parameters": body["parameters"] | {"n": 1}}, host
        )
        service.files["7"] = picture(7)
        parameters = "{n: 3, seed: 7}"
        assert work.dsrun(pipeline(at_most, parameters=parameters)).code == 0
        outcome = work.dsrun(pipeline(at_most, parameters=parameters, name="other"))
        assert outcome.code == 0
        assert "damaged" not in outcome.err
        assert service.total() == 1

    def test_a_ledger_gives_each_file_as_what_it_is(self, work, service, pipeline):
        """The name of a further kind may come before that of the main one."""
        thumb = {"media": "image", "name": "a", "at": "/output/thumb"}

        def both(_, host):
            files = {"url": f"http://{host}/files/a.png", "thumb": f"http://{host}/files/t.png"}
            return {"output": files, "usage": {"count": 1}}

        service.answer = both
        service.files["t.png"] = picture(200)
        assert work.dsrun(pipeline(ADDRESS, thumb)).code == 0
        shutil.rmtree(work.folder / "outputs/.cache")
        assert work.dsrun("demo.yaml").code == 0
        assert work.dsrun(pipeline(ADDRESS, thumb, name="other")).code == 0
        assert service.total() == 1
        made = (work.run_dir("other") / "artifacts/s").iterdir()
        pixels = {path.name: Image.open(path).getpixel((0, 0))[0] for path in made}
        assert pixels == {"0-0.png": 0, "0-0-a.png": 200}


def test_a_call_whose_price_nobody_can_tell_is_never_repeated(work, service, pipeline):
    def lose(_, __):
        raise ConnectionResetError

    service.answer = lose
    seconds = {"unit": "second", "amount": "0.01", "units": {"value": "/parameters/seed"}}
    price = {"currency": "CNY", "as_of": "2026-05", "items": [seconds]}
    file = pipeline(ADDRESS, recovery={"by": "repeat", "times": 2}, price=price)
    assert work.dsrun(file).code == 1
    assert work.statuses() == {"unknown": 1}
    assert service.total() == 1
