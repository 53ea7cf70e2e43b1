"""What `did you mean` guesses."""

import pytest

from dsrun.common.messages import nearest


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("MARA", ["Mara", "Old Tom"], "Mara"),
        ("mara", ["MARA"], "MARA"),
        ("mARa", ["Marc", "Mara"], "Mara"),
        ("Marra", ["Mara", "Old Tom"], "Mara"),
        ("ANNA", ["Otto"], ""),
        ("M", ["m", "n"], "m"),
        ("", ["Mara"], ""),
    ],
)
def test_the_nearest_name_may_differ_in_case(word, known, meant):
    assert nearest(word, known) == (f" (did you mean {meant}?)" if meant else "")
