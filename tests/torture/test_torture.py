"""The proof in short: killed at every point and at random, over a service that misbehaves.

The long one is `python -m tests.torture`. The judge is tested first: a run that went well is
spoiled in every way that it must see.
"""

import asyncio
import io
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import time
import wave
from contextlib import closing

import pytest
from PIL import Image

from tests.torture import wal
from tests.torture.between import Deck
from tests.torture.cases import QUICK, kill_case, point_chains, short_cases
from tests.torture.disk import mountable
from tests.torture.driver import ROOT, SHIFTED, Case, Driver, open_service
from tests.torture.faults import (
    AFTER,
    ASKING,
    BEFORE,
    EXPIRED,
    LIST_ABSENT,
    LOADING,
    STORM,
    TASK,
    TRICKLE,
    USUAL,
    Dice,
)
from tests.torture.judge import judge, judge_payments, read_results
from tests.torture.marks import draw, picture_mark, speak, voice_mark
from tests.torture.neighbour import OTHER, OURS, Neighbour
from tests.torture.points import reachable_points
from tests.torture.spoiled import write_results
from tests.torture.table import HEAD, row_of
from tests.torture.wal import damage

SIDE_BY_SIDE = 4
BODY = {
    "model": "wanx-v1",
    "input": {"prompt": "lantern 0"},
    "parameters": {"n": 2, "seed": 5},
}


async def torture(cases, folder):
    """Run the cases, a few at once; the table says what is wrong."""
    places = asyncio.Semaphore(SIDE_BY_SIDE)

    async def run_one(number, case):
        async with places:
            return await Driver(case, service, folder / f"case-{number}").run()

    async with open_service() as service:
        outcomes = await asyncio.gather(*(run_one(*pair) for pair in enumerate(cases)))
    print(HEAD, *map(row_of, outcomes), sep="\n")
    return outcomes


def wrong(outcomes):
    found = {one.case.name: one.faults_found() for one in outcomes}
    return {name: words for name, words in found.items() if words}


class TestKills:
    async def test_at_random_moments_lose_nothing_and_pay_nothing_twice(self, tmp_path):
        names = (*BEFORE, *AFTER, *ASKING, "file-short", "file-wrong", "failed-task")
        faults = {name: 0.05 for name in names if "stall" not in name}
        cases = [
            kill_case(name="faults", jobs=17, voices=3, kills=3, faults=faults, every_fault=False),
            kill_case(name="one create at a time", jobs=40, kills=6),
            kill_case(name="some at a time", jobs=40, kills=3, window=4),
        ]
        outcomes = await torture(cases, tmp_path)
        assert wrong(outcomes) == {}
        assert sum(outcome.kills for outcome in outcomes) >= 10

    async def test_at_every_point_of_a_job_s_life(self, tmp_path):
        chains = point_chains(3)
        assert sum(len(chain.points) for chain in chains) == len(reachable_points()) >= 40
        assert wrong(await torture(chains, tmp_path)) == {}


class TestFaults:
    async def test_of_every_kind_lose_nothing_and_pay_nothing_twice(self, tmp_path):
        groups = [
            {name: [1 + place] for place, name in enumerate(names)}
            for names in (BEFORE, AFTER, ASKING, LOADING, ("failed-task", STORM))
        ]
        groups.append({LIST_ABSENT: 1.0, "reset-after": [1, 2]})
        cases = [
            Case(
                name=" ".join(faults), pictures=14, voices=2, attempts=2, faults=faults,
                settings=QUICK | {"stall_s": 0.5},
            )
            for faults in groups
        ]  # fmt: skip
        outcomes = await torture(cases, tmp_path)
        assert wrong(outcomes) == {}

    async def test_an_address_that_has_expired_is_asked_for_anew_in_the_same_run(self, tmp_path):
        case = Case(name="expired", pictures=6, faults={"file-expired": [1, 4]})
        [outcome] = await torture([case], tmp_path)
        assert (wrong([outcome]), outcome.runs) == ({}, 1)

    async def test_a_partial_task_gets_its_missing_picture_and_no_other(self, tmp_path):
        case = Case(name="partial", pictures=3, per_job=3, faults={"partial-task": [2]})
        assert wrong(await torture([case], tmp_path)) == {}


class TestShortCases:
    @pytest.mark.timeout(300)
    @pytest.mark.parametrize("part", range(12))
    async def test_lose_nothing_and_pay_nothing_twice(self, tmp_path, part):
        cases = short_cases()[part::12]
        disks = mountable()
        chosen = [case for case in cases if not case.disk or case.disk in disks]
        assert wrong(await torture(chosen, tmp_path)) == {}

    def test_have_every_fault_that_the_others_have_not(self):
        others = {*BEFORE, *AFTER, *ASKING, *LOADING, EXPIRED, *TASK, STORM, LIST_ABSENT}
        short = {name for case in short_cases() for name in case.faults}
        # The clock of the list is a setting in them; a trickle takes a minute to be told.
        assert short | others == USUAL.keys() - {"list-clock", TRICKLE}


