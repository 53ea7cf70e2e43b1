"""Pictures say what they were asked for; whoever wants them as they were served gets those."""

import hashlib
import io
import json
import random
import sqlite3
from contextlib import closing

import pytest
from PIL import Image

from tests.painter import Painter
from tests.tagging import take_out

PLAIN = "metadata: false"
LARGE = 1 << 20  # more than that waits on the disk


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def said_by(data):
    return json.loads(Image.open(io.BytesIO(data)).text["dsrun"])


def draw(seed, *, side=8, kind="PNG"):
    """A picture of noise, which no format makes much smaller."""
    file = io.BytesIO()
    pixels = random.Random(seed).randbytes(side * side * 3)
    Image.frombytes("RGB", (side, side), pixels).save(file, kind, quality=100)
    return file.getvalue()


@pytest.fixture
def painter(monkeypatch):
    made = Painter(draw)
    with made.open() as url:
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", url)
        monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-x")
        yield made


def artifacts(work):
    """Every artifact as results.jsonl has it, with its bytes and the line of its job."""
    for line in work.results():
        for item in line["artifacts"]:
            yield line, item, (work.run_dir() / item["path"]).read_bytes()


def test_a_picture_says_its_job_its_index_and_its_seed(work, painter):
    assert work.dsrun(work.posters(2, pictures=2)).code == 0
    found = list(artifacts(work))
    assert len(found) == 4
    for line, item, data in found:
        assert said_by(data) == {
            "job_id": line["job_id"], "operation": "wanx-v1", "index": item["index"],
            "seed": item["seed"], "request": line["request"],
        }  # fmt: skip
        assert (
            Image.open(io.BytesIO(data)).text["Description"] == line["request"]["input"]["prompt"]
        )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("side", [8, 1100], ids=["small", "large"])
def test_both_hashes_are_told_and_the_served_bytes_can_be_had_again(work, painter, side, kind):
    painter.draw = lambda seed: draw(seed, side=side, kind=kind)
    assert work.dsrun(work.posters(2, pictures=2)).code == 0
    for _, item, data in artifacts(work):
        served = painter.served[item["seed"]]
        assert (item["sha256"], item["size"]) == (sha256(data), len(data))
        assert item["source_sha256"] == sha256(served) != item["sha256"]
        assert take_out(data) == served
        assert (len(served) > LARGE) is (side > 8)
    rows = work.query("SELECT sha256, size, source_sha256 FROM artifact ORDER BY path")
    keys = ("sha256", "size", "source_sha256")
    told = sorted(artifacts(work), key=lambda found: found[1]["path"])
    assert rows == [{key: item[key] for key in keys} for _, item, _ in told]
    assert work.dsrun("verify", "outputs/demo").out == "4 files checked, 0 damaged\n"
    assert not list((work.run_dir() / ".tmp").glob("*"))


def test_a_format_without_a_place_for_it_is_as_it_was_served(work, painter):
    painter.draw = lambda seed: draw(seed, kind="BMP")
    assert work.dsrun(work.posters(1)).code == 0
    for _, item, data in artifacts(work):
        assert data == painter.served[item["seed"]]
        assert item["sha256"] == item["source_sha256"] == sha256(data)


def test_without_metadata_files_are_as_they_were_served(work, painter):
    work.posters(2)
    path = work.folder / "demo.yaml"
    path.write_text(f"{PLAIN}\n{path.read_text()}")
    assert work.dsrun("demo.yaml").code == 0
    for _, item, data in artifacts(work):
        assert data == painter.served[item["seed"]]
        assert item["sha256"] == item["source_sha256"] == sha256(data)
    assert work.dsrun("verify", "outputs/demo").code == 0


def test_metadata_is_no_part_of_the_digest(work, painter):
    work.posters(1)
    path = work.folder / "demo.yaml"
    before = work.dsrun("plan", path, "--json").answer["digest"]
    path.write_text(f"{PLAIN}\n{path.read_text()}")
    assert work.dsrun("plan", path, "--json").answer["digest"] == before


def test_a_picture_of_a_part_says_its_own_index_and_seed_and_the_whole_request(work, painter):
    pipeline = work.posters(1, pictures=3, seed="7")
    painter.refused = {8}
    assert work.dsrun(pipeline).code == 1
    painter.refused = set()
    assert work.dsrun(pipeline, "--retry-failed").code == 0
    (line,) = work.results()
    assert [(said_by(data)["index"], said_by(data)["seed"]) for _, _, data in artifacts(work)] == [
        (0, 7), (1, 8), (2, 9),
    ]  # fmt: skip
    for _, item, data in artifacts(work):
        assert said_by(data)["request"] == line["request"]
        assert item["source_sha256"] == sha256(painter.served[item["seed"]])


