"""Four kinds of operations in short: killed, on an emulator that loses answers.

The long one is `python -m tests.torture --mixed`. The judge is tested here too.
"""

import asyncio
import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from decimal import Decimal

import pytest

from tests.torture.driver import open_service
from tests.torture.emulated import CountingDice
from tests.torture.judge import read_results
from tests.torture.marks import canonical
from tests.torture.mixed import EMULATED, STEPS, MixedCase, MixedDriver, run_mixed, short_mixed
from tests.torture.mixed_judge import judge_mixed
from tests.torture.spoiled import write_results
from tests.torture.table import HEAD, row_of


@pytest.mark.parametrize("case", short_mixed(), ids=lambda case: case.name)
async def test_four_kinds_of_operations_lose_nothing_and_pay_nothing_twice(tmp_path, case):
    outcome = await run_mixed(case, tmp_path / "case")
    print(HEAD, row_of(outcome), sep="\n")
    assert outcome.faults_found() == []
    assert outcome.kills > 0


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A run directory that passes, and the emulator's count of it."""
    folder = tmp_path_factory.mktemp("good") / "case"

    async def make():
        async with open_service(EMULATED) as service:
            driver = MixedDriver(MixedCase(name="good", each=2), service, folder)
            outcome = await driver.run()
            assert outcome.is_pass
            return await service.counts("sk-7-good")

    state = asyncio.run(make())
    return (folder / "outputs/torture/latest").resolve(), state


def test_the_judge_sees_every_way_in_which_a_run_can_be_spoiled(good, tmp_path):
    run_dir, state = good
    seen = {}
    for spoil in SPOILS:
        copy = tmp_path / spoil.__name__ / "run"
        shutil.copytree(run_dir, copy)
        own = json.loads(json.dumps(state))
        spoil(copy, own)
        verdict = judge_mixed(copy, own, each=2, steps=STEPS)
        seen[spoil.__name__] = (set(verdict.wrong()), verdict.told, verdict.repeated)
    assert seen == {
        "nothing": (set(), 0, 0),
        "pay_a_task_again": ({"twice"}, 0, 0),
        "pay_speech_again": ({"twice"}, 0, 0),
        "repeat_speech": (set(), 0, 1),
        "repeat_speech_too_often": ({"twice"}, 0, 3),
        "repeat_an_address": ({"twice"}, 0, 1),
        "pay_for_nobody": ({"lost"}, 0, 0),
        "pay_for_what_has_failed": (set(), 0, 0),
        "forget_a_payment": ({"adopted"}, 0, 0),
        "doubt_an_address": (set(), 1, 0),
        "doubt_an_address_without_a_reason": ({"unknown_paid"}, 0, 0),
        "doubt_a_task": ({"unknown_paid"}, 0, 0),
        "expire_a_task": (set(), 1, 0),
        "leave_an_address": ({"unended"}, 0, 0),
        "leave_a_task_whose_addresses_are_dead": (set(), 1, 0),
        "leave_an_answer_whose_address_is_dead": (set(), 1, 0),
        "leave_an_answer_whose_address_lives": ({"unended"}, 0, 0),
        "lose_a_file": ({"lost", "litter"}, 0, 0),
        "cut_a_file": ({"damaged"}, 0, 0),
        "keep_half_a_file": ({"damaged"}, 0, 0),
        "swap_files": ({"mixed"}, 0, 0),
        "swap_tasks": ({"adopted"}, 0, 0),
        "swap_voices": ({"mixed"}, 0, 0),
        "share_a_file": ({"mixed"}, 0, 0),
        "drop_a_line": ({"unended", "lost", "litter"}, 0, 0),
    }


def nothing(run_dir, state):
    pass


def pay_a_task_again(run_dir, state):
    _creates(run_dir, state, "tasks")["accepted"] += 1


def pay_speech_again(run_dir, state):
    _creates(run_dir, state, "speech")["accepted"] += 1


def repeat_speech(run_dir, state, times=1, step="speech"):
    _creates(run_dir, state, step)["accepted"] += times
    job_id = _find(read_results(run_dir), step)["job_id"]
    with closing(sqlite3.connect(run_dir / "ledger.sqlite3")) as db, db:
        db.execute("UPDATE job SET repeats = ? WHERE job_id = ?", (times, job_id))


def repeat_speech_too_often(run_dir, state):
    repeat_speech(run_dir, state, times=3)


def repeat_an_address(run_dir, state):
    repeat_speech(run_dir, state, step="addresses")


def pay_for_nobody(run_dir, state):
    state["creates"]["another"] = {"accepted": 1, "failed": 0}


def pay_for_what_has_failed(run_dir, state):
    found = _creates(run_dir, state, "tasks")
    found["accepted"] += 1
    found["failed"] += 1


def forget_a_payment(run_dir, state):
    _creates(run_dir, state, "addresses")["accepted"] = 0


def doubt_an_address(run_dir, state):
    _change(run_dir, "addresses", status="unknown", error=_error("Lost", "its answer was lost"))


def doubt_an_address_without_a_reason(run_dir, state):
    _change(run_dir, "addresses", status="unknown", error=_error("Lost", ""))


def doubt_a_task(run_dir, state):
    _change(run_dir, "tasks", status="unknown", error=_error("Lost", "its answer was lost"))


