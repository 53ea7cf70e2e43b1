"""Reference pictures from local files, from the manifest to the service."""

import io
import sqlite3

import pytest
from aiohttp import web
from dashscope.utils.oss_utils import OssUtils
from PIL import Image

from tests.older import downgrade
from tests.served import served

POST_FILE = "dashscope-file-mgr"
STEPS = """
steps:
  posters:
    operation: wanx-v1
    matrix:
      pot: [red, blue]
      number: {range: [1, 3]}
    input:
      prompt: "a pot, number {{ number }}"
      ref_img: {upload: "refs/{{ pot }}.png"}
    filename: "{{ pot }}-{{ number }}"
"""


def picture(colour="red", kind="PNG"):
    file = io.BytesIO()
    Image.new("RGB", (300, 300), colour).save(file, kind)
    return file.getvalue()


@pytest.fixture
def pots(work):
    """Six jobs with two reference pictures."""
    (work.folder / "refs").mkdir()
    for colour in ("red", "blue"):
        (work.folder / f"refs/{colour}.png").write_bytes(picture(colour))
    return work.pipeline(STEPS)


def references(service):
    """What the accepted creates had as their reference picture."""
    return [body.partition('"ref_img":"')[2].partition('"')[0] for body in service.creates()]


def test_each_content_is_uploaded_once_and_never_to_the_api_s_host_with_the_key(
    work, pots, emulator
):
    """The emulator refuses a file that comes with an Authorization header."""
    outcome = work.dsrun(pots)
    assert outcome.code == 0, outcome.err
    assert emulator.count("POST", POST_FILE) == emulator.count("GET", "/uploads") == 2
    assert {url[:6] for url in references(emulator)} == {"oss://"}
    assert len(set(references(emulator))) == 2
    assert emulator.paid() == 6


def test_the_results_name_the_content_and_not_the_address(work, pots, emulator):
    work.dsrun(pots)
    text = (work.run_dir() / "results.jsonl").read_text()
    assert "oss://" not in text
    named = {line["request"]["input"]["ref_img"]["upload"] for line in work.results()}
    assert len(named) == 2
    assert all(upload.startswith("sha256:") for upload in named)


def test_another_run_goes_on_with_the_same_addresses(work, pots, emulator):
    assert work.dsrun(pots, "--limit", "1").code == 0
    assert work.dsrun(pots, "--limit", "3").code == 0
    assert emulator.count("POST", POST_FILE) == 1
    assert len(set(references(emulator))) == 1


@pytest.mark.parametrize(
    "change", ["uploaded_at = '2020-01-01T00:00:00.000Z'", "endpoint = 'http://elsewhere/api/v1'"]
)
def test_an_old_or_foreign_address_is_not_used_again(change, work, pots, emulator):
    work.dsrun(pots, "--limit", "1")
    with sqlite3.connect(work.run_dir() / "ledger.sqlite3") as db:
        db.execute(f"UPDATE upload SET {change}")
    db.close()
    assert work.dsrun(pots, "--limit", "2").code == 0
    assert emulator.count("POST", POST_FILE) == 2
    assert len(set(references(emulator))) == 2


def test_an_address_that_the_service_lost_is_replaced(work, pots, emulator):
    work.dsrun(pots, "--limit", "1")
    with sqlite3.connect(work.run_dir() / "ledger.sqlite3") as db:
        db.execute("UPDATE upload SET url = 'oss://gone/a.png'")
    db.close()
    assert work.dsrun(pots, "--limit", "2").code == 1
    assert [line["error"] and line["error"]["code"] for line in work.results()][:2] == [
        None,
        "BadRequest.InputDownloadFailed",
    ]
    assert work.dsrun(pots, "--limit", "2", "--retry-failed").code == 0
    assert emulator.count("POST", POST_FILE) == 2


def test_a_task_that_is_tried_again_uploads_what_the_service_lost(work, pots, emulator):
    work.dsrun(pots, "--limit", "1")
    with sqlite3.connect(work.run_dir() / "ledger.sqlite3") as db:
        db.execute("UPDATE upload SET url = 'oss://gone/a.png'")
    db.close()
    retry = {"failed_tasks": 2, "codes": ["BadRequest.InputDownloadFailed"]}
    assert work.dsrun(work.pipeline(STEPS, retry=retry), "--limit", "2").code == 0
    assert emulator.count("POST", POST_FILE) == 2
    assert emulator.paid() == 3


def test_an_emulated_run_uploads_to_its_own_emulator_each_time(work, pots):
    assert work.dsrun(pots, "--emulate", "--limit", "1").code == 0
    assert work.dsrun(pots, "--emulate").code == 0
    assert work.statuses() == {"succeeded": 6}


def test_an_edited_picture_is_another_run(work, pots, emulator):
    work.dsrun(pots)
    before = work.run_dir()
    (work.folder / "refs/red.png").write_bytes(picture("orange"))
    assert work.dsrun(pots).code == 0
    assert work.run_dir() != before
    lock = (work.run_dir() / "manifest.lock.json").read_text()
    assert '"refs/red.png"' in lock


