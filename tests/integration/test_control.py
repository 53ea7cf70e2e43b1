"""`dsrun control` steers a run of another process: what it orders is obeyed once, and recorded."""

import json
import signal
import time

import pytest
from PIL import Image

MANY = 40


@pytest.fixture
def live(work, emulator):
    """A run that goes on: four creates a second, of forty."""
    pipeline = work.posters(MANY, rate="4/s", concurrency=4)
    child = work.spawn(pipeline, "--no-progress")
    work.until(lambda: emulator.paid() > 1, what="a few jobs are sent")
    yield child
    if child.process.poll() is None:  # in peace, so that the emulator sees its connections end
        child.send(signal.SIGINT)
        child.wait_for_words("stopping: ")
        child.send(signal.SIGINT)
        child.end()


def orders(work):
    return work.query("SELECT * FROM control ORDER BY control_id")


def status(work):
    return work.dsrun("status", "demo.yaml", "--json").answer


def control(work, *words):
    return work.dsrun("control", "demo.yaml", *words)


def faster(work):
    """What is left of a test need not wait for its rate: another run makes it at once."""
    work.posters(MANY)
    return work.dsrun("demo.yaml")


def each_is_paid_once(emulator):
    return emulator.paid() == MANY and set(emulator.creates().values()) == {1}


def test_a_pause_holds_creates_and_what_is_under_way_goes_on(work, emulator, live):
    outcome = control(work, "pause")
    assert outcome.code == 0
    assert "paused" in outcome.out
    work.until(lambda: work.statuses().keys() <= {"pending", "succeeded"}, what="none is under way")
    paid, polls = emulator.paid(), emulator.count("GET", "/tasks/")
    assert status(work)["paused"] is True
    assert "paused" in work.dsrun("status", "demo.yaml").out
    control(work, "set", "concurrency=5")  # an order later, which takes a while, nothing was sent
    assert (emulator.paid(), emulator.count("GET", "/tasks/")) == (paid, polls)
    assert work.statuses()["succeeded"] == paid

    assert control(work, "resume").code == 0
    work.until(lambda: emulator.paid() > paid, what="creates are sent again")
    assert status(work)["paused"] is False
    live.send(signal.SIGINT)
    assert live.end().code == 130
    assert faster(work).code == 0
    assert each_is_paid_once(emulator)


def test_a_run_that_is_paused_twice_and_resumed_finishes_by_itself(work, emulator):
    child = work.spawn(work.posters(12, rate="6/s"), "--no-progress")
    work.until(lambda: emulator.paid() > 1, what="a few jobs are sent")
    assert [control(work, word).code for word in ("pause", "pause", "resume")] == [0, 0, 0]
    outcome = child.end()
    assert outcome.code == 0, outcome.err
    assert [row["command"] for row in orders(work)] == ["begin", "pause", "pause", "resume"]
    assert (emulator.paid(), set(emulator.creates().values())) == (12, {1})


def test_stop_is_the_first_ctrl_c(work, emulator, live):
    assert control(work, "stop").code == 0
    outcome = live.end()
    assert outcome.code == 130
    assert "stopped: ordered by `dsrun control`" in outcome.err
    assert work.query("SELECT exit_code FROM run")[-1]["exit_code"] == 130
    assert not (work.run_dir() / ".orders").exists()
    assert faster(work).code == 0
    assert each_is_paid_once(emulator)


def test_stop_ends_a_run_that_is_paused(work, emulator, live):
    control(work, "pause")
    control(work, "stop")
    assert live.end().code == 130
    assert faster(work).code == 0
    assert each_is_paid_once(emulator)


def test_ctrl_c_ends_a_run_that_is_paused(work, emulator, live):
    control(work, "pause")
    live.send(signal.SIGINT)
    assert live.end().code == 130


def test_a_run_that_is_killed_while_paused_goes_on_unpaused(work, emulator, live):
    control(work, "pause")
    live.kill()
    assert status(work)["paused"] is False
    assert faster(work).code == 0
    assert each_is_paid_once(emulator)


def test_what_is_set_is_in_force_for_this_run_alone(work, emulator, live):
    outcome = control(work, "set", "concurrency=9", "rate=60/min", "max_cost=8", "--json")
    assert outcome.answer["command"] == "set concurrency=9 rate=60/min max_cost=8"
    expected = {
        "concurrency": 9,
        "rates": {"wanx-v1": {"requests": 60, "per_s": 60.0}},
        "max_cost": {"amount": 8.0, "currency": "CNY"},
    }
    assert outcome.answer["in_force"] == {"paused": False} | expected
    assert status(work)["in_force"] == expected
    live.kill()
    assert faster(work).code == 0
    assert status(work)["in_force"]["max_cost"] is None
    assert status(work)["in_force"]["concurrency"] == 16


