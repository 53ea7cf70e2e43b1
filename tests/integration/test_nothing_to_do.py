"""A run that has nothing to do costs little: it checks no job again, and writes no view again."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from dsrun.ledger import history, totals
from dsrun.ledger.reader import LedgerReader
from dsrun.report.entries import Entries
from dsrun.report.report import write_report
from dsrun.session.opening import open_plan
from dsrun.session.options import RunOptions
from dsrun.session.preview import Survey

VIEWS = ("results.jsonl", "ro-crate-metadata.json", "report.html")
VOICES = """
steps:
  voices:
    operation: qwen-voice-design
    matrix: {tone: [calm, warm]}
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: "A {{ tone }} voice"
      preview_text: Good evening.
      language: en
"""


@pytest.fixture
def voices(work, emulator):
    """A pipeline that has run; no picture of it may wait for its thumbnail."""
    pipeline = work.pipeline(VOICES)
    assert work.dsrun(pipeline).code == 0
    return pipeline


def times(work):
    return {name: (work.run_dir() / name).stat().st_mtime_ns for name in VIEWS}


class TestViews:
    def test_stay_as_they_are(self, work, voices):
        before = times(work)
        again = work.dsrun(voices)
        assert (again.code, times(work)) == (0, before)
        assert "nothing to send" in again.err
        assert "2 succeeded" in again.err

    def test_the_run_itself_is_recorded(self, work, voices):
        assert work.dsrun(voices).code == 0
        assert work.dsrun(voices).code == 0
        runs = work.dsrun("history", "--json").answer
        assert [run["jobs"]["succeeded"] for run in runs] == [2, 0, 0]
        assert [run["exit_code"] for run in runs] == [0, 0, 0]

    @pytest.mark.parametrize("name", VIEWS)
    def test_one_that_is_gone_is_written_again(self, work, voices, name):
        (work.run_dir() / name).unlink()
        assert work.dsrun(voices).code == 0
        assert (work.run_dir() / name).stat().st_size

    @pytest.mark.parametrize("name", VIEWS)
    def test_one_that_was_edited_is_written_again(self, work, voices, name):
        path = work.run_dir() / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-20])
        assert work.dsrun(voices).code == 0
        assert len(path.read_bytes()) == pytest.approx(len(whole), abs=20)
        assert path.read_bytes()[-20:] == whole[-20:]

    def test_a_file_that_is_gone_is_brought_back(self, work, voices):
        lost, content = next(iter(work.files().items()))
        (work.run_dir() / lost).unlink()
        again = work.dsrun(voices)
        assert (again.code, work.files()[lost]) == (0, content)
        assert f"{lost} is missing" in again.err

    def test_are_written_again_once_there_is_a_new_job(self, work, voices):
        before = times(work)
        (work.folder / voices).write_text(
            (work.folder / voices).read_text().replace("[calm, warm]", "[calm, warm, old]")
        )
        assert work.dsrun(voices).code == 0
        assert times(work) != before
        assert len(work.results()) == 3


class TestChecks:
    def test_a_plan_with_a_problem_still_tells_it(self, work, voices):
        path = work.folder / voices
        path.write_text(path.read_text() + "execution: {concurrency: -1}\n")
        assert work.dsrun(voices).code == 2

    def test_a_failed_job_is_no_settled_one(self, work, serve):
        service = serve("moderation")
        posters = work.posters(2)
        assert work.dsrun(posters).code == 1
        assert work.dsrun(posters).code == 1
        service.heal()
        assert work.dsrun(posters, "--retry-failed").code == 0
        assert work.statuses() == {"succeeded": 2}


def sums(view):
    models = totals.model_counts(view)
    return [
        totals.counts(view), models, totals.compares_models(view),
        [totals.spent(view, operation=name) for name in (None, *models)],
        totals.errors(view, 10), totals.in_doubt(view), totals.repeated(view),
        totals.left_out(view), totals.cached_count(view), totals.unknown(view, 10),
        history.invocations(view), history.spendings(view), history.doubts(view),
    ]  # fmt: skip


class TestSums:
    @pytest.fixture
    def ledger(self, work, emulator):
        posters = work.posters(3)
        assert work.dsrun(posters, "--limit", "1").code == 0
        assert work.dsrun(posters).code == 0
        return work.run_dir() / "ledger.sqlite3"

    def test_that_are_kept_are_those_of_the_jobs(self, ledger):
        with closing(LedgerReader(ledger)) as view:
            assert view.known
            kept = sums(view)
            view.known = None
            assert sums(view) == kept

    def test_are_kept_for_all_that_a_look_asks(self, ledger):
        with closing(LedgerReader(ledger)) as view, view.noting_sums() as asked:
            sums(view)
        assert not asked

    def test_are_void_once_somebody_has_written(self, ledger):
        with closing(sqlite3.connect(ledger)) as db, db:
            db.execute("UPDATE job SET status = 'failed' WHERE position = 0")
        with closing(LedgerReader(ledger)) as view:
            assert not view.known
            assert totals.counts(view) == {"failed": 1, "succeeded": 2}

    def test_are_void_where_the_note_is_cut(self, ledger):
        tail = ledger.with_name(".ledger-tail")
        tail.write_bytes(tail.read_bytes()[:-9])
        with closing(LedgerReader(ledger)) as view:
            assert not view.known
            assert totals.counts(view) == {"succeeded": 3}

    def test_of_chosen_jobs_are_their_own(self, ledger):
        with closing(LedgerReader(ledger)) as view:
            [first, *_] = [job_id for page in view.ids("succeeded") for job_id in page]
            view.choose([[first]])
            assert totals.counts(view) == {"succeeded": 1}


class TestReport:
    def test_wants_no_more_lines_than_it_shows(self, work, voices):
        entries = Entries(again="dsrun", most=3)
        for number in range(1, 5):
            entries.add(work.results()[0])
            assert entries.is_full is (number >= 3)
        assert len(entries.rows) == 3

    def test_says_how_many_thumbnails_are_left(self, work, emulator):
        assert work.dsrun(work.posters(2)).code == 0
        for thumb in (work.run_dir() / ".thumbs").glob("*.jpg"):
            thumb.unlink()
        with closing(LedgerReader(work.run_dir() / "ledger.sqlite3")) as view:
            assert write_report(view, work.run_dir(), budget_s=-1) == 2


POSTERS = """
steps:
  posters:
    operation: wanx-v1
    matrix: {subject: [a lamp, a river, a lamp], tone: [warm, cold]}
    input: {prompt: "{{ subject }}, {{ tone }}"}
  more:
    operation: [wanx-v1, qwen-image-plus]
    matrix: {subject: [a bridge, a tea house, a gate]}
    input: {prompt: "{{ subject }}"}
