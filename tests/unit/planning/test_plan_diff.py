"""Who was who between an earlier run and a plan."""

import json

from dsrun.common.models import Job
from dsrun.ledger.lookup import PlannedJob
from dsrun.planning.job_index import Difference, PlanDiff


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
