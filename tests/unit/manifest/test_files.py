"""Rows of data files, the same however an editor saved them."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.common.errors import ManifestError
from dsrun.manifest.files import DataFile, read_text, text_sha256

CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00\r"), max_size=8)


SEEN = st.builds("{}x".format, CELLS)  # a row without anything to see is none


@given(rows=st.lists(st.tuples(CELLS, SEEN), min_size=1, max_size=5))
def test_what_a_spreadsheet_writes_is_read_cell_by_cell(tmp_path_factory, rows):
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["a", "b"], *rows])
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    path.write_bytes(text.getvalue().encode())
    assert list(DataFile(path, shown_as="rows.csv")) == [{"a": a, "b": b} for a, b in rows]


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        pytest.param("a.csv", b"x,y\n1,2\n", [{"x": "1", "y": "2"}], id="csv: cells are text"),
        pytest.param("a.csv", b"\xef\xbb\xbfx\n1\n", [{"x": "1"}], id="csv: byte order mark"),
        pytest.param("a.csv", b"x\r\n1\r\n", [{"x": "1"}], id="csv: Windows"),
        pytest.param("a.csv", b"x\r1\r", [{"x": "1"}], id="csv: old Mac"),
        pytest.param("a.csv", b"x\n1", [{"x": "1"}], id="csv: no last line end"),
        pytest.param("a.csv", b"\n\nx\n\n1\n\n", [{"x": "1"}], id="csv: empty lines"),
        pytest.param("a.csv", b'x\n"1\n2"\n', [{"x": "1\n2"}], id="csv: a line end in a cell"),
        pytest.param("a.csv", b'x\n"1 ""2"""\n', [{"x": '1 "2"'}], id="csv: quotes in a cell"),
        pytest.param("a.csv", b"x,y\n,1\n", [{"x": "", "y": "1"}], id="csv: an empty cell"),
        pytest.param("a.csv", b"x,,,\n1,,,\n2\n", [{"x": "1"}, {"x": "2"}], id="csv: no names"),
        pytest.param("a.csv", b"x, ,\n1,\xc2\xa0,\n", [{"x": "1"}], id="csv: blank names"),
        pytest.param("a.csv", b",,\nx,y\n1,2\n", [{"x": "1", "y": "2"}], id="csv: blank first"),
        pytest.param("a.csv", "\u3000x\n灯\n".encode(), [{"\u3000x": "灯"}], id="csv: wide"),
        pytest.param("a.tsv", b"x\t\n1\t\n", [{"x": "1"}], id="tsv: no name"),
        pytest.param(
            "a.tsv",
            b'x\ty\n"a\t1\nb\t2\nc"\t3\n',
            [{"x": '"a', "y": "1"}, {"x": "b", "y": "2"}, {"x": 'c"', "y": "3"}],
            id="tsv: a quote is a character",
        ),
        pytest.param("a.tsv", b'x\n"a"\n""\n', [{"x": '"a"'}, {"x": '""'}], id="tsv: in quotes"),
        pytest.param("a.tsv", b'x\ny"\r\n"z', [{"x": 'y"'}, {"x": '"z'}], id="tsv: Windows"),
        pytest.param("a.csv", b"x\n 1 \n", [{"x": " 1 "}], id="csv: spaces stay"),
        pytest.param("a.CSV", b"x\n1\n", [{"x": "1"}], id="csv: capital letters"),
        pytest.param("a.csv", "名称\n灯\n".encode(), [{"名称": "灯"}], id="csv: Chinese"),
        pytest.param("a.tsv", b"x\ty\n1,5\t2\n", [{"x": "1,5", "y": "2"}], id="tsv"),
        pytest.param("a.json", b'[1, "a", {"b": null}]', [1, "a", {"b": None}], id="json"),
        pytest.param("a.json", b"\xef\xbb\xbf[]", [], id="json: byte order mark, no rows"),
        pytest.param("a.jsonl", b'{"a": 1}\n\n{"a": 2}', [{"a": 1}, {"a": 2}], id="jsonl"),
        pytest.param("a.jsonl", b"\xef\xbb\xbf1\r\n2\r\n", [1, 2], id="jsonl: BOM and Windows"),
        pytest.param("a.ndjson", b"1\n", [1], id="ndjson"),
        pytest.param("a.yaml", b"- no\n- {a: 1}\n", ["no", {"a": 1}], id="yaml"),
        pytest.param("a.yml", b"[]", [], id="yml: no rows"),
        pytest.param("a.txt", b"one\n\n two \r\nthree", ["one", " two ", "three"], id="txt"),
        pytest.param("a.txt", b"\xef\xbb\xbfone\n", ["one"], id="txt: byte order mark"),
        pytest.param("a.txt", "a\u2028b\x0cc\n".encode(), ["a\u2028b\x0cc"], id="txt: odd breaks"),
        pytest.param("a.txt", b"", [], id="txt: empty"),
    ],
)
def test_rows_of_every_kind_of_file(tmp_path, name, content, rows):
    path = tmp_path / name
    path.write_bytes(content)
    data = DataFile(path, shown_as=name)
    assert (list(data), len(data)) == (rows, len(rows))
    assert list(data) == rows


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        pytest.param("a.csv", b"", "a.csv:1:1: the file is empty", id="csv: empty"),
        pytest.param("a.csv", b"\xef\xbb\xbf", "a.csv:1:1: the file is empty", id="csv: a BOM"),
        pytest.param("a.csv", b"x,y\n1\n", "a.csv:2:1: found 1 column; ", id="csv: too few"),
        pytest.param("a.csv", b"x\n\n1,2\n", "a.csv:3:1: found 2 columns; ", id="csv: too many"),
        pytest.param("a.csv", b"x,x\n", "a.csv:1:1: two columns are named x", id="csv: twice"),
        pytest.param("a.csv", b"x, ,y\n", "a.csv:1:1: column 2 has no name", id="csv: no name"),
        pytest.param(
            "a.csv",
            b"x,,\n1,,\n2,,z\n",
            'a.csv:3:1: column 3 holds "z", but has no name in the first line; name the column',
            id="csv: a cell without a name",
        ),
        pytest.param("a.csv", b"x,\n1,,\n", "a.csv:2:1: found 3 columns; ", id="csv: wider still"),
        pytest.param("a.csv", b"x,y,\n1\n", "a.csv:2:1: found 1 column; ", id="csv: narrower"),
        pytest.param("a.csv", b",,\n", "a.csv:1:1: the file is empty", id="csv: only blanks"),
        pytest.param("a.csv", b'x\n"1\n2\n', "a.csv:2:1: not CSV", id="csv: open quote"),
        pytest.param("a.csv", b'x\n"1"2\n', "a.csv:2:1: not CSV", id="csv: after a quote"),
        pytest.param("a.csv", b"x\n\xff\n", "a.csv:2:1: not UTF-8: byte 0xff", id="csv: bytes"),
        pytest.param("a.json", b'{"a": 1}', "a.json:1:1: the file must hold a list", id="json"),
        pytest.param("a.json", b"[\n1,\n]", "a.json:2:2: not JSON", id="json: broken"),
        pytest.param("a.json", b"", "a.json:1:1: not JSON", id="json: empty"),
        pytest.param("a.json", b"[NaN]", "a.json:1:2: not JSON", id="json: NaN"),
        pytest.param("a.jsonl", b"1\n{\n", "a.jsonl:2:", id="jsonl: broken"),
        pytest.param("a.yaml", b"a: 1", "a.yaml:1:1: the file must hold a list", id="yaml"),
        pytest.param("a.yaml", b"- {a: 1, a: 2}", "a.yaml:1:10: [0].a: ", id="yaml: twice"),
        pytest.param("a.txt", b"a\n\xe9\n", "a.txt:2:1: not UTF-8: byte 0xe9", id="txt: bytes"),
        pytest.param("a.xlsx", b"", "a.xlsx: found kind .xlsx; allowed: ", id="unknown kind"),
        pytest.param("a", b"", "a: found kind none; allowed: ", id="no kind"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_line(tmp_path, name, content, problem):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        list(DataFile(path, shown_as=name))
    assert str(caught.value).startswith(problem)


def test_a_json_value_that_no_number_can_hold_is_a_problem(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('["\\ud83c"]', encoding="utf-8")
    with pytest.raises(ManifestError, match="not JSON"):
        DataFile(path, shown_as="a.json")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"a\nb\n", id="plain"),
        pytest.param(b"a\r\nb\r\n", id="Windows"),
        pytest.param(b"\xef\xbb\xbfa\nb\n", id="byte order mark"),
        pytest.param(b"a\rb\r", id="old Mac"),
    ],
)
def test_the_digest_of_a_text_does_not_know_line_ends(tmp_path, content):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    (tmp_path / "plain.txt").write_bytes(b"a\nb\n")
    digest = text_sha256(tmp_path / "plain.txt", shown_as="plain.txt")
    assert text_sha256(path, shown_as="a.txt") == digest
    assert DataFile(path, shown_as="a.txt").sha256 == digest
    assert read_text(path, shown_as="a.txt") == "a\nb\n"