def test_rows_of_one_request_share_their_bytes(work, painter):
    work.pipeline("""
steps:
  posters:
    operation: wanx-v1
    matrix: {name: [a, b]}
    input: {prompt: the same}
    filename: "{{ name }}"
""")
    assert work.dsrun("demo.yaml").code == 0
    first, second = work.files().values()
    assert first == second
    assert len(painter.served) == 1


def test_a_lost_file_that_is_fetched_again_is_the_same(work, painter):
    pipeline = work.posters(2)
    assert work.dsrun(pipeline, "--no-cache").code == 0
    before = work.files()
    (work.run_dir() / next(iter(before))).unlink()
    assert work.dsrun(pipeline, "--no-cache").code == 0
    assert work.files() == before
    assert len(painter.creates) == 2
    assert work.dsrun("verify", "outputs/demo").code == 0


def pipeline(work, name, *, metadata):
    """Two jobs that are the same under every name."""
    path = work.posters(2, pictures=2)
    text = path.read_text().replace("name: demo", f"name: {name}\nmetadata: {metadata}")
    (work.folder / f"{name}.yaml").write_text(text)
    return f"{name}.yaml"


def check(work, painter, name, *, metadata):
    """That the files of a run are as its manifest wants them, and are told as they are."""
    found = (work.run_dir(name) / "results.jsonl").read_text().splitlines()
    items = [item for line in map(json.loads, found) for item in line["artifacts"]]
    assert len(items) == 4
    for item in items:
        data, served = (
            (work.run_dir(name) / item["path"]).read_bytes(),
            painter.served[item["seed"]],
        )
        assert (data == served) is not metadata
        assert (take_out(data) if metadata else data) == served
        assert (item["sha256"], item["size"]) == (sha256(data), len(data))
        assert item["source_sha256"] == sha256(served)
    assert work.dsrun("verify", f"outputs/{name}").code == 0


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("first", [True, False], ids=["from tagged", "from plain"])
def test_files_of_the_cache_come_as_each_manifest_wants_them(work, painter, kind, first):
    painter.draw = lambda seed: draw(seed, kind=kind)
    for number, metadata in enumerate([first, not first, first]):
        name = f"p{number}"
        assert work.dsrun(pipeline(work, name, metadata=metadata)).code == 0
        check(work, painter, name, metadata=metadata)
    assert len(painter.creates) == 2
    rows = work.dsrun("ledger", "outputs/p1", "--columns", "cached", "--format", "jsonl").out
    assert [json.loads(row)["cached"] for row in rows.splitlines()] == [True, True]


@pytest.mark.parametrize("metadata", [True, False], ids=["tagged", "plain"])
def test_a_lost_file_comes_back_from_a_cache_that_has_it_otherwise(work, painter, metadata):
    work.dsrun(pipeline(work, "one", metadata=not metadata))
    two = pipeline(work, "two", metadata=metadata)
    assert work.dsrun(two).code == 0
    lost = next(work.run_dir("two").glob("artifacts/posters/*"))
    lost.unlink()
    served, painter.draw = dict(painter.served), None
    outcome = work.dsrun(two)
    assert (outcome.code, "brought back from the cache" in outcome.err) == (0, True)
    assert painter.served == served
    check(work, painter, "two", metadata=metadata)


def test_files_of_an_older_cache_are_as_they_were_served(work, painter):
    work.dsrun(pipeline(work, "old", metadata=False))
    with closing(sqlite3.connect(work.folder / "outputs/.cache/index.sqlite3")) as db, db:
        for job_id, files in db.execute("SELECT job_id, files FROM entry").fetchall():
            entries = [
                {key: value for key, value in entry.items() if key != "source_sha256"}
                for entry in json.loads(files)
            ]
            db.execute("UPDATE entry SET files = ? WHERE job_id = ?", (json.dumps(entries), job_id))
        for column in ("sent", "parents"):
            db.execute(f"ALTER TABLE entry DROP COLUMN {column}")
        db.execute("PRAGMA user_version = 1")
    for name, metadata in (("plain", False), ("tagged", True)):
        assert work.dsrun(pipeline(work, name, metadata=metadata)).code == 0
        check(work, painter, name, metadata=metadata)
    assert len(painter.creates) == 2


def test_a_cached_picture_that_was_edited_is_made_again_and_not_stripped(work, painter):
    work.dsrun(pipeline(work, "one", metadata=True))
    for path in (work.folder / "outputs/.cache/objects").rglob("*-0"):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert work.dsrun(pipeline(work, "two", metadata=False)).code == 0
    assert len(painter.creates) == 4
    check(work, painter, "two", metadata=False)