def test_a_lock_file_does_not_run_with_another_picture(work, pots, emulator):
    work.dsrun(pots)
    lock = work.run_dir() / "manifest.lock.json"
    assert work.dsrun("validate", lock).code == 0
    (work.folder / "refs/red.png").write_bytes(picture("orange"))
    outcome = work.dsrun(lock)
    assert outcome.code == 2
    assert "changed since: refs/red.png" in outcome.err


def test_a_bad_picture_is_told_before_anything_is_sent(work, pots, emulator):
    (work.folder / "refs/blue.png").write_bytes(b"GIF89a nothing")
    outcome = work.dsrun(pots)
    assert outcome.code == 2
    assert "demo.yaml:11:25: steps.posters.input.ref_img.upload: " in outcome.err
    assert " in 3 of 6 jobs, first in job 3; allowed: " in outcome.err
    assert 'job 3: pot "blue", number 1' in outcome.err
    assert emulator.requests() == []


def test_an_older_ledger_learns_of_uploads(work, pots, emulator):
    work.dsrun(pots, "--limit", "1")
    downgrade(work.run_dir() / "ledger.sqlite3", version=2)
    assert work.dsrun(pots).code == 0
    assert len(work.query("SELECT * FROM upload")) == 2


class Host:
    """The upload steps of the published API, and what was sent to them."""

    def __init__(self):
        self.forms = []
        self.policies = []
        self.refusals = []
        self.on_upload = lambda: None

    def app(self):
        app = web.Application()
        app.router.add_get("/api/v1/uploads", self.policy)
        app.router.add_post("/files", self.take)
        app.router.add_post("/api/v1/services/aigc/text2image/image-synthesis", self.create)
        return app

    async def policy(self, request):
        assert request.headers["Authorization"].startswith("Bearer ")
        self.policies.append(dict(request.query))
        data = {
            "policy": "cG9saWN5",
            "signature": "c2lnbg==",
            "upload_dir": "dashscope-instant/1/2026-11-22/f",
            "upload_host": f"http://{request.host}/files",
            "expire_in_seconds": 300,
            "max_file_size_mb": 100,
            "capacity_limit_mb": 999999999,
            "oss_access_key_id": "id",
            "x_oss_object_acl": "private",
            "x_oss_forbid_overwrite": "true",
        }
        return web.json_response({"data": data, "request_id": "r"})

    async def take(self, request):
        assert "Authorization" not in request.headers
        assert request.content_length is not None  # the host takes no body of unknown length
        self.on_upload()
        parts = [(part.name, part.headers, await part.read()) async for part in _parts(request)]
        self.forms.append([(name, body) for name, _, body in parts])
        if self.refusals:
            return web.Response(status=403, text=self.refusals.pop(0))
        return web.Response()

    async def create(self, request):
        assert request.headers["X-DashScope-OssResourceResolve"] == "enable"
        return web.json_response(
            {"code": "InvalidParameter", "message": "enough", "request_id": "r"}, status=400
        )


async def _parts(request):
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        yield part


@pytest.fixture
def host(monkeypatch, key):
    server = Host()
    with served(server.app()) as server.base_url:
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", server.base_url)
        monkeypatch.setenv("DASHSCOPE_API_KEY", key)
        yield server


@pytest.mark.filterwarnings("ignore::FutureWarning:dashscope")
def test_the_form_is_the_one_that_the_official_client_sends(work, pots, host, key):
    work.dsrun(pots, "--limit", "1")
    OssUtils.upload(
        model="wanx-v1", file_path="refs/red.png", api_key=key, base_address=host.base_url
    )
    ours, theirs = (dict(form) for form in host.forms)
    folder, _, name = ours.pop("key").decode().rpartition("/")
    assert theirs.pop("key").decode() == f"{folder}/red.png"
    assert name.endswith(".png")
    assert ours == theirs
    assert [form[-1][0] for form in host.forms] == ["file", "file"]
    assert host.policies[0] == host.policies[1]


def test_an_expired_policy_is_replaced(work, pots, host):
    host.refusals = ["<Error><Code>AccessDenied</Code><Message>Policy expired.</Message></Error>"]
    work.dsrun(pots, "--limit", "1")
    assert len(host.forms) == len(host.policies) == 2
    [trouble] = work.query("SELECT error_message FROM attempt WHERE phase = 'upload'")
    assert trouble["error_message"].endswith("AccessDenied: Policy expired.")


def test_a_picture_that_changes_before_it_is_sent_fails_its_jobs(work, pots, host):
    other = work.folder / "refs/blue.png"
    host.on_upload = lambda: other.write_bytes(picture("green"))
    outcome = work.dsrun(pots, "-j", "1")
    assert outcome.code == 1
    codes = [line["error"]["code"] for line in work.results()]
    assert codes == ["InvalidParameter"] * 3 + ["FileChanged"] * 3
    assert "refs/blue.png is not what it was when the plan was made" in outcome.err
    assert work.query("SELECT attempts FROM job WHERE idx = 5") == [{"attempts": 0}]
