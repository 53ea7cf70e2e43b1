"""The Python API: the same guarantees as the commands, in a program that has a life of its own."""

import asyncio
import datetime as dt
import logging
import signal
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pytest

import dsrun
from dsrun.api import PlanWords, RunWords
from dsrun.cli.main import cli

POSTERS = ["artifacts/posters/0-0.png", "artifacts/posters/1-0.png"]


def made(result):
    return [path.relative_to(result.run_dir).as_posix() for path in result.files()]


async def until(work, condition):
    """Wait beside the loop, which goes on."""
    await asyncio.to_thread(work.until, condition, what="tasks asked for")


class TestLoad:
    def test_gives_a_pipeline_whose_every_job_is_valid(self, work):
        pipeline = dsrun.load(work.posters(2))
        assert (pipeline.name, len(pipeline.digest)) == ("demo", 64)

    def test_types_params_as_the_manifest_does(self, work):
        text = "params: {n: 1}\nsteps: {s: {operation: wanx-v1, input: {prompt: a}, "
        text += 'parameters: {n: "{{ params.n }}"}}}'
        file = work.pipeline(text)
        (item,) = dsrun.plan(dsrun.load(file, set_params={"n": 3}))
        assert item.request["parameters"]["n"] == 3
        (item,) = dsrun.plan(dsrun.load(file, set_params={"n": 3}), set_params={"n": 2})
        assert item.request["parameters"]["n"] == 2

    def test_raises_every_problem(self, work):
        file = work.pipeline("steps: {s: {operation: wanx-v9}, t: {operation: wanx-v8}}")
        with pytest.raises(dsrun.ManifestError) as caught:
            dsrun.load(file)
        assert len(caught.value.problems) == 2

    def test_raises_for_a_file_that_is_not_there(self, work):
        with pytest.raises(dsrun.DsrunError, match=r"nowhere\.yaml"):
            dsrun.load("nowhere.yaml")


class TestPlan:
    def test_says_what_plan_json_says(self, work):
        file = work.posters(3)
        told = work.dsrun("plan", file, "--json", "--full").answer
        plan = dsrun.plan(file)
        jobs = told.pop("job_list")
        assert {**plan.summary, "pipeline": told["pipeline"]} == told
        assert [item.job_id for item in plan] == [job["job_id"] for job in jobs]
        assert (plan.jobs, plan.to_send, plan.done) == (3, 3, 0)
        assert plan.cost.amount == Decimal(str(told["cost"]["amount"]))

    def test_selects_as_the_command_does(self, work):
        plan = dsrun.plan(work.posters(5), only="number > 1", limit=2)
        assert [item.matrix["number"] for item in plan] == [2, 3]

    def test_counts_what_would_be_sent_again(self, work, serve):
        serve("failed-task")
        file = work.posters(2)
        assert dsrun.run_sync(file).exit_code == 1
        assert dsrun.plan(file).to_send == 0
        assert dsrun.plan(file, retry_failed=True).to_send == 2


