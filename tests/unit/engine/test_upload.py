"""Uploads of a run: once a content and model, and again when it must be."""

import asyncio
import hashlib
import io
import re
from datetime import timedelta
from pathlib import Path
from random import Random

import orjson
import pytest

from dsrun.common.clock import stamp
from dsrun.common.digest import canonical_json
from dsrun.common.errors import AnswerLost, ExitCode, FileChanged, NotSent
from dsrun.common.models import JobResult, JobStatus, OpenJob, UploadFile
from dsrun.engine.control import Left, RunControl
from dsrun.engine.limits import RateLimiter
from dsrun.engine.upload import Uploader
from dsrun.service.catalog import load_catalog
from dsrun.service.classify import Decision, Verdict
from dsrun.service.replies import HostRefusal, HttpReply, Refused, read_policy
from tests.fakes import ManualClock

OPERATION = load_catalog()["wanx-v1"]
CONTENT = b"a picture"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
POLICY = {
    "policy": "p",
    "signature": "s",
    "upload_dir": "folder",
    "upload_host": "https://files.example.com",
    "expire_in_seconds": 300,
    "max_file_size_mb": 100,
    "oss_access_key_id": "id",
    "x_oss_object_acl": "private",
    "x_oss_forbid_overwrite": "true",
}
EXPIRED = HostRefusal("AccessDenied", "Invalid according to Policy: Policy expired.")


def policy(data):
    return read_policy(HttpReply(status=200, headers={}, body=orjson.dumps({"data": data})))


def refused(decision, code, retry_after_s=None):
    verdict = Verdict(decision=decision, code=code, message="why", retry_after_s=retry_after_s)
    return Refused(verdict)


class Service:
    """Gives policies and takes files, or does what it was told to do next."""

    def __init__(self, clock):
        self._clock = clock
        self.models = []
        self.keys = []
        self.next_policies = []
        self.next_uploads = []

    async def ask_upload(self, model):
        self.models.append(model)
        return _next(self.next_policies, policy(POLICY))

    async def upload(self, policy, data, *, size, key, media_type):
        assert (policy.host, media_type) == ("https://files.example.com", "image/png")
        self.keys.append(key)
        assert data.read() == CONTENT
        await self._clock.sleep(1.0)
        return _next(self.next_uploads, None)


def _next(waiting, usual):
    told = waiting.pop(0) if waiting else usual
    if isinstance(told, Exception):
        raise told
    return told


class Memory:
    """What the ledger remembers of uploads."""

    def __init__(self):
        self.rows = {}
        self.troubles = []

    def find_upload(self, sha256, *, model, since):
        url, at = self.rows.get((sha256, model), ("", ""))
        return url if at > since else None

    async def record_upload(self, sha256, *, model, url, at):
        self.rows[sha256, model] = (url, at)

    async def forget_upload(self, sha256, *, model):
        self.rows.pop((sha256, model), None)

    async def record_trouble(self, job, *, at, phase, message):
        self.troubles.append((phase, message))


class Bytes(io.BytesIO):
    changed = False

    def check(self):
        if self.changed:
            raise FileChanged("a.png is not what it was")


class Setting:
    """An uploader with all that it touches."""

    def __init__(self):
        self.clock = ManualClock()
        self.service = Service(self.clock)
        self.memory = Memory()
        self.control = RunControl()
        self.data = Bytes
        self.files = {
            SHA256: UploadFile(
                name="a.png", path=Path("a.png"), sha256=SHA256, size=len(CONTENT),
                extension="png", media_type="image/png",
            )
        }  # fmt: skip
        self.uploader = self.new_run()

    def new_run(self):
        self.uploader = Uploader(
            api=self.service, files=self.files, open_file=lambda _: self.data(CONTENT),
            recorder=self.memory, control=self.control, clock=self.clock, rng=Random(1),
            max_attempts=3,
            limiters={"wanx-v1": RateLimiter(OPERATION.uploads.rate, clock=self.clock)},
        )  # fmt: skip
        return self.uploader

    async def prepare(self, job=None):
        return await self.clock.run(self.uploader.prepare(job or a_job(), OPERATION))


