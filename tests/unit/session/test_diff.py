"""Why a job would be sent although an earlier run had one like it."""

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


def reason(folder, *, body=BODY, head=HEAD, files=(), before=()):
    """The reason of the one job after an edit; `before` edits the old record."""
    old = plan_of(folder, one_step(dict(before).get("body", BODY), head=HEAD), files=FILES)
    (was,) = old.jobs()
    lock = {
        "files": file_digests(old.manifest, old.included),
        "manifest": {"params": dict(old.manifest.params)},
    }
    record = JobRecord(
        row={"operation": dict(before).get("operation", was.operation)},
        matrix=dict(was.matrix), request=dict(was.request), attempts=[], artifacts=[], twins=[],
    )  # fmt: skip
    new = plan_of(folder, one_step(body, head=head), files=FILES | dict(files))
    (job,) = new.jobs()
    return Changes(new, lock).reason(job, record)


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
