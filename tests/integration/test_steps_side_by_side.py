"""Runs that share steps: a parent in other hands is waited for, and nothing is paid twice."""

import shutil
import signal

from tests.integration.test_steps_killed import CHILD, runs_to_the_end
from tests.integration.test_steps_run import (
    LINES,
    audiobook,
    change,
    forget,
    steps_of,
    storyboard,
    texts,
)

BIG = {"picture_scale": 0.5}


def test_a_parent_that_another_living_run_has_is_waited_for_and_its_children_too(work, serve):
    service = serve(task_time_s=1.5, **BIG)
    first = storyboard(work, shots=2, name="first")
    second = storyboard(work, shots=3, name="second")
    child = work.spawn("run", first)
    work.until(lambda: service.paid() == 2, what="two tasks")
    assert work.dsrun(second).code == 0
    assert child.end().code == 0
    assert list(service.creates().values()) == [1] * 6


def test_a_run_that_comes_second_takes_over_what_a_stopped_one_has_left(work, serve):
    service = serve(task_time_s=1.0, **BIG)
    first = storyboard(work, shots=2, name="first")
    child = work.spawn("run", first)
    work.until(lambda: service.tasks_asked_for() == 4, what="tasks of all, whose ids are on disk")
    child.kill()
    assert runs_to_the_end(work, storyboard(work, shots=2, name="second")) == 0
    assert list(service.creates().values()) == [1] * 4


def test_a_task_of_another_run_made_of_other_values_is_not_shared(work, serve):
    service = serve(task_time_s=5.0, **BIG)
    first = storyboard(work, name="first")
    child = work.spawn("run", first)
    work.until(lambda: service.paid() == 2, what="a child's task")
    child.kill()
    shutil.rmtree(work.folder / "outputs/.cache")
    change(work, "UPDATE job SET sent = replace(sent, 'sha256:', 'sha256:0')", name="first")
    child = work.spawn("run", storyboard(work, name="second"))
    work.until(lambda: len(service.creates()) == 3, what="a child of its own")
    child.send(signal.SIGINT)
    child.end()


def test_with_no_cache_parents_and_children_are_made_anew(work, emulator):
    work.dsrun(audiobook(work, "ab", LINES))
    shutil.rmtree(work.folder / "outputs/demo")
    assert work.dsrun(audiobook(work, "ab", LINES), "--no-cache").code == 0
    assert emulator.paid() == 10
    assert sum(texts(emulator).values()) == 6


def test_a_child_in_the_cache_is_asked_for_again_once_its_parent_has_ended(work, serve):
    """The parent is made again in the same way, while its run goes on."""
    service = serve(**BIG)
    work.dsrun(storyboard(work, shots=3))
    forget(work, "shots")
    shutil.rmtree(work.folder / "outputs/demo")
    assert work.dsrun(storyboard(work, shots=4, name="second")).code == 0
    assert service.paid() == 6 + 3 + 2


def test_of_two_runs_without_the_cache_one_gives_parents_and_their_children_alike(work, emulator):
    for name in ("first", "second"):
        work.dsrun(audiobook(work, "ab", LINES, name=name), "--no-cache")
    assert emulator.paid() == 10
    assert work.dsrun(audiobook(work, "ab", LINES, name="third")).code == 0
    assert emulator.paid() == 10


def test_children_that_a_killed_run_had_made_are_not_made_again_by_another(work, serve):
    """It had not given them to the cache, and here they still wait for their parents."""
    service = serve(**BIG)
    first = storyboard(work, shots=2, name="first")
    work.spawn_script(CHILD, "after Ledger.record_result", "4", "run", first).end()
    assert work.dsrun(storyboard(work, shots=3, name="second")).code == 0
    assert list(service.creates().values()) == [1] * 6


def test_what_was_made_without_the_cache_displaces_nothing_that_fits_there(work, emulator):
    for name, *options in (("first",), ("second", "--no-cache"), ("second",)):
        work.dsrun(audiobook(work, "ab", LINES, name=name), *options)
    assert emulator.paid() == 10
    assert work.dsrun(audiobook(work, "ab", LINES, name="third")).code == 0
    assert emulator.paid() == 10


def test_a_child_of_a_parent_made_without_the_cache_displaces_no_other_there(work, emulator):
    for name, *options in (("first",), ("second", "--no-cache", "--step", "cast"), ("second",)):
        work.dsrun(audiobook(work, "ab", LINES, name=name), *options)
    assert emulator.paid() == 10
    assert work.dsrun(audiobook(work, "ab", LINES, name="third")).code == 0
    assert emulator.paid() == 10


def test_a_voice_whose_answer_was_lost_is_made_once_for_all_runs_and_so_are_its_lines(work, serve):
    service = serve("lost-answer")
    assert work.dsrun(audiobook(work, "ab", LINES), "--step", "cast").code == 1
    service.heal()
    assert work.dsrun(audiobook(work, "ab", LINES)).code == 1
    assert steps_of(work)["cast", "partial"] == 2
    paid = service.paid()
    edited = audiobook(work, "ab", LINES, says={"a": "another voice"})
    told = work.dsrun("plan", edited, "--json").answer["steps"]
    lines_of_a = sum(by == "a" for by, _ in LINES)
    assert (told["cast"]["to_send"], told["speech"]["to_send"]) == (1, lines_of_a)
    assert work.dsrun(edited).code == 1
    assert service.paid() == paid + 1 + lines_of_a
    ends = steps_of(work)
    assert (ends["cast", "partial"], ends["cast", "succeeded"]) == (1, 1)
    (kept,) = [line for line in work.results() if line["status"] == "partial"]
    assert kept["output"]["voice"]
    assert "a higher `take` of the step makes it anew" in kept["error"]["message"]
    assert work.dsrun("verify", work.run_dir()).code == 0