def test_max_cost_counts_what_the_run_has_spent_before_it_was_set(work, emulator, live):
    control(work, "set", "max_cost=0.9")  # five posters
    outcome = live.end()
    assert outcome.code == 3
    assert "max_cost of 0.9 CNY would be passed" in outcome.err
    assert (
        "left: this max_cost was set by `dsrun control` for this run alone; `dsrun" in outcome.err
    )
    assert "goes on without it" in outcome.err
    assert emulator.paid() <= 5


def test_a_max_cost_that_is_spent_already_is_told_to_whoever_sets_it(work, emulator, live):
    told = control(work, "set", "max_cost=0.16").out  # one poster, of two that were sent
    assert "spent or under way already, so the run sends nothing more" in told
    assert live.end().code == 3


def test_max_cost_can_be_raised_before_it_is_reached(work, serve, standing_clock):
    emulator = serve(clock=standing_clock)
    posters = work.posters(12, rate="3/s", concurrency=1, max_cost="1.2 CNY")
    child = work.spawn(posters, "--no-progress")
    work.until(lambda: emulator.paid() > 0, what="a job is sent")
    assert control(work, "set", "max_cost=40 CNY", "rate=100/s").code == 2
    outcome = control(work, "set", "max_cost=40 CNY")
    assert (outcome.code, "already" in outcome.out) == (0, False)
    standing_clock.release()
    assert child.end().code == 0
    assert emulator.paid() == 12


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["set", "rate=5/s"], "more than this run began with"),
        (["set", "rate=301/min"], "more than this run began with"),
        (["set", "rate=0/s"], "is no rate; write it as 2/s"),
        (["set", "concurrency=0"], "allowed: 1 to 10000"),
        (["set", "concurrency=10001"], "allowed: 1 to 10000"),
        (["set", "concurrency=²"], "allowed: 1 to 10000"),
        (["set", "max_cost=8 USD"], "the prices of this run are in CNY"),
        (["set", "max_cost=lots"], "is no amount"),
        (["set", "concurency=3"], "did you mean concurrency?"),
        (["set", "concurrency=3", "concurrency=4"], "stands there twice"),
        (["set", "concurrency"], "write it as concurrency=8"),
        (["set"], "set wants one or more of concurrency=…"),
        (["pause", "concurrency=3"], "takes nothing more"),
        (["pasue"], "did you mean pause?"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_is_refused_and_changes_nothing(work, emulator, live, words, told):
    before = status(work)["in_force"]
    outcome = control(work, *words)
    assert outcome.code == 2
    assert told in outcome.err
    assert status(work)["in_force"] == before
    assert live.process.poll() is None


def test_of_several_settings_one_that_cannot_be_changes_none(work, emulator, live):
    before = status(work)["in_force"]
    assert control(work, "set", "concurrency=3", "rate=1000/s").code == 2
    assert status(work)["in_force"] == before
    refused = orders(work)[-1]
    assert "more than this run began with" in refused["refused"]
    assert json.loads(refused["value"]) == {"concurrency": "3", "rate": "1000/s"}


def test_orders_of_several_at_once_are_all_recorded_and_taken_in_order(work, emulator, live):
    children = [work.spawn("control", "demo.yaml", "set", f"concurrency={n}") for n in range(2, 10)]
    assert [child.end().code for child in children] == [0] * 8
    rows = orders(work)[1:]
    assert sorted(json.loads(row["value"])["concurrency"] for row in rows) == list("23456789")
    assert rows == sorted(rows, key=lambda row: row["token"])
    last = int(json.loads(rows[-1]["value"])["concurrency"])
    assert status(work)["in_force"]["concurrency"] == last


def test_without_a_run_it_says_what_to_do(work, emulator):
    work.posters(1)
    assert control(work, "pause").code == 3  # it has never run
    work.dsrun("demo.yaml")
    outcome = control(work, "pause")
    assert outcome.code == 3
    assert "no run goes on" in outcome.err
    assert "`dsrun demo.yaml` begins or goes on with it" in outcome.err


def test_a_controller_that_is_killed_at_any_moment_leaves_the_run_whole(work, emulator, live):
    for n in range(12):
        killed = work.spawn("control", "demo.yaml", "set", f"concurrency={n + 2}")
        time.sleep(n / 40)  # wherever it is by then: no moment is asked for
        killed.kill()
    stopped = work.spawn("control", "demo.yaml", "set", "concurrency=3")
    stopped.send(signal.SIGSTOP)  # holds no lock that the run waits for
    assert control(work, "stop").code == 0
    assert live.end().code == 130
    stopped.kill()
    assert faster(work).code == 0
    assert each_is_paid_once(emulator)
    assert work.dsrun("verify", work.run_dir()).code == 0


def test_an_order_is_not_left_to_a_later_run(work, emulator, live):
    live.send(signal.SIGSTOP)
    waiting = work.spawn("control", "demo.yaml", "pause")
    folder = work.run_dir() / ".orders"
    work.until(lambda: folder.exists() and list(folder.glob("*.json")), what="an order waits")
    waiting.kill()
    live.kill()
    assert faster(work).code == 0
    assert [row["command"] for row in orders(work)] == ["begin", "begin"]
    assert not folder.exists()


def test_an_order_to_a_run_that_ends_first_is_taken_back(work, emulator, live):
    live.send(signal.SIGSTOP)
    waiting = work.spawn("control", "demo.yaml", "pause")
    folder = work.run_dir() / ".orders"
    work.until(lambda: folder.exists() and list(folder.glob("*.json")), what="an order waits")
    live.kill()
    outcome = waiting.end()
    assert outcome.code == 3
    assert "ended before it took the order; nothing was changed" in outcome.err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"token": 1}', b"\xff", b"{}" * 9999, b'{"command": "pause"}'],
    ids=["empty", "cut", "list", "token", "bytes", "long", "keys"],
)
def test_what_is_no_order_is_passed_over_with_a_warning(work, emulator, live, content):
    folder = work.run_dir() / ".orders"
    folder.mkdir()
    (folder / "0-order.json").write_bytes(content)
    assert control(work, "stop").code == 0
    outcome = live.end()
    assert outcome.code == 130
    assert "0-order in" in outcome.err
    assert "is no order, and is passed over" in outcome.err


