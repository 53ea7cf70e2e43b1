"""`where`: which rows it keeps, how fast, and what it says of values without partner."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.common.user_files import Inputs
from dsrun.manifest.joins import Join, Partners, RowFailure, Written
from dsrun.manifest.matrix import Axis
from dsrun.manifest.template_errors import TemplateProblem
from dsrun.manifest.templates import Templates


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    return Templates(Inputs(tmp_path_factory.mktemp("empty")))


def axes_of(values):
    return [Axis(names=(name,), values=list(items)) for name, items in values.items()]


def joined(templates, where, **values):
    """The join of a condition, with the axes."""
    written = Written(where, ("steps", "speech", "matrix", "where"))
    join = Join(templates.condition(where), written, constants=templates.variables({}))
    return join, axes_of(values)


def naive(templates, where, values):
    """The product, each row asked; rows for which that fails are left out."""
    whole = templates.condition(where).whole.render
    for combination in product(*values.values()):
        row = dict(zip(values, combination, strict=True))
        if whole(templates.variables({**row, "matrix": row})):
            yield row


CAST = [{"name": "Mia", "age": 3}, {"name": "Mira", "age": 30}]
LINES = [{"by": "Mira", "n": 1}, {"by": "Mia", "n": 2}, {"by": "Mira", "n": 3}]


def test_rows_of_two_axes_are_joined_in_the_order_of_their_product(templates):
    join, axes = joined(templates, "voice.name == line.by", line=LINES, voice=CAST)
    rows = join.rows(axes)
    assert [(row["line"]["n"], row["voice"]["name"]) for row in rows] == [
        (1, "Mira"), (2, "Mia"), (3, "Mira"),
    ]  # fmt: skip


KEYS = st.sampled_from([0, 1, 1.0, True, False, "1", "a", None, [1], [True], {"x": 1}, ()])
WHERES = st.sampled_from(
    [
        "a == b",
        "b == a and c == b",
        "a == b and c != a",
        "c == a",
        "c == [a, b][0]",
        "a == 1 and b == c",
        "a == b or b == c",
        "not a == b",
        "a == b == c",
        "(a == b) and (b == c and a is defined)",
        "(c or 0) == (a or 0)",
        "matrix.a == matrix.b",
        "b in [a, c]",
        "true",
    ]
)


@given(WHERES, st.lists(st.lists(KEYS, min_size=1, max_size=4), min_size=3, max_size=3))
def test_the_index_keeps_the_rows_that_the_expression_keeps_in_the_same_order(
    templates, where, lists
):
    values = dict(zip("abc", lists, strict=True))
    expected = list(naive(templates, where, values))
    join, axes = joined(templates, where, **values)
    rows = list(join.rows(axes))
    assert [list(map(repr, row.values())) for row in rows] == [
        list(map(repr, row.values())) for row in expected
    ]


def test_an_equality_spares_the_pairs_that_do_not_fit(templates):
    lines = [{"by": f"v{n % 1000}"} for n in range(20_000)]
    cast = [{"name": f"v{n}"} for n in range(1000)]
    asked = []
    join, axes = joined(templates, "voice.name == line.by", line=lines, voice=cast)
    whole = join._whole
    join._whole = lambda row: asked.append(1) or whole(row)
    assert sum(1 for _ in join.rows(axes)) == 20_000
    assert len(asked) == 20_000  # of 20 million pairs


def test_a_value_whose_side_fails_is_left_to_the_whole_expression(templates):
    values = {"a": [1, 2], "b": [{"x": 1}, {}, {"x": 2}]}
    where = "b.x | default(a) == a"
    join, axes = joined(templates, where, **values)
    assert [(row["a"], row["b"]) for row in join.rows(axes)] == [
        (1, {"x": 1}), (1, {}), (2, {}), (2, {"x": 2}),
    ]  # fmt: skip
    join, axes = joined(templates, "b.x == a", **values)
    with pytest.raises(RowFailure, match="x is undefined") as caught:
        list(join.rows(axes))
    assert caught.value.row == {"a": 1, "b": {}}


@pytest.mark.parametrize(
    ("lines", "voices", "found"),
    [
        (["Mira"], ["Mira", "Mia"], [(1, 1, "Mia", "Mira", 0)]),
        (["Mria"], ["Mira"], [(1, 0, "Mira", "Mria", 0), (0, 0, "Mria", "Mira", 1)]),
        (["3"], [3], [(1, 0, 3, "3", 0), (0, 0, "3", 3, 1)]),
        ([None, 1], [1, None], [(1, 1, None, None, 0), (0, 0, None, None, 1)]),
        (["a", "b"], ["b", "a"], []),
    ],
)  # fmt: skip
def test_values_without_partner_are_named_with_what_is_nearest(templates, lines, voices, found):
    join, axes = joined(templates, "voice == line", line=lines, voice=voices)
    assert [
        (one.depth, one.position, one.key, one.near, one.other_depth)
        for one in join.partnerless(axes)
    ] == found


def test_an_expression_with_one_axis_asks_for_no_partners(templates):
    join, axes = joined(templates, "line.n == 2", line=LINES)
    assert [row["line"]["n"] for row in join.rows(axes)] == [2]
    assert list(join.partnerless(axes)) == []


@pytest.mark.parametrize(
    ("where", "words", "offset"),
    [
        ("a ==", "cannot be read", 4),
        ("a }} {{ b", "one expression", -1),
        ("{{ a == b }}", "without braces", 0),
        ("a = b", "the expression cannot be read: found '='; equality is written `==`", 2),
        ("a == 1 and a | slgu", r"no filter named slgu \(did you mean slug\?\)", 15),
    ],
)
def test_what_is_no_expression_is_told_at_its_place(templates, where, words, offset):
    with pytest.raises(TemplateProblem, match=words) as caught:
        templates.condition(where)
    assert caught.value.offset == offset


def test_partners_are_counted_from_both_sides_by_all_equalities(templates):
    join, axes = joined(templates, "voice.name == line.by and line.n < 9", line=LINES, voice=CAST)
    assert list(join.partners(axes)) == [Partners(0, 1, 3, 1, 1), Partners(1, 0, 2, 1, 2)]
    where = "voice.name == line.by and voice.age == line.n * 10"
    join, axes = joined(templates, where, line=LINES, voice=CAST)
    assert list(join.partners(axes)) == [Partners(0, 1, 3, 0, 1), Partners(1, 0, 2, 0, 1)]


@pytest.mark.parametrize(
    "where", ["voice.name < line.by", "voice.name == line.by or line.n == 1", "line.n == 1"]
)
def test_no_partners_are_counted_where_no_equality_ties_two_axes(templates, where):
    join, axes = joined(templates, where, line=LINES, voice=CAST)
    assert list(join.partners(axes)) == []


def test_a_side_that_fails_for_every_value_leaves_none_without_partner(templates):
    join, axes = joined(templates, "voice.nam == line.by", line=LINES, voice=CAST)
    assert list(join.partnerless(axes)) == []
