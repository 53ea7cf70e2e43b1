"""Why a job would be sent although an earlier run had one like it."""

from pathlib import Path

import pytest

from dsrun.ledger.lookup import JobRecord
from dsrun.planning.plan_digest import file_digests
from dsrun.session.diff import Changes
from tests.pipelines import one_step, plan_of

HEAD = "params: {tone: soft, size: big}\n"
BODY = """    matrix: {product: {file: p.csv}, seed: [7]}
    input:
      prompt: "{{ product.name }}, {{ params.tone }}"
      negative_prompt: {file: n.j2}
    parameters: {style: "<anime>"}
"""
FILES = {"p.csv": "name,colour\ncup,red\n", "n.j2": "text", "look.j2": "calm"}


def reason(folder, **edit):
    """The reason of the one job after an edit; `before` edits the old record."""
    changes, job, record = changes_of(folder, **edit)
    return changes.reason(job, record)


def fields(folder, **edit):
    """The fields of the one job that differ after an edit: field, old value, new value, sources."""
    changes, job, record = changes_of(folder, **edit)
    return [
        (change.field, change.old, change.new, [Path(source).name for source in change.sources])
        for change in changes.fields(job, record)
        if change.field != "parameters.seed"
    ]


def changes_of(folder, *, body=BODY, head=HEAD, files=(), before=()):
    """The changes, the first job after the edit, and the record of the one before."""
    old = plan_of(folder, one_step(dict(before).get("body", BODY), head=HEAD), files=FILES)
    was = next(old.jobs())
    lock = {
        "files": file_digests(old.manifest, old.included) | old.files.digests,
        "manifest": old.manifest.raw,
        "run": dict(old.run_values),
    }
    record = JobRecord(
        row={"operation": dict(before).get("operation", was.operation), "idx": was.index},
        matrix=dict(was.matrix), request=dict(was.request), attempts=[], artifacts=[], twins=[],
    )  # fmt: skip
    new = plan_of(folder, one_step(body, head=head), files=FILES | dict(files))
    job = next(new.jobs())
    return Changes(new, lock), job, record


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"body": BODY.replace("[7]", "[8]")}, "seed 7 -> 8"),
        ({"files": {"p.csv": "name,colour\ncup,blue\n"}}, 'product.colour "red" -> "blue"'),
        ({"files": {"n.j2": "frame"}}, "prompt file n.j2 edited"),
        (
            {"head": HEAD.replace("soft", "hard")},
            'prompt changed (params.tone "soft" -> "hard")',
        ),
        ({"body": BODY.replace("}}, {{", "}} in {{")}, 'prompt "cup, soft" -> "cup in soft"'),
        ({"body": BODY.replace("}}, {{", "}}, " + "very " * 9 + "{{")}, "prompt changed"),
        ({"body": BODY.replace("<anime>", "<sketch>")}, 'style "<anime>" -> "<sketch>"'),
        ({"body": BODY.replace('anime>"', 'anime>", n: 2')}, "n 1 -> 2"),
        ({"body": BODY.replace('style: "<anime>"', "n: 1")}, "style removed"),
        ({"before": {"operation": "old-api"}}, "operation old-api -> wanx-v1"),
        ({}, "another replica"),
    ],
)
def test_says_what_has_changed(tmp_path, edit, words):
    assert reason(tmp_path, **edit) == words


def test_an_included_file_is_named(tmp_path):
    body = BODY.replace("}}, {{", "}}, {% include 'look.j2' %} {{")
    words = reason(tmp_path, body=body, before={"body": body}, files={"look.j2": "wild"})
    assert words == "prompt changed (look.j2 edited)"


