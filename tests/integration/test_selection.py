"""Which jobs of a plan are sent: those that are selected, and none where one is invalid."""


class TestSelection:
    def test_limit_runs_the_first_jobs_of_the_plan(self, work, emulator):
        assert work.dsrun(work.posters(4), "--limit", "2").code == 0
        assert [line["status"] for line in work.results()] == ["succeeded"] * 2 + ["pending"] * 2

    def test_step_runs_that_step_alone(self, work, emulator):
        assert work.dsrun(work.posters_and_voices("calm", "bright"), "--step", "voices").code == 0
        assert emulator.count("POST", "image-synthesis") == 0
        assert emulator.count("POST", "customization") == 2

    def test_limit_counts_within_the_step(self, work, emulator):
        pipeline = work.posters_and_voices("calm", "bright")
        assert work.dsrun(pipeline, "--step", "voices", "--limit", "1").code == 0
        assert emulator.count("POST", "image-synthesis") == 0
        assert emulator.count("POST", "customization") == 1

    def test_an_unknown_step_is_an_error(self, work, emulator):
        outcome = work.dsrun(work.posters_and_voices("calm", "bright"), "--step", "voice")
        assert outcome.code == 2
        assert "voices" in outcome.err

    def test_no_more_jobs_are_under_way_than_allowed(self, work, serve, standing_clock):
        service = serve(clock=standing_clock)
        child = work.spawn(work.posters(5), "-j", "2")
        work.until(lambda: service.paid() == 2, what="two creates")
        asked = service.count("GET")
        work.until(
            lambda: service.count("GET") > asked + 10, what="more questions for the two tasks"
        )
        assert service.paid() == 2
        standing_clock.advance(1)
        work.until(lambda: service.paid() == 4, what="the next two")
        standing_clock.advance(1)
        work.until(lambda: service.paid() == 5, what="the last one")
        standing_clock.advance(1)
        assert child.end().code == 0


class TestInvalid:
    def test_nothing_is_sent_when_one_job_is_invalid(self, work, emulator):
        steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {text: [short, LONG]}
    input: {prompt: "{{ text }}"}
""".replace("LONG", "x" * 801)
        outcome = work.dsrun(work.pipeline(steps))
        assert outcome.code == 2
        assert "800" in outcome.err
        assert emulator.requests() == []
        assert not (work.folder / "outputs").exists()
