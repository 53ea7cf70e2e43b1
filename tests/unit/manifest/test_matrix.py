"""Rows of a matrix: product, exclude and include, against GitHub Actions' own words."""

from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dsrun.manifest.files import DataFile
from dsrun.manifest.matrix import Axis, Matrix, Sample, same

NAMES = ("a", "b", "c")
SCALARS = st.sampled_from([0, 1, 1.0, True, False, "1", "x", None])
RULES = st.lists(
    st.dictionaries(st.sampled_from([*NAMES, "extra", "more"]), SCALARS, min_size=1, max_size=3),
    max_size=4,
)


@st.composite
def matrices(draw):
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))
    axes = {name: draw(st.lists(SCALARS, min_size=1, max_size=3)) for name in names}
    rules = st.dictionaries(st.sampled_from(names or NAMES), SCALARS, min_size=1, max_size=2)
    excludes = draw(st.lists(rules, max_size=3)) if names else []
    return axes, excludes, draw(RULES)


@given(matrices())
@example(({}, [], [{"a": 1}, {"a": 1, "extra": 2}]))
@example(({"a": [1]}, [{"a": 1}], [{"a": 1, "extra": 2}]))
def test_rows_are_those_of_the_rules_written_out(case):
    axes, excludes, includes = case
    rows = list(matrix(axes, exclude=excludes, include=includes).rows())
    assert typed(rows) == typed(rows_by_the_rules(axes, excludes, includes))


@given(matrices())
def test_every_pass_gives_the_same_rows_and_their_number_is_bounded(case):
    axes, excludes, includes = case
    made = matrix(axes, exclude=excludes, include=includes)
    first, second = list(made.rows()), list(made.rows())
    assert typed(first) == typed(second)
    assert len(first) <= made.most_rows()
    assert {key for row in first for key in row} <= set(made.names)


def test_the_example_of_github_s_documentation():
    made = matrix(
        {"fruit": ["apple", "pear"], "animal": ["cat", "dog"]},
        include=[
            {"color": "green"},
            {"color": "pink", "animal": "cat"},
            {"fruit": "apple", "shape": "circle"},
            {"fruit": "banana"},
            {"fruit": "banana", "animal": "cat"},
        ],
    )
    assert list(made.rows()) == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


@pytest.mark.parametrize(
    ("includes", "replaced"),
    [
        pytest.param(
            [{"a": 1, "x": 1}, {"a": 1, "x": 2}], {(1, 0, "x"): 2}, id="the same rows twice"
        ),
        pytest.param([{"x": 1}, {"a": 1, "x": 2}], {(1, 0, "x"): 2}, id="some of all rows"),
        pytest.param([{"x": 1}, {"x": 2}, {"x": 3}], {(1, 0, "x"): 4, (2, 1, "x"): 4}, id="three"),
        pytest.param([{"x": 1, "y": 1}, {"y": 2}], {(1, 0, "y"): 4}, id="one key of two"),
        pytest.param([{"x": 1}, {"x": True}], {(1, 0, "x"): 4}, id="another type"),
        pytest.param([{"x": 1}, {"x": 1.0}, {"x": 1}], {}, id="the same value"),
        pytest.param([{"a": 1, "x": 1}, {"a": 2, "x": 2}], {}, id="other rows"),
        pytest.param([{"a": 3, "x": 1}, {"a": 3, "x": 2}], {}, id="rows of their own"),
    ],
)
def test_what_an_include_replaces_of_another_is_counted_on_each_pass(includes, replaced):
    made = matrix({"a": [1, 2], "b": [1, 2]}, include=includes)
    for _ in range(2):
        list(made.rows())
        assert made.replaced == replaced


def test_the_last_axis_is_the_fastest():
    made = matrix({"a": [1, 2], "b": ["x", "y"]})
    assert [(row["a"], row["b"]) for row in made.rows()] == [
        (1, "x"),
        (1, "y"),
        (2, "x"),
        (2, "y"),
    ]


def test_a_step_without_a_matrix_is_one_row():
    assert list(Matrix().rows()) == [{}]


def test_zipped_names_advance_together():
    made = Matrix(
        axes=(
            Axis(names=("a", "b"), values=[{"a": 1, "b": 2}, {"a": 3, "b": 4}], zipped=True),
            Axis(names=("c",), values=[5, 6]),
        )
    )
    assert list(made.rows()) == [
        {"a": 1, "b": 2, "c": 5},
        {"a": 1, "b": 2, "c": 6},
        {"a": 3, "b": 4, "c": 5},
        {"a": 3, "b": 4, "c": 6},
    ]
    assert made.names == ["a", "b", "c"]