class TestRunSync:
    def test_gives_records_of_what_it_made(self, work, emulator, capsys):
        result = dsrun.run_sync(work.posters(2)).check()
        assert result.ok
        assert result.counts == {dsrun.JobStatus.SUCCEEDED: 2}
        assert result.run_dir.name == result.digest[:12]
        assert made(result) == POSTERS
        first = next(result.results())
        assert (first.step, first.index, first.status) == ("posters", 0, "succeeded")
        (file,) = first.files
        assert file.path.stat().st_size == file.size
        assert result.costs == (dsrun.Money(amount=2 * first.cost.amount, currency="CNY"),)
        assert capsys.readouterr() == ("", "")

    def test_an_emulated_run_has_cost_nothing(self, work):
        assert dsrun.run_sync(work.posters(2), emulate=True).check().costs == ()

    def test_pays_nothing_twice_and_shares_the_ledger_with_the_command(self, work, emulator):
        file = work.posters(2)
        assert work.dsrun(file).code == 0
        assert made(dsrun.run_sync(file)) == POSTERS
        assert list(emulator.creates().values()) == [1, 1]

    def test_tells_failures_as_results_and_raises_only_when_asked(self, work, serve):
        serve("moderation")
        result = dsrun.run_sync(work.posters(1))
        assert result.exit_code is dsrun.ExitCode.JOBS_FAILED
        (job,) = result.results()
        assert (job.status, job.error.code) == ("failed", "DataInspectionFailed")
        with pytest.raises(dsrun.RunFailed, match="demo: 1 failed") as caught:
            result.check()
        assert caught.value.exit_code == 1

    def test_says_why_it_stopped(self, work, emulator):
        result = dsrun.run_sync(work.posters(2), max_cost="0.2 CNY")
        assert result.exit_code is dsrun.ExitCode.INCOMPLETE
        assert "max_cost" in result.reason

    @pytest.mark.parametrize(
        "day", ["2026-11-01", dt.date(2026, 11, 1), dt.datetime(2026, 11, 1, 3)]
    )
    def test_repeats_a_day(self, work, emulator, day):
        file = work.pipeline(
            "steps: {p: {operation: wanx-v1, input: {prompt: 'a lantern of {{ run.date }}'}}}"
        )
        assert dsrun.plan(file, date=day).to_send == 1
        (job,) = dsrun.run_sync(file, date=day).results()
        assert job.request["input"]["prompt"] == "a lantern of 2026-11-01"

    def test_never_asks(self, work, emulator):
        result = dsrun.run_sync(work.posters(2, confirm_above="0.1 CNY"))
        assert (result.exit_code, emulator.paid()) == (3, 0)
        assert "nothing was sent" in result.reason
        assert not result.run_dir.exists()
        assert dsrun.run_sync(work.posters(2, confirm_above="0.1 CNY"), yes=True).ok

    @pytest.mark.parametrize("out", ["s3://bucket/x", Path("gs://bucket")])
    def test_an_address_is_no_output_directory(self, work, emulator, out):
        with pytest.raises(dsrun.UsageError, match="address"):
            dsrun.run_sync(work.posters(1), out=out)
        assert not (work.folder / str(out)).exists()

    def test_without_a_key_raises_what_the_command_says(self, work, monkeypatch):
        with pytest.raises(dsrun.SetupError, match="DASHSCOPE_API_KEY"):
            dsrun.run_sync(work.posters(1))

    def test_logs_what_the_command_prints(self, work, emulator, caplog):
        caplog.set_level(logging.INFO, logger="dsrun")
        dsrun.run_sync(work.posters(1))
        assert "1 job: 1 succeeded" in caplog.text

    def test_in_a_thread_leaves_signals_alone(self, work, emulator):
        results, before = [], signal.getsignal(signal.SIGTERM)
        file = work.posters(1)
        thread = threading.Thread(target=lambda: results.append(dsrun.run_sync(file)))
        thread.start()
        thread.join()
        assert results[0].ok
        assert signal.getsignal(signal.SIGTERM) is before

    def test_gives_signals_back(self, work, emulator):
        def mine(number, frame):
            raise AssertionError

        before = [signal.signal(number, mine) for number in (signal.SIGINT, signal.SIGTERM)]
        try:
            assert dsrun.run_sync(work.posters(1)).ok
            assert signal.getsignal(signal.SIGINT) is mine
            assert signal.getsignal(signal.SIGTERM) is mine
        finally:
            signal.signal(signal.SIGINT, before[0])
            signal.signal(signal.SIGTERM, before[1])

    def test_after_ctrl_c_raises_keyboard_interrupt_and_can_be_resumed(
        self, work, serve, standing_clock
    ):
        service = serve(clock=standing_clock)
        file = work.posters(4, concurrency=2)
        script = (
            "import logging, dsrun\n"
            "logging.basicConfig(level=logging.INFO)\n"
            f"try:\n    dsrun.run_sync({str(file)!r})\n"
            "except KeyboardInterrupt:\n    print('stopped by hand')\n"
        )
        child = work.spawn_command([sys.executable, "-c", script])
        work.until(lambda: service.tasks_asked_for() == 2, what="two tasks asked for")
        child.send(signal.SIGINT)
        child.wait_for_words("stopping")
        standing_clock.release()
        outcome = child.end()
        assert (outcome.code, outcome.out) == (0, "stopped by hand\n")
        assert work.statuses() == {"succeeded": 2, "pending": 2}
        assert dsrun.run_sync(file).ok
        assert list(service.creates().values()) == [1] * 4

    def test_the_program_of_the_manual_runs(self, work, emulator, capsys):
        guide = (Path(__file__).parents[2] / "docs/guides/python.md").read_text(encoding="utf-8")
        program = guide.split("```python\n")[1].split("```")[0]
        step = '{operation: wanx-v1, matrix: {n: [1, 2, 3, 4]}, input: {prompt: "a {{ n }}"}}'
        work.pipeline(f"params: {{light: dusk}}\nsteps: {{s: {step}}}", path="posters.yaml")
        exec(program, {})
        first, *rest = capsys.readouterr().out.splitlines()
        assert first == "3 0.48 CNY ['new', 'new', 'new']"
        assert [line.split()[0] for line in rest] == ["succeeded"] * 3 + ["pending"]


