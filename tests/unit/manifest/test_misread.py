"""Texts of another encoding that are valid UTF-8, and texts that only look like it."""

import pytest

from dsrun.manifest.misread import misread


@pytest.mark.parametrize(
    ("text", "encoding", "sure"),
    [
        pytest.param("一只猫", "gbk", "almost certainly", id="three characters"),
        pytest.param("小猫", "gbk", "almost certainly", id="Cyrillic and Latin"),
        pytest.param("prompt,style\n一只猫,anime\n", "gbk", "almost certainly", id="csv"),
        pytest.param("a cat 一只猫 sits", "gbk", "almost certainly", id="among English words"),
        pytest.param("毛茅", "gbk", "probably", id="letters of one alphabet"),
        pytest.param("prompt: 猫", "gbk", "perhaps", id="one letter, nothing near"),
        pytest.param("책", "euc_kr", "perhaps", id="Korean"),
        pytest.param("- 夜\n- a dog\n", "gbk", "perhaps", id="a letter of few languages"),
    ],
)
def test_bytes_that_are_utf_8_by_accident_are_told_with_how_sure_it_is(text, encoding, sure):
    found = misread(text.encode(encoding).decode("utf-8"))
    assert found is not None
    assert f", which is {sure} meant; save the file as UTF-8" in found.message


def test_what_the_bytes_read_in_the_other_encoding_is_shown_at_its_place():
    found = misread("a dog\n- " + "一只猫".encode("gbk").decode())
    assert found is not None
    assert (found.line, found.column) == (2, 3)
    assert found.message == (
        'reads "\u04bb\u05bb\u00e8" as UTF-8, which mixes Cyrillic and Latin letters, but "一只猫" '
        "as GBK, which is almost certainly meant; save the file as UTF-8"
    )


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        pytest.param("caf\u00c3\u00a9 au lait", "\u00e9", id="an accent"),
        pytest.param("it\u00e2\u20ac\u2122s", "\u2019", id="an apostrophe"),
        pytest.param("\u00e4\u00bd\u00a0\u00e5\u00a5\u00bd", "你好", id="Chinese, by Windows"),
        pytest.param("浣犲ソ", "你好", id="Chinese, by GBK"),
        pytest.param("20 \u00c2\u00b0C", "\u00b0", id="a sign"),
    ],
)
def test_utf_8_that_was_read_in_another_encoding_and_saved_again_is_told(text, meant):
    found = misread(text)
    assert found is not None
    assert f'which is almost certainly "{meant}"' in found.message


def test_a_character_that_was_lost_is_told():
    found = misread("a\nb \ufffd")
    assert found is not None
    assert (found.line, found.column) == (2, 3)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("plain", id="ASCII"),
        pytest.param("一只猫在睡觉。", id="Chinese"),
        pytest.param("ネコと漢字", id="Japanese"),
        pytest.param("한국어", id="Korean"),
        pytest.param("caf\u00e9 au lait", id="French"),
        pytest.param("il gatto \u00e8 nero", id="a word of one letter among others"),
        pytest.param("El ni\u00f1o est\u00e1 aqu\u00ed, \u00bfno?", id="Spanish"),
        pytest.param("sj\u00f6\n\u00e5\n", id="Swedish, a word of one letter"),
        pytest.param("pin\u0303ata", id="a letter and its mark"),
        pytest.param("\u03bd\u03af\u03ba\u03b7", id="Greek"),
        pytest.param("Москва", id="Russian"),
        pytest.param("\u05e9\u05dc\u05d5\u05dd", id="Hebrew"),
        pytest.param("10 \u03bcm, 20 \u00b0C, \u00a35, x\u00b2", id="signs and units"),
        pytest.param("\u201cCAF\u00c9\u201d \u2014 \u00e9", id="quotes of print"),
        pytest.param("a lantern \U0001f3ee", id="an emoji"),
    ],
)
def test_what_people_write_is_not_doubted(text):
    assert misread(text) is None


def test_a_long_text_is_looked_at_in_a_time_that_grows_with_its_length():
    found = misread("x" * 1_000_000 + "; " + "\u00e8 " * 100_000 + "y" * 1_000_000)
    assert found is not None
    assert found.column == 1_000_003