def test_a_changed_row_changes_neither_the_next_nor_the_matrix():
    rows = [{"a": 1}, {"a": 2}]
    made = Matrix(axes=(Axis(names=("a",), values=rows, zipped=True),))
    for row in made.rows():
        row["a"] = "spoilt"
    assert list(made.rows()) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        pytest.param({"a": 1}, [2, 3], id="equal"),
        pytest.param({"a": [1, 3]}, [2], id="any of a list"),
        pytest.param({"a": 1.0}, [2, 3], id="1 is 1.0"),
        pytest.param({"a": True}, [1, 2, 3], id="true is not 1"),
        pytest.param({"a": "1"}, [1, 2, 3], id="text is not a number"),
        pytest.param({"a": []}, [1, 2, 3], id="none of an empty list"),
    ],
)
def test_an_exclude_rule_takes_the_rows_that_it_describes(rule, left):
    made = matrix({"a": [1, 2, 3]}, exclude=[rule])
    assert [row["a"] for row in made.rows()] == left


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        pytest.param({"p": {"name": "fan"}}, 1, id="part of a mapping"),
        pytest.param({"p": {"name": ["fan", "tea"]}}, 0, id="a list inside a mapping"),
        pytest.param({"p": {"name": "fan", "size": 2}}, 2, id="every part must fit"),
        pytest.param({"p": {"colour": "red"}}, 2, id="a part that is not there fits nothing"),
        pytest.param({"p": "fan"}, 2, id="text is no mapping"),
    ],
)
def test_an_exclude_rule_may_name_a_part_of_a_row_of_a_file(rule, left):
    rows = [{"name": "fan", "size": 1}, {"name": "tea", "size": 2}]
    assert len(list(matrix({"p": rows}, exclude=[rule]).rows())) == left


def test_a_list_as_a_value_is_excluded_by_the_same_list():
    made = matrix({"a": [[1, 2], [3]]}, exclude=[{"a": [1, 2]}])
    assert [row["a"] for row in made.rows()] == [[3]]


def test_rules_that_match_nothing_are_noted_after_a_full_pass():
    made = matrix({"a": [1, 2]}, exclude=[{"a": 3}, {"a": 1}, {"a": [1, 4]}])
    list(made.rows())
    assert made.unused == {0}


def test_an_unfinished_pass_notes_nothing():
    made = matrix({"a": [1, 2]}, exclude=[{"a": 2}])
    next(made.rows())
    assert made.unused == set()


def test_a_million_rows_are_made_one_at_a_time():
    made = Matrix(
        axes=tuple(Axis(names=(name,), values=range(1000)) for name in NAMES),
        include=({"a": -1},),
    )
    assert made.most_rows() == 1_000_000_001
    assert next(made.rows()) == {"a": 0, "b": 0, "c": 0}


@given(size=st.integers(1, 40), count=st.integers(1, 50), seed=st.integers(-3, 3))
def test_a_sample_is_a_part_of_the_rows_in_their_order_and_always_the_same(size, count, seed):
    axes = (Axis(names=("a",), values=range(size)),)
    made = Matrix(axes=axes, sample=Sample(count=count, seed=seed))
    chosen = [row["a"] for row in made.rows()]
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(size, count)
    assert chosen == [row["a"] for row in made.rows()]


def test_another_seed_is_another_part_and_every_row_has_its_chance():
    axes = (Axis(names=("a",), values=range(20)),)
    parts = [
        tuple(row["a"] for row in Matrix(axes=axes, sample=Sample(count=5, seed=seed)).rows())
        for seed in range(60)
    ]
    assert len(set(parts)) > 50
    assert {number for part in parts for number in part} == set(range(20))


def test_a_sample_is_taken_after_exclude_and_include():
    made = Matrix(
        axes=(Axis(names=("a",), values=range(10)),),
        exclude=({"a": list(range(8))},),
        include=({"a": 99},),
        sample=Sample(count=3, seed=1),
    )
    assert [row["a"] for row in made.rows()] == [8, 9, 99]