def order(**changed):
    """The text of an order to the first run, as `0-order.json` has it."""
    values = {
        "token": "0-order", "run_id": 1, "at": "2026-01-01T00:00:00.000Z", "given_by": "somebody",
        "pid": 1, "command": "pause", "value": None,
    }  # fmt: skip
    return json.dumps(values | changed)


NESTED = "[" * 3000
HALF = "\udcff"  # of a character: a byte of a name that is no UTF-8


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (NESTED, "is no order, and is passed over"),
        (order(given_by=HALF), "is no order, and is passed over"),
        (order(command=HALF), "is no order, and is passed over"),
        (order(value={}), "is no order, and is passed over"),
        (order(value=0), "is no order, and is passed over"),
        (order(at=[]), "is no order, and is passed over"),
        (order(at="yesterday"), "is no order, and is passed over"),
        (order(pid=-1), "is no order, and is passed over"),
        (order(command="set", value=NESTED), "its settings cannot be read"),
        (order(command="set", value='{"\\udcff": 1}'), "its settings cannot be read"),
        (order(command="set", value='{"rate": "\\udcff"}'), "its settings cannot be read"),
    ],
    ids=[
        "nested",
        "giver",
        "command",
        "mapping",
        "zero",
        "at",
        "moment",
        "pid",
        "settings",
        "name",
        "rate",
    ],
)
def test_an_order_that_no_ledger_could_keep_ends_no_run(work, emulator, live, content, told):
    folder = work.run_dir() / ".orders"
    folder.mkdir()
    (folder / "0-order.json").write_text(content)
    assert control(work, "set", "concurrency=3").code == 0
    assert live.process.poll() is None
    assert control(work, "stop").code == 0
    outcome = live.end()
    assert outcome.code == 130
    assert told in outcome.err
    assert faster(work).code == 0
    assert each_is_paid_once(emulator)


def test_an_order_takes_no_name_that_the_ledger_gives_to_a_later_run(work, emulator, live):
    folder = work.run_dir() / ".orders"
    folder.mkdir()
    (folder / "run-2.json").write_text(order(token="run-2"))
    assert control(work, "stop").code == 0
    assert live.end().code == 130
    assert faster(work).code == 0
    assert each_is_paid_once(emulator)


def test_who_orders_may_have_a_name_of_any_bytes(work, emulator, live, monkeypatch):
    monkeypatch.setenv("LOGNAME", HALF)
    assert control(work, "stop").code == 0
    assert live.end().code == 130
    assert orders(work)[-1]["given_by"].startswith("? on ")


def test_what_is_no_order_and_cannot_be_removed_is_told_once(work, emulator, live):
    folder = work.run_dir() / ".orders"
    (folder / "0-order.json/in it").mkdir(parents=True)
    assert [control(work, word).code for word in ("pause", "resume", "stop")] == [0, 0, 0]
    outcome = live.end()
    assert outcome.code == 130
    assert outcome.err.count("0-order in") == 1


def test_a_link_in_place_of_an_order_is_not_followed(work, emulator, live):
    folder = work.run_dir() / ".orders"
    folder.mkdir()
    precious = work.folder / "precious"
    precious.write_text("mine")
    (folder / "0-order.json").symlink_to(precious)
    assert control(work, "stop").code == 0
    assert live.end().code == 130
    assert precious.read_text() == "mine"


