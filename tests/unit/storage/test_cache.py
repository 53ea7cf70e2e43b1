"""The result cache on a real disk: what goes in comes out, or is told to be missing."""

import hashlib
import signal
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from dsrun.common.digest import sha256_hex
from dsrun.storage.cache import Collected, Finished, ResultCache, has_cache, read_cache
from dsrun.storage.cache_index import CachedFile, CachedResult, CacheFault

EARLY, LATE = "2026-01-01T00:00:00.000Z", "2026-11-22T00:00:00.000Z"


class Place:
    """A run directory and the cache of its output directory."""

    def __init__(self, folder, name="run"):
        self.runs = folder / name
        self.runs.mkdir(exist_ok=True)
        self.folder = folder / "cache"
        self.temporary = str(self.runs / "temporary")

    def open(self, **options):
        return closing(ResultCache(self.folder, **options))

    def finished(self, number, *, contents=(b"picture",), output=None):
        """A job with its files in the run directory."""
        job_id, files, paths = sha256_hex(b"%d" % number), [], []
        for index, content in enumerate(contents):
            path = self.runs / f"{number}-{index}.png"
            path.write_bytes(content)
            paths.append(str(path))
            files.append(
                CachedFile(
                    index=index,
                    sha256=hashlib.sha256(content).hexdigest(),
                    source_sha256=hashlib.sha256(b"served " + content).hexdigest(),
                    size=len(content),
                    media_type="image/png",
                    extension="png",
                    seed=index,
                    sample_rate=None,
                )
            )
        return Finished(CachedResult(job_id=job_id, output=output, files=tuple(files)), paths)

    def objects(self):
        return sorted((self.folder / "objects").rglob("*-*"))

    def brought(self, cache, result):
        """Each file's bytes under a new name, or None where the cache does not give it."""
        found = []
        for file in result.files:
            target = self.runs / "brought" / f"{file.index}.png"
            is_here = cache.bring(result.job_id, file, [str(target)], temporary=self.temporary)
            found.append(target.read_bytes() if is_here else None)
            assert not Path(self.temporary).exists()
        return found


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_a_result_comes_out_as_it_went_in_also_when_its_run_directory_is_gone(place):
    made = place.finished(1, contents=[b"one", b"two"], output={"voice": "v"})
    with place.open() as cache:
        cache.keep([made], at=EARLY)
    for path in made.paths:
        Path(path).unlink()
    with place.open() as cache:
        found = cache.take([made.result.job_id, "unknown"], at=LATE)
        assert found == {made.result.job_id: made.result}
        assert place.brought(cache, made.result) == [b"one", b"two"]
        cache.sync()


def test_a_second_result_of_a_job_leaves_the_first(place):
    first = place.finished(1, contents=[b"first"])
    with place.open() as cache:
        cache.keep([first], at=EARLY)
        cache.keep([place.finished(2), place.finished(1, contents=[b"other"])], at=EARLY)
        assert cache.take([first.result.job_id], at=LATE) == {first.result.job_id: first.result}


@pytest.mark.parametrize("fate", ["gone", "another size"])
def test_a_file_that_is_not_as_it_was_made_keeps_its_result_out(place, fate):
    made = place.finished(1, contents=[b"one", b"two"])
    if fate == "gone":
        Path(made.paths[1]).unlink()
    else:
        (place.runs / "1-1.png").write_bytes(b"retouched")
    with place.open() as cache:
        cache.keep([made, place.finished(2)], at=EARLY)
        assert cache.present([made.result.job_id, sha256_hex(b"2")]) == {sha256_hex(b"2")}


def test_a_hard_link_is_read_only_on_both_sides(place):
    made = place.finished(1)
    with place.open() as cache:
        cache.keep([made], at=EARLY)
    [kept] = place.objects()
    assert kept.stat().st_mode & 0o222 == 0
    if kept.stat().st_nlink > 1:
        assert Path(made.paths[0]).stat().st_mode & 0o222 == 0


