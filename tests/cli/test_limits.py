"""Every limit of the two core APIs, at its edge and one past it, through `dsrun validate`.

The numbers are the API's documentation, written out again; the schemas are not read for them.
"""

import json
import re
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest

from dsrun.cli.main import main
from dsrun.common.json_schema import SchemaValidator
from dsrun.common.resources import read_schema
from dsrun.common.yaml_document import parse_yaml
from dsrun.manifest.reader import load_manifest
from dsrun.planning.plan import build_plan
from dsrun.service.catalog import load_catalog

EDITOR = SchemaValidator(orjson.loads(read_schema("manifest.json")))
FULL = {
    "wanx-v1": {"input": {"prompt": "a paper lantern"}, "parameters": {}},
    "qwen-voice-design": {
        "input": {
            "target_model": "qwen3-tts-vd-2026-01-26",
            "voice_prompt": "A warm low voice.",
            "preview_text": "1, 2, 3.",  # in no script, so that any language agrees
        },
        "parameters": {},
    },
}
ASCII, CHINESE, EMOJI, COMBINED = "x", "灯", "🏮", "e\u0301"
BEYOND = "𠮷"  # a Chinese character past the first 65536


class Field(NamedTuple):
    """A leaf of a request, and other leaves of the same section that the case needs."""

    operation: str
    section: str
    key: str
    beside: tuple[tuple[str, object], ...] = ()


def wanx(section, key, **beside):
    return Field("wanx-v1", section, key, tuple(beside.items()))


def voice(section, key):
    return Field("qwen-voice-design", section, key)


def case(field, value, what):
    """`value` is a JSON value, which is YAML too."""
    return pytest.param(field, json.dumps(value, ensure_ascii=False), id=f"{field.key}: {what}")


def raw(field, text, what):
    """`text` is YAML as a person writes it."""
    return pytest.param(field, text, id=f"{field.key}: {what}")


