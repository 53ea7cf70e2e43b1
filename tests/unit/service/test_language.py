"""Texts in another script than their language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.service.catalog import load_catalog
from dsrun.service.language import foreign_script, language_notes

VOICE = load_catalog()["qwen-voice-design"].languages
WANX = load_catalog()["wanx-v1"].languages


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("晚上好。", "zh"),
        ("iPhone 17 Pro Max 来了", "zh"),
        ("他是𠮷野先生", "zh"),
        ("さくらの季節です", "ja"),
        ("東京タワー", "ja"),
        ("東京駅", "ja"),
        ("안녕하세요, BTS 입니다", "ko"),
        ("Добрый вечер", "ru"),
        ("Good evening, 北京.", "en"),
        ("Schöne Grüße", "de"),
        ("Où est l'hôtel ?", "fr"),
        ("E\u0301te\u0301", "fr"),
        ("\uff27\uff4f\uff4f\uff44 evening", "en"),
        ("1, 2, 3 🏮!", "ru"),
        ("", "zh"),
    ],
)
def test_a_text_in_the_script_of_its_language_is_no_surprise(text, language):
    assert foreign_script(text, (language,)) is None


@given(text=st.text(st.characters(codec="ascii")), language=st.sampled_from(["en", "de", "zz"]))
def test_a_text_of_ascii_is_in_the_script_of_every_language_of_latin_letters(text, language):
    long_way = foreign_script(f"{text}ä" * 3, (language,))  # beyond ASCII, and as Latin
    assert foreign_script(text, (language,)) is long_way is None
    assert foreign_script(text, ("zh", language)) is None


@pytest.mark.parametrize(
    ("text", "languages", "script"),
    [
        ("Good evening.", ("zh",), "Latin letters"),
        ("欢迎来到 Nike 旗舰店", ("en",), "Chinese characters"),
        ("今日はいい天気ですね", ("zh",), "Japanese kana"),
        ("中华人民共和国成立七十五周年", ("ja",), "Chinese characters without kana"),
        ("Добрый вечер", ("en",), "Cyrillic letters"),
        ("안녕하세요", ("ja",), "Korean Hangul"),
        ("Good evening", ("ko",), "Latin letters"),
        ("مساء الخير", ("en",), "letters of another script"),
        ("落ち着いた灯り", ("zh", "en"), "Japanese kana"),
        ("Красный фонарь", ("zh", "en"), "Cyrillic letters"),
    ],
)
def test_another_script_is_named(text, languages, script):
    assert foreign_script(text, languages) == script


@pytest.mark.parametrize(
    "prompt", ["a red lantern", "红灯笼", "a 红灯笼 at night", "eine helle Laterne"]
)
def test_a_text_of_two_languages_may_be_in_either(prompt):
    assert list(language_notes({"input": {"prompt": prompt}}, WANX)) == []


def test_a_language_that_is_named_and_one_that_is_not_are_told_apart():
    given = {"input": {"preview_text": "Good evening.", "language": "ja"}}
    assert list(language_notes(given, VOICE)) == [
        (
            ("input", "preview_text"),
            "found Latin letters, but language is ja; the two must agree",
        )
    ]
    absent = {"input": {"preview_text": "Good evening."}}
    assert list(language_notes(absent, VOICE)) == [
        (
            ("input", "preview_text"),
            (
                "found Latin letters, but language is zh, which the service takes when none is "
                "given; the two must agree"
            ),
        )
    ]


def test_each_text_of_a_request_is_told_by_itself():
    request = {"input": {"prompt": "фонарь", "negative_prompt": "текст"}}
    words = "found Cyrillic letters; the service knows zh and en only"
    assert list(language_notes(request, WANX)) == [
        (("input", "prompt"), words),
        (("input", "negative_prompt"), words),
    ]


@pytest.mark.parametrize("request_", [{}, {"input": "text"}, {"input": {"preview_text": 7}}])
def test_what_is_no_text_is_left_to_the_schema(request_):
    assert list(language_notes(request_, VOICE)) == []
