"""Lines of results.jsonl as entries and pictures of a report."""

import pytest

from dsrun.report.entries import advise, entries_of, label_of, order_axes, remedy
from dsrun.report.sheet_places import find_places


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("<anime>", "<anime>"),
        (7, "7"),
        (None, "null"),
        (True, "true"),
        ({"name": "tea house", "colour": "red"}, "tea house"),
        ({}, ""),
        (["a", 1], "a, 1"),
    ],
)
def test_a_value_of_an_axis_in_words(value, label):
    assert label_of(value) == label


PARENT = {"axis": "still", "step": "shots", "index": 2, "job_id": "d" * 64, "file": 1}
CHILD = {
    "step": "edit", "index": 0, "status": "skipped", "artifacts": [], "parents": [PARENT],
    "matrix": {"still": {"beat": {"name": "owl", "no": 4}, "n": 2,
                         "artifact": {"index": 1, "seed": 7}}, "tone": {"name": "dark", "no": 1}},
    "request": {"input": {"images": [{"from": "d" * 64, "file": 1}]}},
    "error": {"code": "ParentMissing", "message": "why", "class": "parent"},
} | dict.fromkeys(("job_id", "output", "attempts", "task_id", "request_id", "cost", "cached",
                   "submitted_at", "ended_at"))  # fmt: skip


def test_a_row_of_a_step_is_named_by_all_its_axes_and_its_file():
    (entry,) = entries_of(CHILD)
    assert entry["axes"] == {"still": "owl, 2, file 1", "tone": "dark"}


def test_what_a_job_would_take_of_others_is_named_in_its_request():
    (entry,) = entries_of(CHILD)
    assert entry["request"] == {"input": {"images": ["← shots 2 file 1"]}}
    assert (entry["parents"], "--retry-failed" in entry["advice"]) == ([PARENT], True)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        ("failed", "DataInspectionFailed", "reword the prompt"),
        ("failed", "data_inspection_failed", "reword the prompt"),
        ("failed", "Arrearage", "account"),
        ("failed", "NeverHeardOf", "--retry-failed"),
        ("partial", "DataInspectionFailed", "What came is kept"),
        ("unknown", "AnswerLost", "--resubmit-unknown"),
    ],
)
def test_what_to_do_about_an_error(status, code, words):
    assert words in advise(
        status, {"code": code, "message": "", "class": "job"}, again="dsrun demo.yaml"
    )


@pytest.mark.parametrize(
    ("status", "code", "command"),
    [
        ("failed", "DataInspectionFailed", "dsrun demo.yaml"),
        ("failed", "NeverHeardOf", "dsrun demo.yaml --retry-failed"),
        ("partial", "DataInspectionFailed", "dsrun demo.yaml --retry-failed"),
        ("skipped", "ParentMissing", "dsrun demo.yaml --retry-failed"),
        ("unknown", "AnswerLost", "dsrun demo.yaml --resubmit-unknown"),
        ("failed", "InvalidParameter", "dsrun demo.yaml"),
        ("succeeded", None, None),
    ],
)
def test_the_command_that_mends_it_can_be_pasted(status, code, command):
    error = code and {"code": code, "message": "a `quoted` word", "class": "job"}
    assert remedy(status, error, again="dsrun demo.yaml") == command
    assert command is None or f"`{command}`" in advise(status, error, again="dsrun demo.yaml")


def test_a_path_may_hold_the_sign_that_ends_a_command():
    again = "dsrun 'a`b.yaml'"
    assert remedy("failed", None, again=again) == f"{again} --retry-failed"


def test_a_success_needs_no_advice():
    assert advise("succeeded", None, again="dsrun demo.yaml") is None


@pytest.mark.parametrize(
    ("matrix", "order"),
    [
        ({"seed": [1], "style": [2], "mood": [3]}, ["seed", "style", "mood"]),
        (
            {"seed": [1], "mood": [3], "style": [2], "zip": ["seed", "style"]},
            ["seed", "mood", "style"],
        ),
        ({"mood": [3], "zip": [{"style": 2, "seed": 1}]}, ["mood", "style", "seed"]),
        ({"mood": [3], "include": [{"seed": 1}]}, ["mood", "seed", "style"]),
        ({}, ["style", "seed", "mood"]),
        (None, ["style", "seed", "mood"]),
        ([7], ["style", "seed", "mood"]),
    ],
    ids=["axes", "zipped by name", "zipped rows", "included", "none", "no matrix", "damaged"],
)
def test_axes_have_the_order_of_the_manifest(matrix, order):
    """A row has it not always: axes that `zip` names stand together there."""
    entries = [{"step": "s", "axes": {"style": "2", "seed": "1", "mood": "3"}}]
    order_axes(entries, {"name": "demo", "steps": {"s": {"matrix": matrix}}})
    assert list(entries[0]["axes"]) == order
    order_axes(entries, None)


def file(path, *, media="video/mp4", index=0, **about):
    facts = {"path": path, "sha256": "a" * 64, "media_type": media, "index": index, "size": 9}
    return facts | {"seed": None, "name": ""} | about


def entry_of(*files):
    line = {
        "job_id": "b" * 64, "step": "s", "index": 0, "matrix": {}, "request": {}, "error": None,
        "status": "succeeded", "artifacts": list(files), "task_id": None, "request_id": None,
        "output": None, "attempts": 1, "cost": {}, "cached": False, "submitted_at": None,
        "ended_at": None,
    }  # fmt: skip
    [entry] = entries_of(line)
    return entry


FILM, COPY = file("s/0.mp4"), file("s/again.mp4")
PREVIEW = file("s/0-preview.webp", media="image/webp", name="preview")


def test_every_kind_of_a_result_is_shown_the_main_one_first():
    more = [file("s/0-text.txt", media="text/plain", name="text"), file("s/1.mp4", index=1)]
    found = entry_of(PREVIEW, FILM, COPY, *more)["files"]
    assert [one["path"] for one in found] == [
        "s/0.mp4", "s/1.mp4", "s/0-preview.webp", "s/0-text.txt",
    ]  # fmt: skip
    assert [one.get("name") for one in found] == [None, None, "preview", "text"]


def test_a_contact_sheet_shows_the_main_kind():
    [place] = find_places([entry_of(PREVIEW, FILM)], {}, makes_pictures=lambda _: True)
    assert place.picture.path == "s/0.mp4"