class TestRun:
    async def test_two_pipelines_at_once_in_one_process(self, work, emulator):
        other = work.posters(2, subject="river", path="other.yaml", name="other")
        files = [work.posters(2), other]
        results = await asyncio.gather(*(dsrun.run(file) for file in files))
        assert [made(result.check()) for result in results] == [POSTERS, POSTERS]
        assert [result.name for result in results] == ["demo", "other"]
        assert emulator.paid() == 4

    async def test_the_loop_of_the_caller_goes_on_meanwhile(self, work, serve, standing_clock):
        service = serve(clock=standing_clock)
        running = asyncio.ensure_future(dsrun.run(work.posters(1)))
        await until(work, lambda: service.tasks_asked_for() == 1)
        standing_clock.release()
        assert (await running).ok

    async def test_one_directory_has_one_run(self, work, serve, standing_clock):
        service = serve(clock=standing_clock)
        file = work.posters(1)
        running = asyncio.ensure_future(dsrun.run(file))
        await until(work, lambda: service.tasks_asked_for() == 1)
        with pytest.raises(dsrun.RunLocked):
            await dsrun.run(file)
        skipped = await dsrun.run(file, if_running="skip")
        assert (skipped.is_skipped, skipped.exit_code) == (True, 0)
        waiting = asyncio.ensure_future(dsrun.run(file, if_running="wait"))
        standing_clock.release()
        assert (await running).ok
        assert (await waiting).ok
        assert service.paid() == 1

    async def test_cancelled_it_leaves_its_tasks_to_the_next_run(self, work, serve, standing_clock):
        service = serve(clock=standing_clock)
        file = work.posters(3, concurrency=2)
        running = asyncio.ensure_future(dsrun.run(file))
        await until(work, lambda: service.tasks_asked_for() == 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert work.statuses() == {"submitted": 2, "pending": 1}
        standing_clock.release()
        assert (await dsrun.run(file)).ok
        assert list(service.creates().values()) == [1] * 3

    async def test_cancelled_while_it_waits_for_another_run_it_ends(
        self, work, serve, standing_clock
    ):
        service = serve(clock=standing_clock)
        file = work.posters(1)
        running = asyncio.ensure_future(dsrun.run(file))
        await until(work, lambda: service.tasks_asked_for() == 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(dsrun.run(file, if_running="wait"), 0.1)
        standing_clock.release()
        assert (await running).ok

    async def test_run_sync_names_the_way_where_a_loop_is_running(self, work):
        with pytest.raises(dsrun.UsageError, match=r"await dsrun\.run"):
            dsrun.run_sync(work.posters(1))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"limits": 3}, "unknown keyword limits"),
        ({"limit": 0}, "limit=0; allowed: at least 1"),
        ({"concurrency": 20_000}, "allowed: 1 to 10000"),
        ({"if_running": "hope"}, "allowed: fail, skip, wait"),
        ({"date": "tomorrow"}, "date: 'tomorrow' is no day such as 2026-11-01"),
        ({"max_cost": "much"}, "max_cost: 'much' is no amount"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_keyword_that_cannot_be_is_told(work, words, message):
    with pytest.raises(dsrun.UsageError, match=message):
        dsrun.run_sync(work.posters(1), **words)


def test_every_option_of_the_command_that_a_program_needs_has_its_keyword():
    of_command = {parameter.name for parameter in cli.commands["run"].params}
    for_terminals = {
        "pipeline",
        "dry_run",
        "quiet",
        "verbose",
        "no_progress",
        "env_file",
        "as_json",
    }
    for_schedulers = {"catch_up", "jitter", "junit", "log_file", "log_format", "textfile"}
    keywords = {*RunWords.__annotations__, *PlanWords.__annotations__}
    assert of_command - for_terminals - for_schedulers == keywords - {"progress"}


class TestPackage:
    def test_every_name_is_there(self):
        assert {name for name in dsrun.__all__ if getattr(dsrun, name, None) is None} == set()
        assert set(dsrun.__all__) <= set(dir(dsrun))

    def test_no_module_takes_the_name_of_a_function(self):
        script = (
            "import dsrun, dsrun.cli.main; from dsrun import plan; print(dsrun.plan is plan, plan)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith("True <function plan")

    def test_importing_it_imports_nothing_else(self):
        script = "import sys, dsrun; print([n for n in sys.modules if n.startswith('dsrun.')])"
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        assert done.stdout == "[]\n"

    def test_an_unknown_name_is_an_attribute_error(self):
        with pytest.raises(AttributeError, match="no attribute 'rnu'"):
            dsrun.rnu  # noqa: B018
