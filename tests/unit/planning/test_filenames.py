"""Which texts can be stems: a plain one is told at once what all others are told."""

from hypothesis import given
from hypothesis import strategies as st

from dsrun.planning.filenames import BadStem, stem_of

NAMES = st.text("aZ09_-/.", max_size=70)


@given(NAMES)
def test_a_plain_name_is_what_the_long_way_makes_of_it(name):
    long_way = outcome(f"{name}x/y灯")  # no text beyond ASCII is plain
    assert outcome(f"{name}x/y") == long_way.removesuffix("灯")


@given(NAMES)
def test_a_name_has_no_empty_parts_no_dots_alone_and_no_extension(name):
    made = outcome(name)
    parts = name.split("/")
    if {"", ".", ".."} & {*parts}:
        assert made == "refused"
    elif "." not in name:
        assert made == name


def outcome(name):
    try:
        return stem_of(name, step="posters")
    except BadStem:
        return "refused"