def lengths(field, limit):
    """Texts at the limit, and one character longer, in every kind of character."""
    edge = [
        case(field, ASCII * limit, f"{limit} letters"),
        case(field, CHINESE * limit, f"{limit} Chinese characters"),
        case(field, EMOJI * limit, f"{limit} emoji, each one character"),
        case(field, BEYOND * limit, f"{limit} Chinese characters beyond the BMP"),
        case(field, COMBINED * (limit // 2), f"{limit} code points in half as many signs"),
        case(field, ASCII * (limit - 1) + "\n", f"{limit} with the line end"),
    ]
    past = [
        case(field, ASCII * (limit + 1), f"{limit + 1} letters"),
        case(field, CHINESE * (limit + 1), f"{limit + 1} Chinese characters"),
        case(field, EMOJI * (limit + 1), f"{limit + 1} emoji"),
        case(field, BEYOND * (limit + 1), f"{limit + 1} Chinese characters beyond the BMP"),
        case(field, COMBINED * (limit // 2) + "x", f"{limit + 1} code points"),
        case(field, ASCII * limit + "\n", f"{limit + 1} with the line end"),
    ]
    return edge, past


def words(field, allowed, refused):
    return (
        [case(field, value, f"{value}") for value in allowed],
        [case(field, value, f"{value!r}") for value in refused],
    )


def spellings(field, allowed, refused):
    """Values as people write them in YAML."""
    return (
        [raw(field, text, f"{text} as written") for text in allowed],
        [raw(field, text, f"{text} as written") for text in refused],
    )


PROMPT, NEGATIVE = wanx("input", "prompt"), wanx("input", "negative_prompt")
REF_IMG, STRENGTH = wanx("input", "ref_img"), wanx("parameters", "ref_strength")
STYLE, SIZE = wanx("parameters", "style"), wanx("parameters", "size")
N, SEED, MODE = wanx("parameters", "n"), wanx("parameters", "seed"), wanx("parameters", "ref_mode")
TARGET, ACTION = voice("input", "target_model"), voice("input", "action")
DESCRIPTION, PREVIEW = voice("input", "voice_prompt"), voice("input", "preview_text")
NAME, LANGUAGE = voice("input", "preferred_name"), voice("input", "language")
SAMPLE_RATE = voice("parameters", "sample_rate")
FORMAT = voice("parameters", "response_format")

STYLES = (
    "<auto>",
    "<photography>",
    "<portrait>",
    "<3d cartoon>",
    "<anime>",
    "<oil painting>",
    "<watercolor>",
    "<sketch>",
    "<chinese painting>",
    "<flat illustration>",
)
TABLES = (
    lengths(PROMPT, 800),
    ([case(PROMPT, "x", "one letter")], [case(PROMPT, "", "empty")]),
    lengths(NEGATIVE, 500),
    ([case(NEGATIVE, "", "empty")], []),
    lengths(DESCRIPTION, 2048),
    ([case(DESCRIPTION, "x", "one letter")], [case(DESCRIPTION, "", "empty")]),
    lengths(PREVIEW, 1024),
    ([case(PREVIEW, "x", "one letter")], [case(PREVIEW, "", "empty")]),
    words(STYLE, STYLES, ("anime", "<Anime>", "<anime> ", "<anime>\n", "<>", "", "<watercolour>")),
    words(
        SIZE,
        ("1024*1024", "720*1280", "768*1152", "1280*720"),
        ("1024x1024", "1152*768", "1024 * 1024", "1024*1024\n", "512*512", ""),
    ),
    words(MODE, ("repaint", "refonly"), ("Repaint", "refonly ", "ref", "")),
    words(
        TARGET,
        (
            "qwen3-tts-vd-realtime-2026-01-15",
            "qwen3-tts-vd-realtime-2025-12-16",
            "qwen3-tts-vd-2026-01-26",
        ),
        ("qwen3-tts-vd", "qwen3-tts-vd-2026-01-26\n", "qwen3-tts-vd-2026-01-27", ""),
    ),
    words(ACTION, ("create",), ("list", "query", "delete", "Create", "")),
    words(
        LANGUAGE,
        ("zh", "en", "de", "it", "pt", "es", "ja", "ko", "fr", "ru"),
        ("ZH", "zh-CN", "cn", "english", "auto", "no", ""),
    ),
    words(FORMAT, ("pcm", "wav", "mp3", "opus"), ("WAV", "flac", "ogg", "opus ", "")),
    words(SAMPLE_RATE, (8000, 16000, 24000, 48000), (7999, 44100, 48001, 0, -8000, 24000.5)),
    ([raw(SAMPLE_RATE, "24000.0", "an integral float")], []),
    ([case(N, n, f"{n}") for n in (1, 2, 3, 4)], [case(N, n, f"{n}") for n in (0, 5, -1)]),
    ([raw(N, "2.0", "an integral float")], [raw(N, "1.5", "1.5"), raw(N, "1e9", "1e9")]),
    (
        [case(SEED, seed, f"{seed}") for seed in (0, 1, 2147483647)],
        [case(SEED, seed, f"{seed}") for seed in (-1, 2147483648, 2**53, 2**80)],
    ),
    ([], [raw(SEED, "0.5", "0.5"), raw(SEED, "1e10", "1e10")]),
    spellings(
        N,
        ("1.", "1e0", "0x2", "0o2", "02", "+2", "!!int 1", '!!int "3"'),
        ("-0", "0x5", "1e2", ".5", "2.5e0", "1_0", "0b1", "yes", "1:30", "NaN", "\uff12"),
    ),
    spellings(
        SEED,
        ("-0", "-0.0", "+7", "1e2", "0x7fffffff", "2147483647.0", "2.147483647e9"),
        ("0x80000000", "2147483647.5", "-1e-9", "2147483648.0", "99999999999999999999", "1_000"),
    ),
    spellings(SAMPLE_RATE, ("8e3", "0x1F40", "08000"), ("8_000", "24kHz", "8000.5", "-8e3")),
    spellings(
        PROMPT,
        ("2026-11-22", "1:30", "no", "2*3", "!!str 7", "'{'", '"\\u200b"', '"\\U0001F3EE"'),
        ("7", "0x1", "1e2", "true", "2026", ".5"),
    ),
    (
        [
            case(wanx("parameters", "seed", n=n), 2147483648 - n, f"{2147483648 - n} with n={n}")
            for n in (1, 2, 3, 4)
        ],
        [
            case(wanx("parameters", "seed", n=n), 2147483649 - n, f"{2147483649 - n} with n={n}")
            for n in (1, 2, 3, 4)
        ],
    ),
    (
        [
            raw(STRENGTH, text, text)
            for text in ("0", "0.0", "-0", "-0.0", "1", "1.0", "0.5", "1e-9", "1e0", ".5", "5e-324")
        ],
        [
            raw(STRENGTH, text, text)
            for text in ("-0.001", "1.001", "2", "-1", "1e3", "1.0000000000000002", "-5e-324")
        ],
    ),
    words(
        REF_IMG,
        (
            "http://example.com/a.png",
            "https://example.com/a.png?x=1&y=2#z",
            "https://example.com/%E7%81%AF.png",
            "oss://bucket/key/a.png",
        ),
        (
            "",
            "a.png",
            "/pictures/a.png",
            "ftp://example.com/a.png",
            "data:image/png;base64,aGVsbG8=",
            "https://",
            "https://example.com/a b.png",
            "https://example.com/a.png\n",
            "https://example.com/灯.png",
            "https://灯笼.example.com/a.png",
            "https://example.com/𠮷.png",
            "https://example.com/\u3007.png",
            "https://example.com/a\uff0cb.png",
            "https://example.com/a.png?q=灯",
        ),
    ),
    words(
        NAME,
        ("a", "_", "0", "Az09_", "abcdefghijklmnop"),
        ("abcdefghijklmnopq", "", "a-b", "a b", "a.b", "灯笼", "é", "a\n", "\na"),
    ),
    words(
        DESCRIPTION,
        (
            "A café voice, 30\u201340 years old.",
            "温暖的低音\uff0c语速慢。",
            "低沉 (deep) voice\uff01",
            "calm 🙂",
            "Naïve façade, Zoe\u0308, crème brûlée",
            "Une voix très chaude für Hörbücher",  # no letter says that it is no English
            "\uff21\uff22\uff23\uff01\u3000\u201c温暖\u201d",
            "第①位\u00b7½ 音量 \u00b13dB, 20 \u00b5s",
            "ㄅㄆㄇ 注音",
            "𠮷野, 👩\u200d👧",
            "\u200b\ufeffvoice",
        ),
        (
            "落ち着いた声",
            "カタカナ",
            "ｶﾀｶﾅ",
            "차분한 목소리",
            "\u1112\u1161\u11ab",
            "Спокойный голос",
            "Ήρεμη φωνή",
            "ἀρχή",
            "\u03b1 voice",
            "صوت هادئ",
            "קול רגוע",
            "เสียงอบอุ่น",
            "შავი",
            "ꆈꌠ",
            "ⵜⵉⴼ",
            "\U00010330",
            "\U0001e900",
            "温暖的の声",
        ),
    ),
)
TEXTS = (PROMPT, NEGATIVE, REF_IMG, STYLE, SIZE, MODE, TARGET, ACTION, LANGUAGE, FORMAT)
WRONG_TYPES = [
    *(
        case(field, value, f"{json.dumps(value)} is no text")
        for field in (*TEXTS, DESCRIPTION, PREVIEW, NAME)
        for value in (7, True, ["a"], {"a": "b"})
    ),
    *(
        case(field, value, f"{json.dumps(value)} is no number")
        for field in (N, SEED, STRENGTH, SAMPLE_RATE)
        for value in (True, False, [1], {"a": 1}, "one", "")
    ),
]
QUOTED_NUMBERS = [
    case(N, "2", "a quoted number"),
    raw(N, "!!str 2", "a number tagged as text"),
    case(SEED, "7", "a quoted number"),
    case(STRENGTH, "0.5", "a quoted number"),
    case(SAMPLE_RATE, "24000", "a quoted number"),
]
OTHER_LANGUAGE = re.compile(r"^warning: .*the two must agree\n(?:  .*\n)+", re.MULTILINE)
ALLOWED = list(chain.from_iterable(allowed for allowed, _ in TABLES))
REFUSED = [*chain.from_iterable(refused for _, refused in TABLES), *WRONG_TYPES]


def heads(stderr):
    """The lines of the problems, without those of the file that stand below each."""
    return [line for line in stderr.splitlines() if not line.startswith("  ")]


@pytest.mark.parametrize(("field", "text"), ALLOWED)
def test_the_edge_of_a_limit_is_allowed(field, text, validate):
    manifest, _ = manifest_with(field, text)
    assert validate(manifest) == (0, "p.yaml: valid, 1 job\n")


@pytest.mark.parametrize(("field", "text"), ALLOWED)
def test_the_edge_of_a_limit_is_allowed_through_a_template(field, text, validate):
    manifest, _ = manifest_with(field, '"{{ params.value }}"', params=text)
    assert validate(manifest) == (0, "p.yaml: valid, 1 job\n")


@pytest.mark.parametrize(("field", "text"), [*REFUSED, *QUOTED_NUMBERS])
def test_one_past_a_limit_is_refused_at_the_place_of_the_value(field, text, validate):
    manifest, (line, column) = manifest_with(field, text)
    code, stderr = validate(manifest)
    place = f"p.yaml:{line}:{column}: steps.step.{field.section}.{field.key}: found "
    *problems, summary = heads(stderr)
    assert code == 2
    assert [head for head in problems if not head.startswith(place)] == []
    assert summary == f"p.yaml: {len(problems)} problem{'s' * (len(problems) > 1)}"


@pytest.mark.parametrize(("field", "text"), REFUSED)
def test_one_past_a_limit_is_refused_at_the_place_of_the_template(field, text, validate):
    manifest, (line, column) = manifest_with(field, '"{{ params.value }}"', params=text)
    code, stderr = validate(manifest)
    place = f"p.yaml:{line}:{column}: steps.step.{field.section}.{field.key}: found "
    *problems, summary = heads(stderr)
    assert code == 2
    assert [head for head in problems if not head.startswith(place)] == []
    assert summary == f"p.yaml: {len(problems)} problem{'s' * (len(problems) > 1)}"


@pytest.mark.parametrize(
    ("field", "text", "allowed"),
    [
        pytest.param(*item.values, allowed, id=item.id)
        for items, allowed in ((ALLOWED, True), ([*REFUSED, *QUOTED_NUMBERS], False))
        for item in items
    ],
)
def test_an_editor_judges_every_limit_in_the_same_way(field, text, allowed):
    manifest, _ = manifest_with(field, text)
    value = parse_yaml(manifest, file="p.yaml").value
    assert EDITOR.is_valid(value) == allowed
    manifest, _ = manifest_with(field, '"{{ params.value }}"', params=text)
    assert EDITOR.is_valid(parse_yaml(manifest, file="p.yaml").value)


@pytest.mark.parametrize(("field", "text"), QUOTED_NUMBERS)
def test_text_that_is_exactly_a_number_becomes_one_through_a_template(field, text, validate):
    manifest, _ = manifest_with(field, '"{{ params.value }}"', params=text)
    assert validate(manifest) == (0, "p.yaml: valid, 1 job\n")


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        pytest.param(
            SAMPLE_RATE, '"24000"', 'found "24000" (string); allowed: an integer', id="enum"
        ),
        pytest.param(STYLE, "7", "found 7 (integer); allowed: a string", id="enum of texts"),
    ],
)
def test_a_value_of_the_wrong_type_is_one_problem(field, text, words, validate):
    manifest, (line, column) = manifest_with(field, text)
    where = f"steps.step.{field.section}.{field.key}"
    code, stderr = validate(manifest)
    head, source, caret, summary = stderr.splitlines()
    assert (code, head) == (2, f"p.yaml:{line}:{column}: {where}: {words}")
    assert (source[caret.index("^") :], summary) == (text, "p.yaml: 1 problem")


@pytest.mark.parametrize(
    ("field", "words"),
    [
        pytest.param(PROMPT, "missing; it is required", id="prompt"),
        pytest.param(TARGET, "missing; it is required", id="target_model"),
        pytest.param(DESCRIPTION, "missing; it is required", id="voice_prompt"),
        pytest.param(PREVIEW, "missing; it is required", id="preview_text"),
    ],
)
def test_a_required_key_that_is_missing_is_told_at_its_section(field, words, validate):
    code, stderr = validate(manifest_without(field))
    assert code == 2
    assert stderr.startswith(f"p.yaml:6:5: steps.step.input.{field.key}: {words}")


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(NEGATIVE, id="negative_prompt"),
        pytest.param(REF_IMG, id="ref_img"),
        pytest.param(N, id="n, which dsrun sends as 1"),
        pytest.param(SEED, id="seed, which dsrun derives"),
        pytest.param(NAME, id="preferred_name, which dsrun derives"),
        pytest.param(ACTION, id="action, which the operation gives"),
        pytest.param(LANGUAGE, id="language"),
        pytest.param(SAMPLE_RATE, id="sample_rate"),
    ],
)
def test_a_key_that_is_not_required_may_be_missing(field, validate):
    assert validate(manifest_without(field)) == (0, "p.yaml: valid, 1 job\n")


