"""A problem as text: its words, its line, a caret under the very characters."""

import pytest
from wcwidth import wcswidth

from dsrun.cli.problems import problem_text
from dsrun.common.errors import FileLine, Problem, Rows
from dsrun.common.messages import row_words


@pytest.mark.parametrize(
    ("line", "marked", "shown"),
    [
        pytest.param("n: 9", "9", "n: 9", id="plain"),
        pytest.param(
            "  prompt: 灯笼 nmae", "nmae", "  prompt: 灯笼 nmae", id="behind wide letters"
        ),
        pytest.param("  题材: [a]", "题材", "  题材: [a]", id="wide letters themselves"),
        pytest.param("🏮👩‍👩‍👧é nmae", "nmae", "🏮👩‍👩‍👧é nmae", id="joined emoji, marks"),
        pytest.param("a:\tb,\tnmae", "nmae", "a:    b,    nmae", id="behind tabs"),
        pytest.param("a: \x1b[31m nmae", "nmae", r"a: \x1b[31m nmae", id="behind a control sign"),
        pytest.param("a: \u202e nmae", "nmae", r"a: \u202e nmae", id="behind a turned direction"),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", ""])
def test_the_caret_stands_under_what_is_meant(tmp_path, line, marked, shown, line_end):
    path = tmp_path / "p.yaml"
    path.write_bytes(f"first\n{line}{line_end}".encode())
    column = line.index(marked) + 1
    text = problem_text(problem(path, 2, column, column + len(marked)))
    head, source, caret = text.splitlines()
    assert head == f"{path}:2:{column}: steps: found it"
    assert source == f"  2 | {shown}"
    under = wcswidth(source[: source.index(marked)])
    assert caret == "    | " + " " * (under - 6) + "^" * wcswidth(marked)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("x" * 300, "y" * 300, id="both sides"),
        pytest.param("", "y" * 300, id="at the begin"),
        pytest.param("x" * 300, "", id="at the end"),
        pytest.param("灯" * 300, "笼" * 300, id="wide"),
    ],
)
def test_of_a_long_line_the_part_around_the_caret_is_shown(tmp_path, before, after):
    path = tmp_path / "p.yaml"
    path.write_text(f"{before}HERE{after}\n", encoding="utf-8")
    text = problem_text(problem(path, 1, len(before) + 1, len(before) + 5))
    _, source, caret = text.splitlines()
    assert wcswidth(source) <= 106
    at = wcswidth(source[: source.index("HERE")])
    assert (caret.index("^"), caret.count("^")) == (at, 4)
    assert source.startswith("  1 | ...") == bool(before)
    assert source.endswith("...") == bool(after)


def test_a_place_longer_than_the_screen_is_cut(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("x" * 500, encoding="utf-8")
    _, source, caret = problem_text(problem(path, 1, 1, 501)).splitlines()
    assert source == "  1 | " + "x" * 97 + "..."
    assert caret == "    | " + "^" * 97


@pytest.mark.parametrize(
    ("line", "column"),
    [
        pytest.param(9, 1, id="a line that is not there"),
        pytest.param(2, 1, id="an empty line"),
        pytest.param(0, 0, id="no line"),
    ],
)
def test_without_a_line_to_show_the_words_stand_alone(tmp_path, line, column):
    path = tmp_path / "p.yaml"
    path.write_text("a: b\n\n", encoding="utf-8")
    found = problem(path, line, column, 0)
    assert problem_text(found) == str(found)


def test_a_file_that_has_gone_is_no_second_problem(tmp_path):
    found = problem(tmp_path / "gone.yaml", 1, 1, 0)
    assert problem_text(found) == str(found)


def test_a_column_behind_the_line_s_end_gets_one_caret_there(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("a:\n", encoding="utf-8")
    assert problem_text(problem(path, 1, 9, 0)).splitlines()[1:] == ["  1 | a:", "    |   ^"]


def test_the_first_job_and_its_line_of_data_stand_below(tmp_path):
    manifest, data = tmp_path / "p.yaml", tmp_path / "rows.csv"
    manifest.write_text("n: '{{ row.n }}'\n", encoding="utf-8")
    data.write_text("n\n" * 17 + "9\n", encoding="utf-8")
    rows = Rows(count=1, of=20, index=16, matrix={"n": "9"}, data=(FileLine(str(data), 18),))
    assert problem_text(problem(manifest, 1, 4, 17, rows)).splitlines()[1:] == [
        "   1 | n: '{{ row.n }}'",
        "     |    ^^^^^^^^^^^^^",
        '     = job 16: n "9"',
        f"     --> {data}:18",
        "  18 | 9",
    ]


def test_a_row_without_axes_is_its_number():
    assert row_words(1, {}) == "job 1"


def test_colour_changes_no_letter(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("n: 9\n", encoding="utf-8")
    found = problem(path, 1, 4, 5, Rows(count=1, of=2, index=1, matrix={"n": 9}))
    painted = problem_text(found, color=True, label="warning: ")
    assert "\x1b[1;31m^\x1b[0m" in painted
    for style in ("0", "1", "1;31", "1;34"):
        painted = painted.replace(f"\x1b[{style}m", "")
    assert painted == problem_text(found, label="warning: ")


def problem(path, line, column, end_column, rows=None):
    return Problem(
        file=str(path),
        line=line,
        column=column,
        end_column=end_column,
        where="steps",
        message="found it",
        rows=rows,
    )
