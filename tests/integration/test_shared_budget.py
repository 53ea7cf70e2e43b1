"""All runs of an output root together never spend more than `execution.budget` in a period."""

import json
import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

CHILD = Path(__file__).parents[1] / "torture/child.py"
PRICE = "0.16 CNY"


def posters(work, count, amount=None, *, name="demo", per="month", **execution):
    """A pipeline of its own name and prompts, with a budget unless `amount` is None."""
    steps = f"""
steps:
  posters:
    operation: wanx-v1
    matrix: {{number: {{range: [0, {count - 1}]}}}}
    input: {{prompt: "a {name} {{{{ number }}}}"}}
"""
    budget = {"budget": {"amount": amount, "per": per}} if amount else {}
    return work.pipeline(steps, path=f"{name}.yaml", name=name, **budget, **execution)


def book_of(work):
    return work.folder / "outputs/.budget.sqlite3"


class TestOneRunAfterAnother:
    def test_it_stops_before_the_request_that_would_pass_it(self, work, emulator):
        outcome = work.dsrun(posters(work, 5, "0.40 CNY"))
        assert outcome.code == 3
        assert emulator.paid() == emulator.count("POST") == 2
        assert work.statuses() == {"succeeded": 2, "pending": 3}
        (line,) = [line for line in outcome.err.splitlines() if "budget of" in line]
        assert line.startswith(
            "stopped: the budget of 0.4 CNY per month has no room for the next job (0.32 CNY spent "
            "or under way by all runs below outputs; the next job costs 0.16 CNY)."
        )
        assert "budget:" not in outcome.err
        assert "begins anew at" in outcome.err
        assert "raise execution.budget" in outcome.err

    def test_what_other_pipelines_spent_counts_whether_they_have_a_budget_or_not(
        self, work, emulator
    ):
        assert work.dsrun(posters(work, 1, name="free")).code == 0
        assert work.dsrun(posters(work, 1, "0.50 CNY", name="first")).code == 0
        assert work.dsrun(posters(work, 3, "0.50 CNY", name="second")).code == 3
        assert emulator.paid() == 3
        assert work.dsrun(posters(work, 3, "0.64 CNY", name="second")).code == 3
        assert emulator.paid() == 4

    def test_a_budget_that_is_just_enough_is_enough(self, work, emulator):
        assert work.dsrun(posters(work, 3, "0.48 CNY")).code == 0

    def test_what_failed_is_not_counted(self, work, serve):
        service = serve("failed-task")
        assert work.dsrun(posters(work, 4, "0.16 CNY", concurrency=1)).code == 1
        assert service.paid() == 4

    def test_what_the_cache_has_is_not_counted_twice(self, work, emulator):
        assert work.dsrun(posters(work, 2, "0.32 CNY")).code == 0
        shutil.rmtree(work.run_dir())
        assert work.dsrun("demo.yaml").code == 0
        assert emulator.paid() == 2

    def test_what_is_in_doubt_counts(self, work, serve):
        service = serve("lost-answer", "no-list")
        work.dsrun(posters(work, 1, name="lost"))
        service.heal()
        assert work.dsrun(posters(work, 2, "0.32 CNY")).code == 3
        assert service.paid() == 2

    def test_what_was_in_doubt_counts_also_where_it_was_sent_again(self, work, serve):
        service = serve("lost-answer", "no-list")
        pipeline = posters(work, 1, "0.32 CNY", name="lost")
        work.dsrun(pipeline)
        service.suffer("no-list")
        assert work.dsrun(pipeline, "--resubmit-unknown").code == 0
        assert service.paid() == 2
        assert work.dsrun(posters(work, 1, "0.32 CNY")).code == 3
        assert service.paid() == 2

    def test_a_create_that_a_killed_run_left_in_doubt_counts_beside_the_next(self, work, serve):
        service = serve("no-list")
        pipeline = posters(work, 2, "0.32 CNY", concurrency=1)
        work.spawn_script(CHILD, "after Ledger.record_intent", "1", "run", pipeline).end()
        assert work.dsrun(pipeline, "--resubmit-unknown").code == 3
        assert service.paid() == 1  # or two, if the first was accepted
        assert work.statuses() == {"succeeded": 1, "pending": 1}

    def test_max_cost_holds_beside_it(self, work, emulator):
        outcome = work.dsrun(posters(work, 5, "1 CNY"), "--max-cost", "0.20 CNY")
        assert "max_cost of 0.20 CNY would be passed" in outcome.err
        assert emulator.paid() == 1

    def test_an_emulated_run_has_a_budget_of_its_own(self, work, emulator):
        assert work.dsrun(posters(work, 2, "0.32 CNY"), "--emulate").code == 0
        assert work.dsrun("demo.yaml").code == 0
        assert emulator.paid() == 2
        assert work.dsrun(posters(work, 3, "0.32 CNY"), "--emulate").code == 3

    def test_removed_run_directories_still_count(self, work, emulator):
        keep = {"budget": {"amount": "0.48 CNY", "per": "day"}}
        for number in range(3):
            steps = f"""
keep: 1
steps:
  one:
    operation: wanx-v1
    input: {{prompt: "number {number}"}}
"""
            assert work.dsrun(work.pipeline(steps, **keep)).code == 0
        assert len(list((work.folder / "outputs/demo").glob("[0-9a-f]*"))) == 1
        book_of(work).unlink()
        assert work.dsrun(posters(work, 1, "0.48 CNY", name="more", per="day")).code == 3
        assert work.dsrun(posters(work, 1, "0.64 CNY", name="more", per="day")).code == 0

    def test_a_removed_run_counts_from_when_it_sent_and_with_all_that_may_be_paid(
        self, work, serve
    ):
        service = serve("lost-answer", "no-list")
        steps = "keep: 1\nsteps:\n  one:\n    operation: wanx-v1\n    input: {prompt: %s}\n"
        pipeline = work.pipeline(steps % "first")
        work.dsrun(pipeline)
        service.suffer("no-list")
        assert work.dsrun(pipeline, "--resubmit-unknown").code == 0
        first = work.run_dir()
        assert work.dsrun(work.pipeline(steps % "second")).code == 0
        assert not first.exists()
        assert service.paid() == 3
        assert work.dsrun(posters(work, 1, "0.48 CNY", name="more", per="day")).code == 3
        book_of(work).unlink()
        assert work.dsrun(posters(work, 1, "0.48 CNY", name="more", per="day")).code == 3

    def test_directories_that_the_user_removed_count_as_long_as_the_book_knows_them(
        self, work, emulator
    ):
        assert work.dsrun(posters(work, 2, "0.40 CNY", name="first")).code == 0
        shutil.rmtree(work.folder / "outputs/first")
        assert work.dsrun(posters(work, 1, "0.40 CNY")).code == 3


