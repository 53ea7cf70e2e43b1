"""`prompt` and `images` stand for the parts of a message."""

import pytest

from dsrun.service.catalog import load_catalog
from dsrun.service.short_form import MixedForms, write_out

FORM = load_catalog()["wan2.7-image"].short


def test_pictures_come_before_the_text():
    made = write_out({"input": {"prompt": "a lamp", "images": ["A", "B"]}}, FORM).body
    content = [{"image": "A"}, {"image": "B"}, {"text": "a lamp"}]
    assert made == {"input": {"messages": [{"role": "user", "content": content}]}}


def test_one_picture_needs_no_list():
    made = write_out({"input": {"prompt": "a lamp", "images": "A"}}, FORM).body
    assert made["input"]["messages"][0]["content"][0] == {"image": "A"}


def test_null_sends_nothing():
    made = write_out({"input": {"prompt": "a lamp", "images": None}}, FORM).body
    assert made["input"]["messages"][0]["content"] == [{"text": "a lamp"}]


@pytest.mark.parametrize(
    "body",
    [
        {"input": {"messages": [{"role": "user", "content": [{"text": "a"}]}]}},
        {"input": {}},
        {"parameters": {"n": 1}},
    ],
    ids=["documented", "empty", "none"],
)
def test_the_documented_form_stays_as_it_is(body):
    assert write_out(body, FORM).body == body


def test_both_forms_at_once_are_refused():
    with pytest.raises(MixedForms, match="messages and its short form images, prompt exclude"):
        write_out({"input": {"prompt": "a", "messages": []}}, FORM)


@pytest.mark.parametrize(
    ("path", "written"),
    [
        (("input", "messages", 0, "content", 1, "text"), ("input", "prompt")),
        (("input", "messages", 0, "content", 0, "image"), ("input", "images", 0)),
        (("input", "messages", 0, "content"), ("input",)),
        (("parameters", "size"), ("parameters", "size")),
    ],
)
def test_a_problem_is_told_where_the_manifest_has_it(path, written):
    out = write_out({"input": {"prompt": "a", "images": ["A"]}}, FORM)
    assert out.as_written(path) == written


def test_the_form_is_written_anew_for_each_step():
    write_out({"input": {"prompt": "a"}}, FORM)
    made = write_out({"input": {"prompt": "b"}}, FORM).body
    assert made["input"]["messages"][0]["content"] == [{"text": "b"}]