def a_job(model="wanx-v1", reference=None):
    reference = reference or {"upload": f"sha256:{SHA256}"}
    request = {"model": model, "input": {"prompt": "a pot", "ref_img": reference}}
    return OpenJob(
        job_id="j", operation="wanx-v1", body=canonical_json(request), status=JobStatus.PENDING,
        task_id=None, submitted_at=None, attempts=0, stems=(("s/a",),),
    )  # fmt: skip


def address(job):
    return orjson.loads(job.body)["input"]["ref_img"]


@pytest.fixture
async def setting():
    return Setting()


async def test_the_sent_request_names_the_file_by_its_address(setting):
    ready = await setting.prepare()
    assert address(ready) == f"oss://{setting.service.keys[0]}"
    assert re.fullmatch(rf"folder/{SHA256[:16]}-[0-9a-f]{{16}}\.png", setting.service.keys[0])
    assert load_catalog().validator("wanx-v1").is_valid(orjson.loads(ready.body))


@pytest.mark.parametrize("reference", ["https://example.com/a.png", '"upload"'])
async def test_a_request_without_a_file_is_sent_as_it_is(setting, reference):
    job = a_job(reference=reference)
    ready = await setting.uploader.prepare(job, OPERATION)
    assert ready.body == job.body
    assert setting.service.models == []


@pytest.mark.parametrize("ahead_h", [2, 72, 24 * 366], ids=["2 h", "3 d", "a year"])
async def test_a_file_uploaded_in_the_future_is_uploaded_again_once(setting, ahead_h):
    """A clock that was ahead has noted it: its age is not known, and nobody waits till it is."""
    later = stamp(setting.clock.now() + timedelta(hours=ahead_h))
    await setting.memory.record_upload(SHA256, model="wanx-v1", url="oss://old", at=later)
    assert address(await setting.prepare()) == f"oss://{setting.service.keys[0]}"
    setting.new_run()
    await setting.prepare()
    assert len(setting.service.keys) == 1


async def test_jobs_that_want_the_same_file_upload_it_once(setting):
    jobs = [setting.uploader.prepare(a_job(), OPERATION) for _ in range(5)]
    ready = await setting.clock.run(asyncio.wait_for(_all(jobs), None))
    assert len({address(job) for job in ready}) == 1
    assert (len(setting.service.models), len(setting.service.keys)) == (1, 1)


async def _all(jobs):
    return await asyncio.gather(*jobs)


async def test_an_address_holds_for_one_model(setting):
    first, second = await setting.prepare(), await setting.prepare(a_job("wanx-v9"))
    assert setting.service.models == ["wanx-v1", "wanx-v9"]
    assert address(first) != address(second)


async def test_an_address_is_used_for_40_hours_of_the_48_that_it_lives(setting):
    await setting.prepare()
    setting.new_run()
    await setting.clock.advance(40 * 3600 - 10)
    await setting.prepare()
    assert len(setting.service.keys) == 1
    await setting.clock.advance(10)
    await setting.prepare()
    assert len(setting.service.keys) == 2


async def test_its_age_counts_from_before_it_was_sent(setting):
    begun = stamp(setting.clock.now())
    await setting.prepare()
    [(_, at)] = setting.memory.rows.values()
    assert at == begun < stamp(setting.clock.now())


@pytest.mark.parametrize(
    "trouble",
    [EXPIRED, NotSent("no route"), AnswerLost("cut off")],
    ids=["policy expired", "not sent", "answer lost"],
)
async def test_an_upload_that_fails_is_repeated_with_a_new_policy_and_name(setting, trouble):
    setting.service.next_uploads = [trouble]
    ready = await setting.prepare()
    assert len(setting.service.models) == 2
    assert len(set(setting.service.keys)) == 2
    assert address(ready) == f"oss://{setting.service.keys[1]}"
    [(phase, message)] = setting.memory.troubles
    assert phase == "upload"
    assert message.startswith("a.png cannot be uploaded: ")


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(NotSent("no route"), id="not sent"),
        pytest.param(refused(Decision.AMBIGUOUS, "InternalError"), id="server error"),
        pytest.param(refused(Decision.RETRY, "AccessDenied"), id="retry"),
        pytest.param(policy({"policy": "p"}), id="no policy"),
        pytest.param(policy([]), id="no data"),
    ],
)
async def test_a_policy_that_does_not_come_is_asked_for_again(setting, trouble):
    setting.service.next_policies = [trouble]
    assert isinstance(await setting.prepare(), OpenJob)
    assert len(setting.service.models) == 2