"""
RULES = POSTERS.replace("tone: [warm, cold]}", "tone: [warm, cold], exclude: [{tone: none}]}")
FORMS = [(), ("--full",), ("--json",), ("--json", "--full"), ("--limit", "3"), ("--step", "more")]


class TestPlan:
    """A plan beside a run that has made all is told from the ledger, and says the same."""

    @pytest.mark.parametrize("steps", [POSTERS, RULES, VOICES], ids=["plain", "rules", "voices"])
    def test_a_sealed_ledger_says_what_a_walk_says(self, work, emulator, steps):
        pipeline = finished(work, steps)
        told = [plan(work, pipeline, form) for form in FORMS]
        (work.run_dir() / ".ledger-tail").unlink()  # without its seal the ledger is looked through
        assert told == [plan(work, pipeline, form) for form in FORMS]
        assert plan(work, pipeline, ("--json",))[0] == 0

    def test_no_row_is_made_beside_a_sealed_ledger(self, work, emulator):
        pipeline = finished(work, POSTERS)
        options = RunOptions(pipeline=pipeline)
        opened = open_plan(options)
        with Survey(replace(opened, steps=()), options) as survey:  # it has no rows to walk over
            survey.take()
            columns = ("jobs", "done", "to_send")
            assert [survey.outlook.total(name) for name in columns] == [10, 10, 0]

    def test_rules_and_scripts_that_may_be_worth_a_warning_are_looked_at(self, work, emulator):
        warned = work.dsrun("plan", finished(work, RULES)).err
        assert "this rule matches no row" in warned

    def test_a_file_that_is_gone_is_told(self, work, emulator):
        pipeline = finished(work, POSTERS)
        next(path for path in (work.run_dir() / "artifacts").rglob("*.*")).unlink()
        told = work.dsrun("plan", pipeline, "--full").out
        assert "of these 1 job with a file missing" in told

    def test_another_run_of_the_pipeline_is_compared(self, work, emulator):
        pipeline = finished(work, POSTERS)
        text = pipeline.read_text(encoding="utf-8")
        pipeline.write_text(text.replace("a gate", "a well"), encoding="utf-8")
        assert work.dsrun(pipeline, "--limit", "1").code == 0
        pipeline.write_text(text, encoding="utf-8")
        difference = work.dsrun("plan", pipeline, "--json").answer["difference"]
        assert (difference["changed"], difference["same"]) == (2, 8)


def finished(work, steps):
    pipeline = work.pipeline(steps)
    assert work.dsrun(pipeline).code == 0
    return pipeline


def plan(work, pipeline, form):
    outcome = work.dsrun("plan", pipeline, *form)
    return outcome.code, outcome.out, outcome.err
