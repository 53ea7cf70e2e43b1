"""Who was who between an earlier run and a plan, and the words for it."""

import json

import pytest

from dsrun.common.models import Job
from dsrun.ledger.lookup import JobRecord, PlannedJob
from dsrun.planning.plan_digest import file_digests
from dsrun.session.diff import Changes, Difference, PlanDiff
from tests.pipelines import one_step, plan_of


def job(job_id, index, *, step="s", replica=0, **row):
    return Job(
        job_id=job_id, step=step, index=index, replica=replica, operation="wanx-v1",
        matrix=row, request={}, body=b"", stems=(), units=1,
    )  # fmt: skip


def planned(job_id, index, *, step="s", replica=0, **row):
    return PlannedJob(job_id, step, index, replica, json.dumps(row, separators=(",", ":")))


def compare(old, new):
    diff = PlanDiff([old])
    diff.add(new)
    found = diff.end()
    earlier = {item.job_id: diff.earlier_id(item.job_id) for item in new}
    diff.close()
    return found, earlier


def test_equal_ids_are_the_same_wherever_they_stand():
    found, earlier = compare([planned("a", 0, x=1)], [job("a", 7, x=1)])
    assert found == Difference(added=0, removed=0, changed=0, same=1)
    assert earlier == {"a": "a"}


def test_a_row_that_is_kept_with_another_request_has_changed():
    found, earlier = compare([planned("a", 0, x=1)], [job("b", 5, x=1)])
    assert found == Difference(added=0, removed=0, changed=1, same=0)
    assert earlier == {"b": "a"}


def test_a_place_whose_row_is_gone_has_changed():
    found, earlier = compare([planned("a", 0, seed=7)], [job("b", 0, seed=8)])
    assert found.changed == 1
    assert earlier == {"b": "a"}


def test_a_row_put_in_front_is_added_and_changes_no_other():
    old = [planned("a", 0, x=1), planned("b", 1, x=2)]
    found, earlier = compare(old, [job("n", 0, x=0), job("a", 1, x=1), job("b", 2, x=2)])
    assert found == Difference(added=1, removed=0, changed=0, same=2)
    assert earlier["n"] is None


def test_what_is_left_is_removed():
    found, _ = compare([planned("a", 0, x=1), planned("b", 1, x=2)], [job("a", 0, x=1)])
    assert found == Difference(added=0, removed=1, changed=0, same=1)


def test_replicas_and_steps_are_told_apart():
    old = [planned("a", 0, x=1), planned("b", 1, replica=1, x=1), planned("c", 0, step="t", x=1)]
    new = [job("d", 0, x=1), job("e", 1, replica=1, x=1), job("f", 0, step="t", x=1)]
    assert compare(old, new)[1] == {"d": "a", "e": "b", "f": "c"}


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
