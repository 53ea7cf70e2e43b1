"""What a ledger says of files is what it was told of them."""

from contextlib import closing
from dataclasses import replace

from dsrun.common.models import Artifact, Job, JobResult, JobStatus
from dsrun.ledger.reader import LedgerReader
from dsrun.ledger.rows import artifact_of
from dsrun.ledger.writer import Ledger
from dsrun.service.catalog import load_catalog
from dsrun.session.caching import reusable

AT = "2026-11-27T08:00:00.000Z"
FILM = Artifact(
    path="artifacts/s/0.mp4", sha256="a" * 64, source_sha256="b" * 64, size=9, index=0,
    media_type="video/mp4", seed=7, sample_rate=24000, duration_s=4.5, width=640, height=360,
)  # fmt: skip
PREVIEW = replace(
    FILM, path="artifacts/s/0-preview.webp", media_type="image/webp", name="preview",
    duration_s=None, width=64, height=36,
)  # fmt: skip


async def test_a_file_is_read_back_with_all_its_facts_and_the_name_of_its_kind(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    await ledger.start_run(at=AT, version="1", endpoint="e", host="h", pid=1, live_since=AT)
    job = Job(
        job_id="c" * 64, step="s", index=0, replica=0, operation="wanx-v1", matrix={}, request={},
        body=b"{}", stems=("0",), units=1,
    )  # fmt: skip
    await ledger.load_plan(iter([job]), prices=load_catalog().prices, version="1")
    (opened,) = ledger.view.open_jobs(operation="wanx-v1")
    await ledger.record_intent(opened, at=AT)
    result = JobResult(status=JobStatus.SUCCEEDED, artifacts=(FILM, PREVIEW), units=1)
    await ledger.record_result(opened, result, at=AT)
    ledger.close()
    with closing(LedgerReader(tmp_path / "ledger.sqlite3")) as view:
        (ended,) = reusable(view)
        columns = "file, file_duration_s, file_width, file_height, files"
        main = view.row(f"SELECT {columns} FROM results")
    assert sorted(ended.artifacts, key=lambda each: each.name) == [FILM, PREVIEW]
    assert tuple(main) == (FILM.path, 4.5, 640, 360, 2)


def test_a_row_of_an_older_ledger_is_the_main_kind_as_it_was_served():
    row = {
        "path": FILM.path, "sha256": FILM.sha256, "size": 9, "media_type": FILM.media_type,
        "idx": 0, "seed": None, "sample_rate": None,
    }  # fmt: skip
    assert artifact_of(row) == Artifact(
        path=FILM.path, sha256=FILM.sha256, source_sha256=FILM.sha256, size=9, index=0,
        media_type=FILM.media_type,
    )  # fmt: skip
