"""The output roots that this machine remembers, to adopt no task that another run knows."""

import pytest

from dsrun.session.roots import OutputRoots


@pytest.fixture
def roots(tmp_path):
    return OutputRoots(tmp_path / "state")


def made(folder):
    folder.mkdir()
    return folder


def test_each_root_learns_of_the_others(roots, tmp_path):
    one, two = made(tmp_path / "one"), made(tmp_path / "two")
    roots.note(one)
    roots.note(two)
    assert (roots.others(one), roots.others(two)) == ([two], [one])


def test_one_is_noted_once_whatever_its_path(roots, tmp_path, monkeypatch):
    one = made(tmp_path / "one")
    monkeypatch.chdir(tmp_path)
    for path in (one, one, one / ".." / "one", one.relative_to(tmp_path)):
        roots.note(path)
    lines = (tmp_path / "state/output-roots").read_bytes().split()
    assert len(lines) == 1
    assert roots.others(one) == []


def test_one_that_is_gone_is_passed_over(roots, tmp_path):
    roots.note(made(tmp_path / "one"))
    (tmp_path / "one").rmdir()
    assert roots.others(tmp_path) == []


def test_a_name_of_any_bytes_comes_back(roots, tmp_path):
    strange = made(tmp_path / "\udcff\udcfe")
    roots.note(strange)
    assert roots.others(tmp_path) == [strange]


@pytest.mark.parametrize("rubbish", [b"\x00\xff", b"relative\n", b"\n\n\n", b"/no/such/folder\n"])
def test_rubbish_is_passed_over(tmp_path, rubbish):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/output-roots").write_bytes(rubbish)
    assert OutputRoots(tmp_path / "state").others(tmp_path) == []


def test_without_a_home_nothing_is_remembered(tmp_path):
    roots = OutputRoots(None)
    roots.note(tmp_path)
    assert roots.others(tmp_path / "other") == []


def test_a_state_folder_that_cannot_be_made_is_no_error(tmp_path):
    (tmp_path / "state").write_text("a file")
    roots = OutputRoots(tmp_path / "state")
    roots.note(tmp_path)
    assert roots.others(tmp_path / "other") == []
