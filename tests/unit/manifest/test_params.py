"""`--set`: typed as the manifest types it."""

import pytest

from dsrun.manifest.reader import apply_params

DEFAULTS = {
    "text": "soft",
    "count": 2,
    "strength": 0.5,
    "fast": True,
    "names": ["a"],
    "map": {"a": 1},
    "any": None,
}


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        pytest.param("text", "noir", "noir", id="text"),
        pytest.param("text", "12", "12", id="text that looks like a number"),
        pytest.param("text", "", "", id="empty text"),
        pytest.param("text", "{{ x }}", "{{ x }}", id="text with braces"),
        pytest.param("text", "[a", "[a", id="text that is no YAML"),
        pytest.param("count", "3", 3, id="integer"),
        pytest.param("strength", "0.25", 0.25, id="number"),
        pytest.param("strength", "1", 1, id="an integer is a number"),
        pytest.param("fast", "false", False, id="boolean"),
        pytest.param("names", "[x, y]", ["x", "y"], id="list"),
        pytest.param("map", "{b: 2}", {"b": 2}, id="mapping"),
        pytest.param("any", "7", 7, id="where the manifest has null, anything"),
        pytest.param("any", "word", "word", id="where the manifest has null, a word"),
    ],
)
def test_a_value_has_the_type_of_the_manifest(key, text, value):
    params, problems = apply_params(DEFAULTS, {key: text}, file="p.yaml")
    assert problems == []
    assert (type(params[key]), params) == (type(value), DEFAULTS | {key: value})


@pytest.mark.parametrize(
    ("key", "text", "told"),
    [
        pytest.param(
            "count",
            "two",
            'p.yaml: --set count: found "two"; allowed: integer, as in the manifest',
            id="a word for an integer",
        ),
        pytest.param(
            "count",
            "1.5",
            'p.yaml: --set count: found "1.5"; allowed: integer, as in the manifest',
            id="a number for an integer",
        ),
        pytest.param(
            "fast",
            "yes",
            'p.yaml: --set fast: found "yes"; allowed: boolean, as in the manifest',
            id="yes is no boolean",
        ),
        pytest.param(
            "texts",
            "a",
            "p.yaml: --set texts: unknown param (did you mean text?); "
            "allowed: text, count, strength, fast, names, map, any",
            id="unknown",
        ),
    ],
)
def test_what_does_not_fit_is_told(key, text, told):
    params, problems = apply_params(DEFAULTS, {key: text}, file="p.yaml")
    assert ([str(problem) for problem in problems], params) == ([told], DEFAULTS)


@pytest.mark.parametrize("text", ["", "[a", "*x", ".nan", "1\n---\n2"], ids=repr)
def test_what_is_no_value_is_told_without_a_traceback(text):
    _, problems = apply_params(DEFAULTS, {"count": text}, file="p.yaml")
    assert [problem.where for problem in problems] == ["--set count"]


def test_a_manifest_without_params_says_so():
    _, (problem,) = apply_params({}, {"tone": "noir"}, file="p.yaml")
    assert problem.message == "unknown param; allowed: none: the manifest has no params"


def test_every_wrong_one_is_told_and_the_given_mapping_stays():
    defaults = dict(DEFAULTS)
    _, problems = apply_params(defaults, {"count": "x", "other": "y"}, file="p.yaml")
    assert ([problem.where for problem in problems], defaults) == (
        ["--set count", "--set other"],
        DEFAULTS,
    )
