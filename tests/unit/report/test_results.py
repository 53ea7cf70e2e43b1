"""results.jsonl: what its lines say of the rows of a ledger."""

import json
import sqlite3
from contextlib import closing, nullcontext

import orjson
import pytest
from jsonschema import Draft202012Validator

from dsrun.common.resources import read_schema
from dsrun.ledger.rows import ResultRow
from dsrun.report.results import iter_results, write_results

JOB = {
    "job_id": "a" * 64,
    "step": "posters",
    "idx": 3,
    "matrix": '{"subject":"灯笼"}',
    "request": '{"model":"wanx-v1","input":{}}',
    "status": "succeeded",
    "output": None,
    "error_code": None,
    "error_message": None,
    "error_class": None,
    "attempts": 1,
    "task_id": "t-1",
    "request_id": "r-1",
    "unit_price": "0.16",
    "wanted": 4,
    "units": 3,
    "units_before": 0,
    "currency": "CNY",
    "cached": 0,
    "submitted_at": "2026-11-22T08:00:00.000Z",
    "ended_at": "2026-11-22T08:00:10.000Z",
}
PICTURE = {
    "path": "artifacts/posters/a.png",
    "sha256": "b" * 64,
    "size": 1234,
    "media_type": "image/png",
    "idx": 0,
    "seed": 7,
    "sample_rate": None,
    "source_sha256": "c" * 64,
    "duration_s": None,
    "width": 64,
    "height": 48,
    "name": "",
}
SOUND = {**PICTURE, "media_type": "audio/wav", "seed": None, "sample_rate": 24000}
ERROR = {"error_code": "DataInspectionFailed", "error_message": "refused", "error_class": "job"}


