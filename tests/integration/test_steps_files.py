"""Files that go from one step to the next: by the service's own address, or by upload."""

import copy
import json

import pytest

from tests.integration.test_steps_across_kinds import EXPAND
from tests.integration.test_steps_run import change, edits, steps_of, storyboard

BIG = {"picture_scale": 0.5}
DEAD = pytest.mark.parametrize(
    "sql",
    [
        "UPDATE address SET answered_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-13 hours')",
        "UPDATE address SET answered_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1 hours')",
        "UPDATE address SET endpoint = 'https://dashscope-intl.aliyuncs.com/api/v1'",
        "DELETE FROM address",
    ],
    ids=["old", "of the future", "of another endpoint", "unknown"],
)


def is_upload(url):
    return url.startswith("oss://")


class TestAddresses:
    def test_a_fresh_address_is_used_and_nothing_is_uploaded(self, work, serve):
        service = serve(**BIG)
        assert work.dsrun(storyboard(work, shots=2)).code == 0
        assert not any(map(is_upload, edits(service)))
        assert service.count("GET", "/uploads") == 0

    @DEAD
    def test_any_other_goes_by_upload(self, work, serve, sql):
        service = serve(**BIG)
        pipeline = storyboard(work, shots=2)
        work.dsrun(pipeline, "--step", "shots")
        change(work, sql)
        assert work.dsrun(pipeline).code == 0
        assert [*map(is_upload, edits(service))] == [True, True]

    def test_another_emulator_gets_an_upload(self, work):
        pipeline = storyboard(work)
        assert work.dsrun(pipeline, "--step", "shots", "--emulate").code in (0, 1)
        assert work.dsrun(pipeline, "--emulate").code in (0, 1)
        assert work.query("SELECT * FROM upload")

    def test_an_address_that_is_dead_before_its_time_is_replaced_by_an_upload(self, work, serve):
        service = serve(**BIG)
        pipeline = storyboard(work, shots=2, max_failures=1)
        work.dsrun(pipeline, "--step", "shots")
        change(work, "UPDATE address SET url = 'https://gone.invalid/a.png?Signature=s3cret'")
        assert work.dsrun(pipeline).code == 0
        assert steps_of(work) == {("shots", "succeeded"): 2, ("edits", "succeeded"): 2}
        assert {url for url in edits(service) if is_upload(url)}
        assert work.query("SELECT max(attempts) AS most FROM job") == [{"most": 1}]
        assert not work.query("SELECT * FROM address")

    def test_a_file_that_breaks_the_limits_of_the_field_fails_that_child_unsent(self, work, serve):
        service = serve(picture_scale=0.1)
        assert work.dsrun(storyboard(work)).code == 1
        assert (service.paid(), service.count("GET", "/uploads")) == (1, 0)
        error = work.results()[1]["error"]
        assert (error["code"], error["class"]) == ("InvalidRequest", "job")
        assert "102x102 pixels; allowed: 384x384 to 5000x5000" in error["message"]

    def test_a_file_that_was_changed_is_not_uploaded(self, work, serve):
        service = serve(**BIG)
        pipeline = storyboard(work)
        work.dsrun(pipeline, "--step", "shots")
        change(work, "DELETE FROM address")
        [path] = (work.run_dir() / "artifacts/shots").glob("*.png")
        data = path.read_bytes()
        path.chmod(0o644)
        path.unlink()
        path.write_bytes(data + b"\0")
        assert work.dsrun(pipeline).code == 1
        assert service.paid() == 1
        assert "has changed since it was made" in work.results()[1]["error"]["message"]

    def test_an_address_stands_nowhere_but_in_the_ledger(self, work, serve):
        serve(**BIG)
        assert work.dsrun(storyboard(work, shots=2)).code == 0
        [*urls] = [row["url"] for row in work.query("SELECT url FROM address")]
        secrets = [url.partition("?")[2].encode() for url in urls]
        assert all(secrets)
        for path in (work.folder / "outputs").rglob("*"):
            if path.is_file() and not path.name.startswith(("ledger.", ".ledger-tail")):
                data = path.read_bytes()
                assert not any(secret in data for secret in secrets), path

    def test_the_request_is_recorded_as_it_was_sent_with_files_by_their_content(self, work, serve):
        serve(**BIG)
        work.dsrun(storyboard(work))
        [row] = work.query("SELECT sent FROM job WHERE step = 'edits'")
        [made] = work.query(
            "SELECT source_sha256 FROM artifact JOIN job USING (job_id) WHERE step = 'shots'"
        )
        assert json.loads(row["sent"])["input"]["images"] == [
            {"upload": f"sha256:{made['source_sha256']}"}
        ]


