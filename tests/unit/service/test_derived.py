"""Texts and captions that are made of a JSON file."""

import orjson
import pytest

from dsrun.service.derived import derive
from dsrun.service.operation import ArtifactSpec

TEXT = ArtifactSpec(media="text", name="text", of="", at="/parts/*/text")
CAPTIONS = ArtifactSpec(
    media="captions", name="captions", of="", each="/parts/*", begin="/from", end="/to",
    text="/text",
)  # fmt: skip


def of(spec, *parts):
    return derive(spec, orjson.dumps({"parts": parts})).decode()


def test_a_text_has_a_line_for_each():
    assert of(TEXT, {"text": "a"}, {}, {"text": "ü"}, {"text": [1]}) == "a\nü\n[1]"


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (0, "00:00:00,000"), (999, "00:00:00,999"), (61_001, "00:01:01,001"),
        (3_600_000, "01:00:00,000"), (359_999_999, "99:59:59,999"), (1.9, "00:00:00,001"),
    ],
)  # fmt: skip
def test_times_of_captions(milliseconds, words):
    made = of(CAPTIONS, {"from": milliseconds, "to": milliseconds, "text": "a"})
    assert made == f"1\n{words} --> {words}\na\n"


def test_captions_are_numbered_without_those_that_are_none():
    good = {"from": 0, "to": 1, "text": "a\n\nb"}
    bad = [{**good, "from": None}, {**good, "to": -1}, {**good, "text": ""}, {**good, "to": True}]
    assert of(CAPTIONS, good, *bad, good).count("a b\n") == 2
    assert "\n2\n" in of(CAPTIONS, good, *bad, good)


@pytest.mark.parametrize("source", [b"", b"no JSON", b"[]", b'{"parts": []}', b'{"parts": 7}'])
@pytest.mark.parametrize("spec", [TEXT, CAPTIONS])
def test_what_holds_nothing_is_an_error_in_words(spec, source):
    with pytest.raises(ValueError, match=r".+"):
        derive(spec, source)