def test_the_rows_of_a_long_file_come_again_as_often_as_asked(tmp_path):
    path = tmp_path / "long.jsonl"
    lines = [json.dumps({"number": number, "text": "x" * 60}) for number in range(5000)]
    path.write_text("\n".join(lines), encoding="utf-8")
    data = DataFile(path, shown_as="long.jsonl")
    first, second = list(data), list(data)
    assert (len(data), first) == (5000, second)
    assert first[4999]["number"] == 4999


def test_a_long_file_that_changes_is_an_error_and_not_other_rows(tmp_path):
    path = tmp_path / "long.txt"
    path.write_text("a line of some length\n" * 20000, encoding="utf-8")
    data = DataFile(path, shown_as="long.txt")
    path.write_text("another\n" * 20000, encoding="utf-8")
    with pytest.raises(ManifestError, match="changed while dsrun was reading it; start again"):
        list(data)


def test_a_short_file_is_kept_and_may_go(tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("a\n", encoding="utf-8")
    data = DataFile(path, shown_as="short.txt")
    path.unlink()
    assert list(data) == ["a"]


def test_a_missing_file_is_a_problem_without_a_line(tmp_path):
    with pytest.raises(ManifestError) as caught:
        DataFile(tmp_path / "none.csv", shown_as="none.csv")
    assert str(caught.value) == "none.csv: cannot be read: No such file or directory"


def test_line_ends_within_a_cell_are_no_part_of_its_value(tmp_path):
    unix, windows = tmp_path / "unix.csv", tmp_path / "windows.csv"
    unix.write_bytes(b'text\n"one\ntwo"\n')
    windows.write_bytes(b'text\r\n"one\r\ntwo"\r\n')
    files = [DataFile(path, shown_as=path.name) for path in (unix, windows)]
    assert [list(file) for file in files] == [[{"text": "one\ntwo"}]] * 2
    assert files[0].sha256 == files[1].sha256


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        pytest.param("a.csv", 'x,y\n1,2\n\n"a\nb",4\n5,6\n', [2, 4, 6], id="csv"),
        pytest.param("a.csv", "\n\nx\r\n1\r\n2\r\n", [4, 5], id="csv: empty lines before"),
        pytest.param("a.tsv", "x\ty\n1\t2\n3\t4\n", [2, 3], id="tsv"),
        pytest.param("a.txt", "\none\n\n \ntwo", [2, 5], id="txt"),
        pytest.param("a.jsonl", '{"a": 1}\n\n{"a": 2}\n', [1, 3], id="jsonl"),
        pytest.param("a.json", '[\n  1, 2,\n  {"a":\n  3}\n]', [2, 2, 3], id="json"),
        pytest.param("a.yaml", "# all\n- a\n- b: 1\n  c: 2\n- d\n", [2, 3, 5], id="yaml"),
    ],
)
def test_every_row_has_the_line_where_it_begins(tmp_path, name, content, lines):
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8-sig"))
    data = DataFile(path, shown_as=name)
    assert [data.line_of(position) for position in range(len(data))] == lines


