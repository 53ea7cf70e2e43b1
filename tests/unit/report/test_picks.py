"""The YAML of a manifest of picks is read back as what it was."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dsrun.common.yaml_document import parse_yaml
from dsrun.report.picks import list_name, picks_of

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(-1e6, 1e6) | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.sampled_from(["no", "1", "a b", "y"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.from_regex(r"[a-z]+", fullmatch=True), VALUES, max_size=4))
@example({"a": 5e-324, "b": [1e22, -0.0, 10**40]})
def test_what_a_step_says_comes_back(step):
    step = {"operation": "wanx-v1"} | step
    step.pop("matrix", None)
    picks = picks_of(
        {"name": "demo", "params": step, "steps": {"no": step | {"matrix": {"a": [1]}}}}
    )
    manifest = parse_yaml(picks["head"] + picks["steps"]["no"], file="picks.yaml").value
    assert manifest == {"version": 1, "name": "demo-picks", "params": step, "steps": {"no": step}}


def test_a_run_without_a_manifest_has_none():
    assert picks_of(None) is None


@pytest.mark.parametrize(
    ("axis", "name"),
    [
        ({"step": "drafts", "only": "picks.txt"}, "picks.txt"),
        ({"step": "drafts", "only": "lists/best of all.txt"}, "best of all.txt"),
        ({"step": "drafts", "only": "../picks"}, "picks"),
        ({"step": "drafts"}, "picks.txt"),
        ({"file": "rows.csv"}, "picks.txt"),
        ([1, 2], "picks.txt"),
    ],
)
def test_a_list_is_called_as_the_axis_that_reads_it_asks(axis, name):
    steps = {"drafts": {"operation": "wanx-v1"}, "large": {"matrix": {"pick": axis}}}
    assert list_name({"name": "demo", "steps": steps}) == name


def test_a_list_of_a_run_without_a_manifest_has_a_name():
    assert list_name(None) == "picks.txt"
