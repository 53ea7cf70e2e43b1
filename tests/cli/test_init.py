"""`dsrun init` writes a pipeline that works as it is, over nothing that is there."""


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