@pytest.fixture
async def good(tmp_path):
    """A run directory that passes, and the service's count of it."""
    case = Case(name="good", pictures=3, voices=1)
    async with open_service() as service:
        driver = Driver(case, service, tmp_path / "case")
        outcome = await driver.run()
        state = await service.counts("sk-7-good")
    assert outcome.is_pass
    return (tmp_path / "case/outputs/torture/latest").resolve(), state


class TestJudge:
    async def test_sees_every_way_in_which_a_run_can_be_spoiled(self, good, tmp_path):
        run_dir, state = good
        seen = {}
        for spoil in SPOILS:
            copy = tmp_path / spoil.__name__ / "run"
            shutil.copytree(run_dir, copy)
            own = json.loads(json.dumps(state))
            spoil(copy, own)
            seen[spoil.__name__] = set(judge(copy, own, pictures=3, voices=1).wrong())
        assert seen == {
            "nothing": set(),
            "pay_again": {"twice"},
            "pay_for_nobody": {"lost"},
            "swap_files": {"damaged", "lost"},
            "swap_tasks": {"adopted", "lost"},
            "cut_a_file": {"damaged", "lost"},
            "drop_a_file": {"damaged", "lost"},
            "leave_a_temporary": {"litter"},
            "leave_a_file": {"litter"},
            "share_a_task": {"broken"},
            "give_the_key_away": {"broken"},
            "drop_a_line": {"unended", "lost", "litter"},
            "doubt_a_job": {"unknown_paid"},
            "doubt_a_job_that_was_never_accepted": {"unknown_free"},
            "add_a_file": {"adopted"},
            "leave_a_task_that_answers": {"unended"},
            "leave_a_task_that_never_answers": set(),
        }


def nothing(run_dir, state):
    pass


def pay_again(run_dir, state):
    state["paid"][next(iter(state["paid"]))] += 1


def pay_for_nobody(run_dir, state):
    state["paid"]["another"] = 1


def swap_files(run_dir, state):
    first, second = (run_dir / f"artifacts/pictures/{number}-0.png" for number in (0, 1))
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)


def swap_tasks(run_dir, state):
    """Each file and its row are in order, but they are those of another job."""
    swap_files(run_dir, state)
    lines = read_results(run_dir)
    for key in ("sha256", "size"):
        one, two = lines[0]["artifacts"][0], lines[1]["artifacts"][0]
        one[key], two[key] = two[key], one[key]
    write_results(run_dir, lines)


def cut_a_file(run_dir, state):
    path = run_dir / "artifacts/voices/0.wav"
    path.write_bytes(path.read_bytes()[:-1])


def drop_a_file(run_dir, state):
    (run_dir / "artifacts/pictures/0-0.png").unlink()


def leave_a_temporary(run_dir, state):
    (run_dir / ".tmp").mkdir()


def leave_a_file(run_dir, state):
    (run_dir / "artifacts/pictures/9-0.png").write_bytes(b"")


def share_a_task(run_dir, state):
    with closing(sqlite3.connect(run_dir / "ledger.sqlite3")) as db, db:
        db.execute("UPDATE job SET task_id = 'one' WHERE step = 'pictures'")


def give_the_key_away(run_dir, state):
    state["leaks"] = 1


def drop_a_line(run_dir, state):
    write_results(run_dir, read_results(run_dir)[:-1])


def doubt_a_job(run_dir, state):
    lines = read_results(run_dir)
    lines[0] |= {"status": "unknown", "error": {"message": "lost"}}
    write_results(run_dir, lines)


def doubt_a_job_that_was_never_accepted(run_dir, state):
    doubt_a_job(run_dir, state)
    del state["paid"][picture_mark(read_results(run_dir)[0]["request"], 0)]


def add_a_file(run_dir, state):
    """More pictures than were asked for are another's."""
    lines = read_results(run_dir)
    lines[0]["artifacts"].append(lines[0]["artifacts"][0] | {"index": 1})
    write_results(run_dir, lines)


def leave_a_task_that_answers(run_dir, state):
    lines = read_results(run_dir)
    lines[0] |= {"status": "submitted"}
    write_results(run_dir, lines)


def leave_a_task_that_never_answers(run_dir, state):
    leave_a_task_that_answers(run_dir, state)
    state["mute"] = [picture_mark(read_results(run_dir)[0]["request"], 0)]


SPOILS = (
    nothing, pay_again, pay_for_nobody, swap_files, swap_tasks, cut_a_file, drop_a_file,
    leave_a_temporary, leave_a_file, share_a_task, give_the_key_away, drop_a_line, doubt_a_job,
    doubt_a_job_that_was_never_accepted, add_a_file, leave_a_task_that_answers,
    leave_a_task_that_never_answers,
)  # fmt: skip


