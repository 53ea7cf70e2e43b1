"""What dsrun adds to a request where the manifest is silent."""

import copy
import dataclasses
import itertools
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.service.catalog import load_catalog
from dsrun.service.request import (
    artifact_count,
    fill_request,
    part_request,
    planned_units,
    ranges_of,
)

CATALOG = load_catalog()
WANX, VOICE = CATALOG["wanx-v1"], CATALOG["qwen-voice-design"]
PROMPTS = st.text(st.characters(exclude_categories=("Cs",)))


@given(prompt=PROMPTS, n=st.integers(1, 4), replica=st.integers(0, 100))
def test_a_derived_seed_leaves_room_for_every_picture(prompt, n, replica):
    request = wanx(prompt, n=n)
    fill_request(request, operation=WANX, replica=replica)
    assert 0 <= request["parameters"]["seed"] <= 2147483647 - n + 1


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_derived_seeds_reach_both_ends_and_pass_neither(n):
    counts, seeds = WANX.fills
    small = dataclasses.replace(WANX, fills=(counts, dataclasses.replace(seeds, maximum=5)))
    found = set()
    for number in range(300):
        request = wanx(f"prompt {number}", n=n)
        fill_request(request, operation=small, replica=0)
        found.add(request["parameters"]["seed"])
    assert found == set(range(5 - n + 2))


@given(prompt=PROMPTS, replica=st.integers(0, 100))
def test_a_derived_value_depends_on_the_job_alone(prompt, replica):
    first, second = wanx(prompt), wanx(prompt)
    fill_request(first, operation=WANX, replica=replica)
    fill_request(second, operation=WANX, replica=replica)
    assert first == second


@given(prompt=PROMPTS)
def test_replicas_of_a_job_have_seeds_of_their_own(prompt):
    seeds = set()
    for replica in range(10):
        request = wanx(prompt)
        fill_request(request, operation=WANX, replica=replica)
        seeds.add(request["parameters"]["seed"])
    assert len(seeds) == 10


def test_derived_seeds_spread_over_the_whole_range():
    seeds = []
    for number in range(2000):
        request = wanx(f"prompt {number}")
        fill_request(request, operation=WANX, replica=0)
        seeds.append(request["parameters"]["seed"])
    eighths = {seed * 8 // 2147483648 for seed in seeds}
    assert (eighths, len(set(seeds))) == (set(range(8)), 2000)


@given(prompt=PROMPTS, replica=st.integers(0, 100))
def test_a_derived_name_is_one_that_the_api_takes(prompt, replica):
    request = {"model": "qwen-voice-design", "input": {"voice_prompt": prompt}}
    fill_request(request, operation=VOICE, replica=replica)
    assert re.fullmatch("v[0-9a-f]{15}", request["input"]["preferred_name"])


def test_n_is_always_sent_and_is_1_where_nothing_is_said():
    request = {"model": "wanx-v1", "input": {"prompt": "a"}}
    fill_request(request, operation=WANX, replica=0)
    assert request["parameters"]["n"] == 1


@pytest.mark.parametrize(
    ("parameters", "kept"),
    [
        pytest.param({"n": 3}, {"n": 3}, id="n"),
        pytest.param({"seed": 0}, {"seed": 0}, id="a seed of zero"),
        pytest.param({"n": 9, "seed": -1}, {"n": 9, "seed": -1}, id="even what is not valid"),
    ],
)
def test_what_the_manifest_says_is_kept(parameters, kept):
    request = wanx("a", **parameters)
    fill_request(request, operation=WANX, replica=0)
    assert kept.items() <= request["parameters"].items()


def test_a_null_seed_is_taken_out():
    request = wanx("a", seed=None)
    fill_request(request, operation=WANX, replica=0)
    assert request["parameters"] == {"n": 1}


@pytest.mark.parametrize("n", [True, "2", None, 2.5, -1, 10**9, [1]], ids=repr)
def test_an_n_that_is_not_valid_yields_to_the_schema_without_an_error(n):
    request = wanx("a", n=n)
    fill_request(request, operation=WANX, replica=0)
    assert request["parameters"]["n"] == n


def test_a_section_that_is_no_mapping_is_left_to_the_schema():
    request = {"model": "wanx-v1", "input": {"prompt": "a"}, "parameters": "n=1"}
    before = copy.deepcopy(request)
    fill_request(request, operation=WANX, replica=0)
    assert request == before


@pytest.mark.parametrize(
    ("request_", "count", "price"),
    [
        pytest.param({"parameters": {"n": 4}}, 4, "0.64", id="four"),
        pytest.param({"parameters": {"n": 2.0}}, 2, "0.32", id="an integral float"),
        pytest.param({"parameters": {}}, 1, "0.16", id="none named"),
        pytest.param({}, 1, "0.16", id="no section"),
        pytest.param({"parameters": {"n": "4"}}, 1, "0.16", id="text counts nothing"),
    ],
)
def test_each_picture_is_counted_and_priced(request_, count, price):
    assert artifact_count(request_, WANX) == count
    assert cost(request_, WANX) == Decimal(price)


def test_a_voice_is_one_whatever_the_request_says():
    request = {"parameters": {"n": 4}}
    assert (artifact_count(request, VOICE), cost(request, VOICE)) == (1, Decimal("0.2"))


def cost(request, operation):
    return operation.price.of(planned_units(request, operation)).amount


def wanx(prompt, **parameters):
    return {"model": "wanx-v1", "input": {"prompt": prompt}, "parameters": parameters}


@given(st.sets(st.integers(0, 50)))
def test_ranges_hold_the_indexes_and_have_gaps_between_them(indexes):
    ranges = ranges_of(sorted(indexes))
    assert [index for first, count in ranges for index in range(first, first + count)] == sorted(
        indexes
    )
    assert all(sum(one) < other[0] for one, other in itertools.pairwise(ranges))


@pytest.mark.parametrize(("seed", "expected"), [(100, 102), (None, None)])
def test_a_part_asks_for_the_same_pictures_alone(seed, expected):
    request = wanx("a lantern", n=4)
    if seed is not None:
        request["parameters"]["seed"] = seed
    whole = copy.deepcopy(request)
    part = part_request(request, WANX, first=2, count=2)
    assert (part["parameters"]["n"], part["parameters"].get("seed")) == (2, expected)
    assert part["input"] == whole["input"]
    assert request == whole
