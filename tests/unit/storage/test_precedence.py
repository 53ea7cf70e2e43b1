"""Runs of one output root, each with its lock and its number."""

from contextlib import ExitStack

import pytest
from filelock import FileLock

from dsrun.common.errors import SetupError
from dsrun.storage.precedence import Living, Precedence


class Root:
    """An output root in which runs begin and end."""

    def __init__(self, out, stack):
        self.out = out
        self._stack = stack
        self._locks = {}

    def begin(self, name):
        """A run that holds its directory, and has taken no number yet."""
        folder = self.folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        self._locks[name] = lock = FileLock(folder / ".lock")
        self._stack.enter_context(lock)
        return Precedence(folder, out=self.out)

    def enter(self, name):
        run = self.begin(name)
        run.enter()
        return run

    def kill(self, name):
        """The lock goes with the process; whatever it has written stays."""
        self._locks[name].release()

    def folder(self, name):
        return self.out / name / "3f9c0a1b2c4d"

    def living(self, **runs):
        return [Living(self.folder(name), is_earlier) for name, is_earlier in runs.items()]


@pytest.fixture
def root(tmp_path):
    with ExitStack() as stack:
        yield Root(tmp_path / "outputs", stack)


def test_of_two_runs_one_is_earlier(root):
    first, second = root.enter("a"), root.enter("b")
    assert first.living() == root.living(b=False)
    assert second.living() == root.living(a=True)


def test_the_order_of_entering_counts_and_not_that_of_beginning(root):
    first, second = root.begin("a"), root.begin("b")
    second.enter()
    first.enter()
    assert first.living() == root.living(b=True)
    assert second.living() == root.living(a=False)


def test_a_run_that_has_not_entered_is_living_and_no_earlier_one(root):
    waiting, run = root.begin("a"), root.enter("b")
    assert run.living() == root.living(a=False)
    assert waiting.living() == root.living(b=False)


def test_a_run_that_has_ended_or_was_killed_is_not_there(root):
    ended, _, run = root.enter("a"), root.enter("b"), root.enter("c")
    ended.leave()
    root.kill("a")
    root.kill("b")
    assert run.living() == []


def test_a_run_that_comes_back_after_a_kill_stands_behind_those_that_were_there(root):
    root.enter("a")
    run = root.enter("b")
    root.kill("a")
    back = root.begin("a")
    assert run.living() == root.living(a=False)
    back.enter()
    assert run.living() == root.living(a=False)
    assert back.living() == root.living(b=True)


def test_a_run_that_rests_has_nothing_in_hand_and_enters_again_behind_the_others(root):
    first, second = root.enter("a"), root.enter("b")
    first.rest()
    assert second.living() == []
    first.enter()
    assert second.living() == root.living(a=False)
    assert first.living() == root.living(b=True)


def test_numbers_go_up_as_long_as_one_is_there(root):
    root.enter("a")
    for _ in range(3):
        root.enter("b").leave()
        root.kill("b")
    run = root.enter("c")
    assert run.living() == root.living(a=True)


def test_the_link_to_the_newest_run_is_no_run(root):
    root.enter("a")
    (root.out / "a/latest").symlink_to(root.folder("a").name, target_is_directory=True)
    assert root.enter("b").living() == root.living(a=True)


def test_a_gate_that_somebody_keeps_shut_is_told(root, monkeypatch):
    monkeypatch.setattr("dsrun.storage.precedence._PATIENCE_S", 0.05)
    run = root.begin("a")
    with FileLock(root.out / ".lock"), pytest.raises(SetupError, match="held by another dsrun"):
        run.enter()