@pytest.mark.parametrize(
    ("lines", "valid"),
    [
        pytest.param(["x" * 799], True, id="799 and the line end"),
        pytest.param(["x" * 800], False, id="800 and the line end"),
        pytest.param(["x" * 398, "x" * 400], True, id="two lines"),
        pytest.param(["x" * 399, "x" * 400], False, id="two lines and one more"),
        pytest.param(["𠮷" * 799], True, id="beyond the BMP"),
    ],
)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["unix", "windows", "old"])
@pytest.mark.parametrize("head", [b"", b"\xef\xbb\xbf"], ids=["plain", "with BOM"])
def test_a_line_end_is_one_character_whatever_its_bytes(lines, valid, line_end, head, validate):
    block = "\n        ".join(["|", *lines])
    manifest, (line, column) = manifest_with(PROMPT, block)
    told = "p.yaml: valid, 1 job\n"
    if not valid:
        place = f"p.yaml:{line}:{column}: steps.step.input.prompt"
        told = f"{place}: found 801 characters; allowed: at most 800\np.yaml: 1 problem\n"
    code, stderr = validate(head + manifest.encode().replace(b"\n", line_end))
    assert (code, heads(stderr)) == (0 if valid else 2, told.splitlines())


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan", "1e400"])
def test_what_is_no_number_in_json_is_refused_at_its_place(text, validate):
    manifest, (line, column) = manifest_with(STRENGTH, text)
    told = f"{text} is no finite number; JSON has none but finite numbers"
    place = f"p.yaml:{line}:{column}: steps.step.parameters.ref_strength"
    code, stderr = validate(manifest)
    assert (code, heads(stderr)) == (2, [f"{place}: {told}", "p.yaml: 1 problem"])


