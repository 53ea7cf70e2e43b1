"""What dsrun reads back from its own directories is input; what it deletes there is its own."""

import json
import os
import shutil
import sqlite3
from contextlib import closing

import orjson
import pytest

from dsrun.report.entries import thumb_of


@pytest.fixture
def foreign(tmp_path):
    """A folder of somebody else's, with what looks as if it were ours."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    for name in ("a.tmp", f"{'0' * 24}.tmp", "0", "1", f"{'a' * 64}-0", "cached", "results.jsonl"):
        (folder / name).write_bytes(b"dear")
    return folder


@pytest.fixture
def untouched(foreign):
    """The test must leave that folder as it is."""
    before = {path.name: (path.read_bytes(), path.stat().st_mode) for path in foreign.iterdir()}
    yield
    assert {
        path.name: (path.read_bytes(), path.stat().st_mode) for path in foreign.iterdir()
    } == before


@pytest.fixture
def made(work, emulator):
    """A run of two jobs with two pictures each, which the cache has."""
    assert work.dsrun(work.posters(2, pictures=2)).code == 0
    return work.run_dir()


def in_index(work, sql, *values):
    with closing(sqlite3.connect(work.folder / "outputs" / ".cache" / "index.sqlite3")) as db:
        found = db.execute(sql, values).fetchall()
        db.commit()
        return found


def in_ledger(run_dir, sql, *values):
    with closing(sqlite3.connect(run_dir / "ledger.sqlite3")) as db:
        db.execute(sql, values)
        db.commit()


def tree(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


WRONG = [
    ("extension", "../../../../pwn"), ("extension", "png/../../x"), ("extension", 7),
    ("extension", "jpg"), ("extension", "\0"), ("media_type", "text/html"), ("media_type", None),
    ("index", -1), ("index", "0"), ("index", True), ("index", 0.5), ("index", 2**63), ("index", 1),
    ("size", -1), ("size", "1"), ("size", 10**30), ("size", None), ("sha256", "x"), ("sha256", 1),
    ("sha256", ["a"]), ("source_sha256", "../x"), ("source_sha256", {}), ("seed", "7"),
    ("seed", -1), ("seed", 2**64), ("sample_rate", "loud"), ("duration_s", "long"),
    ("duration_s", -1),
    ("duration_s", True), ("width", -1), ("height", "tall"), ("more", 1), ("sha256", ...),
]  # fmt: skip


class TestCacheIndex:
    @pytest.mark.parametrize(("key", "value"), WRONG, ids=str)
    def test_a_file_that_makes_no_sense_is_a_miss_with_a_warning(
        self, work, emulator, made, key, value
    ):
        [(job_id, files), *_] = in_index(work, "SELECT job_id, files FROM entry ORDER BY job_id")
        wrong = json.loads(files)
        if value is ...:
            del wrong[0][key]
        else:
            wrong[0][key] = value
        self._misses(work, emulator, made, job_id, json.dumps(wrong))

    @pytest.mark.parametrize(
        "files", ["", "{", "null", "[]", "7", '"text"', "[7]", "[null]", "[[]]", "{}", "[{}]"]
    )
    def test_a_list_of_files_that_is_none_is_a_miss_with_a_warning(
        self, work, emulator, made, files
    ):
        [(job_id,), *_] = in_index(work, "SELECT job_id FROM entry ORDER BY job_id")
        self._misses(work, emulator, made, job_id, files)

    def test_a_list_that_lacks_files_is_a_miss_with_a_warning(self, work, emulator, made):
        [(job_id, files), *_] = in_index(work, "SELECT job_id, files FROM entry ORDER BY job_id")
        self._misses(work, emulator, made, job_id, json.dumps(json.loads(files)[:1]), planned=False)

    @pytest.mark.parametrize("output", ["{", "[]", "7", '"text"'])
    def test_an_output_that_is_none_is_a_miss_with_a_warning(self, work, emulator, made, output):
        in_index(work, "UPDATE entry SET output = ?", output)
        shutil.rmtree(made)
        outcome = work.dsrun("demo.yaml")
        assert outcome.code == 0
        assert "2 damaged results of the cache" in outcome.err
        assert sorted(emulator.creates().values()) == [2, 2]

    def _misses(self, work, emulator, made, job_id, files, *, planned=True):
        in_index(work, "UPDATE entry SET files = ? WHERE job_id = ?", files, job_id)
        shutil.rmtree(made)
        before = tree(work.folder.parent)
        if planned:
            assert work.dsrun("plan", "demo.yaml", "--json").answer["to_send"] == 1
        outcome = work.dsrun("demo.yaml")
        assert outcome.code == 0
        assert "1 damaged result of the cache" in outcome.err
        assert sorted(emulator.creates().values()) == [1, 2]
        strange = [name for name in tree(work.folder.parent) - before if "outputs/" not in name]
        assert strange == []
        shutil.rmtree(made)
        assert work.dsrun("demo.yaml").code == 0  # and what was made anew took its place
        assert sorted(emulator.creates().values()) == [1, 2]


class TestCacheObjects:
    @pytest.fixture
    def objects(self, work, made):
        found = sorted((work.folder / "outputs" / ".cache" / "objects").rglob("*-0"))
        assert len(found) == 2
        return found

    @pytest.mark.usefixtures("untouched")
    @pytest.mark.parametrize("how", ["folder", "pipe", "link", "lost link", "empty", "gone"])
    def test_what_is_no_file_is_a_miss_with_a_warning(self, work, emulator, objects, foreign, how):
        content = objects[0].read_bytes()
        objects[0].unlink()
        if how == "folder":
            objects[0].mkdir()
            (objects[0] / "x").touch()
        elif how == "pipe":
            os.mkfifo(objects[0])
        elif how == "link":
            (foreign.parent / "same.png").write_bytes(content)
            objects[0].symlink_to(foreign.parent / "same.png")
        elif how == "lost link":
            objects[0].symlink_to(foreign / "nowhere")
        elif how == "empty":
            objects[0].touch()
        shutil.rmtree(work.run_dir())
        outcome = work.dsrun("demo.yaml")
        assert outcome.code == 0
        assert "damaged result" in outcome.err
        assert sorted(emulator.creates().values()) == [1, 2]
        assert not any(path.is_symlink() for path in (work.run_dir() / "artifacts").rglob("*"))

    def test_only_objects_are_collected_and_never_through_a_link(
        self, work, made, objects, foreign, untouched
    ):
        root = work.folder / "outputs" / ".cache" / "objects"
        (root / "notes.txt").write_text("mine")
        (objects[0].parent / "notes.txt").write_text("mine")
        (objects[0].parent / f"{'f' * 64}-9").mkdir()
        (root / "z").symlink_to(foreign)
        (root / "elsewhere").symlink_to(foreign)
        outcome = work.dsrun("gc", "--older-than", "0s")
        assert outcome.code == 0
        assert not objects[0].exists()
        assert (root / "notes.txt").exists()
        assert (objects[0].parent / "notes.txt").exists()
        assert (objects[0].parent / f"{'f' * 64}-9").is_dir()

    def test_a_link_in_place_of_all_objects_is_not_swept(
        self, work, made, objects, foreign, untouched
    ):
        root = work.folder / "outputs" / ".cache" / "objects"
        shutil.rmtree(root)
        (foreign.parent / "all").mkdir()
        foreign.rename(foreign.parent / "all" / "a")
        root.symlink_to(foreign.parent / "all")
        assert work.dsrun("gc", "--older-than", "0s").code == 0
        (foreign.parent / "all" / "a").rename(foreign)


class TestRunDirectory:
    @pytest.mark.parametrize("command", [["report"], ["run"]])
    def test_thumbnails_are_cleaned_in_our_own_folder_alone(
        self, work, made, foreign, untouched, command
    ):
        thumbs = made / ".thumbs"
        shutil.rmtree(thumbs, ignore_errors=True)
        thumbs.symlink_to(foreign)
        outcome = work.dsrun(*command, made if command == ["report"] else "demo.yaml")
        assert outcome.code == 0
        assert thumbs.is_dir()
        assert not thumbs.is_symlink()

    def test_a_folder_or_link_among_the_thumbnails_is_no_bug(self, work, made, foreign, untouched):
        thumbs = made / ".thumbs"
        thumbs.mkdir(exist_ok=True)
        (thumbs / "mine.tmp").mkdir()
        (thumbs / "linked.tmp").symlink_to(foreign)
        (thumbs / f"{'0' * 24}.tmp").write_text("cut off")
        assert work.dsrun("report", made).code == 0
        assert (thumbs / "mine.tmp").is_dir()
        assert not (thumbs / f"{'0' * 24}.tmp").exists()

    def test_a_half_thumbnail_that_is_a_link_is_not_written_through(
        self, work, made, foreign, untouched
    ):
        sha256 = work.query("SELECT sha256 FROM artifact")[0]["sha256"]
        thumb = made / thumb_of(sha256)
        thumb.unlink(missing_ok=True)
        thumb.with_suffix(".tmp").symlink_to(foreign / "a.tmp")
        assert work.dsrun("report", made).code == 0

    @pytest.mark.parametrize(
        "name",
        [
            ".results.jsonl.tmp", ".report.html.tmp", ".ro-crate-metadata.json.tmp",
            ".manifest.yaml.tmp", ".manifest.lock.json.tmp", ".number", ".reserve", ".lock",
        ],
    )  # fmt: skip
    def test_a_file_that_is_a_link_is_not_written_through(
        self, work, made, foreign, untouched, name
    ):
        (made / name).unlink(missing_ok=True)
        (made / name).symlink_to(foreign / "a.tmp")
        work.posters(2, pictures=2)
        assert work.dsrun("demo.yaml").code in (0, 3)

    def test_the_folder_of_what_comes_in_is_our_own(self, work, emulator, foreign, untouched):
        pipeline = work.posters(2)
        assert work.dsrun(pipeline, "--limit", "1").code == 0
        (work.run_dir() / ".tmp").symlink_to(foreign)
        assert work.dsrun(pipeline).code == 0
        assert list(emulator.creates().values()) == [1, 1]

    @pytest.mark.usefixtures("untouched")
    @pytest.mark.parametrize("path", ["../../x", "/etc/hostname", "a/../../x", "", ".."])
    @pytest.mark.parametrize("command", ["report", "verify", "run", "run again"])
    def test_a_path_that_leads_out_is_told_and_not_followed(
        self, work, emulator, made, path, command
    ):
        in_ledger(made, "UPDATE artifact SET path = ? WHERE idx = 0", path)
        before = tree(work.folder.parent)
        if command == "run again":
            shutil.rmtree(work.folder / "outputs" / ".cache")
            outcome = work.dsrun("demo.yaml", "--retry-failed")
        else:
            outcome = work.dsrun(command, "demo.yaml" if command == "run" else made)
        assert outcome.code == (1 if command == "verify" else 3)
        assert "leads out of the run directory" in outcome.out + outcome.err
        assert list(emulator.creates().values()) == [1, 1]
        assert {
            name for name in tree(work.folder.parent) - before if "outputs" not in name
        } == set()

    @pytest.mark.parametrize("stem", ["../../../pwn", "a/../../../../pwn", "a\0b"])
    def test_a_name_that_leads_out_is_told_before_anything_is_sent(self, work, emulator, stem):
        pipeline = work.posters(2)
        assert work.dsrun(pipeline, "--limit", "1").code == 0
        in_ledger(work.run_dir(), "UPDATE job SET stems = ?", json.dumps([stem]))
        before = tree(work.folder.parent)
        outcome = work.dsrun(pipeline)
        assert outcome.code == 3
        assert "leads out of the run directory" in outcome.err
        assert emulator.paid() == 1
        assert {n for n in tree(work.folder.parent) - before if "outputs" not in n} == set()

    @pytest.mark.parametrize(
        "lock",
        [
            b"", b"{", b"[]", b"7", b"null", b'{"manifest": []}', b'{"manifest": {"steps": 7}}',
            b'{"manifest": {"name": 7, "steps": {}}}', b'{"manifest": {"name": "x", "steps": []}}',
            b'{"manifest": {"name": "x", "steps": {"a": 7}}}', b'{"run": [], "files": 7}',
            b'{"manifest": {"name": "x", "steps": {}, "params": [1]}, "digest": []}',
            b'{"run": {"date": []}, "files": {"a": {}}, "digest": 7}', b"\xff\xfe",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("how", ["report", "changed", "pinned"])
    def test_a_lock_file_that_makes_no_sense_is_no_bug(self, work, emulator, made, lock, how):
        (made / "manifest.lock.json").write_bytes(lock)
        if how == "report":
            assert work.dsrun("report", made).code == 0
        elif how == "pinned":
            assert work.dsrun("plan", made / "manifest.lock.json").code == 2
        else:
            work.posters(3, subject="moon")
            assert work.dsrun("plan", "demo.yaml").code == 0
            assert work.dsrun("plan", "demo.yaml", "--json", "--full").code == 0


class TestNotes:
    """What is known of run directories that are gone."""

    @pytest.fixture
    def note(self, work, emulator):
        assert work.dsrun(work.posters(1)).code == 0
        return {
            "directory": "0123456789ab",
            "invocations": [
                {
                    "started_at": "2026-01-01T00:00:00.000Z", "ended_at": None, "host": "h",
                    "pid": 1, "exit_code": 0, "reason": None, "jobs": {"succeeded": 1},
                    "cost": [{"amount": "0.16", "currency": "CNY"}],
                }
            ],
            "spendings": [
                {
                    "month": "2026-01", "operation": "wanx-v1", "jobs": 1,
                    "cost": {"amount": "0.16", "currency": "CNY"},
                }
            ],
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("at", "value"),
        [
            (("directory",), "../../x"), (("directory",), 7), (("invocations",), "text"),
            (("invocations", 0), "text"), (("invocations", 0, "jobs"), "text"),
            (("invocations", 0, "jobs"), {"succeeded": "many"}), (("invocations", 0, "cost"), 7),
            (("invocations", 0, "started_at"), 7), (("invocations", 0, "started_at"), "soon"),
            (("invocations", 0, "exit_code"), "0"), (("invocations", 0, "exit_code"), []),
            (("invocations", 0, "reason"), []), (("invocations", 0, "cost", 0, "amount"), "NaN"),
            (("spendings",), [[]]), (("spendings", 0, "jobs"), -1), (("spendings", 0, "month"), 1),
            (("spendings", 0, "cost", "amount"), "-1"), (("spendings", 0, "cost"), "0.16 CNY"),
            (("spendings", 0, "cost", "amount"), "Infinity"), (("spendings", 0, "more"), 1),
            (("spendings", 0, "cost", "currency"), None), ((), []), ((), "text"), ((), None),
        ],
    )  # fmt: skip
    def test_one_that_makes_no_sense_is_told_and_spoils_no_other(self, work, note, at, value):
        wrong = {"": orjson.loads(orjson.dumps(note))}
        place = wrong
        for key in ("", *at)[:-1]:
            place = place[key]
        place[("", *at)[-1]] = value
        lines = [orjson.dumps(wrong[""]), orjson.dumps(note)]
        (work.folder / "outputs" / "demo" / ".removed.jsonl").write_bytes(b"\n".join(lines))
        outcome = work.dsrun("history")
        assert "1 note of removed runs cannot be read" in outcome.err
        assert outcome.code in (0, 1, 3)
        assert "0.16" in outcome.out

    def test_only_what_prune_has_put_aside_is_removed(self, work, emulator, foreign, untouched):
        pipeline = work.posters(1)
        text = pipeline.read_text()
        pipeline.write_text(text.replace("steps:", "keep: 1\nsteps:", 1))
        folder = work.folder / "outputs" / "demo"
        folder.mkdir(parents=True)
        (folder / ".removing-mine").mkdir()
        (folder / ".removing-0123456789ab").mkdir()
        (folder / ".removing-0123456789ac").symlink_to(foreign)
        assert work.dsrun(pipeline).code == 0
        assert (folder / ".removing-mine").is_dir()
        assert not (folder / ".removing-0123456789ab").exists()

    @pytest.mark.parametrize("text", [b"9" * 5000, b"-1", b"\xff", b"1e400", b"", b"nan"])
    def test_a_number_of_a_run_that_makes_no_sense_is_none(self, work, serve, text, standing_clock):
        service = serve(clock=standing_clock)
        child = work.spawn(work.posters(1))
        work.until(lambda: service.tasks_asked_for() == 1, what="a task")
        (work.run_dir() / ".number").write_bytes(text)
        work.posters(2, subject="moon")
        other = work.spawn("demo.yaml")
        work.until(lambda: service.paid() == 3, what="tasks of the second run")
        standing_clock.advance(60)
        standing_clock.release()
        assert child.end().code == other.end().code == 0
