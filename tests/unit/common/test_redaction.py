"""What is secret is never shown, and what is not stays readable."""

import pytest

from dsrun.common.redaction import keep_secret, mask


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "GET https://b.oss.example/a.png?Expires=17&OSSAccessKeyId=L&Signature=ab%2B failed",
            "GET https://b.oss.example/a.png?*** failed",
        ),
        ("'https://b.example/a?x-oss-signature=ab'", "'https://b.example/a?***'"),
        ("https://b.example/a?X-Amz-Security-Token=t", "https://b.example/a?***"),
        ("https://me:hunter2@b.example/a", "https://***@b.example/a"),
        ("key sk-0123456789abcdef0123 is wrong", "key *** is wrong"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
    ],
)
def test_is_hidden(text, shown):
    assert mask(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://dashscope.example/api/v1/tasks?page_no=1&model_name=wanx-v1",
        "a task-force of ask-me kites, sk-8",
        'posters.yaml:3:1: found "https://x.example/?q=1"',
    ],
)
def test_stays_as_it_is(text):
    assert mask(text) == text


def test_a_secret_that_is_known_is_hidden_wherever_it_stands():
    keep_secret("hook-word-17")
    keep_secret("hook-word-17/longer")
    assert mask("a hook-word-17, https://x.example/hook-word-17/longer/b") == (
        "a ***, https://x.example/***/b"
    )


def test_a_text_too_short_to_be_a_secret_hides_no_words():
    keep_secret("run")
    keep_secret("")
    assert mask("run it") == "run it"
