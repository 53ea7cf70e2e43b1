"""A user's file beside the manifest adds models to a family of dsrun's, and says what differs."""

import json

import pytest

LIKE = {
    "like": "wan-t2i",
    "models": {
        "wan3.0-t2i": {
            "like": "wan2.5-t2i-preview",
            "price": {"amount": "0.30", "as_of": "2026-11"},
            "limits": {"requests": 1},
        }
    },
}


@pytest.fixture
def own(work):
    """Write `operations/next.json`."""

    def write(content):
        folder = work.folder / "operations"
        folder.mkdir(exist_ok=True)
        (folder / "next.json").write_text(json.dumps(content, indent=2), encoding="utf-8")

    return write


def step(work, operation="wan3.0-t2i", more=""):
    return work.pipeline(
        f"steps:\n  s:\n    operation: {operation}\n    {more}input: {{prompt: a}}\n"
    )


def test_the_new_model_is_sent_and_billed_by_its_own_name(work, own):
    own(LIKE)
    outcome = work.dsrun("run", step(work), "--emulate", "--no-progress")
    assert outcome.code == 0, outcome.err
    [row] = work.results()
    assert row["request"]["model"] == "wan3.0-t2i"
    assert row["request"]["parameters"]["size"] == "1280*1280"
    assert row["cost"]["amount"] == 0.3


def test_it_is_the_same_by_the_name_of_the_file(work, own):
    own(LIKE)
    by_model = work.dsrun("plan", step(work), "--json").answer
    by_file = work.dsrun("plan", step(work, "next", "model: wan3.0-t2i\n    "), "--json").answer
    assert by_file["digest"] == by_model["digest"]


def test_its_limits_are_those_of_the_model_that_it_is_like(work, own):
    own(LIKE)
    refused = work.dsrun("validate", step(work, more="parameters: {size: 1024*1024}\n    "))
    assert refused.code == 2
    assert "1638400 to 2073600 pixels" in refused.err


def test_several_models_may_stand_in_one_file(work, own):
    own(LIKE | {"models": {"wan3.0-t2i": {"like": "wan2.5-t2i-preview"}, "wan3.0-lite": {
        "like": "wan2.2-t2i-flash"}}})  # fmt: skip
    answer = work.dsrun("operations", work.folder, "--json").answer
    prices = {one["name"]: one["price"] for one in answer}
    assert prices["wan3.0-t2i"] == prices["wan2.5-t2i-preview"]
    assert prices["wan3.0-lite"] == prices["wan2.2-t2i-flash"]


def test_a_family_of_one_model_needs_no_second_word(work, own):
    own({"like": "wanx-v1", "models": {"wanx-v9": {}}})
    outcome = work.dsrun("run", step(work, "wanx-v9"), "--emulate", "--no-progress")
    assert outcome.code == 0, outcome.err


def like(**changes):
    return {**LIKE, "models": {"wan3.0-t2i": {**LIKE["models"]["wan3.0-t2i"], **changes}}}


ONE = {"like": "wan2.2-t2i-plus"}
WAN3 = "models.wan3.0-t2i"


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        (LIKE | {"like": "wan-t2"}, "2 like", "dsrun's (did you mean wan-t2i"),
        (like(like="wan2.5-t2i"), f"5 {WAN3}.like", "no model of wan-t2i"),
        (like(like=None), f"5 {WAN3}.like", "null"),
        (LIKE | {"models": {}}, "3 models", "at least 1"),
        (LIKE | {"models": {"a": {}}}, "4 models.a.like", "missing; allowed: a model of wan-t2i"),
        (LIKE | {"models": {"wan2.2-t2i-flash": ONE}}, "4 models.wan2.2-t2i-flash", "already"),
        (LIKE | {"models": {"a b": ONE}}, "4 models.a b", "the name of a model"),
        (like(price={"amount": 0.3}), f"7 {WAN3}.price.amount", "as text"),
        (like(price={"cost": "0.3"}), f"7 {WAN3}.price.cost", "unknown key"),
        (like(limits={"requests": 0}), f"11 {WAN3}.limits.requests", "1 to"),
        (like(limits={}), f"10 {WAN3}.limits", "at least 1"),
        (LIKE | {"x-dsrun": {}}, "15 x-dsrun", "unknown key"),
    ],
)
def test_a_wrong_file_is_told_with_place_and_words(work, own, content, place, words):
    line, _, where = place.partition(" ")
    own(content)
    refused = work.dsrun("validate", step(work, "wanx-v1"))
    assert refused.code == 2
    assert f"operations/next.json:{line}:" in refused.err
    assert f" {where}: not an operation file: " in refused.err
    assert words in refused.err


def test_the_source_of_its_own_price_is_not_that_of_the_other(work, own):
    own(LIKE)
    told = " ".join(work.dsrun("operations", "wan3.0-t2i").out.split())
    words = "user's own file; what that does not say is as of wan2.5-t2i-preview"
    assert f"of limits: {words}" in told
    assert f"of price: {words}" in told
    assert "prices of 2026-11 from the user's own file)" in " ".join(
        work.dsrun("operations").out.split()
    )


def test_two_files_may_not_add_the_same_model(work, own):
    own(LIKE)
    (work.folder / "operations/other.json").write_text(json.dumps(LIKE), encoding="utf-8")
    refused = work.dsrun("validate", step(work))
    assert refused.code == 2
    assert "operations/other.json:1:" in refused.err
    assert "wan3.0-t2i is an operation already" in refused.err


def test_a_file_that_is_like_a_users_own_is_refused(work, own):
    own(LIKE)
    text = json.dumps({"like": "next", "models": {"x": {}}})
    (work.folder / "operations/other.json").write_text(text, encoding="utf-8")
    assert "no operation file of dsrun's" in work.dsrun("validate", step(work)).err