class TestDamage:
    """What is not byte for byte as it was made is never given out."""

    @pytest.fixture
    def made(self, place):
        made = place.finished(1, contents=[b"one", b"two"])
        with place.open() as cache:
            cache.keep([made], at=EARLY)
        return made

    @pytest.mark.parametrize("content", [b"owt", b"tw", b"", None], ids=repr)
    def test_is_a_miss_and_the_rest_is_given(self, place, made, content):
        kept = place.objects()[1]
        kept.unlink()
        if content is not None:
            kept.write_bytes(content)
        with place.open() as cache:
            assert place.brought(cache, made.result) == [b"one", None]

    def test_is_seen_by_a_look_where_the_size_tells(self, place, made):
        place.objects()[1].unlink()
        with place.open() as cache:
            assert cache.present([made.result.job_id]) == set()

    def test_leaves_what_stands_under_the_name_already(self, place, made):
        place.objects()[0].unlink()
        target = place.runs / "brought" / "0.png"
        target.parent.mkdir()
        target.write_bytes(b"mine")
        with place.open() as cache:
            assert place.brought(cache, made.result)[0] is None
        assert target.read_bytes() == b"mine"

    def test_is_discarded_with_its_files_and_makes_room_for_a_good_one(self, place, made):
        with place.open() as cache:
            cache.discard(made.result)
            assert cache.take([made.result.job_id], at=LATE) == {}
            assert place.objects() == []
            cache.keep([place.finished(1, contents=[b"new"])], at=LATE)
            assert cache.present([made.result.job_id]) == {made.result.job_id}

    def test_that_another_run_has_mended_is_left(self, place, made):
        mended = place.finished(1, contents=[b"new"])
        with place.open() as cache:
            cache.discard(made.result)
            cache.keep([mended], at=LATE)
            cache.discard(made.result)
            assert place.brought(cache, mended.result) == [b"new"]

    def test_a_file_of_a_killed_run_is_replaced(self, place):
        place.folder.mkdir()
        made = place.finished(7)
        stray = place.folder / "objects" / made.result.job_id[0] / f"{made.result.job_id}-0"
        stray.parent.mkdir(parents=True)
        stray.write_bytes(b"half")
        with place.open() as cache:
            cache.keep([made], at=EARLY)
            assert place.brought(cache, made.result) == [b"picture"]


def test_a_name_that_is_the_same_file_already_is_no_trouble(place):
    made = place.finished(1)
    with place.open() as cache:
        cache.keep([made], at=EARLY)
        assert place.brought(cache, made.result) == [b"picture"]
        assert place.brought(cache, made.result) == [b"picture"]


class TestCollect:
    @pytest.fixture
    def two(self, place):
        """One result of early, one of late, and a file that no result has."""
        old, new = place.finished(1, contents=[b"old", b"older"]), place.finished(2)
        with place.open() as cache:
            cache.keep([old], at=EARLY)
            cache.keep([new], at=LATE)
        stray = place.folder / "objects" / "0" / ("0" * 64 + "-0")
        stray.parent.mkdir(exist_ok=True)
        stray.write_bytes(b"stray")
        return old, new

    def test_removes_what_was_not_used_and_tells_what_it_frees(self, place, two):
        old, new = two
        Path(old.paths[0]).unlink()
        has_links = Path(old.paths[1]).stat().st_nlink > 1
        expected = Collected(1, 3, 3 + 5 if has_links else 13, 5 if has_links else 0)
        with place.open(read_only=True) as cache:
            assert cache.collect(since=LATE, dry_run=True) == expected
        assert len(place.objects()) == 4
        with place.open() as cache:
            assert cache.collect(since=LATE, dry_run=False) == expected
            assert cache.present([old.result.job_id, new.result.job_id]) == {new.result.job_id}
            assert cache.collect(since=LATE, dry_run=False) == Collected(0, 0, 0, 0)
        assert len(place.objects()) == 1
        assert Path(old.paths[1]).exists()

    def test_a_use_makes_a_result_young(self, place, two):
        old, _ = two
        with place.open() as cache:
            cache.take([old.result.job_id], at=LATE)
            assert cache.collect(since=LATE, dry_run=False).results == 0
            assert place.brought(cache, old.result) == [b"old", b"older"]

    def test_a_use_by_a_clock_that_was_set_back_makes_none_old(self, place, two):
        _, new = two
        with place.open() as cache:
            cache.take([new.result.job_id], at=EARLY)
            assert cache.collect(since=LATE, dry_run=True).results == 1  # the old one

    def test_forgets_any_number(self, place):
        made = [
            Finished(CachedResult(job_id=sha256_hex(b"%d" % n), output=None, files=()), ())
            for n in range(2500)
        ]
        with place.open() as cache:
            cache.keep(made, at=EARLY)
            assert cache.collect(since=LATE, dry_run=False).results == 2500
            assert cache.index.is_empty()


