"""Names are tried on the disk itself, few of many."""

import errno
import os

import pytest

from dsrun.common.errors import SetupError
from dsrun.storage import name_trial
from dsrun.storage.name_trial import NameTrial


class Disk(NameTrial):
    """A trial that counts, on a disk that refuses some names."""

    def __init__(self, run_dir, *, refuses=lambda name: False, number=errno.EINVAL):
        super().__init__(run_dir)
        self.tried = []
        self._refuses = refuses
        self._number = number

    def _try(self, name):
        self.tried.append(name)
        if self._refuses(name):
            raise OSError(self._number, os.strerror(self._number))
        super()._try(name)


@pytest.fixture
def run_dir(tmp_path):
    (tmp_path / ".tmp").mkdir()
    return tmp_path


def test_a_real_disk_takes_plain_names_and_refuses_too_long_ones(run_dir):
    trial = NameTrial(run_dir)
    assert trial.refusal("posters/a/b/灯笼 1.png") == ""
    assert trial.refusal("posters/" + "a" * 255) == ""
    assert trial.refusal("posters/" + "a" * 256) == os.strerror(errno.ENAMETOOLONG)
    assert trial.refusal("posters/" + "灯" * 86) == os.strerror(errno.ENAMETOOLONG)
    assert trial.refusal("posters/a/b/still fine.png") == ""
    assert not (run_dir / "artifacts").exists()


def test_the_length_of_the_whole_path_counts_as_it_will_be(run_dir):
    """A path of artifacts is as long as the one that is tried."""
    room = 4095 - len(os.fsencode(run_dir / "artifacts")) - 1
    parts, rest = divmod(room, 200)
    name = "/".join(["a" * 199] * parts + ["b" * (rest or 1)])
    assert NameTrial(run_dir).refusal(name[:room]) == ""
    assert NameTrial(run_dir).refusal(name[:room] + "bb") == os.strerror(errno.ENAMETOOLONG)


def test_names_of_the_same_characters_are_tried_once(run_dir):
    trial = Disk(run_dir)
    for number in range(1000, 3000):
        assert trial.refusal(f"posters/灯笼 {number}.png") == ""
    assert len(trial.tried) <= 10


def test_every_name_with_a_refused_character_is_refused_and_no_other(run_dir):
    trial = Disk(run_dir, refuses=lambda name: ":" in name)
    titles = ["a: b", "ab", "b: a", "c", "a:", "ba"]
    assert [bool(trial.refusal(f"posters/{title}.png")) for title in titles] == [
        True, False, True, False, True, False,
    ]  # fmt: skip


def test_every_name_that_is_longer_than_those_taken_is_tried(run_dir):
    trial = Disk(run_dir, refuses=lambda name: len(name) > 20)
    lengths = [30, 5, 21, 20, 25, 12]
    refused = [bool(trial.refusal("a" * length)) for length in lengths]
    assert refused == [length > 20 for length in lengths]


@pytest.mark.parametrize(
    "name", ["posters/con.png", "NUL/a.png", "posters/lpt1", "posters/a./b.png", "posters/a /b.png"]
)
def test_an_odd_name_is_tried_although_its_characters_are_known(run_dir, name):
    trial = Disk(run_dir, refuses=lambda tried: tried == name)
    assert trial.refusal("posters/a b c d e l n o p r s t u N U L 1 . long enough.png") == ""
    assert trial.refusal(name) == os.strerror(errno.EINVAL)


def test_a_disk_that_takes_no_name_is_no_matter_of_names(run_dir):
    trial = Disk(run_dir, refuses=lambda _: True, number=errno.ENOSPC)
    with pytest.raises(SetupError, match="Free the disk"):
        trial.refusal("posters/a.png")


def test_a_name_that_is_kept_under_another_spelling_is_refused(run_dir, monkeypatch):
    """FAT drops the dot at the end of a folder's name, and two folders become one."""
    listed = os.listdir
    monkeypatch.setattr(
        name_trial.os, "listdir", lambda path: [name.rstrip(".") for name in listed(path)]
    )
    trial = NameTrial(run_dir)
    assert "under another name" in trial.refusal("posters/The end./a.png")
    assert trial.refusal("posters/The end/a.png") == ""


def test_names_that_the_disk_decomposes_are_taken(run_dir, monkeypatch):
    """HFS+ does so, and finds them by either spelling."""
    monkeypatch.setattr(name_trial.os, "listdir", lambda _: ["cafe\u0301.png", "posters"])
    assert NameTrial(run_dir).refusal("posters/caf\u00e9.png") == ""
