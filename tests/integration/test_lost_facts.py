"""A ledger that has lost its newest facts after `kill -9` is told from a healthy one."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from dsrun.ledger.tail import Tail, read_entries, read_head
from dsrun.storage.layout import TAIL

VOICES = """
steps:
  voices:
    operation: qwen-voice-design
    matrix: {who: [calm, bright, deep]}
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: A {{ who }} voice
      preview_text: Good evening.
    filename: "{{ who }}"
"""
JOBS = 12


def log_of(work):
    return work.run_dir() / "ledger.sqlite3-wal"


def gone(work):
    log_of(work).unlink()


def cut_to_nothing(work):
    log_of(work).write_bytes(b"")


def cut_in_the_middle_of_a_frame(work):
    data = log_of(work).read_bytes()
    log_of(work).write_bytes(data[: len(data) // 2 + 100])


def a_bit_of_the_header_flipped(work):
    data = bytearray(log_of(work).read_bytes())
    data[10] ^= 0x04
    log_of(work).write_bytes(data)


def header_garbled(work):
    data = bytearray(log_of(work).read_bytes())
    data[0:32] = bytes(32)
    log_of(work).write_bytes(data)


def frame_garbled(work):
    data = bytearray(log_of(work).read_bytes())
    data[len(data) // 2] ^= 0xFF
    log_of(work).write_bytes(data)


def last_frame_garbled(work):
    data = bytearray(log_of(work).read_bytes())
    data[-50] ^= 0x01
    log_of(work).write_bytes(data)


def without_lock_file(work):
    log_of(work).unlink()
    log_of(work).with_name("ledger.sqlite3-shm").unlink()


LOSSES = (
    gone, cut_to_nothing, cut_in_the_middle_of_a_frame, header_garbled,
    a_bit_of_the_header_flipped, frame_garbled,
    without_lock_file, last_frame_garbled,
)  # fmt: skip


@pytest.fixture
def killed(work, serve, standing_clock):
    """A run of JOBS jobs that was killed when the service had accepted all of them."""
    return kill_a_run(work, serve, standing_clock)


def kill_a_run(work, serve, standing_clock, **execution):
    service = serve(clock=standing_clock)
    child = work.spawn(work.posters(JOBS, **execution))
    work.until(lambda: service.tasks_asked_for() == JOBS, what="all tasks asked for")
    child.kill()
    standing_clock.release()
    return service


def paid(service):
    return sorted(service.creates().values())


class TestWithTheTail:
    @pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
    def test_what_the_log_has_lost_is_put_back(self, work, killed, lose):
        lose(work)
        outcome = work.dsrun("demo.yaml")
        assert outcome.code == 0
        assert "were put back" in outcome.err
        assert paid(killed) == [1] * JOBS
        assert work.statuses() == {"succeeded": JOBS}
        assert "put back" not in work.dsrun("demo.yaml").err

    def test_what_is_paid_already_needs_no_consent(self, work, killed):
        gone(work)
        outcome = work.dsrun(work.posters(JOBS, confirm_above="0.10 CNY"))
        assert outcome.code == 0
        assert "were put back" in outcome.err
        assert paid(killed) == [1] * JOBS

    @pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
    @pytest.mark.parametrize("command", ["status", "verify", "report", "ledger"])
    def test_nobody_is_shown_what_is_not_true_any_more(self, work, killed, lose, command):
        lose(work)
        outcome = work.dsrun(command, "outputs/demo")
        assert outcome.code == 3
        assert "ledger.sqlite3" in outcome.err
        assert "lost" in outcome.err


class TestWithoutTheTail:
    @pytest.mark.parametrize("lose", LOSSES[:-1], ids=lambda lose: lose.__name__)
    def test_nothing_is_sent_while_the_service_has_tasks_that_nobody_knows(
        self, work, killed, lose
    ):
        lose(work)
        (work.run_dir() / TAIL).unlink()
        for _ in range(2):
            outcome = work.dsrun("demo.yaml")
            assert outcome.code == 3
            assert "--resubmit-unknown" in outcome.err
            assert paid(killed) == [1] * JOBS

    def test_one_task_of_a_create_in_doubt_is_adopted(self, work, serve, standing_clock):
        # Apart in time, so that the last commit holds the last task alone.
        service = kill_a_run(work, serve, standing_clock, rate="5/s")
        last_frame_garbled(work)
        (work.run_dir() / TAIL).unlink()
        assert work.dsrun("demo.yaml").code == 0
        assert paid(service) == [1] * JOBS

    def test_the_numbers_are_told(self, work, killed):
        gone(work)
        (work.run_dir() / TAIL).unlink()
        outcome = work.dsrun("demo.yaml")
        assert f"{JOBS} tasks that no ledger here knows" in outcome.err
        assert f"{JOBS} jobs that it calls pending" in outcome.err
        assert "and 7 more" in outcome.err

    def test_the_user_may_send_again_and_the_next_run_is_quiet(self, work, killed):
        gone(work)
        (work.run_dir() / TAIL).unlink()
        assert work.dsrun("demo.yaml").code == 3
        assert work.dsrun("demo.yaml", "--resubmit-unknown").code == 0
        assert paid(killed) == [2] * JOBS
        outcome = work.dsrun("demo.yaml")
        assert (outcome.code, "lost" in outcome.err) == (0, False)


class TestOtherLosses:
    def test_an_older_copy_of_the_ledger_is_brought_up_to_the_tail(self, work, serve):
        service = serve()
        work.dsrun(work.posters(JOBS), "--limit", "3", "--no-cache")
        ledger = work.run_dir() / "ledger.sqlite3"
        old = ledger.read_bytes()
        assert work.dsrun("demo.yaml", "--limit", "6", "--no-cache").code == 0
        ledger.write_bytes(old)
        shutil.rmtree(work.run_dir() / "artifacts")  # else the pictures tell by themselves
        outcome = work.dsrun("demo.yaml", "--no-cache")
        assert outcome.code == 3
        assert "3 tasks that no ledger here knows" in outcome.err
        assert service.paid() == 6

    def test_pictures_on_the_disk_are_taken_for_the_jobs_that_they_name(self, work, serve):
        service = serve()
        work.dsrun(work.posters(JOBS), "--limit", "3", "--no-cache")
        ledger = work.run_dir() / "ledger.sqlite3"
        old = ledger.read_bytes()
        assert work.dsrun("demo.yaml", "--no-cache").code == 0
        before = work.results()
        ledger.write_bytes(old)
        outcome = work.dsrun("demo.yaml", "--no-cache")
        assert outcome.code == 0
        assert "9 jobs that the ledger had lost are on disk" in outcome.err
        assert paid(service) == [1] * JOBS
        lines = zip(before, work.results(), strict=True)
        assert all(one["artifacts"] == two["artifacts"] for one, two in lines)

    def test_a_ledger_that_is_gone_has_lost_everything(self, work, killed):
        for path in work.run_dir().glob("ledger.sqlite3*"):
            path.unlink()
        assert work.dsrun("demo.yaml").code == 0
        assert paid(killed) == [1] * JOBS

    def test_the_same_without_hidden_files(self, work, killed):
        for path in [*work.run_dir().glob("ledger.sqlite3*"), work.run_dir() / TAIL]:
            path.unlink()
        assert work.dsrun("demo.yaml").code == 3
        assert paid(killed) == [1] * JOBS

    def test_a_killed_run_that_lost_nothing_but_its_tail_goes_on(self, work, killed):
        (work.run_dir() / TAIL).unlink()
        outcome = work.dsrun("demo.yaml")
        assert outcome.code == 0
        assert paid(killed) == [1] * JOBS

    @pytest.mark.parametrize("has_tail", [True, False], ids=["with its tail", "without"])
    def test_an_older_log(self, work, serve, standing_clock, has_tail):
        service = serve(clock=standing_clock)
        logs = []
        for number in (4, JOBS):
            child = work.spawn(work.posters(JOBS, concurrency=number))
            work.until(lambda n=number: service.paid() == n, what=f"{number} tasks")
            work.until(lambda n=number: service.tasks_asked_for() == n, what="all asked for")
            child.kill()
            logs.append(log_of(work).read_bytes())
        standing_clock.release()
        log_of(work).write_bytes(logs[0])
        if not has_tail:
            (work.run_dir() / TAIL).unlink()
        assert work.dsrun("demo.yaml").code == (0 if has_tail else 3)
        assert paid(service) == [1] * JOBS

    def test_a_log_that_is_lost_after_two_kills(self, work, serve, standing_clock):
        service = serve(clock=standing_clock)
        for number in (4, JOBS):
            child = work.spawn(work.posters(JOBS, concurrency=number))
            work.until(lambda n=number: service.tasks_asked_for() == n, what=f"{number} tasks")
            child.kill()
        standing_clock.release()
        gone(work)
        outcome = work.dsrun("demo.yaml")
        assert (outcome.code, "put back" in outcome.err) == (0, True)
        assert paid(service) == [1] * JOBS

    def test_a_tail_that_is_behind_is_healthy(self, work, killed):
        head = read_head(work.run_dir() / "ledger.sqlite3")
        *_, last = read_entries(work.run_dir() / "ledger.sqlite3", head)
        Tail(work.run_dir() / "ledger.sqlite3", replace(head, facts=last.before)).close()
        outcome = work.dsrun("demo.yaml")
        assert (outcome.code, "lost" in outcome.err, "put back" in outcome.err) == (0, False, False)
        assert paid(killed) == [1] * JOBS

    def test_a_run_that_ended_needs_neither_log_nor_tail(self, work, serve):
        service = serve()
        work.dsrun(work.posters(3))
        for path in work.run_dir().glob(".*"):
            if path.is_file():
                path.unlink()
        outcome = work.dsrun("demo.yaml")
        assert (outcome.code, "lost" in outcome.err) == (0, False)
        assert service.paid() == 3

    @pytest.mark.parametrize("end", [0, 100, 400, 2000], ids=str)
    def test_of_a_tail_that_is_cut_the_rest_is_asked_of_the_service(self, work, killed, end):
        gone(work)
        tail = work.run_dir() / TAIL
        tail.write_bytes(tail.read_bytes()[:end])
        assert work.dsrun("demo.yaml").code == 3
        assert paid(killed) == [1] * JOBS

    def test_the_tail_of_another_ledger_is_not_believed(self, work, killed):
        gone(work)
        other = work.posters(2, subject="kite")
        work.dsrun(work.pipeline(VOICES, path="v.yaml", name="v"))
        shutil.copyfile(work.run_dir("v") / TAIL, work.run_dir() / TAIL)
        del other
        work.posters(JOBS)
        assert work.dsrun("demo.yaml").code == 3
        assert paid(killed).count(1) == JOBS + 3

    def test_the_log_of_another_ledger(self, work, killed, serve):
        mine = log_of(work)
        with closing(sqlite3.connect(work.folder / "other.sqlite3")) as db:
            db.executescript(
                "PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1);"
            )
            shutil.copyfile(work.folder / "other.sqlite3-wal", mine)
        outcome = work.dsrun("demo.yaml")
        assert outcome.code in (0, 3)
        assert paid(killed) == [1] * JOBS

    def test_a_list_that_cannot_be_read_stops_the_run(self, work, serve, standing_clock):
        service = serve("no-list", clock=standing_clock)
        child = work.spawn(work.posters(3))
        work.until(lambda: service.tasks_asked_for() == 3, what="all tasks asked for")
        child.kill()
        standing_clock.release()
        gone(work)
        (work.run_dir() / TAIL).unlink()
        outcome = work.dsrun("demo.yaml")
        assert outcome.code == 3
        assert "list" in outcome.err
        assert service.paid() == 3

    def test_without_strange_tasks_the_run_goes_on_and_says_so_once(self, work, serve):
        service = serve()
        child = work.spawn(work.posters(3), "--max-cost", "0 CNY")
        child.end()
        with closing(sqlite3.connect(work.run_dir() / "ledger.sqlite3")) as db, db:
            db.execute("UPDATE run SET ended_at = NULL")
        (work.run_dir() / TAIL).unlink()
        outcome = work.dsrun("demo.yaml")
        assert outcome.code == 0
        assert outcome.err.count("nothing that this ledger does not know") == 1
        assert service.paid() == 3
        assert "does not know" not in work.dsrun("demo.yaml").err

    def test_voices_are_found_by_their_texts_and_adopted(self, work, serve):
        service = serve()
        pipeline = work.pipeline(VOICES)
        child = work.spawn(pipeline)
        work.until(lambda: service.paid() >= 2, what="two voices")
        child.kill()
        gone(work)
        (work.run_dir() / TAIL).unlink()
        assert work.dsrun(pipeline).code in (0, 1)
        assert paid(service) == [1, 1, 1]
