"""`dsrun ledger --format parquet`: a row for each vector that an embedding job has made."""

import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from dsrun.report.vectors import any_vectors, spread

STEPS = """
steps:
  facts:
    operation: text-embedding
    model: text-embedding-v4
    matrix: {topic: [lanterns, kites]}
    input: {texts: ["about {{ topic }}", "more on {{ topic }}", "no more"]}
    parameters: {dimension: 64}
  posters:
    operation: wanx-v1
    input: {prompt: a lantern}
"""


@pytest.fixture
def done(work, emulator):
    assert work.dsrun(work.pipeline(STEPS)).code == 0
    return work


def exported(work, *options):
    outcome = work.dsrun("ledger", "demo.yaml", "--format", "parquet", "-o", "x.parquet", *options)
    assert outcome.code == 0, outcome.err
    return parquet.read_table(work.folder / "x.parquet"), outcome.err


def test_every_text_has_a_row_with_its_vector_and_the_axes_of_its_job(done):
    table, said = exported(done)
    assert said == "7 rows in x.parquet\n"
    assert table.schema.field("embedding").type == pa.list_(pa.float32())
    assert table.schema.field("text_index").type == pa.int64()
    rows = table.to_pylist()
    told = [(row["step"], row["index"], row["topic"], row["text_index"]) for row in rows]
    assert told == [
        *(("facts", 0, "lanterns", number) for number in range(3)),
        *(("facts", 1, "kites", number) for number in range(3)),
        ("posters", 0, None, None),
    ]
    assert rows[-1]["embedding"] is None
    for row in rows[:-1]:
        [file] = json.loads(row["artifacts"])
        made = json.loads((done.run_dir() / file["path"]).read_text())[row["text_index"]]
        assert row["embedding"] == pa.array(made["embedding"], pa.float32()).to_pylist()
        assert len(row["embedding"]) == 64


def test_columns_decide_what_a_row_is(done):
    table, said = exported(done, "--columns", "embedding,topic,cost")
    assert table.column_names == ["embedding", "topic", "cost"]
    assert (table.num_rows, said) == (7, "7 rows in x.parquet\n")
    table, said = exported(done, "--columns", "topic,step")
    assert (table.num_rows, said) == (3, "3 jobs in x.parquet\n")


def test_where_and_limit_choose_jobs(done):
    table, _ = exported(done, "--where", "topic = 'kites'")
    assert table["text_index"].to_pylist() == [0, 1, 2]
    assert exported(done, "--limit", "1")[0].num_rows == 3
    table, said = exported(done, "--where", "step = 'posters'")
    assert "embedding" not in table.column_names
    assert said == "1 job in x.parquet\n"


def test_a_file_that_is_gone_leaves_its_job_without_a_vector_and_is_told(done):
    first = done.results()[0]["artifacts"][0]["path"]
    (done.run_dir() / first).unlink()
    table, said = exported(done)
    assert table["text_index"].to_pylist() == [None, 0, 1, 2, None]
    assert f"{first}: no file of vectors; its row has no vector" in said


def test_a_job_that_failed_has_a_row_without_a_vector(work, serve):
    serve("moderation=1")
    assert work.dsrun(work.pipeline(STEPS)).code == 1
    assert exported(work)[0].num_rows == 3


def test_an_axis_keeps_its_name(work, emulator):
    steps = STEPS.replace("topic:", "embedding:").replace("topic }}", "embedding }}")
    assert work.dsrun(work.pipeline(steps)).code == 0
    table, _ = exported(work)
    assert table["embedding"].to_pylist()[:4] == ["lanterns"] * 3 + ["kites"]
    assert len(table["embedding_"].to_pylist()[0]) == 64
    assert exported(work, "--columns", "embedding")[0].num_rows == 3


def test_text_formats_have_a_row_a_job_and_no_vectors(done):
    assert len(done.dsrun("ledger", "demo.yaml", "--json").answer) == 3
    refused = done.dsrun("ledger", "demo.yaml", "--format", "csv", "--columns", "embedding")
    assert refused.code == 2
    assert "--columns: found embedding" in refused.err


def rows_of(folder, **files):
    for name, value in files.items():
        (folder / f"{name}.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return [
        (name, f"op-{name}", json.dumps([
            {"path": "a.png", "media_type": "image/png"},
            {"path": f"{name}.json", "media_type": "application/json"},
        ]))
        for name in files
    ]  # fmt: skip


def test_vectors_stand_in_the_order_of_their_texts(tmp_path):
    rows = rows_of(
        tmp_path,
        named=[{"text_index": 1, "embedding": [1]}, {"text_index": 0, "embedding": [0.5]}],
        other=[{"index": 1, "embedding": [3]}, {"index": 0, "embedding": [2]}],
        bare=[{"embedding": [4]}, {"embedding": [5]}],
    )
    assert [*spread(rows, tmp_path, warn=pytest.fail)] == [
        ("named", 0, [0.5]), ("named", 1, [1]), ("other", 0, [2]), ("other", 1, [3]),
        ("bare", 0, [4]), ("bare", 1, [5]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"embedding": [1]},
        [{"embedding": []}, {"text": "a"}],
        [{"embedding": ["1"]}],
        [{"embedding": [True]}],
        [{"embedding": 1}],
        [1],
        "3",
    ],
)
def test_other_json_is_no_vector(tmp_path, value):
    rows = rows_of(tmp_path, a=value)
    assert not any_vectors([row[1:] for row in rows], tmp_path)
    assert [*spread(rows, tmp_path, warn=pytest.fail)] == [("a", None, None)]


def test_half_a_file_is_told(tmp_path):
    heard = []
    rows = rows_of(tmp_path, a='[{"embedding": [1')
    assert [*spread(rows, tmp_path, warn=heard.append)] == [("a", None, None)]
    assert "cannot be read as JSON" in heard[0]