def test_a_row_has_no_line_any_more_when_the_file_has_changed(tmp_path):
    for name, before, after in (
        ("a.csv", "x\n1\n2\n", "x\n1\n"),
        ("b.csv", "x\n1\n", None),
        ("c.txt", "1\n2\n", "1\n"),
        ("d.json", "[1, 2]", "[1"),
    ):
        path = tmp_path / name
        path.write_text(before, encoding="utf-8")
        data = DataFile(path, shown_as=name)
        path.unlink()
        if after is not None:
            path.write_text(after, encoding="utf-8")
        assert data.line_of(len(data) - 1) == 0


@pytest.mark.parametrize(
    ("name", "content", "rows", "lines"),
    [
        pytest.param("a.csv", "x,y\n1,2\n,\n3,4\n", 2, "1 blank row (line 3)", id="commas"),
        pytest.param("a.csv", 'x,y\n"",""\n1,2\n', 1, "1 blank row (line 2)", id="quotes"),
        pytest.param("a.csv", 'x\n""\n1\n', 1, "1 blank row (line 2)", id="one column"),
        pytest.param("a.csv", "x,y\n,,,\n1,2\n", 1, "1 blank row (line 2)", id="too wide"),
        pytest.param("a.csv", 'x,y\n1,"\n"\n" \n",\t\n', 1, "1 blank row (line 4)", id="inside"),
        pytest.param("a.csv", "x,y\n\u3000,\ufeff\n1,2\n", 1, "1 blank row (line 2)", id="wide"),
        pytest.param("a.tsv", "x\ty\n\t\n1\t2\n", 1, "1 blank row (line 2)", id="a tab"),
        pytest.param("a.tsv", "x\ty\n \n1\t2\n", 1, "1 blank row (line 2)", id="a space"),
        pytest.param("a.txt", "one\n\u200b\ntwo\n", 2, "1 blank row (line 2)", id="zero width"),
        pytest.param("a.txt", "\u00a0\none\n \n", 1, "2 blank rows (1, 3)", id="no-break space"),
        pytest.param("a.txt", "one\n\u2800\n\u3164\n", 1, "2 blank rows (2, 3)", id="fillers"),
        pytest.param(
            "a.txt", "one\n" + "\t\n" * 5, 1, "5 blank rows (2, 3, 4, ...)", id="first few"
        ),
    ],
)
def test_a_row_with_nothing_to_see_is_skipped_and_said(tmp_path, name, content, rows, lines):
    path = tmp_path / name
    path.write_bytes(content.encode())
    data = DataFile(path, shown_as=name)
    assert len(list(data)) == len(data) == rows
    (warning,) = data.warnings
    assert warning.message == f"{lines}; skipped: what is blank makes no job"


