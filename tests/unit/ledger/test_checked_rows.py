"""A ledger that is filled with checked rows is the one that a walk over the plan fills."""

import sqlite3
from contextlib import closing, suppress

import pytest

from dsrun.common.digest import sha256_hex
from dsrun.common.models import Job, Parent
from dsrun.ledger.checked_rows import CheckedRows
from dsrun.ledger.writer import Ledger
from dsrun.service.catalog import load_catalog

PRICES = load_catalog().prices
TABLES = ("job", "twin", "edge", "plan")


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 2500])
async def test_both_ways_give_the_same_rows(tmp_path, count):
    jobs = plan_of(count)
    with closing(taken(jobs)) as rows:
        assert rows.is_complete
        quick = await filled(tmp_path / "quick", [], checked=rows)
    assert quick == await filled(tmp_path / "walked", jobs)
    assert len(quick["job"]) + len(quick["twin"]) == count


async def test_a_ledger_that_has_jobs_is_filled_by_a_walk(tmp_path):
    jobs = plan_of(30)
    folder = tmp_path / "begun"
    await filled(folder, jobs[:10], version="0")
    with closing(taken([])) as rows:
        assert await filled(folder, jobs, checked=rows, version="1")
        assert len(dump(folder / "ledger.sqlite3")["job"]) == len({job.job_id for job in jobs})


async def test_rows_of_a_walk_that_broke_off_are_not_used(tmp_path):
    jobs, rows = plan_of(30), CheckedRows(PRICES, is_wanted=True)
    with suppress(ZeroDivisionError), rows.taking() as visits:
        show(jobs[:7], visits)
        _ = 1 / 0
    assert not rows.is_complete
    with rows.taking() as visits:
        show(jobs, visits)
    assert (rows.is_complete, rows.count) == (True, 30)
    assert await filled(tmp_path / "a", [], checked=rows) == await filled(tmp_path / "b", jobs)
    rows.close()


async def test_where_there_is_no_room_for_them_the_plan_is_walked_again(tmp_path):
    jobs, rows = plan_of(2500), CheckedRows(PRICES, is_wanted=True)
    with rows.taking() as visits:
        show(jobs[:1000], visits)
        assert rows._db is not None
        rows._db.execute("PRAGMA max_page_count = 1")  # SQLite says that the disk is full
        show(jobs[1000:], visits, first=1000)
    assert not rows.is_complete
    quick = await filled(tmp_path / "a", jobs, checked=rows)
    assert quick == await filled(tmp_path / "b", jobs)
    rows.close()


def test_no_rows_are_kept_where_none_are_wanted():
    rows = CheckedRows(PRICES, is_wanted=False)
    with rows.taking() as visits:
        assert visits == ()
    assert not rows.is_complete


async def test_a_run_that_was_killed_among_the_rows_is_completed(tmp_path):
    jobs = plan_of(2500)
    with closing(taken(jobs)) as rows:
        ledger = Ledger(tmp_path / "ledger.sqlite3")
        for _, page in list(rows.pages())[:1]:
            await ledger._write(*page)
        ledger.close()
    assert len(dump(tmp_path / "ledger.sqlite3")["job"]) < len(jobs) / 2
    again = await filled(tmp_path, jobs)
    assert again == await filled(tmp_path / "whole", jobs)


def plan_of(count):
    """Jobs of which every seventh repeats one before it, and every fifth is made of another."""
    jobs = []
    for number in range(count):
        same = number - 7 if number % 7 == 6 and number > 7 else number
        parents = ()
        if same % 5 == 4:
            parents = (Parent(axis="of", step="s", index=0, job_id=job_id(0), takes="file:0"),)
        jobs.append(
            Job(
                job_id=job_id(same), step="s" if same % 2 else "t", index=number, replica=0,
                operation="wanx-v1", matrix={"n": number, "word": "灯"}, request={},
                body=b'{"prompt":"\xe7\x81\xaf \\" %d"}' % same, stems=(f"{number}/灯", "b"),
                units=same % 3 or None, parents=parents, late=(("a", 0),) if parents else (),
                depth=len(parents), take=1 + same % 2,
            )
        )  # fmt: skip
    return jobs


def job_id(number):
    return sha256_hex(b"%d" % number)


def taken(jobs):
    rows = CheckedRows(PRICES, is_wanted=True)
    with rows.taking() as visits:
        show(jobs, visits)
    return rows


def show(jobs, visits, *, first=0):
    seen = {job.job_id for job in plan_of(first)}
    for job in jobs:
        for visit in visits:
            visit(job, job.job_id not in seen)
        seen.add(job.job_id)


async def filled(folder, jobs, *, checked=None, version="1"):
    folder.mkdir(exist_ok=True)
    ledger = Ledger(folder / "ledger.sqlite3")
    await ledger.load_plan(iter(jobs), prices=PRICES, version=version, checked=checked)
    ledger.close()
    return dump(folder / "ledger.sqlite3")


def dump(path):
    with closing(sqlite3.connect(path)) as db:
        return {
            table: sorted(db.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
            for table in TABLES
        }
