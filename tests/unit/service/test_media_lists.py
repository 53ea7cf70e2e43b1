"""Lists of media in which each kind has its own number: which of them a request may hold."""

import pytest

from dsrun.service.catalog import load_catalog

CATALOG = load_catalog()
URL = {
    "first_frame": "https://pictures.example/a.png", "last_frame": "https://pictures.example/b.png",
    "reference_image": "https://pictures.example/c.png", "refer": "https://pictures.example/d.png",
    "driving_audio": "https://sounds.example/a.mp3",
}  # fmt: skip


def problems(model, kinds, **parameters):
    media = [{"type": kind, "url": URL.get(kind, "https://films.example/a.mp4")} for kind in kinds]
    request = {"model": model, "input": {"prompt": "a lantern", "media": media}}
    if parameters:
        request["parameters"] = parameters
    return [problem.message for problem in CATALOG.validator(model).problems(request)]


F, L, A, C = "first_frame", "last_frame", "driving_audio", "first_clip"
I, V = "reference_image", "reference_video"  # noqa: E741  # as F, L, A, C


@pytest.mark.parametrize("kinds", [[F], [F, A], [F, L], [F, L, A], [A, F], [C], [C, L]], ids=str)
def test_wan_2_7_goes_on_from_a_picture_or_a_clip(kinds):
    assert problems("wan2.7-i2v", kinds) == []


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ([L], "one first_frame or one first_clip"),
        ([A], "one first_frame or one first_clip"),
        ([F, C], "not both"),
        ([F, F], "not both"),
        ([F, L, L], "each type once"),
        ([C, A], "no driving_audio beside first_clip"),
    ],
    ids=str,
)
def test_wan_2_7_refuses_other_sets(kinds, words):
    found = problems("wan2.7-i2v", kinds)
    assert len(found) == 1
    assert words in found[0]


@pytest.mark.parametrize("kinds", [[I], [V], [I] * 5, [V, I, F], [I, V, I, V, I, F]], ids=str)
def test_references_are_one_to_five_and_one_first_frame(kinds):
    assert problems("wan2.7-r2v", kinds) == []


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ([F], "at least one reference_image or reference_video"),
        ([I] * 6, "at most 5 references"),
        ([I, F, F], "at most one first_frame"),
    ],
    ids=str,
)
def test_other_numbers_of_references_are_refused(kinds, words):
    found = problems("wan2.7-r2v", kinds)
    assert len(found) == 1
    assert words in found[0]


def test_a_film_among_the_references_shortens_what_may_be_asked_for():
    assert problems("wan2.7-r2v", [I], duration=15) == []
    assert problems("wan2.7-r2v", [V], duration=10) == []
    assert problems("wan2.7-r2v", [V], duration=11) != []
    assert problems("kling/kling-v3-omni-video-generation", ["base"], duration=11) != []
    assert problems("kling/kling-v3-omni-video-generation", ["refer"], duration=11) == []


@pytest.mark.parametrize(
    ("model", "most"), [("wan2.7-videoedit", 4), ("happyhorse-1.0-video-edit", 5)]
)
def test_an_edit_has_one_film_and_a_few_pictures(model, most):
    assert problems(model, ["video", *[I] * most]) == []
    assert problems(model, ["video", *[I] * (most + 1)]) != []
    assert problems(model, [I]) != []
    assert problems(model, ["video", "video"]) != []


def test_kling_takes_a_last_picture_beside_a_first_one_alone():
    assert problems("kling/kling-v3-video-generation", [F, L]) == []
    assert problems("kling/kling-v3-video-generation", [L]) != []
    assert problems("kling/kling-v3-video-generation", ["refer"]) != []
