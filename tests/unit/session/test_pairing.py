"""Which rows of two runs stand side by side."""

from itertools import product

import pytest

from dsrun.session.pairing import Pair, Row, pair_rows


def rows(*matrices, step="posters", replica=0, ids="", first=0):
    names = ids or [f"{step}-{number}-{matrix}" for number, matrix in enumerate(matrices)]
    return [
        Row(step=step, index=index, replica=replica, matrix=matrix, job_id=name)
        for index, (matrix, name) in enumerate(zip(matrices, names, strict=True), first)
    ]


def seeds(*values, **about):
    return rows(*({"seed": value} for value in values), **about)


def met(left, right):
    """Which positions meet by which rule, and what is alone."""
    pairs = pair_rows(left, right)
    assert sorted(pair.left for pair in pairs if pair.left is not None) == [*range(len(left))]
    assert [pair.right for pair in pairs if pair.right is not None] == [*range(len(right))]
    assert all((pair.by is None) == (None in pair[:2]) for pair in pairs)
    return pairs


def test_rows_with_the_same_values_meet_wherever_they_stand():
    pairs = met(seeds(1, 2, 3), seeds(3, 1, 2))
    assert pairs == [Pair(2, 0, "row"), Pair(0, 1, "row"), Pair(1, 2, "row")]


def test_a_row_put_in_at_the_start_shifts_no_other():
    assert met(seeds(1, 2), seeds(0, 1, 2)) == [
        Pair(None, 0, None),
        Pair(0, 1, "row"),
        Pair(1, 2, "row"),
    ]


def test_one_that_is_gone_follows_its_neighbour():
    assert met(seeds(1, 2, 3), seeds(1, 3)) == [
        Pair(0, 0, "row"),
        Pair(1, None, None),
        Pair(2, 1, "row"),
    ]


@pytest.mark.parametrize(("old", "new"), [(1, 1.0), (1, "1"), (True, 1), (None, "")])
def test_values_of_another_type_are_other_values(old, new):
    assert [pair.by for pair in met(seeds(old), seeds(new))] == ["place"]


def test_the_order_of_axes_and_of_columns_does_not_matter():
    left = rows({"style": "a", "product": {"name": "tea", "price": 2}}, {"style": "b"})
    right = rows({"style": "b"}, {"product": {"price": 2, "name": "tea"}, "style": "a"})
    assert [pair.by for pair in met(left, right)] == ["row", "row"]


def test_the_same_request_meets_under_another_name_of_its_axis():
    left = rows({"tone": "calm"}, {"tone": "warm"}, ids=["a", "b"])
    right = rows({"mood": "warm"}, {"mood": "calm"}, ids=["b", "a"])
    assert met(left, right) == [Pair(1, 0, "request"), Pair(0, 1, "request")]


def test_values_come_before_the_request():
    left, right = seeds(1, 2, ids=["a", "b"]), seeds(1, 2, ids=["b", "a"])
    assert met(left, right) == [Pair(0, 0, "row"), Pair(1, 1, "row")]


def test_a_further_axis_leaves_the_others_to_pair_by():
    left = rows({"style": "a"}, {"style": "b"})
    right = rows(*({"style": s, "light": light} for s, light in product("ab", ["day", "dusk"])))
    assert met(left, right) == [
        Pair(0, 0, "axes"),
        Pair(None, 1, None),
        Pair(1, 2, "axes"),
        Pair(None, 3, None),
    ]


def test_a_reworded_row_keeps_its_place():
    left, right = seeds("tea", "ink", "oil"), seeds("tea", "a pot of ink", "oil")
    assert [pair.by for pair in met(left, right)] == ["row", "place", "row"]


def test_of_two_axes_one_may_have_another_value_wherever_the_row_stands():
    left = rows(*({"subject": s, "style": t} for s, t in product(["boat", "tea"], ["a", "b"])))
    right = rows(
        *({"subject": s, "style": t} for s, t in product(["ink", "boat", "tea"], ["a", "c"]))
    )
    assert met(left, right) == [
        Pair(None, 0, None),
        Pair(None, 1, None),
        Pair(0, 2, "row"),
        Pair(1, 3, "but_one"),
        Pair(2, 4, "row"),
        Pair(3, 5, "but_one"),
    ]


def test_a_replica_meets_none_of_another_number_by_its_axes():
    left = rows({"subject": "tea", "style": "a"}, replica=1, first=4)
    right = rows({"subject": "tea", "style": "b"})
    assert {pair.by for pair in met(left, right)} == {None}


def test_replicas_meet_replicas_of_their_number():
    left = seeds(1) + seeds(1, replica=1, first=1)
    right = seeds(1, replica=1) + seeds(1, first=1)
    assert met(left, right) == [Pair(1, 0, "row"), Pair(0, 1, "row")]


def test_a_further_replica_is_new():
    assert met(seeds(1), seeds(1) + seeds(1, replica=1, first=1))[1] == Pair(None, 1, None)


def test_steps_are_kept_apart():
    left = seeds(1) + seeds(1, step="frames")
    right = seeds(1, step="voices") + seeds(1) + seeds(1, step="frames")
    assert [pair.by for pair in met(left, right)] == [None, "row", "row"]


def test_a_step_that_alone_has_another_name_is_the_same():
    left = seeds(1, 2, step="draw") + seeds(1, step="enlarge")
    right = seeds(1, 2, step="paint") + seeds(1, step="enlarge")
    assert [pair.by for pair in met(left, right)] == ["row"] * 3


def test_of_several_steps_with_other_names_none_is_guessed():
    left = seeds(1, step="a") + seeds(1, step="b")
    right = seeds(1, step="c") + seeds(1, step="d")
    assert {pair.by for pair in met(left, right)} == {None}


def test_twins_each_meet_one():
    left = rows({"mood": "calm"}, {"mood": "wild"}, ids=["a", "a"])
    right = rows({"mood": "calm"}, {"mood": "free"}, ids=["a", "a"])
    assert [pair.by for pair in met(left, right)] == ["row", "request"]


@pytest.mark.parametrize(("left", "right"), [(0, 3), (3, 0), (0, 0)])
def test_an_empty_side_leaves_the_other_alone(left, right):
    pairs = met(seeds(*range(left)), seeds(*range(right)))
    assert len(pairs) == left + right
    assert {pair.by for pair in pairs} <= {None}


def test_a_step_without_axes_meets_itself():
    assert met(rows({}), rows({})) == [Pair(0, 0, "row")]
