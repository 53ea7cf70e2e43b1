"""Mistakes in the short form are told in its own words, never in those of the documented body."""

import pytest

from dsrun.common.errors import ManifestError
from tests.pipelines import plan_of

PICTURE = '"https://example.com/a.png"'


def problems_of(folder, operation, given):
    step = f"{{operation: {operation}, input: {{{given}}}}}"
    with pytest.raises(ManifestError) as caught:
        plan_of(folder, f"version: 1\nname: test\nsteps: {{a: {step}}}\n").check()
    return [f"{problem.where}: {problem.message}" for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("operation", "given", "told"),
    [
        (
            "qwen-image-2.0",
            "promt: a lamp",
            "input.promt: unknown key (did you mean prompt?); allowed: images, prompt",
        ),
        (
            "qwen-image-2.0",
            f"prompt: a, image: [{PICTURE}]",
            "input.image: unknown key (did you mean images?); allowed: images, prompt",
        ),
        ("z-image-turbo", f"prompt: a, images: [{PICTURE}]", "unknown key; allowed: prompt"),
        (
            "qwen-image-2.0",
            "prompt: a, negative_prompt: b",
            "unknown key here, it belongs below parameters; allowed: images, prompt",
        ),
        ("qwen-image-edit", "prompt: a", "input.images: found none; allowed: at least 1"),
        (
            "qwen-image-edit",
            f"prompt: a, images: [{', '.join([PICTURE] * 4)}]",
            "input.images: found 4; allowed: at most 3",
        ),
        ("z-image-turbo", "", "input.prompt: missing; it is required"),
        ("qwen-image-2.0", "prompt: null", "allowed: exactly one text; write it as `prompt`"),
        (
            "qwen-image-2.0",
            "messages: [{role: user, content: [{text: a}]}], promt: a",
            "input.promt: unknown key; allowed: messages",
        ),
    ],
)
def test_a_mistake_is_told_in_the_words_of_the_step(tmp_path, operation, given, told):
    assert told in "\n".join(problems_of(tmp_path, operation, given))


def test_a_misspelt_key_is_told_once(tmp_path):
    assert len(problems_of(tmp_path, "qwen-image-2.0", "promt: a lamp")) == 1