class TestPeriods:
    @pytest.mark.parametrize("per", ["day", "week", "month"])
    def test_what_was_sent_before_the_period_does_not_count(self, work, emulator, per):
        assert work.dsrun(posters(work, 2, "0.32 CNY", per=per)).code == 0
        date_back(work, days=40)
        assert work.dsrun(posters(work, 2, "0.32 CNY", name="later", per=per)).code == 0

    def test_in_all_it_does(self, work, emulator):
        assert work.dsrun(posters(work, 2, "0.32 CNY", per="total")).code == 0
        date_back(work, days=400)
        outcome = work.dsrun(posters(work, 2, "0.32 CNY", name="later", per="total"))
        assert outcome.code == 3
        assert "It never begins anew" in outcome.err

    def test_the_zone_decides_when_a_day_begins(self, work, emulator, monkeypatch):
        """Where it is noon now the day has begun twelve hours ago; where it just began, just so."""
        hour = time.gmtime().tm_hour
        offset = (25 - hour) % 24 if (25 - hour) % 24 <= 12 else (25 - hour) % 24 - 24
        zone = f"Etc/GMT{-offset:+d}"  # there it is between one and two in the night
        budget = {"amount": "0.32 CNY", "per": "day", "timezone": zone}
        assert work.dsrun(posters(work, 2, "0.32 CNY", per="day")).code == 0
        date_back(work, hours=3)
        steps = "steps:\n  one:\n    operation: wanx-v1\n    input: {prompt: more}\n"
        pipeline = work.pipeline(steps, path="zoned.yaml", name="zoned", budget=budget)
        assert work.dsrun(pipeline).code == 0

    def test_an_unknown_zone_is_told_with_its_place(self, work, emulator):
        budget = {"amount": "1 CNY", "per": "day", "timezone": "Asia/Shangai"}
        outcome = work.dsrun("validate", work.posters(1, budget=budget))
        assert outcome.code == 2
        assert "did you mean Asia/Shanghai" in outcome.err