class TestCommand:
    def test_prints_a_table_and_says_by_its_exit_code_whether_all_passed(self):
        done = torture_command("--jobs", "10", "--kills", "0")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(HEAD)
        assert done.stdout.endswith("1 of 1 cases passed\n")

    def test_names_the_faults_that_there_are(self):
        done = torture_command("--faults", "rain=0.1")
        assert done.returncode == 2
        assert "no such fault: rain; there are 409-before, reset-before" in done.stderr

    def test_takes_settings_of_the_world_among_the_faults(self):
        done = torture_command("--faults", "foreign=1", "--jobs", "5", "--kills", "0")
        assert done.returncode == 0, done.stderr

    def test_a_setting_needs_a_number(self):
        done = torture_command("--faults", "foreign=much")
        assert done.returncode == 2
        assert "foreign=much" in done.stderr


def torture_command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.torture", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


class TestStopped:
    def test_only_payments_are_judged_where_no_ledger_is_to_be_read(self):
        state = {"paid": {"one": 2, "two": 1}, "creates": {}, "leaks": 0}
        assert judge_payments(state).wrong() == {"twice": 1}

    @pytest.mark.parametrize("kind", wal.KINDS)
    def test_a_log_that_is_spoilt_is_another(self, kind, tmp_path):
        log = tmp_path / "ledger.sqlite3-wal"
        log.write_bytes(bytes(1000))
        assert damage(log, kind, random.Random(7))
        assert not log.exists() or log.read_bytes() != bytes(1000)

    def test_there_is_nothing_to_spoil_in_a_log_that_is_not_there(self, tmp_path):
        assert not damage(tmp_path / "ledger.sqlite3-wal", "cut", random.Random(7))


DAY = {"start": 1e9 - 86400, "end": 1e9, "model_name": OURS, "status": None}


class TestNeighbour:
    def test_has_a_long_history_that_is_made_when_it_is_looked_at(self):
        neighbour = Neighbour(since=1e9, history=300_000)
        numbers = neighbour.older(**DAY)
        assert len(numbers) == 300_000
        [newest, *_, oldest] = neighbour.tasks([*numbers[:2], *numbers[-2:]])
        assert 1e9 > newest.made_at > oldest.made_at >= 1e9 - 86400
        assert neighbour.find(newest.task_id) == newest

    def test_makes_a_task_every_so_often_and_knows_no_other(self):
        neighbour = Neighbour(since=1e9 - 10, every_s=2.0)
        assert len(neighbour.recent(**DAY, now=1e9)) == 6
        assert neighbour.recent(**DAY | {"model_name": OTHER}, now=1e9) == []
        assert neighbour.find("c520ece5-6553-47dd-a2f0-97d9299f5d11") is None


class TestShiftedClock:
    def test_moves_the_time_of_day_and_no_duration(self, tmp_path):
        script = tmp_path / "tell.py"
        script.write_text(
            "import time\nfrom datetime import UTC, datetime\n"
            "print(datetime.now(UTC).timestamp(), time.time(), time.time_ns() / 1e9)\n"
            "print(time.monotonic())\n",
            encoding="utf-8",
        )
        command = [sys.executable, str(SHIFTED), "-7200", str(script)]
        before, monotonic = time.time() - 7200, time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        *shifted, plain = map(float, done.stdout.split())
        assert all(before - 1 <= told <= time.time() - 7199 for told in shifted)
        assert monotonic <= plain <= time.monotonic()


class TestDeck:
    def test_deals_every_card_before_one_comes_again(self):
        deck = Deck(range(10), seed=1)
        assert sorted(deck.deal() for _ in range(10)) == list(range(10))


class TestMarks:
    def test_a_picture_is_the_same_alone_and_among_its_neighbours(self):
        alone = {**BODY, "parameters": {"n": 1, "seed": 6}}
        assert picture_mark(BODY, 1) == picture_mark(alone, 0)
        assert picture_mark(BODY, 0) != picture_mark(BODY, 1)

    def test_files_are_valid_small_and_each_its_own(self):
        files = [draw(picture_mark(BODY, index)) for index in (0, 1)]
        assert files[0] != files[1]
        for file in files:
            Image.open(io.BytesIO(file)).verify()
            assert len(file) < 2048
        with wave.open(io.BytesIO(speak(voice_mark(BODY), 8000))) as sound:
            assert (sound.getframerate(), sound.getnframes()) == (8000, 512)


class TestDice:
    def test_one_fault_never_shifts_another(self):
        alone = Dice({"storm": 0.5}, seed=1)
        beside = Dice({"storm": 0.5, "stall": 0.5}, seed=1)
        rolls = []
        for _ in range(50):
            beside.hit("stall")
            rolls.append((alone.hit("storm"), beside.hit("storm")))
        assert {one == two for one, two in rolls} == {True}
        assert alone.hits["storm"] == sum(one for one, _ in rolls) > 0

    def test_named_rolls_hit_and_no_other(self):
        dice = Dice({"stall": [1, 3]}, seed=1)
        assert [dice.hit("stall") for _ in range(4)] == [True, False, True, False]
