"""Equal jobs and clashing file names, against a plain search."""

import unicodedata
from collections import defaultdict
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.common.digest import sha256_hex
from dsrun.common.models import Job
from dsrun.planning.job_index import Clash, Overlap, PlanIndex, SeedIndex, Seeds

STEMS = st.lists(
    st.sampled_from(["a", "A", "a/b", "a/B", "é", "e\u0301", "ß", "SS", "灯"]),
    min_size=1,
    max_size=3,
)


@given(
    jobs=st.lists(st.tuples(st.integers(0, 5), st.sampled_from("st"), STEMS), max_size=12),
    batch=st.integers(1, 5),
)
def test_new_jobs_and_clashes_are_those_of_a_plain_search(jobs, batch):
    made = [job(number, step=step, index=i, stems=s) for i, (number, step, s) in enumerate(jobs)]
    new, clashes = indexed(made, batch)
    seen = set()
    assert new == [not (item.job_id in seen or seen.add(item.job_id)) for item in made]
    assert {clash.step for clash in clashes} == clashing_steps(made)


@pytest.mark.parametrize(
    ("stems", "clashes"),
    [
        pytest.param([["a"], ["b"]], [], id="different names"),
        pytest.param([["a"], ["a"]], [Clash("s", 0, 1)], id="the same name"),
        pytest.param([["a"], ["A"]], [Clash("s", 0, 1)], id="names that differ in case"),
        pytest.param([["é"], ["e\u0301"]], [Clash("s", 0, 1)], id="names composed differently"),
        pytest.param([["a", "a"]], [Clash("s", 0, 0)], id="two pictures of one job"),
        pytest.param([["x"], ["a"], ["a"], ["a"]], [Clash("s", 1, 2)], id="the first two are told"),
        pytest.param([["a/b"], ["a"]], [], id="a folder and a file with an extension"),
    ],
)
def test_which_names_clash(stems, clashes):
    made = [job(number, step="s", index=number, stems=names) for number, names in enumerate(stems)]
    assert indexed(made, 500)[1] == clashes


def test_rows_of_the_same_job_may_share_a_file():
    made = [job(1, step="s", index=0, stems=["a"]), job(1, step="s", index=1, stems=["a"])]
    assert indexed(made, 500) == ([True, False], [])


def test_steps_have_folders_of_their_own():
    made = [job(1, step="s", index=0, stems=["a"]), job(2, step="t", index=0, stems=["a"])]
    assert indexed(made, 500)[1] == []


@given(
    st.lists(
        st.builds(
            Seeds,
            key=st.integers(-2, 2),
            seed=st.integers(0, 9),
            units=st.integers(1, 4),
            step=st.just("s"),
            replica=st.integers(0, 1),
        ),
        max_size=12,
    )
)
def test_overlapping_seeds_are_those_of_a_plain_count(asked):
    paid = seeds = 0
    for key in {item.key for item in asked}:
        group = [item for item in asked if item.key == key]
        all_seeds = [item.seed + i for item in group for i in range(item.units)]
        if len(set(all_seeds)) < len(all_seeds):
            paid, seeds = paid + len(all_seeds), seeds + len(set(all_seeds))
    found = overlaps(asked).get("s")
    assert (found and (found.paid, found.seeds)) == ((paid, seeds) if paid else None)


def test_overlapping_seeds_count_for_the_last_step_that_asks():
    one, other = Seeds(1, 5, 4, "one", 0), Seeds(1, 7, 1, "other", 0)
    assert overlaps([one, other]) == {"other": Overlap("other", 5, 4, 4, False)}
    assert overlaps([other, one]) == {"one": Overlap("one", 5, 4, 4, False)}


def test_replicas_of_one_seed_are_known_from_neighbours():
    first, again, near = Seeds(1, 5, 1, "s", 0), Seeds(1, 5, 1, "s", 1), Seeds(1, 6, 1, "s", 1)
    assert overlaps([first, again])["s"].is_repeated
    assert overlaps([first, near]) == {}


def overlaps(asked):
    with closing(SeedIndex()) as index:
        index.add(asked)
        return index.overlaps()


def indexed(jobs, batch):
    with PlanIndex() as index:
        new = []
        for start in range(0, len(jobs), batch):
            new += index.add(jobs[start : start + batch])
        return new, index.clashes()


def clashing_steps(jobs):
    owners = defaultdict(set)
    for item in jobs:
        for number, stem in enumerate(item.stems):
            name = unicodedata.normalize("NFC", stem).casefold()
            owners[item.step, name].add((item.job_id, number))
    return {step for (step, _), found in owners.items() if len(found) > 1}


def job(number, *, step, index, stems):
    return Job(
        job_id=sha256_hex(str(number).encode()),
        step=step,
        index=index,
        replica=0,
        operation="wanx-v1",
        matrix={},
        request={},
        body=b"{}",
        stems=tuple(stems),
        units=1,
    )


def test_jobs_far_apart_are_known_again():
    made = [job(n % 21_000, step="s", index=n, stems=[f"{n % 20_999}"]) for n in range(21_002)]
    new, clashes = indexed(made, 500)
    assert [number for number, is_new in enumerate(new) if not is_new] == [21_000, 21_001]
    assert clashes == [Clash("s", 0, 20_999)]
