"""Requests with what other jobs gave: what cannot be sent is told of that job alone."""

import asyncio
import hashlib
from contextlib import nullcontext, suppress
from dataclasses import replace

import pytest

from dsrun.common.clock import SystemClock
from dsrun.ledger.waiting import Lives
from dsrun.service.catalog import load_catalog
from dsrun.session.materials import Materials, NotThere, with_values
from tests.fakes import open_job
from tests.files_of_kinds import picture

BODY = b'{"input":{"text":{"at":"/output/text","from":"a"}}}'
AT = (("input", "text"),)


@pytest.mark.parametrize(
    "call", [b'"replace","a","b",9223372036854775808', b'"replace","a"', b'"truncate","x"']
)
def test_a_filter_that_an_older_dsrun_planned_and_that_fails_fails_its_job(call):
    body = BODY.replace(b'"from"', b'"filters":[[%s]],"from"' % call)
    with pytest.raises(NotThere, match=r"^input\.text: "):
        with_values(body, AT, lambda _: "hello")


def test_a_value_takes_its_place():
    assert with_values(BODY, AT, lambda _: "hello") == b'{"input":{"text":"hello"}}'


@pytest.mark.parametrize(
    "value", ["cut \ud83d", 2**60, float("nan"), float("inf"), ["\ud83d"], {"a": 2**53}]
)
def test_a_value_that_cannot_be_sent_as_json_fails_its_job_and_no_other(value):
    with pytest.raises(NotThere, match="cannot be sent as JSON"):
        with_values(BODY, AT, lambda _: value)


class OneFile:
    """A ledger in which every job has made the same file."""

    reading = staticmethod(nullcontext)

    def __init__(self, path, content):
        digest = hashlib.sha256(content).hexdigest()
        self._row = {
            "operation": "wan2.5-t2i-preview", "path": path, "sha256": digest, "source": digest,
            "size": len(content), "media_type": "image/png", "duration_s": None, "url": None,
            "endpoint": None, "answered_at": None,
        }  # fmt: skip

    def row(self, sql, values):
        return self._row


async def test_other_jobs_go_on_while_a_file_of_a_step_is_looked_at(tmp_path):
    content = picture(size=(400, 400))
    (tmp_path / "a.png").write_bytes(content)
    materials = Materials(
        OneFile("a.png", content), tmp_path, lives=Lives("", {}), clock=SystemClock(), files={}
    )
    body = b'{"input":{"images":[{"file":0,"from":"p"}],"prompt":"a"}}'
    job = replace(open_job(body=body), late=(("input", "images", 0),))
    turns = 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.ensure_future(others())
    ready = await materials.prepare(job, load_catalog()["wan2.5-i2i-preview"])
    before = turns
    again = await materials.prepare(job, load_catalog()["wan2.5-i2i-preview"])
    other.cancel()
    with suppress(asyncio.CancelledError):
        await other
    digest = hashlib.sha256(content).hexdigest()
    assert ready == again
    assert digest.encode() in ready.body
    assert list(materials.files) == [digest]
    assert before > 0
    assert turns == before, "a file is looked at once"