def test_many_changes_are_not_all_told(tmp_path):
    files = {"p.csv": "name,colour,a,b,c\ncup,blue,1,2,3\n"}
    words = reason(tmp_path, files=files)
    assert words == 'product.colour "red" -> "blue", product.a added, product.b added, 1 more'


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (
            {"body": BODY.replace("}}, {{", "}} in {{")},
            [("input.prompt", "cup, soft", "cup in soft", ["p.yaml:9"])],
        ),
        (
            {"files": {"p.csv": "name,colour\nmug,red\n"}},
            [("input.prompt", "cup, soft", "mug, soft", ["p.csv"])],
        ),
        (
            {"files": {"n.j2": "frame"}},
            [("input.negative_prompt", "text", "frame", ["n.j2"])],
        ),
        (
            {"head": HEAD.replace("soft", "hard")},
            [("input.prompt", "cup, soft", "cup, hard", ["p.yaml:3"])],
        ),
        (
            {
                "head": HEAD.replace("soft", "hard"),
                "files": {"p.csv": "name,colour\nmug,red\n"},
                "body": BODY.replace("}}, {{", "}} in {{"),
            },
            [
                (
                    "input.prompt", "cup, soft", "mug in hard",
                    ["p.yaml:9", "p.csv", "p.yaml:3"],
                )
            ],
        ),
        (
            {"body": BODY.replace("<anime>", "<sketch>")},
            [("parameters.style", "<anime>", "<sketch>", ["p.yaml:11"])],
        ),
        (
            {"body": BODY.replace('anime>"', 'anime>", n: 2')},
            [("parameters.n", 1, 2, ["p.yaml:11"])],
        ),
        (
            {"body": BODY.replace('style: "<anime>"', "n: 1")},
            [("parameters.style", "<anime>", None, ["p.yaml:11"])],
        ),
        ({"files": {"p.csv": "name,colour\ncup,blue\n"}}, []),
        ({}, []),
    ],
    ids=[
        "template", "cell", "prompt file", "param", "three at once", "constant", "value of ours",
        "removed", "unused column", "nothing",
    ],
)  # fmt: skip
def test_each_field_is_told_with_its_old_and_new_value_and_where_that_comes_from(
    tmp_path, edit, expected
):
    assert fields(tmp_path, **edit) == expected


def test_a_field_names_the_included_file(tmp_path):
    body = BODY.replace("}}, {{", "}}, {% include 'look.j2' %} {{")
    changes = fields(tmp_path, body=body, before={"body": body}, files={"look.j2": "wild"})
    assert changes == [("input.prompt", "cup, calm soft", "cup, wild soft", ["look.j2"])]


def test_a_derived_seed_is_told_as_such(tmp_path):
    body = BODY.replace("}}, {{", "}} in {{")
    changes, job, record = changes_of(tmp_path, body=body)
    (seed,) = [each for each in changes.fields(job, record) if each.field == "parameters.seed"]
    assert (seed.change, seed.sources) == ("changed", ["derived from the job"])


def test_the_edits_are_those_of_the_manifest(tmp_path):
    changes, *_ = changes_of(
        tmp_path,
        head=HEAD.replace("soft", "hard"),
        body=BODY.replace("[7]", "[8, 9]").replace('style: "<anime>"', 'style: "<anime>", n: 1'),
    )
    assert [(edit.field, edit.change, edit.old, edit.new) for edit in changes.edits] == [
        ("params.tone", "changed", "soft", "hard"),
        ("steps.s.matrix.seed[0]", "changed", 7, 8),
        ("steps.s.matrix.seed[1]", "added", None, 9),
        ("steps.s.parameters.n", "added", None, 1),
    ]


@pytest.mark.parametrize(
    ("old", "new", "items"),
    [
        ("[1, 2]", "[1, 2, 3]", [("[2]", None, 3)]),
        ("[1, 2, 3]", "[1, 3]", [("[1]", 2, None)]),
        ("[2, 3]", "[1, 2, 3]", [("[0]", None, 1)]),
        ("[1, 2, 3]", "[1, 7, 8, 3]", [("[1]", 2, 7), ("[2]", None, 8)]),
        ("[1, 2]", "[2, 1]", [("[0]", 1, 2), ("[1]", 2, 1)]),
    ],
)
def test_of_an_edited_list_the_items_are_told_that_differ(tmp_path, old, new, items):
    edited = {"body": BODY.replace("[7]", new), "before": {"body": BODY.replace("[7]", old)}}
    changes, *_ = changes_of(tmp_path, **edited)
    assert [(edit.field, edit.old, edit.new) for edit in changes.edits] == [
        (f"steps.s.matrix.seed{at}", was, now) for at, was, now in items
    ]
