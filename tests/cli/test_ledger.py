"""`dsrun ledger`: questions about a run in SQL, and its results for other programs."""

import csv
import io
import json
import sqlite3
from contextlib import closing

import pytest
from pyarrow import parquet

STEPS = """
steps:
  posters:
    operation: wanx-v1
    matrix:
      product: [{name: 灯笼, price: 3}, {name: kite, price: 4.5}]
      style: ["<anime>", "<sketch>"]
      status: [day]
    input: {prompt: "a {{ product.name }}"}
    parameters: {style: "{{ style }}", n: 2}
"""
VIEWS = {"results", "spend"}


@pytest.fixture
def done(work, emulator):
    """A folder in which four jobs of two pictures each have succeeded."""
    work.pipeline(STEPS)
    assert work.dsrun("demo.yaml").code == 0
    return work


def ask(work, *options):
    outcome = work.dsrun("ledger", "outputs/demo", *options, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    return outcome.answer


class TestWhere:
    @pytest.mark.parametrize(
        ("where", "found"),
        [
            ("style = '<anime>'", [0, 2]),
            ("style == '<anime>' and product ->> 'price' > 4", [2]),
            ("product ->> 'name' = '灯笼'", [0, 1]),
            ("matrix ->> 'status' = 'day' and status = 'succeeded'", [0, 1, 2, 3]),
            ("request ->> '$.input.prompt' like '%kite'", [2, 3]),
            ('"index" > 2 -- the last', [3]),
            ("cost > 0.31 and files = 2", [0, 1, 2, 3]),
            ("exists (SELECT 1 FROM artifact WHERE job_id = chosen.job_id)", [0, 1, 2, 3]),
        ],
    )
    def test_is_sql_over_the_results_and_the_axes(self, done, where, found):
        rows = ask(done, "--where", where, "--columns", "index")
        assert [row["index"] for row in rows] == found

    @pytest.mark.parametrize(
        ("where", "words"),
        [
            ("stile = 'x'", "found stile (did you mean style?); allowed: job_id, "),
            ("product.name = 'kite'", "written product ->> 'name'"),
            ("index > 2", '"index" stands in quotes'),
            ("status =", "allowed: one SQL expression"),
            ("1; DROP TABLE job", "one SQL expression"),
            ("1) OR (1", "one SQL expression"),
            ("1 LIMIT 1", "one SQL expression"),
            ("1 IN (SELECT load_extension('x'))", "not authorized"),
            ("1 IN (SELECT * FROM pragma_database_list)", "not authorized"),
            ("json_extract(step, '$') = 1", "malformed JSON"),
        ],
    )
    def test_what_is_no_expression_is_told_and_changes_nothing(self, done, where, words):
        before = (done.run_dir() / "ledger.sqlite3").read_bytes()
        outcome = done.dsrun("ledger", "outputs/demo", "--where", where)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith(f"--where {where}") or "malformed" in outcome.err
        assert words in outcome.err
        assert (done.run_dir() / "ledger.sqlite3").read_bytes() == before

    def test_nothing_found_is_said_and_is_no_failure(self, done):
        outcome = done.dsrun("ledger", "outputs/demo", "--where", "status = 'failed'")
        assert (outcome.code, outcome.out, outcome.err) == (0, "", "0 jobs found\n")


class TestFormats:
    def test_a_table_has_the_axes_and_stays_in_line_with_wide_letters(self, done):
        lines = done.dsrun("ledger", "outputs/demo").out.splitlines()
        axes = ["product.name", "product.price", "style"]
        assert lines[0].split() == ["step", "index", *axes, "status", "cost", "file"]
        assert len(lines) == 5
        wide, plain = lines[1], lines[3]
        assert plain.index("<anime>") - wide.index("<anime>") == 2  # two letters of two columns

    def test_a_row_of_several_columns_is_shown_by_its_columns(self, work, emulator):
        (work.folder / "cast.csv").write_text("name,age,x.y\nMira,30,a\nTom,41,b\n")
        steps = """
steps:
  cast:
    operation: wanx-v1
    matrix:
      who: {file: cast.csv}
      how: [{look: {hat: red}, name: grim}]
    input: {prompt: "{{ who.name }} {{ how.name }}"}
"""
        work.dsrun(work.pipeline(steps))
        lines = work.dsrun("ledger", "outputs/demo").out.splitlines()
        # A column whose name has a dot cannot be asked for, so its row stays as it is.
        assert lines[0].split()[2:5] == ["who", "how.look.hat", "how.name"]
        assert '{"name":"Mira"' in lines[1]
        (work.folder / "cast.csv").write_text("name,age\nMira,30\nTom,41\n")
        work.dsrun("demo.yaml")
        lines = work.dsrun("ledger", "outputs/demo").out.splitlines()
        assert lines[0].split()[2:6] == ["who.name", "who.age", "how.look.hat", "how.name"]
        assert lines[1].split()[2:6] == ["Mira", "30", "red", "grim"]
        assert "who" in ask(work, "--limit", "1", "--format", "json")[0]["matrix"]

    def test_a_table_cuts_what_is_read_and_never_what_is_copied(self, done):
        assert done.dsrun("ledger", "outputs/demo", "--columns", "request").out.count("...") == 4
        told = done.dsrun("ledger", "outputs/demo", "--columns", "job_id,file").out
        for line in done.results():
            assert line["job_id"] in told
            assert line["artifacts"][0]["path"] in told

    def test_columns_look_inside_of_json(self, done):
        names = "product.name,matrix.status,request.input.prompt,artifacts.1.media_type"
        (first, *_) = ask(done, "--columns", names)
        assert list(first) == names.split(",")
        assert list(first.values()) == ["灯笼", "day", "a 灯笼", "image/png"]

    def test_an_unknown_column_is_told_with_those_that_are_allowed(self, done):
        outcome = done.dsrun("ledger", "outputs/demo", "--columns", "step,stile")
        assert outcome.code == 2
        assert "--columns: found stile (did you mean style?); allowed: job_id" in outcome.err

    def test_json_lines_agree_with_results_jsonl(self, done):
        outcome = done.dsrun("ledger", "outputs/demo", "--format", "jsonl")
        lines = [json.loads(line) for line in outcome.out.splitlines()]
        shared = [
            *("job_id", "step", "index", "matrix", "request", "status", "artifacts", "output"),
            *("attempts", "task_id", "request_id", "cached", "submitted_at", "ended_at"),
        ]
        assert len(lines) == 4
        for line, result in zip(lines, done.results(), strict=True):
            assert {name: line[name] for name in shared} == {name: result[name] for name in shared}
            assert (line["cost"], line["currency"]) == tuple(result["cost"].values())

    def test_csv_has_a_column_for_each_axis(self, done):
        outcome = done.dsrun("ledger", "outputs/demo", "--format", "csv", "--limit", "2")
        rows = list(csv.DictReader(io.StringIO(outcome.out)))
        assert [row["style"] for row in rows] == ["<anime>", "<sketch>"]
        assert json.loads(rows[0]["product"]) == {"name": "灯笼", "price": 3}
        assert rows[0]["cost"] == "0.32"

    def test_parquet_has_types(self, done):
        outcome = done.dsrun("ledger", "demo.yaml", "--format", "parquet", "-o", "x.parquet")
        assert (outcome.code, outcome.out, outcome.err) == (0, "", "4 jobs in x.parquet\n")
        table = parquet.read_table(done.folder / "x.parquet")
        kinds = {field.name: str(field.type) for field in table.schema}
        assert (kinds["index"], kinds["cost"], kinds["cached"], kinds["style"], kinds["output"]) \
            == ("int64", "double", "bool", "string", "string")  # fmt: skip
        assert [row["style"] for row in table.to_pylist()] == ["<anime>", "<sketch>"] * 2
        assert [p.name for p in done.folder.glob(".x*")] == []

    def test_parquet_without_a_file_or_without_pyarrow(self, done, monkeypatch):
        outcome = done.dsrun("ledger", "outputs/demo", "--format", "parquet")
        assert outcome.code == 2
        assert "name a file with -o" in outcome.err
        monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
        outcome = done.dsrun("ledger", "outputs/demo", "--format", "parquet", "-o", "x.parquet")
        assert outcome.code == 2
        assert "pip install 'dsrun[parquet]'" in outcome.err
        assert not (done.folder / "x.parquet").exists()

    def test_a_text_format_goes_to_a_file_as_well(self, done):
        printed = done.dsrun("ledger", "outputs/demo", "--format", "csv").out
        outcome = done.dsrun("ledger", "outputs/demo", "--format", "csv", "-o", "x.csv")
        assert (outcome.code, outcome.out, outcome.err) == (0, "", "4 jobs in x.csv\n")
        assert (done.folder / "x.csv").read_text(encoding="utf-8") == printed


class TestErrors:
    def test_are_grouped_with_the_commonest_first(self, work, serve):
        serve("failed-task=1")
        work.posters(3, max_attempts=1)
        assert work.dsrun("demo.yaml").code == 1
        (error,) = ask(work, "--errors")
        code = work.results()[0]["error"]["code"]
        assert (error["jobs"], error["error_code"], error["steps"], error["first"]) \
            == (3, code, "posters", "posters/0")  # fmt: skip
        assert ask(work, "--errors", "--where", "number > 1")[0]["jobs"] == 1

    def test_a_prompt_cannot_steer_the_terminal(self, done):
        with closing(sqlite3.connect(done.run_dir() / "ledger.sqlite3")) as db, db:
            db.execute("UPDATE job SET status = 'failed', error_code = 'X', error_message = ?",
                       ("a\x1b[31m red\nline",))  # fmt: skip
        outcome = done.dsrun("ledger", "outputs/demo", "--errors")
        assert r"a\x1b[31m red\nline" in outcome.out

    def test_a_table_has_their_whole_message(self, done):
        message = "The service could not look into the picture that it has just made; ask again."
        with closing(sqlite3.connect(done.run_dir() / "ledger.sqlite3")) as db, db:
            db.execute("UPDATE job SET status = 'failed', error_code = 'X', error_message = ?",
                       (message,))  # fmt: skip
        assert message in done.dsrun("ledger", "outputs/demo", "--errors").out

    def test_have_columns_of_their_own(self, done):
        outcome = done.dsrun("ledger", "outputs/demo", "--errors", "--columns", "step")
        assert outcome.code == 2
        assert "jobs, error_code" in outcome.err


class TestViews:
    def test_other_programs_find_them_in_the_ledger(self, done):
        found = done.query("SELECT name FROM sqlite_schema WHERE type = 'view'")
        assert {row["name"] for row in found} == VIEWS
        (spend,) = done.query("SELECT step, operation, jobs, units, amount, currency FROM spend")
        assert tuple(spend.values()) == ("posters", "wanx-v1", 4, 8, 1.28, "CNY")
        rows = done.query("SELECT status, files FROM results ORDER BY position")
        assert [tuple(row.values()) for row in rows] == [("succeeded", 2)] * 4

    @pytest.mark.parametrize(
        ("version", "sql"),
        [(3, "DROP VIEW spend"), (4, "CREATE VIEW results AS SELECT job_id FROM job")],
    )
    def test_a_ledger_of_an_older_version_is_read_as_it_is_and_gets_them_at_the_next_run(
        self, done, version, sql
    ):
        path = done.run_dir() / "ledger.sqlite3"
        (done.run_dir() / ".ledger-tail").unlink()
        with closing(sqlite3.connect(path)) as db:
            db.executescript(
                "DROP VIEW results; ALTER TABLE artifact DROP COLUMN source_sha256; "
                "ALTER TABLE artifact DROP COLUMN duration_s; "
                "ALTER TABLE artifact DROP COLUMN width; ALTER TABLE artifact DROP COLUMN height; "
                "ALTER TABLE artifact DROP COLUMN name; ALTER TABLE job DROP COLUMN answer; "
                "ALTER TABLE job DROP COLUMN run_id; ALTER TABLE job DROP COLUMN repeats; "
                "ALTER TABLE job DROP COLUMN planned; DROP INDEX job_asleep; DROP INDEX job_woken; "
                "ALTER TABLE job DROP COLUMN late; ALTER TABLE job DROP COLUMN depth; "
                "ALTER TABLE job DROP COLUMN sent; "
                "ALTER TABLE job DROP COLUMN take; DROP TABLE edge; DROP TABLE address; "
                "DROP TABLE left_out; DROP TABLE control; "
                "DROP TABLE mark; "
                f"{sql}; PRAGMA user_version = {version};"
            )
        before = path.read_bytes()
        (file, _) = ask(done, "--columns", "artifacts")[0]["artifacts"]
        assert file["source_sha256"] == file["sha256"]
        assert len(ask(done)) == 4
        assert done.dsrun("verify", "outputs/demo").code == 0
        assert path.read_bytes() == before
        assert done.dsrun("demo.yaml").code == 0
        assert {row["name"] for row in done.query(
            "SELECT name FROM sqlite_schema WHERE type = 'view'")} == VIEWS  # fmt: skip
        (row,) = done.query("SELECT count(*) AS number FROM artifact WHERE source_sha256 = sha256")
        assert row["number"] == 8

    def test_a_run_that_goes_on_is_seen_from_another_process(self, work, serve, standing_clock):
        service = serve(clock=standing_clock)
        work.posters(3)
        child = work.spawn("demo.yaml")
        work.until(lambda: service.tasks_asked_for() == 3, what="three tasks under way")
        looking = work.spawn("ledger", "demo.yaml", "--columns", "status", "--format", "csv").end()
        assert looking.out.split() == ["status", "submitted", "submitted", "submitted"]
        standing_clock.release()
        assert child.end().code == 0


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_integers_past_64_bits_keep_their_digits(work, emulator, form):
    number = 12345678901234567890123
    (work.folder / "rows.json").write_text(f'[{{"id": {number}}}]', encoding="utf-8")
    work.pipeline(
        "steps:\n  posters:\n    operation: wanx-v1\n    matrix: {row: {file: rows.json}}\n"
        '    input: {prompt: "a {{ row.id }}"}\n'
    )
    assert work.dsrun("demo.yaml").code == 0
    text = work.dsrun("ledger", "outputs/demo", "--format", form).out
    assert f'"id": {number}' in text
    assert f'"prompt": "a {number}"' in text
