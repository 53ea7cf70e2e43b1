"""The manifest's schema in yaml-language-server, which VS Code and most other editors ask.

`.ci/run` installs the server; where it is not installed these tests are skipped, except in CI.
"""

import os
import shutil
from itertools import count
from pathlib import Path

import pytest

from dsrun.service.catalog import load_catalog
from tests.language_server import LanguageServer

ROOT = Path(__file__).resolve().parent.parent.parent
SERVER = shutil.which("yaml-language-server")
VALID = [
    *ROOT.glob("tests/manifests/valid/*.yaml"),
    *ROOT.glob("examples/**/*.yaml"),
    *ROOT.glob("pipelines/**/*.yaml"),
]
CATALOG = load_catalog()
OPERATIONS = ", ".join(f'"{n}"' for n in dict.fromkeys((*CATALOG.names, *CATALOG.families)))
HEAD = """\
version: 1
name: posters
steps:
  posters:
"""

pytestmark = pytest.mark.skipif(
    SERVER is None and os.environ.get("CI") != "true",
    reason="yaml-language-server is not installed (npm install --global yaml-language-server)",
)


@pytest.fixture(scope="module")
def server():
    assert SERVER is not None, "CI runs these tests; npm install yaml-language-server"
    running = LanguageServer(SERVER, ROOT / "schemas/manifest.json")
    yield running
    running.close()


@pytest.fixture
def editor(server):
    return Editor(server)


class Editor:
    """One document on the screen. `|` in a text is the cursor."""

    numbers = count()

    def __init__(self, server):
        self._server = server
        self._uri = f"file:///manifests/{next(self.numbers)}.yaml"

    def problems(self, text, *, path=None):
        """Line (from 1), the words at the place, and the message, in order of place."""
        lines = text.splitlines()
        found = []
        for item in self._server.open(path.as_uri() if path else self._uri, text):
            start, end = item["range"]["start"], item["range"]["end"]
            same_line = start["line"] == end["line"]
            marked = lines[start["line"]][
                start["character"] : end["character"] if same_line else None
            ]
            found.append((start["line"] + 1, marked, item["message"]))
        return sorted(found)

    def completions(self, text):
        line, column = self._type(text)
        return {item["label"]: item for item in self._server.completions(self._uri, line, column)}

    def hover(self, text):
        return self._server.hover(self._uri, *self._type(text))

    def _type(self, text):
        before, after = text.split("|")
        self._server.open(self._uri, before + after)
        return before.count("\n"), len(before) - before.rfind("\n") - 1


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_manifest_has_no_problem(path, editor):
    assert editor.problems(path.read_bytes().decode("utf-8-sig"), path=path) == []


STYLES = (
    '"<auto>", "<photography>", "<portrait>", "<3d cartoon>", "<anime>", "<oil painting>", '
    '"<watercolor>", "<sketch>", "<chinese painting>", "<flat illustration>"'
)


@pytest.mark.parametrize(
    ("step", "problems"),
    [
        pytest.param(
            "    operation: wanx-v9\n    input: {}\n",
            [
                (
                    5,
                    "wanx-v9",
                    f"Value is not accepted. Valid values: {OPERATIONS}.",
                )
            ],
            id="an operation that is none",
        ),
        pytest.param(
            "    input: {prompt: a}\n", [(4, "posters", 'Missing property "operation".')], id="none"
        ),
        pytest.param(
            "    operation: wanx-v1\n    input: {promt: a}\n",
            [
                (6, "input", 'Missing property "prompt".'),
                (6, "promt", "Property promt is not allowed."),
            ],
            id="a slip in a key",
        ),
        pytest.param(
            "    operation: wanx-v1\n    input: {prompt: a}\n    parameters:\n      style: <oil>\n",
            [(8, "<oil>", f"Value is not accepted. Valid values: {STYLES}.")],
            id="a style that is none",
        ),
        pytest.param(
            "    operation: wanx-v1\n    input: {prompt: 7}\n    parameters:\n      n: 5\n"
            "      ref_strength: true\n",
            [
                (6, "7", 'Incorrect type. Expected "string".'),
                (8, "5", "Value is above the maximum of 4."),
                (9, "true", 'Incorrect type. Expected "number".'),
            ],
            id="values past their limits, without a word of templates",
        ),
        pytest.param(
            f"    operation: wanx-v1\n    input:\n      prompt: {'灯' * 801}\n",
            [(7, "灯" * 801, "Too long. Allowed: at most 800 characters.")],
            id="a text that is too long",
        ),
        pytest.param(
            f"    operation: wanx-v1\n    input:\n      prompt: {'🏮' * 800}\n",
            [],
            id="an emoji is one character",
        ),
        pytest.param(
            "    operation: wanx-v1\n    input: {prompt: a}\n    parameters:\n      n: 3\n"
            "      seed: 2147483646\n",
            [(9, "2147483646", "Value is above the maximum of 2147483645.")],
            id="a rule of two fields",
        ),
        pytest.param(
            "    operation: qwen-voice-design\n    input:\n      voice_prompt: 차분한 목소리\n"
            "      preview_text: a\n      target_model: qwen3-tts-vd-2026-01-26\n",
            [
                (
                    7,
                    "차분한 목소리",
                    "Allowed: Chinese or English text only; this holds letters of another script",
                )
            ],
            id="a pattern in our own words",
        ),
        pytest.param(
            "    operation: wanx-v1\n    input: {prompt: a}\n    parameters: {sample_rate: 8000}\n",
            [(7, "sample_rate", "Property sample_rate is not allowed.")],
            id="a parameter of another operation",
        ),
        pytest.param(
            "    operation: wanx-v1\n    input: {prompt: {file: a.j2}}\n"
            '    parameters: {n: "{{ n }}", style: "{{ style }}", seed: "{{ seed }}"}\n',
            [],
            id="templates everywhere",
        ),
    ],
)
def test_a_problem_is_marked_where_it_stands(step, problems, editor):
    assert editor.problems(HEAD + step) == problems