def test_a_folder_that_a_link_leads_to_is_left_alone(work, emulator, live):
    elsewhere = work.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.json").write_text("mine")
    (work.run_dir() / ".orders").symlink_to(elsewhere)
    assert control(work, "stop").code == 0  # the link is removed, and not followed
    assert live.end().code == 130
    (work.run_dir() / ".orders").symlink_to(elsewhere)
    assert faster(work).code == 0
    assert (elsewhere / "mine.json").read_text() == "mine"


def test_what_stands_in_the_way_is_told(work, emulator, live):
    (work.run_dir() / ".orders").write_text("")
    outcome = control(work, "pause")
    assert outcome.code == 3
    assert ".orders" in outcome.err
    assert "Move away what is in its place" in outcome.err
    assert status(work)["paused"] is False


def test_a_program_whose_run_is_stopped_goes_on(work, emulator):
    script = work.folder / "program.py"
    script.write_text(
        "import dsrun\n"
        "result = dsrun.run_sync('demo.yaml')\n"
        "print(int(result.exit_code), result.reason)\n"
    )
    work.posters(MANY, rate="4/s")
    child = work.spawn_script(script)
    work.until(lambda: emulator.paid() > 1, what="a few jobs are sent")
    assert control(work, "stop").code == 0
    outcome = child.end()
    assert (outcome.code, outcome.out) == (0, "130 ordered by `dsrun control`\n")


def test_a_pause_holds_every_step_and_a_step_that_builds_on_one(work, emulator):
    steps = """
steps:
  cast:
    operation: qwen-voice-design
    matrix: {tone: [a, b, c, d, e, f]}
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: "A {{ tone }} voice"
      preview_text: Good evening.
  posters:
    operation: wanx-v1
    matrix: {voice: {step: cast}}
    input: {prompt: "a poster of {{ voice.output.voice }}"}
"""
    child = work.spawn(work.pipeline(steps, rate="2/s"), "--no-progress")
    work.until(lambda: emulator.paid() > 1, what="a few jobs are sent")
    assert control(work, "pause").code == 0
    under_way = {"submitting", "submitted"}
    work.until(lambda: not under_way & work.statuses().keys(), what="none is under way")
    paid = emulator.paid()
    assert control(work, "set", "concurrency=3").code == 0
    assert emulator.paid() == paid < 12
    assert control(work, "resume").code == 0
    assert child.end().code == 0
    assert (emulator.paid(), set(emulator.creates().values())) == (12, {1})


def test_a_pause_holds_uploads_too(work, emulator):
    (work.folder / "refs").mkdir()
    for number in range(16):
        image = Image.new("RGB", (300, 300), (number, 0, 0))
        image.save(work.folder / f"refs/{number}.png")
    steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {number: {range: [0, 15]}}
    input: {prompt: "a pot, number {{ number }}", ref_img: {upload: "refs/{{ number }}.png"}}
"""
    child = work.spawn(work.pipeline(steps, rate="3/s", concurrency=2), "--no-progress")
    work.until(lambda: emulator.paid() > 1, what="a few jobs are sent")
    assert control(work, "pause").code == 0
    work.until(lambda: "submitted" not in work.statuses(), what="none is under way")
    counts = [emulator.count("POST"), emulator.count("GET", "/uploads")]
    for _ in range(3):
        assert control(work, "pause").code == 0
    assert [emulator.count("POST"), emulator.count("GET", "/uploads")] == counts
    assert control(work, "resume").code == 0
    assert child.end().code == 0
    assert (emulator.paid(), set(emulator.creates().values())) == (16, {1})


KILLED = """
import os, signal, sys
from dsrun.cli.main import main
from dsrun.ledger.writer import Ledger

record = Ledger.record_order

async def killed(*arguments, **words):
    if sys.argv[1] == "after":
        await record(*arguments, **words)
    os.kill(os.getpid(), signal.SIGKILL)

Ledger.record_order = killed
main(["demo.yaml", "--no-progress"])
"""


@pytest.mark.parametrize(
    ("moment", "code", "commands"),
    [("before", 3, ["begin", "begin"]), ("after", 0, ["begin", "pause", "begin"])],
)
def test_a_run_that_is_killed_at_an_order_goes_on_without_it(
    work, emulator, moment, code, commands
):
    script = work.folder / "killed.py"
    script.write_text(KILLED)
    work.posters(MANY, rate="4/s")
    child = work.spawn_script(script, moment)
    work.until(lambda: emulator.paid() > 1, what="a few jobs are sent")
    assert control(work, "pause").code == code
    assert child.end().code == -signal.SIGKILL
    assert faster(work).code == 0
    assert [row["command"] for row in orders(work)] == commands
    assert each_is_paid_once(emulator)
