"""An answer as the ledger keeps it: read back the same, but for files too large for it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import orjson
import pytest

from dsrun.common.models import JobError
from dsrun.service.catalog import load_catalog
from dsrun.service.kept_answer import addresses_of, read_answer, write_answer
from dsrun.service.operation import ArtifactSpec
from dsrun.service.replies import Done
from dsrun.service.results import Address, Content, Missing, Unkept

AT = datetime(2026, 11, 22, 8, 0, 0, 250_000, tzinfo=UTC)
WANX = load_catalog()["wanx-v1"]
ALL = (
    Address("https://a/b?c=%2B"),
    Content(b"\x00\xff", "wav", 8000, kind=1),
    Missing("C", "m\u2028", place=1),
    Unkept("mp3", None, 2, 3),
)


@pytest.mark.parametrize(
    "done",
    [
        Done(
            results=ALL,
            echoes={},
            output={"voice": "v", "list": [1]},
            billed=(Decimal("4.041667"), None),
            request_id="r",
        ),
        Done(results=(), echoes={}, failure=JobError(code="c", message="m", kind="job")),
    ],
)
def test_it_is_read_back_the_same(done):
    kept = read_answer(write_answer(done, WANX, at=AT))
    assert (kept.done, kept.at) == (done, AT)


def test_a_file_that_is_too_large_is_marked():
    small, large = Content(bytes(10_000)), Content(bytes(10_000), "wav", 8000, 0, 1)
    text = write_answer(Done(results=(small, large), echoes={}), WANX, at=AT)
    assert read_answer(text).done.results == (small, Unkept("wav", 8000, 0, 1))
    assert len(text) < 20_000
    assert orjson.loads(text)["whole"] is False


@pytest.mark.parametrize(("hours", "is_late"), [(0, False), (1.99, False), (2, True), (30, True)])
def test_addresses_live_as_long_as_the_file_says(hours, is_late):
    short = replace(WANX, artifacts=(ArtifactSpec(media="image", at="/a", url_hours=2.0),))
    kept = read_answer(write_answer(Done(results=ALL, echoes={}), short, at=AT))
    assert kept.is_late(short, now=AT + timedelta(hours=hours)) is is_late


def test_its_addresses_can_be_told_to_the_user():
    assert addresses_of(write_answer(Done(results=ALL, echoes={}), WANX, at=AT)) == [ALL[0].url]


@pytest.mark.parametrize("text", ["", "{}", "[]", "7"])
def test_another_text_is_none(text):
    with pytest.raises((ValueError, TypeError, LookupError)):
        read_answer(text)