def test_a_row_behind_blank_ones_keeps_its_line(tmp_path):
    for name, content in (("a.csv", "x,y\n,\n1,2\n"), ("a.txt", "\u200b\n\none\n")):
        path = tmp_path / name
        path.write_bytes(content.encode())
        assert DataFile(path, shown_as=name).line_of(0) == 3


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        pytest.param("a.txt", "# old\na\n  # b\n", "2 rows begin with # (1, 3)", id="txt"),
        pytest.param("a.txt", "#cats\n", "1 row begins with # (line 1)", id="a hashtag"),
        pytest.param("a.txt", "#face of a cat\n", "1 row begins with # (line 1)", id="hex word"),
        pytest.param("a.csv", "x,y\n#a,b\n", "1 row begins with # (line 2)", id="csv"),
        pytest.param("a.tsv", "x\n# a\n", "1 row begins with # (line 2)", id="tsv"),
        pytest.param("a.tsv", 'x\ty\n1\t"a, b"\n', "1 row has a cell in quotes", id="quotes"),
        pytest.param("a.tsv", '"x"\n"a ""b"""\n', "2 rows have cells in quotes", id="header"),
    ],
)
def test_what_may_not_be_meant_is_said_once_a_file(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    (warning,) = DataFile(path, shown_as=name).warnings
    assert warning.message.startswith(words)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("a.txt", "a # b\n#ff6600\n #FFF\n", id="colours, and a sign inside"),
        pytest.param("a.csv", 'x,y\n"a","b"\n\n"#fff",1\n\n', id="quotes of CSV, empty lines"),
        pytest.param("a.tsv", 'x\n"a" says "b"\n6" long\n', id="quotes inside a text"),
        pytest.param("a.txt", "\n\na\n\n", id="empty lines"),
        pytest.param("a.json", '["", null, "# a"]', id="what is written out in JSON"),
    ],
)
def test_what_is_ordinary_is_not_said(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert DataFile(path, shown_as=name).warnings == []


def test_bytes_of_another_encoding_are_found_in_a_long_file_too(tmp_path):
    path = tmp_path / "long.txt"
    path.write_bytes(b"a line of some length\n" * 60_000 + "一只猫\n".encode("gbk"))
    (warning,) = DataFile(path, shown_as="long.txt").warnings
    assert (warning.line, warning.column) == (60_001, 1)
    path.write_bytes(path.read_bytes() + "“so”\n".encode())  # no accident gives this
    assert DataFile(path, shown_as="long.txt").warnings == []
