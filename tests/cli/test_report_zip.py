"""`dsrun report DIR --picks FILE --zip FILE` packs the files that a list names."""

import os
import zipfile

import pytest


@pytest.fixture
def run_dir(work, emulator):
    assert work.dsrun(work.posters(3, pictures=2)).code == 0
    return work.run_dir()


@pytest.fixture
def pack(work, run_dir):
    """Pack what these lines name, and return the outcome and the names in the archive."""

    def pack(*lines, more=()):
        (work.folder / "picks.txt").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        outcome = work.dsrun("report", run_dir, "--picks", "picks.txt", "--zip", "out.zip", *more)
        archive = work.folder / "out.zip"
        if not archive.exists():
            return outcome, None
        with zipfile.ZipFile(archive) as packed:
            assert packed.testzip() is None
            return outcome, packed.namelist()

    return pack


@pytest.mark.parametrize(
    "line",
    [
        "artifacts/posters/1-1.png",
        "posters/1-1.png",
        "posters/1-1",
        "outputs/demo/latest/artifacts/posters/1-1.png",
        r"artifacts\posters\1-1.png",
        "./posters/1-1.png  # the best",
        "  posters/1-1.png\r",
    ],
)
def test_a_line_is_read_as_only_reads_it(pack, line):
    outcome, names = pack(line)
    assert (outcome.code, names) == (0, ["posters/1-1.png"])
    assert outcome.out == "out.zip\n"


@pytest.mark.parametrize("digits", [12, 20, 64])
def test_the_id_of_a_job_names_all_its_files(pack, work, digits):
    job_id = work.results()[2]["job_id"]
    _, names = pack(job_id[:digits])
    assert names == ["posters/2-0.png", "posters/2-1.png"]


def test_the_archive_has_each_file_once_and_whole(pack, work, run_dir):
    job_id = work.results()[0]["job_id"]
    _, names = pack("# mine", "", "posters/0-1.png", job_id, "posters/0-1")
    assert names == ["posters/0-1.png", "posters/0-0.png"]
    with zipfile.ZipFile(work.folder / "out.zip") as packed:
        for name in names:
            assert packed.read(name) == (run_dir / "artifacts" / name).read_bytes()


def test_a_line_that_names_nothing_is_a_warning(pack):
    outcome, names = pack("posters/0-0.png", "posters/9-9.png")
    assert (outcome.code, names) == (0, ["posters/0-0.png"])
    assert 'picks.txt:2: found "posters/9-9.png", which names no file' in outcome.err


@pytest.mark.parametrize("lines", [(), ("# nothing",), ("nope",), ("artifacts/",), ("0" * 64,)])
def test_a_list_that_names_nothing_makes_no_archive(pack, lines):
    outcome, names = pack(*lines)
    assert (outcome.code, names) == (2, None)
    assert "names no file of" in outcome.err


def test_a_file_that_is_missing_or_changed_is_left_out_and_told(pack, run_dir):
    folder = run_dir / "artifacts/posters"
    (folder / "0-0.png").unlink()
    (folder / "1-0.png").write_bytes(b"other")
    outcome, names = pack("posters/0-0.png", "posters/1-0.png", "posters/2-0.png")
    assert (outcome.code, names) == (1, ["posters/2-0.png"])
    assert "0-0.png is missing" in outcome.err
    assert "1-0.png is changed" in outcome.err
    outcome, _ = pack("posters/0-0.png", "posters/2-0.png", more=["--json"])
    assert outcome.answer == {
        "zip": "out.zip",
        "files": ["artifacts/posters/2-0.png"],
        "left_out": [{"path": "artifacts/posters/0-0.png", "problem": "missing"}],
        "idle_lines": [],
    }


def test_a_link_to_a_file_outside_is_not_packed(pack, work, run_dir):
    (work.folder / "secret").write_text("key")
    picture = run_dir / "artifacts/posters/0-0.png"
    picture.unlink()
    picture.symlink_to(work.folder / "secret")
    _, names = pack("posters/0-0.png", "posters/0-1.png")
    assert names == ["posters/0-1.png"]


def test_a_file_older_than_a_zip_can_tell_is_packed(pack, run_dir):
    os.utime(run_dir / "artifacts/posters/0-0.png", (0, 0))
    outcome, names = pack("posters/0-0.png")
    assert (outcome.code, names) == (0, ["posters/0-0.png"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--zip", "out.zip"], "add --picks FILE"),
        (["--picks", "picks.txt"], "add --zip FILE.zip"),
        (["--picks", "picks.txt", "--zip", "out.png"], "allowed: .zip"),
        (["--picks", "picks.txt", "--zip", "out"], "allowed: .zip"),
        (["--picks", "none.txt", "--zip", "out.zip"], "none.txt"),
        (["--picks", ".", "--zip", "out.zip"], "directory"),
        (["--picks", "picks.txt", "--zip", "out.zip", "--sheet", "s.png"], "--sheet has no use"),
        (["--picks", "picks.txt", "--zip", "out.zip", "--rows", "number"], "--rows has no use"),
    ],
)
def test_what_makes_no_archive_is_told(work, run_dir, arguments, words):
    (work.folder / "picks.txt").write_text("posters/0-0.png\n")
    outcome = work.dsrun("report", run_dir, *arguments)
    assert outcome.code == 2
    assert words in outcome.err


def test_a_folder_that_is_not_there_is_told(work, run_dir):
    (work.folder / "picks.txt").write_text("posters/0-0.png\n")
    outcome = work.dsrun("report", run_dir, "--picks", "picks.txt", "--zip", "no/out.zip")
    assert outcome.code == 3
    assert "no/out.zip" in outcome.err
