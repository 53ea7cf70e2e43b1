"""What stands where on a contact sheet, whether it has come or not."""

import pytest

from dsrun.common.errors import UsageError
from dsrun.common.media import media_of
from dsrun.ledger.lookup import AskedJob
from dsrun.report.sheet_places import cells_of, choose_axes, find_places, labels_of, values_of


def entry(index, *made, status="succeeded", code=None, job=None, media="image/png", **axes):
    """An entry of step `s`; `made` are the indexes of its files."""
    return {
        "job_id": job or f"job-{index}", "step": "s", "index": index, "axes": axes,
        "status": status, "error": code and {"code": code, "message": ""},
        "request": {"parameters": {"seed": 100}},
        "files": [
            {"path": f"{index}-{i}", "sha256": "0", "media_type": media, "index": i,
             "seed": 100 + i, "size": 9, "media": media_of(media)}
            for i in made
        ],
    }  # fmt: skip


def places(*entries, wanted=1, replicas=(), operation="paint"):
    asked = {
        each["job_id"]: AskedJob(each["job_id"], operation, wanted, dict(replicas).get(n, 0))
        for n, each in enumerate(entries)
    }
    return list(find_places(entries, asked, makes_pictures=lambda name: name == "paint"))


def shown(some):
    """Each place: the path of its picture, or why there is none."""
    return [place.picture.path if place.picture else place.words for place in some]


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ({"status": "failed", "code": "BadPrompt"}, "failed: BadPrompt"),
        ({"status": "cancelled"}, "cancelled"),
        ({"status": "unknown", "code": "AnswerLost"}, "unknown: AnswerLost"),
        ({"status": "pending"}, "not made yet"),
        ({"status": "submitted"}, "not made yet"),
        ({"status": "waiting"}, "not made yet"),
        ({"status": "skipped", "code": "ParentMissing"}, "skipped"),
        ({"status": "succeeded"}, "missing"),
    ],
)
def test_a_job_without_a_picture_holds_its_place(lost, words):
    some = places(entry(0, 0, a="x"), entry(1, a="x", **lost), entry(2, 0, a="x"))
    (cell,) = cells_of(some, "a", "step").values()
    assert shown(cell) == ["0-0", words, "2-0"]


def test_each_picture_that_a_partial_job_lacks_holds_its_place():
    some = places(entry(0, 0, 3, status="partial", code="Late"), wanted=4)
    assert shown(some) == ["0-0", "failed: Late", "failed: Late", "0-3"]
    assert [place.axes["seed"] for place in some] == ["100", "101", "102", "103"]


def test_a_row_whose_pictures_all_failed_is_held():
    some = places(entry(0, a="x", status="failed"), entry(1, 0, a="y"))
    cells = cells_of(some, "a", "step")
    assert values_of("a", some, (row for row, _ in cells)) == ["x", "y"]


def test_what_is_still_to_be_made_is_held_only_before_what_is_there():
    some = places(
        entry(0, a="x", status="pending"), entry(1, 0, a="x"), entry(2, a="x", status="pending"),
        entry(3, a="y", status="pending"),
    )  # fmt: skip
    assert {key: shown(cell) for key, cell in cells_of(some, "a", "step").items()} == {
        ("x", "s"): ["not made yet", "1-0"]
    }


def test_a_voice_has_no_place():
    assert places(entry(0, 0, media="audio/wav")) == []
    assert places(entry(0, status="failed"), operation="speak") == []


@pytest.mark.parametrize(
    ("entries", "about", "labels"),
    [
        ([entry(0, 0, a="x")], {}, [""]),
        ([entry(0, 0, a="x", b="1"), entry(1, 0, a="x", b="2")], {}, ["1", "2"]),
        ([entry(0, 0, 1, a="x")], {"wanted": 2}, ["picture 0, seed 100", "picture 1, seed 101"]),
        (
            [entry(0, 0, a="x"), entry(1, 0, a="x")], {"replicas": {1: 1}.items()},
            ["repeat 1", "repeat 2"],
        ),
        (
            [entry(0, 0, a="x", b="1", job="j"), entry(1, 0, a="x", b="2", job="j")], {},
            ["1", "2, same as s 0"],
        ),
    ],
    ids=["alone", "another axis", "several of a job", "repeats", "the same job"],
)  # fmt: skip
def test_pictures_of_one_cell_are_told_apart(entries, about, labels):
    (cell,) = cells_of(places(*entries, **about), "a", "step").values()
    assert labels_of(cell, ("a", "step")) == labels


def test_a_picture_that_is_shown_in_another_cell_too_says_so():
    some = places(entry(0, 0, a="x", job="j"), entry(1, 0, a="y", job="j"))
    assert [labels_of(cell, ("a", "step")) for cell in cells_of(some, "a", "step").values()] == [
        [""], ["same as s 0"],
    ]  # fmt: skip


def test_axes_are_chosen_in_the_order_of_the_matrix_even_one_named_seed():
    some = places(*(entry(n, 0, seed=str(n % 2), look="ab"[n // 2]) for n in range(4)))
    assert choose_axes(some, None, None) == ("look", "seed")


def test_an_axis_that_is_not_there_is_told():
    with pytest.raises(UsageError, match=r"--cols lok: .*mean look\?\); allowed: look, step"):
        choose_axes(places(entry(0, 0, look="a")), None, "lok")


def test_models_stand_side_by_side_unless_another_axis_is_asked_for():
    some = places(entry(0, 0, thing="x", m="one"), entry(1, 0, thing="y", m="two"))
    assert choose_axes(some, None, None, models="m") == ("thing", "m")
    assert choose_axes(some, None, "thing", models="m") == ("m", "thing")
    assert choose_axes(some, "m", None, models="m") == ("m", "thing")
