"""`dsrun validate` checks every job of every pipeline, tells all problems, and touches nothing."""


class TestValidate:
    def test_says_how_many_jobs_there_are(self, work):
        outcome = work.dsrun("validate", work.posters(3))
        assert outcome.code == 0
        assert "3 jobs" in outcome.out + outcome.err

    def test_touches_nothing(self, work):
        before = sorted(work.folder.parent.rglob("*"))
        work.dsrun("validate", work.posters(3))
        assert sorted(set(work.folder.parent.rglob("*")) - set(before)) == [
            work.folder / "demo.yaml"
        ]

    def test_checks_every_pipeline_and_tells_all_problems(self, work):
        work.posters(1)
        work.pipeline("steps: {a: {operation: wanx-v1, input: {}}}", path="one.yaml")
        work.pipeline("steps: {a: {operation: wanx-v1, input: {promt: x}}}", path="two.yaml")
        outcome = work.dsrun("validate", "one.yaml", "demo.yaml", "two.yaml", "none.yaml")
        assert outcome.code == 2
        for words in ("one.yaml", "two.yaml", "promt", "none.yaml: no such file"):
            assert words in outcome.err

    def test_json_has_the_problems_with_their_places(self, work):
        work.posters(1)
        work.pipeline("steps: {a: {operation: wanx-v1, input: {promt: x}}}", path="bad.yaml")
        outcome = work.dsrun("validate", "demo.yaml", "bad.yaml", "--json")
        assert outcome.code == 2
        good, bad = outcome.answer
        assert (good["valid"], good["jobs"], good["problems"]) == (True, 1, [])
        assert bad["valid"] is False
        keys = {"file", "line", "column", "end_column", "where", "message", "jobs"}
        assert bad["problems"][0].keys() == keys

    def test_checks_every_job_and_not_only_the_file(self, work):
        steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {size: [1024*1024, 1*1]}
    input: {prompt: a lantern}
    parameters: {size: "{{ size }}"}
"""
        outcome = work.dsrun("validate", work.pipeline(steps))
        assert outcome.code == 2
        assert "1*1" in outcome.err
        assert "720*1280" in outcome.err