class TestReadOnly:
    def test_a_look_makes_nothing(self, place):
        assert read_cache(place.folder) is None
        assert not has_cache(place.folder)
        assert not place.folder.exists()

    def test_a_look_leaves_no_file_and_sees_what_a_live_run_has_kept(self, place):
        with place.open() as live:
            live.keep([place.finished(1)], at=EARLY)
            with closing(read_cache(place.folder)) as cache:
                assert cache.present([sha256_hex(b"1")]) == {sha256_hex(b"1")}
        before = sorted(place.folder.rglob("*"))
        with closing(read_cache(place.folder)) as cache:
            assert cache.take([sha256_hex(b"1")], at=LATE).keys() == {sha256_hex(b"1")}
        assert sorted(place.folder.rglob("*")) == before


class TestFault:
    def test_a_damaged_index_is_told_with_what_to_do(self, place):
        with place.open():
            pass
        (place.folder / "index.sqlite3").write_bytes(b"no database " * 100)
        with pytest.raises(CacheFault, match=r"not a database.*removed"):
            ResultCache(place.folder)

    def test_an_index_of_a_newer_version_is_not_touched(self, place):
        with place.open():
            pass
        with closing(sqlite3.connect(place.folder / "index.sqlite3")) as db:
            db.execute("PRAGMA user_version = 99")
        with pytest.raises(CacheFault, match="version 99"):
            ResultCache(place.folder)

    def test_a_file_in_the_place_of_the_folder(self, place):
        place.folder.write_text("in the way")
        with pytest.raises(CacheFault, match="cannot be used"):
            ResultCache(place.folder)


WORKER = """
import sys
from contextlib import closing
from pathlib import Path
from tests.unit.storage.test_cache import EARLY, LATE, Place
place = Place(Path(sys.argv[1]), sys.argv[2])
first, step, collects = int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:]
print("ready", flush=True)
for number in range(first, first + 60 * step, step):
    with place.open() as cache:
        made = place.finished(number, contents=[b"%d" % number, b"second of %d" % number])
        cache.keep([made], at=LATE)
        found = cache.take([made.result.job_id], at=LATE)
        if collects:
            cache.collect(since=LATE, dry_run=False)
        assert None not in place.brought(cache, found[made.result.job_id])
print("done", flush=True)
"""


@pytest.fixture
def spawn(place):
    """Start workers: run directory, first job, distance to the next; killed when the test ends."""
    with ExitStack() as stack:

        def start(*arguments):
            worker = subprocess.Popen(
                [sys.executable, "-c", WORKER, place.runs.parent, *map(str, arguments)],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            stack.enter_context(worker)
            stack.callback(worker.kill)
            return worker

        yield start


def test_runs_at_once_lose_nothing_to_each_other_nor_to_a_collector(place, spawn):
    """Two that keep the same jobs, one that keeps others, all opening and closing; one collects."""
    workers = [spawn("a", 0, 2), spawn("b", 0, 2), spawn("c", 1, 2, "collect")]
    for worker in workers:
        out, err = worker.communicate(timeout=100)
        assert (out, err, worker.returncode) == ("ready\ndone\n", "", 0)
    ids = [sha256_hex(b"%d" % number) for number in range(120)]
    with place.open() as cache:
        assert cache.present(ids) == set(ids)


def test_kill_9_while_filling_leaves_only_whole_results(place, spawn):
    kept = 0
    for round_number in range(6):
        worker = spawn("run", round_number * 100, 1)
        assert worker.stdout.readline() == "ready\n"
        while kept + 4 > len(place.objects()) and worker.poll() is None:
            pass
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
        kept = len(place.objects())
    assert kept >= 20
    with place.open() as cache:
        ids = [sha256_hex(b"%d" % number) for number in range(600)]
        found = cache.take(ids, at=LATE)
        assert cache.present(ids) == found.keys()
        assert len(found) >= 6  # the first of each round was in before its second began
        for result in found.values():
            assert None not in place.brought(cache, result)
        cache.collect(since=EARLY, dry_run=False)
        assert len(place.objects()) == 2 * len(found)
    with closing(sqlite3.connect(place.folder / "index.sqlite3")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
