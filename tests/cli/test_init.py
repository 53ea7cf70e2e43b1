"""`dsrun init` writes a pipeline that works as it is, over nothing that is there."""

from pathlib import Path

import pytest

PIPELINES = Path(__file__).parents[2] / "pipelines"
FOLDERS = sorted(path.parent.name for path in PIPELINES.glob("*/pipeline.yaml"))


class TestInit:
    def test_writes_a_pipeline_that_is_valid_and_can_be_tried(self, work):
        outcome = work.dsrun("init")
        assert outcome.code == 0
        assert outcome.out.strip() == "dsrun.yaml"
        assert "#" in (work.folder / "dsrun.yaml").read_text()
        assert work.dsrun("validate").code == 0
        assert work.dsrun("--emulate", "--limit", "1").code == 0

    def test_takes_a_name(self, work):
        assert work.dsrun("init", "lanterns").code == 0
        assert "name: lanterns\n" in (work.folder / "lanterns.yaml").read_text()
        assert work.dsrun("validate", "lanterns.yaml").code == 0

    def test_never_overwrites(self, work):
        (work.folder / "dsrun.yaml").write_text("mine")
        outcome = work.dsrun("init")
        assert outcome.code == 2
        assert "dsrun.yaml" in outcome.err
        assert (work.folder / "dsrun.yaml").read_text() == "mine"

    def test_writes_nothing_where_one_of_its_files_is_there(self, work):
        (work.folder / "product-shots.csv").write_text("mine")
        outcome = work.dsrun("init", "mugs", "--from", "product-shots")
        assert outcome.code == 2
        assert "product-shots.csv is there already" in outcome.err
        assert [path.name for path in work.folder.iterdir()] == ["product-shots.csv"]

    @pytest.mark.parametrize("source", FOLDERS)
    def test_copies_a_folder_with_all_that_is_in_it(self, work, source):
        outcome = work.dsrun("init", "--from", source, "--json")
        assert outcome.code == 0
        shipped = {p.relative_to(PIPELINES / source): p for p in (PIPELINES / source).rglob("*.*")}
        copied = {
            p.relative_to(work.folder / source): p for p in (work.folder / source).rglob("*.*")
        }
        assert copied.keys() == shipped.keys()
        assert sorted(outcome.answer["files"]) == sorted(f"{source}/{name}" for name in shipped)
        for name, path in copied.items():
            assert path.read_bytes() == shipped[name].read_bytes()
        assert work.dsrun("validate", f"{source}/pipeline.yaml").code == 0

    def test_gives_a_folder_and_its_pipeline_the_name(self, work):
        outcome = work.dsrun("init", "saga", "--from", "audiobook")
        assert outcome.out.splitlines()[0] == "saga/pipeline.yaml"
        assert "`dsrun saga/pipeline.yaml --emulate`" in outcome.err
        assert "outputs/saga/latest/report.html" in outcome.err
        assert "\nname: saga\n" in (work.folder / "saga/pipeline.yaml").read_text()

    @pytest.mark.parametrize("what", ["folder", "file", "link"])
    def test_never_writes_into_a_folder_that_is_there(self, work, what):
        there = work.folder / "dub"
        if what == "folder":
            there.mkdir()
        elif what == "file":
            there.write_text("mine")
        else:
            there.symlink_to(work.folder / "elsewhere")
        outcome = work.dsrun("init", "--from", "dub")
        assert outcome.code == 2
        assert "dub is there already; choose another name or folder" in outcome.err
        assert [path.name for path in work.folder.iterdir()] == ["dub"]

    def test_says_where_a_folder_cannot_be_made(self, work):
        work.folder.rmdir()
        outcome = work.dsrun("init", "--from", "dub")
        assert outcome.code == 3
        assert "dub cannot be made: No such file or directory" in outcome.err

    def test_knows_the_names_of_folders_and_files(self, work):
        outcome = work.dsrun("init", "--from", "audiobok")
        assert outcome.code == 2
        assert "did you mean audiobook" in outcome.err
        assert "product-set, product-shots" in outcome.err