ADDRESS = {"type": "string", "pattern": "^https?://[^\\s]+$"}
SHOWN = """
steps:
  shots:
    operation: wanx-v1
    matrix: {beat: [1, 2]}
    input: {prompt: "beat {{ beat }}"}
    parameters: {n: 1}
  shown:
    operation: expand
    matrix: {still: {step: shots}}
    input: {prompt: "{{ still.artifact }}"}
"""


class TestAFieldThatTakesPublicAddressesAlone:
    @pytest.fixture
    def service(self, work, serve):
        """With an operation of the user's own that takes no upload."""
        operation = {"$id": "urn:dsrun:operation:expand", **copy.deepcopy(EXPAND)}
        operation["properties"]["input"]["properties"]["prompt"] = ADDRESS
        operation["x-dsrun"]["sample"]["request"]["input"]["prompt"] = "https://example.com/a.png"
        own = json.dumps(operation)
        (work.folder / "operations").mkdir()
        (work.folder / "operations/expand.json").write_text(own, encoding="utf-8")
        return serve(operations=(own,), **BIG)

    def sent(self, service):
        bodies = map(json.loads, service.creates())
        return [body["input"]["prompt"] for body in bodies if body["model"] == "expand"]

    def test_gets_a_fresh_one(self, work, service):
        assert work.dsrun(work.pipeline(SHOWN)).code == 0
        given = [row["url"] for row in work.query("SELECT url FROM address")]
        assert sorted(self.sent(service)) == sorted(given)

    @DEAD
    def test_fails_its_job_unsent_where_that_is_dead_and_no_other(self, work, service, sql):
        pipeline = work.pipeline(SHOWN)
        assert work.dsrun(pipeline, "--step", "shots").code == 0
        [kept] = work.query("SELECT url FROM address JOIN job USING (job_id) WHERE job.idx = 1")
        change(work, f"{sql} WHERE job_id = (SELECT job_id FROM job WHERE step = 'shots' "
               "AND idx = 0)")  # fmt: skip
        assert work.dsrun(pipeline).code == 1
        assert steps_of(work) == {
            ("shots", "succeeded"): 2, ("shown", "failed"): 1, ("shown", "succeeded"): 1
        }  # fmt: skip
        assert self.sent(service) == [kept["url"]]
        assert service.count("GET", "/uploads") == 0
        error = work.results()[2]["error"]
        assert (error["code"], error["class"]) == ("InvalidRequest", "job")
        assert "input.prompt takes an address, and that of artifacts/shots/" in error["message"]
        assert "is too old; make that file again, with `take`" in error["message"]


SPOKEN = """
steps:
  cast:
    operation: qwen-voice-design
    input: {target_model: qwen3-tts-vd-2026-01-26, voice_prompt: warm, preview_text: Good evening.}
  speech:
    operation: qwen3-tts
    model: "{{ voice.request.input.target_model }}"
    matrix: {voice: {step: cast}, number: [1, 2]}
    input: {text: "{{ number }}: I am {{ voice.output.voice }}", voice: "{{ voice.output.voice }}"}
"""


class TestMoney:
    """A voice costs 0.2 CNY; its lines cost 0.096 CNY at most, and 0.0044 CNY once all is known."""

    def test_what_a_late_text_costs_is_settled_once_it_is_known(self, work, emulator):
        outcome = work.dsrun(work.pipeline(SPOKEN, max_cost="0.22 CNY"))
        assert outcome.code == 0, outcome.err
        rows = work.query("SELECT planned, units FROM job WHERE step = 'speech'")
        assert [row["planned"] == row["units"] < 100 for row in rows] == [True, True]

    def test_max_cost_is_never_passed(self, work, emulator):
        assert work.dsrun(work.pipeline(SPOKEN, max_cost="0.207 CNY")).code == 3
        assert emulator.paid() == 2
        assert steps_of(work)["speech", "pending"] == 1


class TestOrder:
    def test_a_ready_child_goes_before_a_later_sibling_of_its_parent(self, work, serve):
        service = serve(**BIG)
        assert work.dsrun(storyboard(work, shots=4, concurrency=1)).code == 0
        asked = [json.loads(body)["input"] for body in service.creates()]
        kinds = ["edit" if "images" in one else "shot" for one in asked]
        assert kinds.index("edit") < 3
        assert sorted(kinds) == ["edit"] * 4 + ["shot"] * 4

    def test_the_address_that_dies_soonest_goes_first(self, work, serve):
        service = serve(**BIG)
        pipeline = storyboard(work, shots=3, concurrency=1)
        work.dsrun(pipeline, "--step", "shots")
        change(
            work,
            "UPDATE address SET answered_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', "
            "'-' || (SELECT idx + 1 FROM job WHERE job.job_id = address.job_id) || ' hours')",
        )
        rows = work.query("SELECT url FROM address JOIN job USING (job_id) ORDER BY job.idx DESC")
        assert work.dsrun(pipeline).code == 0
        assert edits(service) == [row["url"] for row in rows]
