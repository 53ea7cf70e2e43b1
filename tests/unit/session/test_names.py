"""A page of names is passed over only where a trial of each would have found nothing to try."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.session.names import _Looks, _TakenNames
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
    disk, taken = Disk(tmp_path_factory.getbasetemp()), _TakenNames()
    for page in pages:
        looks, before = _Looks.of(page), disk.asked
        is_known = looks is not None and taken.has(looks)
        for path in page:
            assert not disk.refusal(path)
        assert not is_known or disk.asked == before
        if looks is not None:
            taken.add(looks)


def test_pages_of_like_names_are_passed_over():
    taken = _TakenNames()
    taken.add(_Looks.of(["10/234.png", "56/789.png"]))
    assert taken.has(_Looks.of([f"{n // 10}/{n}.png" for n in range(100, 999)]))
    assert not taken.has(_Looks.of(["10/2345.png"]))
    assert not taken.has(_Looks.of(["10/a.png"]))


@pytest.mark.parametrize(
    "path",
    ["con.png", "a/CON/b.png", "a/nul.png", "com\u00b9.png", "a /b.png", "a./b.png", " a.png",
     "a/ b.png", "clock$.png", "two\nlines.png"],
)  # fmt: skip
def test_odd_names_are_looked_at_one_by_one(path):
    assert _Looks.of(["plain.png", path]) is None