def row(values):
    """A row as SQLite gives it."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.row_factory = sqlite3.Row
        columns = ", ".join(f"? AS {name}" for name in values)
        return db.execute(f"SELECT {columns}", tuple(values.values())).fetchone()


class View:
    """A ledger of one job."""

    def __init__(self, job, artifacts=(), twins=(), edges=()):
        others = (list(map(row, some)) for some in (artifacts, twins, edges))
        self._rows = [ResultRow(row(JOB | job), *others)]

    def reading(self):
        return nullcontext()

    def result_rows(self):
        return iter(self._rows)


def line(job, artifacts=(), twins=(), edges=()):
    (found,) = iter_results(View(job, artifacts, twins, edges))
    return found


def test_in_a_ledger_of_an_older_version_files_are_as_they_were_served():
    new = ("source_sha256", "duration_s", "width", "height")
    (file,) = line({}, [{k: v for k, v in PICTURE.items() if k not in new}])["artifacts"]
    assert [file[name] for name in new] == ["b" * 64, None, None, None]


def test_a_file_of_a_further_kind_has_its_name():
    (file,) = line({}, [{**PICTURE, "name": "preview"}])["artifacts"]
    assert file["name"] == "preview"


def test_a_line_in_full():
    assert line({}, [PICTURE]) == {
        "job_id": "a" * 64,
        "step": "posters",
        "index": 3,
        "matrix": {"subject": "灯笼"},
        "request": {"model": "wanx-v1", "input": {}},
        "status": "succeeded",
        "artifacts": [
            {
                "path": "artifacts/posters/a.png",
                "sha256": "b" * 64,
                "size": 1234,
                "media_type": "image/png",
                "index": 0,
                "seed": 7,
                "source_sha256": "c" * 64,
                "duration_s": None,
                "width": 64,
                "height": 48,
                "name": "",
            }
        ],
        "output": None,
        "error": None,
        "attempts": 1,
        "task_id": "t-1",
        "request_id": "r-1",
        "cost": {"amount": 0.48, "currency": "CNY"},
        "cached": False,
        "submitted_at": "2026-11-22T08:00:00.000Z",
        "ended_at": "2026-11-22T08:00:10.000Z",
    }


@pytest.mark.parametrize(
    ("job", "error"),
    [
        pytest.param({"status": "failed", **ERROR}, True, id="failed"),
        pytest.param({"status": "partial", **ERROR}, True, id="partial"),
        pytest.param({"status": "succeeded", **ERROR}, False, id="an error before it succeeded"),
        pytest.param({"status": "failed"}, False, id="no reason known"),
    ],
)
def test_the_error_is_told_unless_the_job_succeeded(job, error):
    told = {"code": "DataInspectionFailed", "message": "refused", "class": "job"}
    assert line(job)["error"] == (told if error else None)


def test_outputs_and_the_sample_rate_of_a_voice_are_told():
    found = line({"output": '{"voice":"v-1"}'}, [SOUND])
    assert (found["output"], found["artifacts"][0]["sample_rate"]) == ({"voice": "v-1"}, 24000)


def test_rows_that_made_the_same_job_are_named_beside_it():
    twin = {"step": "posters", "idx": 9, "matrix": '{"subject":"again"}'}
    assert line({}, [PICTURE], [twin])["twins"] == [
        {"step": "posters", "index": 9, "matrix": {"subject": "again"}}
    ]


EDGE = {"axis": "voice", "step": "cast", "idx": 3, "parent_id": "d" * 64, "takes": "output:voice"}


def test_a_line_says_what_the_job_is_made_of_each_row_and_each_file_once():
    edges = [EDGE, EDGE | {"takes": "output:target_model"}, EDGE | {"takes": "file:1"},
             EDGE | {"takes": None}]  # fmt: skip
    parent = {"axis": "voice", "step": "cast", "index": 3, "job_id": "d" * 64, "file": None}
    assert line({}, [SOUND], edges=edges)["parents"] == [parent, parent | {"file": 1}]


def test_the_request_of_a_late_job_is_the_planned_one_until_it_was_sent():
    planned = {"input": {"voice": {"from": "d" * 64, "at": "/output/voice"}}}
    job = {"request": json.dumps(planned), "sent": None}
    assert line(job)["request"] == planned
    assert line(job | {"sent": '{"input":{"voice":"v-1"}}'})["request"] == {
        "input": {"voice": "v-1"}
    }


@pytest.mark.parametrize(
    ("units", "amount"),
    [
        pytest.param(units, amount, id=f"{units}")
        for units, amount in ((0, 0.0), (1, 0.16), (4, 0.64))
    ],
)
def test_the_cost_is_exact_to_the_fen(units, amount):
    assert line({"units": units})["cost"] == {"amount": amount, "currency": "CNY"}


@pytest.mark.parametrize(
    ("job", "artifacts"),
    [
        pytest.param({}, [PICTURE, {**PICTURE, "idx": 1, "seed": None}], id="pictures"),
        pytest.param({"output": '{"voice":"v"}', "task_id": None}, [SOUND], id="voice"),
        pytest.param({"status": "failed", "units": 0, **ERROR}, [], id="failed"),
        pytest.param(
            {"status": "pending", "submitted_at": None, "ended_at": None, "request_id": None}
            | {"attempts": 0, "units": 0, "task_id": None},
            [],
            id="pending",
        ),
        pytest.param({"cached": 1}, [PICTURE], id="cached"),
        pytest.param(
            {"status": "waiting", "submitted_at": None, "ended_at": None}, [], id="waiting"
        ),
        pytest.param({"status": "skipped", **ERROR, "error_class": "parent"}, [], id="skipped"),
    ],
)
def test_every_line_keeps_to_the_schema_that_ships(job, artifacts):
    schema = orjson.loads(read_schema("results.json"))
    twin = {"step": "s", "idx": 9, "matrix": "{}"}
    errors = Draft202012Validator(schema).iter_errors(
        line(job, artifacts, [twin], [EDGE, EDGE | {"takes": "file:0"}])
    )
    assert [error.message for error in errors] == []


def test_the_file_has_one_line_a_job_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "run" / "results.jsonl"
    path.parent.mkdir()
    path.write_text("old\n", encoding="utf-8")
    write_results(View({}, [PICTURE]), path)
    text = path.read_bytes()
    assert (text.count(b"\n"), text.endswith(b"\n")) == (1, True)
    assert json.loads(text)["matrix"] == {"subject": "灯笼"}
    assert [item.name for item in path.parent.iterdir()] == ["results.jsonl"]