def test_operations_are_proposed_with_their_price_and_limits(editor):
    found = editor.completions(HEAD + "    operation: |\n")
    assert found.keys() == {*CATALOG.names, *CATALOG.families}
    assert {"qwen-voice-design", "wanx-v1", "wan-t2i"} < found.keys()
    words = found["wanx-v1"]["documentation"]["value"]
    assert "0.16 CNY an image (2026-06)" in words
    assert "2 requests a second, 1 task running at once" in words


WANX = HEAD + "    operation: wanx-v1\n    input: {prompt: a}\n    parameters:\n"
VOICE = HEAD + "    operation: qwen-voice-design\n    input:\n"


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        pytest.param(
            WANX + "      n: 1\n      |\n",
            {"style", "size", "seed", "ref_strength", "ref_mode"},
            id="the parameters that are not there yet",
        ),
        pytest.param(
            WANX + "      size: |\n",
            {"1024*1024", "720*1280", "768*1152", "1280*720"},
            id="the values of an enum",
        ),
        pytest.param(
            VOICE + "      target_model: |\n",
            {
                "qwen3-tts-vd-realtime-2026-01-15",
                "qwen3-tts-vd-realtime-2025-12-16",
                "qwen3-tts-vd-2026-01-26",
            },
            id="the values of a required enum",
        ),
        pytest.param(
            VOICE + "      voice_prompt: |\n", {"{{ template }}", "file: NAME"}, id="text"
        ),
        pytest.param(
            WANX.replace("prompt: a", "ref_img: |").partition("    parameters")[0],
            {"{{ template }}", "upload: NAME"},
            id="a file of one's own",
        ),
        pytest.param(
            HEAD + "    operation: [wanx-v1, |]\n    input: {prompt: a}\n",
            {"wan2.6-t2i", "qwen-image-plus"},
            id="an operation of a list",
        ),
        pytest.param(
            HEAD + "    operation: [wan2.6-t2i, wanx-v1]\n    input:\n      |\n",
            {"prompt", "images", "negative_prompt"},
            id="the fields of each operation of a list",
        ),
        pytest.param(
            HEAD + "    operation: wan-t2i\n    model: |\n    input: {prompt: a}\n",
            {"{{ model }}", "wan2.2-t2i-flash"},
            id="the models of a file, and a template",
        ),
        pytest.param(
            HEAD + "    |\n", {"operation", "matrix", "input", "filename", "take"}, id="a step"
        ),
        pytest.param(
            WANX.replace("    input", "    matrix:\n      still: |\n    input"),
            {"step: NAME", "step: NAME, each: artifact", "file: NAME"},
            id="the forms of an axis",
        ),
        pytest.param(
            WANX.replace(
                "    input", "    matrix:\n      still:\n        step: a\n        |\n    input"
            ),
            {"each", "group_by", "only"},
            id="what an axis through a step may have",
        ),
        pytest.param(
            WANX.replace("    input", "    matrix:\n      a: [1]\n      |\n    input"),
            {"where", "exclude", "sample"},
            id="the rules of a matrix",
        ),
    ],
)
def test_what_fits_is_proposed(text, labels, editor):
    assert labels <= editor.completions(text).keys()


def test_nothing_of_another_operation_is_proposed(editor):
    assert not {"sample_rate", "response_format"} & editor.completions(WANX + "      |\n").keys()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            WANX + "      |n: 2\n",
            "integer, 1 to 4; 1 when absent; 0.16 CNY an image (2026-06)",
            id="limits, default and price",
        ),
        pytest.param(WANX + "      |size: 1024*1024\n", "* `1024*1024`\n* `720*1280`\n", id="enum"),
        pytest.param(WANX + '      |n: "{{ n }}"\n', "Number of pictures", id="a template"),
        pytest.param(HEAD + "    |operation: wanx-v1\n", "0.16 CNY an image", id="operation"),
        pytest.param(HEAD + "    |repeat: 2\n", "How many times each request is made", id="frame"),
    ],
)
def test_a_field_tells_what_it_means(text, words, editor):
    assert words in editor.hover(text)
