"""Requests with what other jobs gave: what cannot be sent is told of that job alone."""

import pytest

from dsrun.session.materials import NotThere, with_values

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