class TestTheBook:
    @pytest.mark.parametrize("content", [None, b"", b"no database at all" * 400])
    def test_a_lost_or_damaged_book_is_made_anew_from_the_ledgers(self, work, emulator, content):
        assert work.dsrun(posters(work, 2, "0.40 CNY", name="first")).code == 0
        if content is None:
            book_of(work).unlink()
        else:
            book_of(work).write_bytes(content)
        assert work.dsrun(posters(work, 1, "0.40 CNY")).code == 3
        assert emulator.paid() == 2

    def test_pages_of_it_that_are_garbage_are_noticed(self, work, emulator):
        assert work.dsrun(posters(work, 2, "0.40 CNY", name="first")).code == 0
        raw = bytearray(book_of(work).read_bytes())
        raw[4096:] = os.urandom(len(raw) - 4096)
        book_of(work).write_bytes(raw)
        assert work.dsrun(posters(work, 1, "0.40 CNY")).code == 3
        assert emulator.paid() == 2

    def test_an_old_copy_of_it_is_brought_up_to_date(self, work, emulator):
        assert work.dsrun(posters(work, 1, "0.40 CNY", name="first")).code == 0
        old = book_of(work).read_bytes()
        assert work.dsrun(posters(work, 2, "0.40 CNY", name="first")).code == 0
        book_of(work).write_bytes(old)
        assert work.dsrun(posters(work, 1, "0.40 CNY")).code == 3

    def test_a_ledger_that_nobody_can_read_stops_the_run_with_its_name(self, work, emulator):
        assert work.dsrun(posters(work, 1, name="first")).code == 0
        (work.run_dir("first") / "ledger.sqlite3").write_bytes(b"no ledger" * 2000)
        outcome = work.dsrun(posters(work, 1, "1 CNY"))
        assert outcome.code == 3
        assert str(Path("first") / work.run_dir("first").name) in outcome.err
        assert emulator.paid() == 1

    def test_a_folder_that_takes_no_book_stops_the_run(self, work, emulator):
        book_of(work).parent.mkdir()
        book_of(work).mkdir()
        outcome = work.dsrun(posters(work, 1, "1 CNY"))
        assert outcome.code == 3
        assert ".budget.sqlite3" in outcome.err
        assert emulator.paid() == 0

    def test_what_it_had_read_of_a_ledger_that_is_gone_or_damaged_holds(self, work, emulator):
        assert work.dsrun(posters(work, 2, "0.40 CNY", name="first")).code == 0
        (work.run_dir("first") / "ledger.sqlite3").unlink()
        assert work.dsrun(posters(work, 1, "0.40 CNY")).code == 3
        assert emulator.paid() == 2


class TestSideBySide:
    def test_several_runs_at_once_cannot_pass_it_together(self, work, emulator):
        """Four processes, ten jobs each, and money for thirteen of the forty."""
        names = ["red", "green", "blue", "gray"]
        files = [posters(work, 10, "2.1 CNY", name=name, concurrency=4) for name in names]
        children = [work.spawn("run", file) for file in files]
        codes = [child.end().code for child in children]
        assert emulator.paid() == 13
        assert 3 in codes
        assert set(codes) <= {0, 3}

    def test_each_budget_holds_where_they_differ(self, work, emulator):
        big = posters(work, 20, "3.2 CNY", name="big", per="month")
        small = posters(work, 20, "1 CNY", name="small", per="day")
        children = [work.spawn("run", file) for file in (big, small)]
        assert {child.end().code for child in children} <= {0, 3}
        assert emulator.paid() == 20

    @pytest.mark.parametrize("moment", ["before", "after"])
    @pytest.mark.parametrize("commit", ["record_intent", "record_task", "record_result"])
    def test_what_a_killed_run_held_is_counted_once_and_its_rest_is_free(
        self, work, emulator, moment, commit
    ):
        killed = posters(work, 4, "0.64 CNY", name="killed", concurrency=1)
        work.spawn_script(CHILD, f"{moment} Ledger.{commit}", "2", "run", killed).end()
        in_doubt = int(moment == "after" and commit == "record_intent")
        assert work.dsrun(posters(work, 6, "0.64 CNY", name="other")).code == 3
        assert emulator.paid() == 4 - in_doubt
        assert work.dsrun(killed).code == 3
        assert emulator.paid() == 4 - in_doubt  # no money is left to tell a lost create by another

    def test_a_book_that_is_removed_while_runs_go_on_is_made_anew(self, work, serve):
        service = serve(task_time_s=0.2)
        files = [posters(work, 10, "1.6 CNY", name=name, concurrency=2) for name in ("one", "two")]
        children = [work.spawn("run", file) for file in files]
        work.until(lambda: service.paid() >= 3, what="some pictures are paid")
        book_of(work).unlink()
        assert {child.end().code for child in children} == {3}
        assert service.paid() == 10

    def test_runs_that_are_killed_again_and_again_never_pass_it_together(self, work, emulator):
        """Three pipelines on one budget; each time one more picture is paid, all are killed."""
        names = ["red", "green", "blue"]
        files = [posters(work, 8, "1.6 CNY", name=name, concurrency=3) for name in names]
        for least in range(1, 10):
            children = [work.spawn("run", file) for file in files]
            work.until(
                lambda least=least, children=children: (
                    emulator.paid() >= least or not any(child.is_running for child in children)
                ),
                what="one more picture is paid, or all runs have stopped",
            )
            for child in children:
                child.kill()
            assert emulator.paid() <= 10
        ends = [child.end().code for child in [work.spawn("run", file) for file in files]]
        assert set(ends) <= {0, 1, 3}
        assert set(ends) != {0}, "24 pictures are more than the budget allows"
        assert emulator.paid() <= 10
        standing = json.loads(work.dsrun("plan", files[0], "--json").out)["budget"]
        assert 1.44 <= standing["spent"]["amount"] <= 1.6