@pytest.mark.parametrize(("count", "valid"), [(800, True), (801, False)])
def test_two_escapes_of_json_for_one_sign_count_as_one_character(count, valid, validate):
    manifest, (line, column) = manifest_with(PROMPT, json.dumps("🏮" * count))
    code, stderr = validate(manifest)
    place = f"p.yaml:{line}:{column}: steps.step.input.prompt"
    told = [f"{place}: found 801 characters; allowed: at most 800", "p.yaml: 1 problem"]
    assert (code, heads(stderr)) == ((0, ["p.yaml: valid, 1 job"]) if valid else (2, told))


def test_half_a_pair_of_escapes_is_refused_with_the_right_one(validate):
    manifest, (line, _) = manifest_with(PROMPT, '"\\ud83c"')
    code, stderr = validate(manifest)
    assert (code, stderr.startswith(f"p.yaml:{line}:")) == (2, True)
    assert "half of a surrogate pair; write \\U0001F3EE, or the sign itself" in stderr


def test_an_integral_float_is_sent_as_an_integer(validate):
    manifest, _ = manifest_with(N, "2.0")
    assert validate(manifest)[0] == 0
    (job,) = build_plan(
        load_manifest(Path("p.yaml"), catalog=load_catalog()),
        catalog=load_catalog(),
        run_values={},
    ).jobs()
    assert b'"n":2,' in job.body


