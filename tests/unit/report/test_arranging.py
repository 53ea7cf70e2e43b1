"""Which axes stand on rows and columns where nobody says it."""

from itertools import product

import pytest

from dsrun.report.arranging import model_axis, opening_of


def row(step, model, **axes):
    return {"step": step, "axes": axes, "request": {"model": model}}


SIDE_BY_SIDE = [
    row("s", model, operation=model, light="noon", thing=thing)
    for model in ("one", "two")
    for thing in ("a lamp", "a boat")
]


def test_a_page_of_several_models_opens_with_them_as_columns():
    assert opening_of(SIDE_BY_SIDE) == {"s": {"cols": "operation", "rows": "thing"}}
    one_thing = [each for each in SIDE_BY_SIDE if each["axes"]["thing"] == "a boat"]
    assert opening_of(one_thing) == {"s": {"cols": "operation", "rows": ""}}


@pytest.mark.parametrize(
    ("entries", "axis"),
    [
        (SIDE_BY_SIDE, "operation"),
        ([row("s", "one", m="x"), row("s", "two", m="y")], "m"),
        ([row("s", "one", thing="x"), row("s", "one", thing="y")], None),
        ([row("s", "one", m="x"), row("t", "two", m="y")], None),
        ([row("s", "one", m="x"), row("s", "two", m="x"), row("s", "two", m="y")], None),
        ([], None),
    ],
    ids=["a list", "a label of it", "one model", "of two steps", "not told by it", "nothing"],
)
def test_the_axis_of_the_models(entries, axis):
    assert model_axis(entries) == axis


def rows(step="s", *, pictures=1, seed=100, **axes):
    """An entry for each combination, as a matrix makes them."""
    files = [{"index": n, "seed": seed + n} for n in range(pictures)]
    return [
        {"step": step, "axes": dict(zip(axes, row, strict=True)), "files": files}
        for row in product(*axes.values())
    ]


def digits(count):
    return [str(number) for number in range(count)]


@pytest.mark.parametrize(
    ("entries", "opening"),
    [
        (rows(look="ab", light="cd"), ("light", "look")),
        (rows(look="ab", light="cd", mood="ef"), ("light", "look")),
        (rows(look="a", light="cd", mood="ef"), ("mood", "light")),
        (rows(look="ab", seed=7), None),
        (rows(look="ab", pictures=4), ("seed", "look")),
        (rows(subject=digits(20), look="abc"), ("subject", "look")),
        (rows(subject=digits(20), look=digits(30)), ("look", "subject")),
        (rows(), None),
        ([], None),
    ],
    ids=[
        "two axes", "three axes", "one value", "one axis", "an axis and pictures", "a long axis",
        "two long axes", "no axis", "nothing",
    ],
)  # fmt: skip
def test_the_axes_that_a_contact_sheet_would_choose(entries, opening):
    expected = {} if opening is None else {"s": {"rows": opening[0], "cols": opening[1]}}
    assert opening_of(entries) == expected


def test_axes_that_go_in_step_are_no_sheet():
    zipped = [{"step": "s", "axes": {"who": n, "line": n}, "files": []} for n in digits(6)]
    assert opening_of(zipped) == {}
    third = [row | {"axes": row["axes"] | {"tone": tone}} for row in zipped for tone in "ab"]
    assert opening_of(third) == {"s": {"rows": "tone", "cols": "who"}}


def test_each_step_is_arranged_by_its_own_axes():
    both = rows("posters", look="ab", light="cd") + rows("voices", tone="xyz")
    assert opening_of(both) == {"posters": {"rows": "light", "cols": "look"}}