def expire_a_task(run_dir, state):
    _change(run_dir, "tasks", status="unknown", error=_error("Expired", "paid, lost: expired"))


def leave_an_address(run_dir, state):
    _change(run_dir, "addresses", status="pending", error=None)


def leave_a_task_whose_addresses_are_dead(run_dir, state):
    _change(run_dir, "tasks", status="submitted", error=None)
    state["dead"] = [_find(read_results(run_dir), "tasks")["task_id"]]


def leave_an_answer_whose_address_is_dead(run_dir, state, moment=1):
    _change(run_dir, "speech", status="submitted", error=None, artifacts=[])
    job_id = _find(read_results(run_dir), "speech")["job_id"]
    with closing(sqlite3.connect(run_dir / "ledger.sqlite3")) as db, db:
        answer = f'["address", "http://localhost/x.wav?Expires={moment}&Signature=x"]'
        db.execute("UPDATE job SET answer = ? WHERE job_id = ?", (answer, job_id))


def leave_an_answer_whose_address_lives(run_dir, state):
    leave_an_answer_whose_address_is_dead(run_dir, state, moment=2**33)


def lose_a_file(run_dir, state):
    _change(run_dir, "speech", artifacts=[])


def cut_a_file(run_dir, state):
    path = run_dir / _find(read_results(run_dir), "voices")["artifacts"][0]["path"]
    path.write_bytes(path.read_bytes()[:-1])


def keep_half_a_file(run_dir, state):
    """The ledger and the disk agree on a file that broke off."""
    item = _find(read_results(run_dir), "addresses")["artifacts"][0]
    data = (run_dir / item["path"]).read_bytes()[:-40]
    (run_dir / item["path"]).write_bytes(data)
    told = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    _change(run_dir, "addresses", artifacts=[item | told])


def swap_files(run_dir, state):
    _swap(run_dir, "speech", "artifacts")


def swap_tasks(run_dir, state):
    _swap(run_dir, "tasks", "task_id")


def swap_voices(run_dir, state):
    _swap(run_dir, "voices", "output")


def share_a_file(run_dir, state):
    lines = read_results(run_dir)
    one, two = (line["artifacts"][0] for line in lines if line["step"] == "addresses")
    one["source_sha256"] = two["source_sha256"]
    write_results(run_dir, lines)


def drop_a_line(run_dir, state):
    write_results(run_dir, read_results(run_dir)[:-1])


SPOILS = (
    nothing, pay_a_task_again, pay_speech_again, repeat_speech, repeat_speech_too_often,
    repeat_an_address, pay_for_nobody, pay_for_what_has_failed, forget_a_payment, doubt_an_address,
    doubt_an_address_without_a_reason, doubt_a_task, expire_a_task, leave_an_address,
    leave_a_task_whose_addresses_are_dead, leave_an_answer_whose_address_is_dead,
    leave_an_answer_whose_address_lives, lose_a_file, cut_a_file, keep_half_a_file, swap_files,
    swap_tasks, swap_voices, share_a_file, drop_a_line,
)  # fmt: skip


def _error(code, message):
    return {"code": code, "message": message, "class": "lost"}


def _find(lines, step):
    return next(line for line in lines if line["step"] == step)


def _creates(run_dir, state, step):
    return state["creates"][canonical(_find(read_results(run_dir), step)["request"])]


def _change(run_dir, step, **fields):
    lines = read_results(run_dir)
    _find(lines, step).update(fields)
    write_results(run_dir, lines)


def _swap(run_dir, step, field):
    lines = read_results(run_dir)
    one, two = (line for line in lines if line["step"] == step)
    one[field], two[field] = two[field], one[field]
    write_results(run_dir, lines)


class TestDice:
    def test_of_an_emulator_hit_at_the_rolls_that_are_named(self):
        dice = CountingDice({"stall": [1, 3]}, seed=1)
        assert [dice.strikes("stall") for _ in range(4)] == [True, False, True, False]
        assert dice.hits == {"stall": 2}

    def test_know_the_faults_of_the_emulator_alone(self):
        with pytest.raises(ValueError, match="no such fault: rain"):
            CountingDice({"rain": 1.0}, seed=1)


class TestBudget:
    def test_what_is_paid_beyond_it_is_paid_twice(self, good):
        run_dir, state = good
        paid = Decimal("0.88") + 2 * Decimal("0.00008") * len("Evening 0.")
        for max_cost, kinds in ((paid, set()), (paid - Decimal("0.00001"), {"twice"})):
            verdict = judge_mixed(run_dir, state, each=2, steps=STEPS, max_cost=max_cost)
            assert set(verdict.wrong()) == kinds

    def test_leaves_jobs_pending_that_are_not_paid(self, good, tmp_path):
        run_dir, state = good
        copy = tmp_path / "run"
        shutil.copytree(run_dir, copy)
        _change(copy, "speech", status="pending", error=None)
        verdict = judge_mixed(copy, state, each=2, steps=STEPS, max_cost=Decimal(9))
        assert set(verdict.wrong()) == {"unended"}
        _creates(copy, state, "speech")["accepted"] = 0
        verdict = judge_mixed(copy, state, each=2, steps=STEPS, max_cost=Decimal(9))
        assert set(verdict.wrong()) == set()