@pytest.mark.parametrize("field", [NEGATIVE, STYLE, SIZE, N, SEED, SAMPLE_RATE])
def test_a_null_is_allowed_and_sends_nothing(field, validate):
    for text, params in (("null", None), ('"{{ params.value }}"', "null")):
        manifest, _ = manifest_with(field, text, params=params)
        assert validate(manifest) == (0, "p.yaml: valid, 1 job\n")


@pytest.mark.parametrize("field", [PROMPT, TARGET, DESCRIPTION])
def test_a_null_is_nothing_where_something_is_required(field, validate):
    for text, params in (("null", None), ('"{{ params.value }}"', "null")):
        manifest, (line, column) = manifest_with(field, text, params=params)
        code, stderr = validate(manifest)
        place = f"p.yaml:{line}:{column}: steps.step.input.{field.key}: missing; it is required"
        assert (code, stderr.startswith(place)) == (2, True)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        pytest.param(wanx("input", "promt"), "unknown key (did you mean prompt?)", id="near"),
        pytest.param(wanx("input", "callback_url"), "unknown key; allowed: ", id="far"),
        pytest.param(wanx("parameters", "Seed"), "unknown key (did you mean seed?)", id="case"),
        pytest.param(wanx("input", "ref_image"), "unknown key (did you mean ref_img?)", id="ref"),
        pytest.param(voice("input", "voice"), "unknown key", id="another action's key"),
        pytest.param(voice("parameters", "volume"), "unknown key", id="another API's key"),
    ],
)
def test_a_key_that_the_api_does_not_know_is_refused_at_the_key(field, words, validate):
    manifest, (line, column) = manifest_with(field, "x")
    code, stderr = validate(manifest)
    key_column = column - len(f"{field.key}: ")
    assert code == 2
    assert stderr.startswith(
        f"p.yaml:{line}:{key_column}: steps.step.{field.section}.{field.key}: {words}"
    )


