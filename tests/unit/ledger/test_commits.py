"""What the ledger takes when its disk is full or its directory is not what it was."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from dsrun.common.errors import GroundLost, SetupError
from dsrun.common.models import Job, JobResult, JobStatus
from dsrun.common.sqlite import NoRoom
from dsrun.ledger.commits import Commits
from dsrun.ledger.transactions import Transactions
from dsrun.ledger.writer import Ledger
from dsrun.ledger.writes import Kind, Row, Statement
from dsrun.service.operation_file import parse_price

AT = "2026-11-22T08:00:00.000Z"
INTENT, TASK = (Row(Kind.INTENT, ("a", AT)),), (Row(Kind.TASK, ("b", "task-b", None)),)
RESULT = (Row(Kind.RESULT, ("c", "failed")), Row(Kind.ATTEMPT, ()))
ANSWER, LOST = (Row(Kind.ANSWER, ("d",)),), (Row(Kind.LOST, ("e",)),)


class FullDisk:
    """Takes no group of more than so many writes."""

    def __init__(self, most):
        self.most = most
        self.taken = []

    def commit(self, group):
        if len(group) > self.most:
            return [NoRoom("full")] * len(group)
        self.taken.append(list(group))
        return [None] * len(group)


@pytest.fixture
def commits(tmp_path):
    def make(disk):
        made.append(Commits(tmp_path / "ledger.sqlite3", db, commit=disk.commit))
        return made[-1]

    made = []
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE t (n)")
        yield make
        for item in made:
            item.close()


class TestFullDisk:
    def test_answers_of_creates_go_before_all_else_and_nothing_begins(self, commits):
        disk = FullDisk(most=3)
        results = commits(disk).commit([INTENT, RESULT, TASK, ANSWER, LOST])
        assert disk.taken == [[TASK, ANSWER, LOST], [RESULT]]
        assert [type(result) for result in results] == [NoRoom] + [type(None)] * 4

    def test_it_stays_so_when_there_is_room_again(self, commits):
        disk = FullDisk(most=0)
        ledger = commits(disk)
        ledger.commit([INTENT])
        disk.most = 10
        assert [type(result) for result in ledger.commit([INTENT, TASK])] == [NoRoom, type(None)]
        assert disk.taken == [[TASK]]

    def test_a_task_that_found_no_room_is_remembered(self, commits):
        ledger = commits(FullDisk(most=0))
        results = ledger.commit([TASK, RESULT])
        assert all(isinstance(result, NoRoom) for result in results)
        assert ledger.unrecorded == [TASK[0]]

    def test_so_is_an_answer(self, commits):
        ledger = commits(FullDisk(most=0))
        ledger.commit([ANSWER])
        assert ledger.unrecorded == [ANSWER[0]]

    def test_the_log_gets_the_room_that_was_kept(self, commits, tmp_path):
        log = tmp_path / "ledger.sqlite3-wal"
        before = log.stat().st_size
        ledger = commits(FullDisk(most=0))
        ledger.keep_room(1)
        ledger.commit([TASK])
        assert log.stat().st_size > before + 300_000
        assert not (tmp_path / ".reserve").exists()

    def test_another_fault_changes_nothing(self, commits, tmp_path):
        ledger = commits(FullDisk(most=10))
        ledger.keep_room(1)
        fault = SetupError("database is locked")
        ledger._commit = lambda group: [fault] * len(group)
        assert ledger.commit([INTENT]) == [fault]
        assert (tmp_path / ".reserve").exists()


class TestOneBadWrite:
    def test_it_fails_alone_and_what_came_with_it_is_written(self, tmp_path):
        with closing(Transactions(tmp_path / "ledger.sqlite3")) as ledger:
            ledger.db.execute("CREATE TABLE t (n CHECK (n > 0))")
            good, bad = [(Statement("INSERT INTO t VALUES (?)", (n,)),) for n in (1, -1)]
            ends = ledger.commit([good, bad, good])
            assert [type(end) for end in ends] == [
                type(None), sqlite3.IntegrityError, type(None)
            ]  # fmt: skip
            assert [n for (n,) in ledger.db.execute("SELECT n FROM t")] == [1, 1]


class TestLostDirectory:
    @pytest.fixture
    def job(self):
        return Job(
            job_id="a" * 64, step="s", index=0, replica=0, operation="o", matrix={}, request={},
            body=b"{}", stems=("0",), units=1,
        )  # fmt: skip

    async def test_what_was_sent_is_written_where_the_ledger_is_now(self, tmp_path, job):
        run_dir = tmp_path / "run"
        run_dir.mkdir()
        item = {"unit": "image", "amount": "1", "units": {"count": True}}
        price = parse_price({"currency": "CNY", "as_of": "", "items": [item]})
        ledger = Ledger(run_dir / "ledger.sqlite3")
        await ledger.start_run(at=AT, version="1", endpoint="e", host="h", pid=1, live_since=AT)
        jobs = [job, replace(job, job_id="b" * 64, index=1)]
        await ledger.load_plan(iter(jobs), prices={"o": price}, version="1")
        first, second = ledger.view.open_jobs(operation="o")
        await ledger.record_intent(first, at=AT)
        run_dir.rename(tmp_path / "moved")

        await ledger.record_task(first, task_id="task-1", request_id=None, at=AT)
        with pytest.raises(GroundLost, match="no longer there"):
            await ledger.record_intent(second, at=AT)
        with pytest.raises(GroundLost):
            await ledger.record_result(first, JobResult(status=JobStatus.SUCCEEDED), at=AT)
        assert f"job {'a' * 12} is task task-1" in ledger.under_way()
        ledger.close()
        with closing(sqlite3.connect(tmp_path / "moved" / "ledger.sqlite3")) as db:
            rows = db.execute("SELECT status, task_id FROM job ORDER BY position").fetchall()
        assert rows == [("submitted", "task-1"), ("pending", None)]
        assert not run_dir.exists()