@pytest.mark.parametrize(
    ("left", "right", "alike"),
    [
        pytest.param(1, 1.0, True, id="1 is 1.0"),
        pytest.param(1, True, False, id="1 is not true"),
        pytest.param(0, False, False, id="0 is not false"),
        pytest.param("1", 1, False, id="text is not a number"),
        pytest.param(None, False, False, id="null is not false"),
        pytest.param([1, [True]], [1.0, [True]], True, id="lists item by item"),
        pytest.param([1], [True], False, id="lists with another type"),
        pytest.param([1], [1, 2], False, id="a longer list"),
        pytest.param({"a": 1}, {"a": 1.0}, True, id="mappings key by key"),
        pytest.param({"a": 1}, {"a": True}, False, id="mappings with another type"),
        pytest.param({"a": None}, {}, False, id="null is not nothing"),
    ],
)
def test_values_are_the_same_as_json_values(left, right, alike):
    assert same(left, right) is alike
    assert same(right, left) is alike


def matrix(axes, *, exclude=(), include=()):
    return Matrix(
        axes=tuple(Axis(names=(name,), values=values) for name, values in axes.items()),
        exclude=tuple(exclude),
        include=tuple(include),
    )


def rows_by_the_rules(axes, excludes, includes):
    """All at once, in the order of GitHub's description of `strategy.matrix`."""
    combinations = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    if not axes and includes:
        combinations = []
    original = [
        row
        for row in combinations
        if not any(all(same(row[key], value) for key, value in rule.items()) for rule in excludes)
    ]
    extended = [dict(row) for row in original]
    added = []
    for rule in includes:
        fitting = [
            target
            for row, target in zip(original, extended, strict=True)
            if axes and all(same(row[key], value) for key, value in rule.items() if key in row)
        ]
        for target in fitting:
            target.update({key: value for key, value in rule.items() if key not in axes})
        if not fitting:
            added.append(dict(rule))
    return extended + added


def typed(rows):
    return [[(key, type(value), value) for key, value in row.items()] for row in rows]


@given(
    first=st.integers(1, 4),
    second=st.integers(1, 4),
    excluded=st.lists(st.integers(0, 3), max_size=2),
    sample=st.none() | st.integers(1, 6),
)
def test_every_row_knows_the_rows_of_the_files_that_it_is_made_of(
    first, second, excluded, sample, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("data")
    files = {}
    for name, count in (("a", first), ("c", second)):
        path = folder / f"{name}.txt"
        path.write_text("".join(f"{name}{i}\n" for i in range(count)), encoding="utf-8")
        files[name] = DataFile(path, shown_as=path.name)
    made = Matrix(
        axes=(
            Axis(names=("a",), values=files["a"], data={"a": files["a"]}),
            Axis(names=("b",), values=["x", "y"]),
            Axis(names=("c",), values=files["c"], data={"c": files["c"]}),
        ),
        exclude=tuple({"a": f"a{i}"} for i in excluded),
        include=({"b": "x", "more": 1}, {"a": "other", "b": "z"}),
        sample=None if sample is None else Sample(count=sample, seed=1),
    )
    for number, row in enumerate(made.rows()):
        names = [name for name in ("a", "c") if row.get(name, "other") != "other"]
        assert made.origins(number) == {name: int(row[name][1:]) for name in names}


def test_equal_rows_of_a_file_are_told_apart(tmp_path):
    path = tmp_path / "rows.txt"
    path.write_text("same\nsame\nsame\n", encoding="utf-8")
    data = DataFile(path, shown_as="rows.txt")
    made = Matrix(axes=(Axis(names=("a",), values=data, data={"a": data}),))
    assert [made.origins(number) for number in range(3)] == [{"a": 0}, {"a": 1}, {"a": 2}]


def test_every_row_knows_which_values_of_the_manifest_it_is_made_of():
    made = Matrix(
        axes=(
            Axis(names=("a",), values=["x", "x"]),
            Axis(names=("b", "c"), values=[{"b": 1, "c": 2}, {"b": 1, "c": 2}], zipped=True),
        ),
        exclude=({"a": "y"},),
        include=({"more": 1}, {"a": "x", "more": 1}, {"a": "z", "more": 1}),
    )
    assert made.positions(1) == {"a": 0, "b": 1, "c": 1}
    rows = list(made.rows())
    assert made.rule_of(rows[1], "more") == 1
    assert (made.positions(4), made.rule_of(rows[4], "more")) == ({}, 2)