@pytest.mark.parametrize("operation", FULL)
def test_every_limit_of_the_schema_stands_in_these_tables(operation):
    schema = orjson.loads(read_schema(f"operations/{operation}.json"))
    limited = {
        (section, key)
        for section in ("input", "parameters")
        for key, leaf in schema["properties"][section]["properties"].items()
        if leaf.keys() & {"enum", "const", "minimum", "maximum", "maxLength", "pattern", "allOf"}
    }
    tested = {
        (field.section, field.key)
        for field, *_ in (param.values for param in REFUSED)
        if field.operation == operation
    }
    assert limited == tested


def manifest_with(field, text, *, params=None):
    """A manifest with one value written as `text`, and the line and column where it stands."""
    lines = ["version: 1", "name: limits", f"params: {{value: {params or 0}}}"]
    lines += ["steps:", "  step:", f"    operation: {field.operation}"]
    place = (0, 0)
    for section, given in FULL[field.operation].items():
        leaves = {key: json.dumps(value) for key, value in given.items()}
        if section == field.section:
            leaves |= {key: json.dumps(value) for key, value in field.beside}
            leaves |= {field.key: text}
        lines.append(f"    {section}:" if leaves else f"    {section}: {{}}")
        for key, value in leaves.items():
            lines.append(f"      {key}: {value}")
            if (section, key) == (field.section, field.key):
                place = (len(lines), len(f"      {key}: ") + 1)
    return "\n".join(lines) + "\n", place


def manifest_without(field):
    given = FULL[field.operation]["input"]
    kept = {key: value for key, value in given.items() if key != field.key}
    return (
        "version: 1\nname: limits\nsteps:\n  step:\n"
        f"    operation: {field.operation}\n    input: {json.dumps(kept)}\n"
    )


@pytest.fixture
def validate(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def check(manifest):
        encoded = manifest if isinstance(manifest, bytes) else manifest.encode()
        Path("p.yaml").write_bytes(encoded)
        code = main(["validate", "p.yaml"])
        # Whether a text is in its language has tests of its own.
        return code, OTHER_LANGUAGE.sub("", capsys.readouterr().err)

    return check
