"""Lists of what an API has made: read to their end, narrowed, and judged by a name alone."""

from dataclasses import replace
from random import Random

import orjson
import pytest

from dsrun.common.doubt import doubt_of
from dsrun.common.units import Rate
from dsrun.engine.control import RunControl
from dsrun.engine.limits import RateLimiter
from dsrun.engine.listing import Lister
from dsrun.engine.matching import NotFound, find_made, is_of_request
from dsrun.service.catalog import load_catalog
from dsrun.service.client import ApiClient
from dsrun.service.lists import read_made
from dsrun.service.operation import MadeList
from dsrun.service.replies import HttpReply
from tests.fakes import ManualClock

BASE = load_catalog()["qwen-voice-design"]
RECOVERY = MadeList(
    body={"model": "voice-enrollment", "input": {"action": "list_voice"}},
    page=("input", "page_index"),
    page_size=("input", "page_size"),
    items="/output/voice_list",
    total=None,
    match={},
    holds={"/input/prefix": "/voice_id"},
    filter={"/input/prefix": "/input/prefix"},
    made_at="/gmt_create",
    outputs={"voice_id": "/voice_id"},
    lost="",
)
CLONE = replace(BASE, recovery=RECOVERY)
REQUEST = {"model": "voice-enrollment", "input": {"prefix": "vab12"}}


class Service:
    """Gives its voices in pages, never more than `most` on one, and says no total."""

    base_url = "https://api.example/api/v1"
    workspace = None

    def __init__(self, names, *, most=100, repeats_last=False):
        self.names, self.most, self.repeats_last = names, most, repeats_last
        self.asked = []

    def bearer(self):
        return "Bearer key"

    async def request(self, method, url, *, headers, body, timeout_s, most=None):
        asked = orjson.loads(body)["input"]
        self.asked.append(asked)
        size = min(asked["page_size"], self.most)
        begin = asked["page_index"] * size
        if self.repeats_last and begin >= len(self.names):
            begin = max(0, len(self.names) - size)
        rows = [
            {"voice_id": name, "gmt_create": "2026-11-22 16:00:10"}
            for name in self.names[begin : begin + size]
        ]
        answer = {"output": {"voice_list": rows}, "request_id": "r"}
        return HttpReply(status=200, headers={}, body=orjson.dumps(answer))


async def listed(service, recovery=RECOVERY):
    clock, control = ManualClock(), RunControl()
    limiter = RateLimiter(Rate(requests=100, per_s=1.0), clock=clock)
    lister = Lister(
        api=ApiClient(service, service), control=control, clock=clock, rng=Random(1),
        limiter=limiter, max_attempts=2,
    )  # fmt: skip
    return await clock.run(
        lister.made(replace(BASE, recovery=recovery), recovery, REQUEST, limiter)
    )


@pytest.mark.parametrize("most", [100, 10, 7, 1])
@pytest.mark.parametrize("count", [0, 1, 7, 10, 25, 100, 101])
async def test_without_a_total_a_list_is_read_until_a_page_is_short(count, most):
    names = [f"cosyvoice-v3-x{number}-1" for number in range(count)]
    listing = await listed(Service(names, most=most))
    assert set(listing.names) == set(names)


@pytest.mark.parametrize("count", [1, 10, 20])
async def test_a_list_that_repeats_its_last_page_has_an_end(count):
    names = [f"cosyvoice-v3-x{number}-1" for number in range(count)]
    assert set((await listed(Service(names, most=10, repeats_last=True))).names) == set(names)


async def test_a_part_of_the_request_narrows_the_list():
    service = Service(["a"])
    await listed(service)
    assert {asked["prefix"] for asked in service.asked} == {"vab12"}
    assert {asked["action"] for asked in service.asked} == {"list_voice"}


async def test_what_the_request_does_not_have_narrows_nothing():
    service = Service(["a"])
    await listed(service, replace(RECOVERY, filter={"/input/tone": "/input/tone"}))
    assert all("tone" not in asked for asked in service.asked)


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("cosyvoice-v3-plus-vab12-9f3c", True), ("vab12", True), ("v3_vab12-x", False),
        ("cosyvoice-v3-plus-vab123-9f3c", False), ("cosyvoice-v3-plus-xvab12-9f3c", False),
        ("cosyvoice-v3-plus-VAB12-9f3c", False), ("None", False), ("", False),
    ],
)  # fmt: skip
async def test_a_name_is_held_as_a_word_of_its_own(name, is_ours):
    listing = await listed(Service([name]))
    assert bool(listing.rows) is is_ours


async def test_a_request_without_the_name_made_nothing_that_can_be_found():
    listing = await listed(Service(["None", "cosyvoice-None-1"]))
    assert listing.rows == []
    assert not any(is_of_request(row, {"input": {}}, CLONE) for row in _rows())


def _rows():
    rows = [{"voice_id": f"v3-vab12-{n}", "gmt_create": "2026-11-22 16:00:10"} for n in range(2)]
    body = orjson.dumps({"output": {"voice_list": rows}, "request_id": "r"})
    return read_made(RECOVERY, HttpReply(status=200, headers={}, body=body)).rows


def test_one_of_the_name_is_adopted_and_of_two_none():
    doubt = doubt_of("b", "2026-11-22T08:00:00.000Z", "2026-11-22T08:00:30.000Z", None)
    one, two = _rows()
    assert find_made(doubt, [one], claimed=()) is one
    assert find_made(doubt, [one, two], claimed=()) is NotFound.UNDECIDED
    assert find_made(doubt, [one, two], claimed={two.name}) is one
    assert find_made(doubt, [], claimed=()) is NotFound.ABSENT