async def test_being_throttled_waits_as_long_as_the_service_asks(setting):
    throttled = refused(Decision.THROTTLE, "Throttling", retry_after_s=30.0)
    setting.service.next_policies = [throttled]
    before = setting.clock.monotonic()
    await setting.prepare()
    assert setting.clock.monotonic() - before >= 30


async def test_the_run_stops_where_no_try_helps_and_the_job_is_left(setting):
    setting.service.next_uploads = [NotSent("no route")] * 3
    with pytest.raises(Left):
        await setting.prepare()
    assert setting.control.exit_code is ExitCode.INCOMPLETE
    assert setting.control.reason == "a.png cannot be uploaded: no route"
    assert len(setting.service.keys) == 3


async def test_a_bad_key_stops_the_run(setting):
    setting.service.next_policies = [refused(Decision.STOP, "InvalidApiKey")]
    with pytest.raises(Left):
        await setting.prepare()
    assert setting.control.reason == "InvalidApiKey: why"
    assert setting.service.keys == []


async def test_a_model_that_is_gone_closes_its_operation_alone(setting):
    setting.service.next_policies = [refused(Decision.MODEL, "ModelNotFound")]
    with pytest.raises(Left):
        await setting.prepare()
    assert not setting.control.is_stopping
    with pytest.raises(Left):
        setting.control.check("wanx-v1")


async def test_nothing_is_uploaded_once_the_run_stops(setting):
    setting.control.stop("enough", ExitCode.INCOMPLETE)
    with pytest.raises(Left):
        await setting.prepare()
    assert setting.service.models == []


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        pytest.param("refuse", "InvalidParameter", id="refused"),
        pytest.param("shrink", "UploadTooLarge", id="larger than the policy allows"),
        pytest.param("change", "FileChanged", id="changed while it was sent"),
        pytest.param("forget", "FileChanged", id="no file of this plan"),
    ],
)
async def test_a_file_that_will_never_do_fails_its_job(setting, break_it, code):
    if break_it == "refuse":
        setting.service.next_policies = [refused(Decision.JOB, "InvalidParameter")]
    elif break_it == "shrink":
        setting.service.next_policies = [policy(POLICY | {"max_file_size_mb": 0})]
    elif break_it == "change":
        setting.data = type("Changed", (Bytes,), {"changed": True})
    else:
        setting.files.clear()
    result = await setting.prepare()
    assert isinstance(result, JobResult)
    assert (result.status, result.error.code) == (JobStatus.FAILED, code)
    assert setting.memory.rows == {}


async def test_a_failed_job_counts_before_the_next_is_sent():
    setting = Setting()
    setting.control = RunControl(max_failures=1)
    setting.new_run()
    setting.files.clear()
    await setting.prepare()
    assert setting.control.is_stopping


async def test_an_address_that_the_service_cannot_follow_is_forgotten(setting):
    await setting.prepare()
    setting.new_run()
    await setting.uploader.forget_lost(a_job(), OPERATION, "BadRequest.InputDownloadFailed")
    await setting.prepare()
    assert len(setting.service.keys) == 2


@pytest.mark.parametrize("code", ["DataInspectionFailed", "InvalidParameter"])
async def test_another_failure_forgets_nothing(setting, code):
    await setting.prepare()
    setting.new_run()
    await setting.uploader.forget_lost(a_job(), OPERATION, code)
    assert len(setting.memory.rows) == 1


async def test_an_address_of_this_run_is_not_at_fault(setting):
    await setting.prepare()
    await setting.uploader.forget_lost(a_job(), OPERATION, "BadRequest.InputDownloadFailed")
    assert len(setting.memory.rows) == 1


async def test_an_operation_without_uploads_is_left_alone(setting):
    operation = load_catalog()["qwen-voice-design"]
    job = a_job()
    assert await setting.uploader.prepare(job, operation) is job
    await setting.uploader.forget_lost(job, operation, "BadRequest.InputDownloadFailed")
