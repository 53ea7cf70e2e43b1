"""Which jobs a selection picks, and in which order its parts apply."""

import pytest

from dsrun.common.errors import UsageError
from dsrun.planning.selection import EVERYTHING, Chooser, Selection
from tests.pipelines import plan_of

TEXT = """
version: 1
name: test
params: {favourite: 3}
steps:
  posters:
    operation: wanx-v1
    matrix: {style: ["<anime>", "<sketch>"], seed: {range: [1, 4]}}
    input: {prompt: a lantern}
    parameters: {style: "{{ style }}", seed: "{{ seed }}"}
  faces:
    operation: wanx-v1
    matrix:
      product: {file: p.csv}
      include: [{mood: calm}]
    repeat: 2
    input: {prompt: "{{ product.name }} {{ mood }}"}
"""
FILES = {"p.csv": "name,price\ncup,3\npot,12\n"}


def chosen(folder, text=TEXT, **words):
    plan = plan_of(folder, text, files=FILES)
    chooser = Chooser(plan, Selection(**words), shows_all="dsrun plan demo.yaml --full")
    plan.check(chooser.visit)
    ended = chooser.end()
    ids = [job_id for page in ended.ids() for job_id in page]
    assert len(ended) == len(ids)
    places = {job.job_id: f"{job.step}/{job.index}" for job in reversed(list(plan.jobs()))}
    return [places[job_id] for job_id in ids]


@pytest.mark.parametrize(
    ("words", "places"),
    [
        ({"limit": 2}, ["posters/0", "posters/1"]),
        ({"steps": ("faces",)}, [f"faces/{i}" for i in range(4)]),
        ({"only": "style == '<sketch>' and seed > 3"}, ["posters/7"]),
        (
            {"only": "matrix.seed == params.favourite", "steps": ("posters",)},
            ["posters/2", "posters/6"],
        ),
        ({"only": "product.price | int > 5"}, ["faces/2", "faces/3"]),
        ({"only": "job.replica == 1"}, ["faces/1", "faces/3"]),
        ({"only": "job.index in [0, 3]", "steps": ("faces",)}, ["faces/0", "faces/3"]),
        ({"only": "product is defined", "limit": 1}, ["faces/0"]),
        ({"only": "seed > 2", "limit": 3}, ["posters/2", "posters/3", "posters/6"]),
        ({"only": "{'cup': true}.get(product.name, false)"}, ["faces/0", "faces/1"]),
    ],
)
def test_picks(tmp_path, words, places):
    assert chosen(tmp_path, **words) == places


@pytest.mark.parametrize(
    ("only", "words"),
    [
        ("stile == 1", "stile is undefined (did you mean style?); defined here: job, matrix, mood"),
        ("product.prices == 3", "prices is undefined (did you mean price?); defined there: name"),
        ("seed > 'a'", "NAME | int"),
        ("seed", "gives 1; allowed: true or false"),
        ("seed = 3", "write an expression such as"),
        ("seed == 1 }} {{ style", "without braces"),
        ("", "write an expression such as"),
        ("seed > 99", "no job is selected: --only=seed > 99 picks none of the 12 jobs"),
    ],
)
def test_what_cannot_be_judged_is_told(tmp_path, only, words):
    with pytest.raises(UsageError) as caught:
        chosen(tmp_path, only=only)
    assert words in str(caught.value)


def test_the_row_that_cannot_be_judged_is_named(tmp_path):
    with pytest.raises(UsageError, match=r'\(step posters, job 2: style "<anime>", seed 3\)'):
        chosen(tmp_path, only="seed < 3 or seed > 'a'")


def test_names_are_those_of_the_selected_steps(tmp_path):
    with pytest.raises(UsageError, match="seed is undefined"):
        chosen(tmp_path, only="seed == 1", steps=("faces",))


def test_an_unknown_step_is_told_with_the_known_ones(tmp_path):
    with pytest.raises(UsageError, match=r"did you mean posters\?\); allowed: posters, faces"):
        chosen(tmp_path, steps=("poster",))


def test_a_sample_is_of_what_is_selected_and_the_limit_is_of_the_sample(tmp_path):
    sample = chosen(tmp_path, only="seed > 1", sample=4)
    assert len(sample) == 4
    assert set(sample) <= {f"posters/{i}" for i in (1, 2, 3, 5, 6, 7)}
    assert sample == sorted(sample)
    assert chosen(tmp_path, only="seed > 1", sample=4, limit=2) == sample[:2]


def test_a_small_sample_is_part_of_a_larger_one(tmp_path):
    samples = [set(chosen(tmp_path, sample=n)) for n in (1, 3, 7, 100)]
    assert list(map(len, samples)) == [1, 3, 7, 12]
    assert samples == sorted(samples)  # sets: each is part of the next


def test_a_sample_stays_when_the_prompt_is_edited(tmp_path):
    edited = TEXT.replace("a lantern", "a lamp")
    assert chosen(tmp_path, edited, sample=3) == chosen(tmp_path, sample=3)


def test_a_job_of_several_rows_is_picked_by_any_of_them(tmp_path):
    text = """
version: 1
name: test
steps:
  s:
    operation: wanx-v1
    matrix: {shelf: [front, back]}
    input: {prompt: a lantern}
"""
    assert chosen(tmp_path, text, only="shelf == 'back'") == ["s/0"]


def test_says_itself_as_options():
    given = Selection(steps=("a", "b"), only="x > 1", sample=2, limit=1)
    assert given.words() == ["--step=a", "--step=b", "--only=x > 1", "--sample=2", "--limit=1"]
    assert EVERYTHING.words() == []
    assert EVERYTHING.is_all
    assert not given.is_all
