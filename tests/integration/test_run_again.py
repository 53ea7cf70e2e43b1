"""Work that is done is never done again: the same pipeline, run once more."""


class TestSecondRun:
    def test_sends_not_one_request(self, work, emulator):
        pipeline = work.posters_and_voices("calm", "bright")
        assert work.dsrun(pipeline).code == 0
        before, files = emulator.requests(), work.files()
        again = work.dsrun(pipeline)
        assert again.code == 0
        assert emulator.requests() == before
        assert work.files() == files

    def test_leaves_the_results_as_they_were(self, work, emulator):
        pipeline = work.posters(2)
        work.dsrun(pipeline)
        results = work.results()
        work.dsrun(pipeline)
        assert work.results() == results

    def test_sends_only_what_is_new(self, work, emulator):
        pipeline = work.posters(3)
        assert work.dsrun(pipeline, "--limit", "2").code == 0
        assert emulator.paid() == 2
        assert work.dsrun(pipeline).code == 0
        assert list(emulator.creates().values()) == [1, 1, 1]

    def test_a_comment_and_other_settings_make_no_other_run(self, work, emulator):
        pipeline = work.posters(2)
        work.dsrun(pipeline)
        first = work.run_dir()
        work.posters(2, concurrency=3)
        pipeline.write_text("# a comment\n" + pipeline.read_text())
        assert work.dsrun(pipeline).code == 0
        assert work.run_dir() == first
        assert emulator.paid() == 2

    def test_failed_jobs_are_sent_again_on_request_only(self, work, serve):
        failing = serve("moderation")
        pipeline = work.posters(2)
        assert work.dsrun(pipeline).code == 1
        assert work.dsrun(pipeline).code == 1
        assert failing.count("POST") == 2
        healthy = serve()
        assert work.dsrun(pipeline).code == 1
        assert work.dsrun(pipeline, "--retry-failed").code == 0
        assert healthy.paid() == 2