def test_a_budget_in_another_currency_is_refused(work, emulator):
    outcome = work.dsrun("validate", posters(work, 1, "5 USD"))
    assert outcome.code == 2
    assert "allowed: an amount in CNY" in outcome.err


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"budget": "200 CNY"}, "an amount stands here alone; write {amount: 200 CNY, per: month}"),
        ({"budget": {"amount": 200, "per": "day"}}, "allowed: an amount and a currency"),
        ({"budget": {"amount": "2 CNY", "per": "year"}}, "allowed: day, week, month, total"),
        ({"budget": {"amount": "2 CNY"}}, "execution.budget.per: missing"),
        ({"retry": 2}, "allowed: a mapping such as {failed_tasks: 2}"),
        ({"retry": {"failed_tasks": 200}}, "allowed: 0 to 20"),
    ],
)
def test_what_is_written_wrongly_is_told_with_what_is_allowed(work, section, words):
    outcome = work.dsrun("validate", work.posters(1, **section))
    assert outcome.code == 2
    assert words in outcome.err


def date_back(work, *, days=0, hours=0):
    """Make all that the newest run did so much older."""
    with closing(sqlite3.connect(work.run_dir() / "ledger.sqlite3")) as db:
        for column in ("submitted_at", "ended_at"):
            db.execute(
                f"UPDATE job SET {column} = strftime('%Y-%m-%dT%H:%M:%fZ', {column}, ?, ?)",
                (f"-{days} days", f"-{hours} hours"),
            )
        db.commit()


def test_plan_says_what_is_left(work, emulator):
    work.dsrun(posters(work, 2, "0.40 CNY", name="first"))
    outcome = work.dsrun("plan", posters(work, 1, "0.40 CNY"))
    assert "budget: 0.4 CNY per month: 0.32 CNY spent or under way since" in outcome.out
    assert "0.08 CNY left until" in outcome.out
    told = json.loads(work.dsrun("plan", "demo.yaml", "--json").out)
    assert told["budget"]["left"] == {"amount": 0.08, "currency": "CNY"}
    assert any("the run would stop" in words for words in told["warnings"])


def test_status_says_what_is_left_also_to_a_program(work, emulator):
    work.dsrun(posters(work, 2, "0.40 CNY"))
    assert "budget: 0.4 CNY per month: 0.32 CNY spent or under way since" in (
        work.dsrun("status", work.run_dir()).out
    )
    told = json.loads(work.dsrun("status", work.run_dir(), "--json").out)["budget"]
    assert told["left"] == {"amount": 0.08, "currency": "CNY"}
    assert (told["per"], told["spent"]["amount"]) == ("month", 0.32)
    work.dsrun(posters(work, 1, name="free"))
    assert json.loads(work.dsrun("status", work.run_dir("free"), "--json").out)["budget"] is None


def test_a_run_says_at_its_end_where_the_budget_stands(work, emulator):
    outcome = work.dsrun(posters(work, 2, "1 CNY", per="total"))
    assert "budget: 1 CNY in all: 0.32 CNY spent or under way; 0.68 CNY left" in outcome.err


def test_a_budget_without_anything_left_is_used_up(work, emulator):
    outcome = work.dsrun(posters(work, 3, "0.32 CNY", per="total"))
    assert "the budget of 0.32 CNY in all is used up (0.32 CNY spent or under way" in outcome.err


def test_the_budget_of_emulated_runs_is_called_so_wherever_it_is_told(work):
    pipeline = posters(work, 3, "0.40 CNY")
    outcome = work.dsrun(pipeline, "--emulate")
    assert "has no room for the next job (0.32 CNY spent or under way by emulated runs below" in (
        outcome.err
    )
    for command in ("plan", "status"):
        told = work.dsrun(command, pipeline, "--emulate").out
        assert "budget of emulated runs: 0.4 CNY per month: 0.32 CNY spent or under way" in told
    assert "budget: 0.4 CNY per month: 0 CNY spent or under way" in work.dsrun("plan", pipeline).out
