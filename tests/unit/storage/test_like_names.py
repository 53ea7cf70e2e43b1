"""A page of names is passed over only where a trial of each would have found nothing to try."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.storage.name_trial import NameTrial

PARTS = st.text(st.sampled_from("ab灯é -_."), min_size=1, max_size=6)
WORDS = st.sampled_from(["con", "CON", "nul.txt", "com1", "lpt\u00b2", "a ", " a", "a.", "clock$"])
PATHS = st.lists(st.one_of(PARTS, WORDS), min_size=1, max_size=3).map("/".join)


class Disk(NameTrial):
    """A trial that takes every name, and counts what it had to ask the disk for."""

    asked = 0

    def _try(self, name):
        self.asked += 1


@given(st.lists(st.lists(PATHS, min_size=1, max_size=4), max_size=8))
def test_what_is_passed_over_needs_no_trial(tmp_path_factory, pages):
    disk = Disk(tmp_path_factory.getbasetemp())
    for page in pages:
        is_known, before = disk.has_taken_like(page), disk.asked
        for path in page:
            assert not disk.refusal(path)
        assert not is_known or disk.asked == before


def test_pages_of_like_names_are_passed_over(tmp_path):
    disk = Disk(tmp_path)
    for path in ("10/234.png", "56/789.png"):
        assert not disk.refusal(path)
    assert disk.has_taken_like([f"{n // 10}/{n}.png" for n in range(100, 999)])
    assert not disk.has_taken_like(["10/2345.png"])
    assert not disk.has_taken_like(["10/a.png"])


@pytest.mark.parametrize(
    "path",
    ["con.png", "a/CON/b.png", "a/nul.png", "com\u00b9.png", "a /b.png", "a./b.png", " a.png",
     "a/ b.png", "clock$.png", "two\nlines.png"],
)  # fmt: skip
def test_odd_names_are_looked_at_one_by_one(path, tmp_path):
    disk = Disk(tmp_path)
    for taken in ("plain.png", path):
        assert not disk.refusal(taken)
    assert not disk.has_taken_like(["plain.png", path])
