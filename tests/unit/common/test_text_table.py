"""Tables fit a terminal: nothing is lost, no word is broken, and what has room stays as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from dsrun.common.text_table import table, wrapped

WORDS = st.lists(st.text("abcdefgh0123456789.,-/", min_size=1, max_size=12), max_size=6)
CELLS = WORDS.map(" ".join)
ROWS = st.integers(1, 6).flatmap(
    lambda count: st.lists(st.lists(CELLS, min_size=count, max_size=count), min_size=2, max_size=5)
)
PLAN = [
    ["step", "operation", "jobs", "cost", "of"],
    ["drafts", "wanx-v1", "3", "= 0.48 CNY", "3 images at 0.16 CNY (price of 2026-06)"],
    ["large", "wan2.5-i2i-preview", "12000", "= 2400 CNY", "12000 images at 0.2 CNY"],
]


@given(ROWS)
def test_without_a_width_every_row_is_a_line(rows):
    assert len(table(rows).split("\n")) == len(rows)


@given(ROWS, st.booleans())
def test_a_table_that_fits_is_as_without_a_width(rows, titled):
    whole = table(rows)
    width = max(map(len, whole.split("\n")))
    assert table(rows, titled=titled, width=max(1, width + 4)) == whole


@given(ROWS, st.integers(20, 80))
def test_no_line_is_wider_than_the_terminal_but_for_one_word(rows, width):
    for line in table(rows, titled=True, width=width).split("\n"):
        assert len(line) <= width or len(line.split()) == 1


@given(ROWS, st.integers(1, 80), st.booleans())
def test_no_word_is_lost_or_broken(rows, width, titled):
    told = table(rows, titled=titled, width=width)
    shown = {word.removesuffix(",") for word in told.split()} | set(told.split())
    for row in rows[1:]:
        assert {word for cell in row for word in cell.split()} <= shown


def test_cells_wrap_between_words_below_their_title():
    assert table(PLAN, titled=True, width=64).split("\n") == [
        "step    operation           jobs   cost        of",
        "drafts  wanx-v1             3      = 0.48 CNY  3 images at 0.16",
        "                                               CNY (price of",
        "                                               2026-06)",
        "large   wan2.5-i2i-preview  12000  = 2400 CNY  12000 images at",
        "                                               0.2 CNY",
    ]


def test_where_columns_do_not_fit_a_row_is_a_paragraph_that_names_them():
    assert table(PLAN, titled=True, width=40).split("\n") == [
        "drafts  operation wanx-v1, jobs 3,",
        "    cost = 0.48 CNY,",
        "    of 3 images at 0.16 CNY (price of",
        "    2026-06)",
        "large  operation wan2.5-i2i-preview,",
        "    jobs 12000, cost = 2400 CNY,",
        "    of 12000 images at 0.2 CNY",
    ]


def test_an_empty_cell_has_no_place_in_a_paragraph():
    rows = [["a", "b", "c"], ["one", "", "a long text of many words"], ["two", "x" * 30, "y"]]
    assert "one  c a long text of many words" in table(rows, titled=True, width=36)


@pytest.mark.parametrize("width", [8, 9, 20])
def test_letters_without_spaces_wrap_between_letters(width):
    lines = wrapped("近景镜头十八岁的中国女孩古代服饰", width)
    assert all(wcswidth(line) <= width for line in lines)
    assert "".join(lines) == "近景镜头十八岁的中国女孩古代服饰"


def test_a_table_of_nothing_is_empty():
    assert table([], width=40) == table([]) == ""
