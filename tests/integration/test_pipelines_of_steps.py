"""Pipelines of steps on steps as their users edit and run them: only what changed is sent."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
QUICK = "\n  rate: 1000/s\n  polling: {first: 50ms, max: 200ms, rate: 1000/s}\n"


class Pipeline:
    """An example that its user has copied, and what the service was asked to make for it."""

    def __init__(self, work, service, example):
        shutil.copytree((EXAMPLES / example).parent, work.folder, dirs_exist_ok=True)
        self._folder = work.folder
        self.manifest = work.folder / Path(example).name
        self.replace("\nexecution:\n", f"\nexecution:{QUICK}")
        self._work, self._service = work, service
        self._before = Counter()

    def replace(self, was, now, *, file=None):
        path = self._folder / file if file else self.manifest
        text = path.read_text(encoding="utf-8")
        assert was in text
        path.write_text(text.replace(was, now), encoding="utf-8")

    def run(self, *options, code=0):
        """Run it; the requests that were sent, as they were sent."""
        outcome = self._work.dsrun("run", self.manifest, "--no-progress", "--yes", *options)
        assert outcome.code == code, outcome.err
        creates = Counter(self._service.creates())
        new, self._before = creates - self._before, creates
        return [json.loads(text) for text in new.elements()]

    def results(self):
        path = next(self._folder.glob("outputs/*/latest/results.jsonl"))
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def files(self, step):
        return list(self._folder.glob(f"outputs/*/latest/artifacts/{step}/*"))

    def plan(self):
        return self._work.dsrun("plan", self.manifest, "--json").answer


@pytest.fixture
def book(work, emulator):
    return Pipeline(work, emulator, "audiobook/audiobook.yaml")


@pytest.fixture
def large(serve):
    """A service whose pictures are large enough to go on with."""
    return serve(picture_scale=0.5)


@pytest.fixture
def film(work, large):
    return Pipeline(work, large, "storyboard/storyboard.yaml")


@pytest.fixture
def drafts(work, large):
    return Pipeline(work, large, "draft-pick-enlarge/pipeline.yaml")


def voices(sent):
    return sorted(
        body["input"]["preview_text"][:4] for body in sent if "voice_prompt" in body["input"]
    )


def lines(sent):
    return sorted(body["input"]["text"] for body in sent if "text" in body["input"])


ALL_VOICES = ["Ever", "Long", "The ", "Wait"]


class TestAnAudiobook:
    def test_every_line_is_spoken_by_the_voice_of_its_speaker(self, book, work):
        sent = book.run()
        rows = book.results()
        cast, spoken = ([row for row in rows if row["step"] == name] for name in ("cast", "speech"))
        made = {row["matrix"]["who"]["name"]: row["output"]["voice"] for row in cast}
        assert voices(sent) == ALL_VOICES
        assert len(spoken) == len(lines(sent)) == 12
        assert len(set(made.values())) == 4
        by_text = {
            body["input"]["text"]: body["input"]["voice"]
            for body in sent
            if "text" in body["input"]
        }
        for row in spoken:
            line = row["matrix"]["line"]
            assert by_text[line["text"]] == made[line["speaker"]]
            assert row["artifacts"][0]["path"].endswith(f"{line['speaker'].lower()}.wav")

    def test_run_again_it_sends_nothing(self, book):
        assert len(book.run()) == 16
        assert book.run() == []

    def test_an_edited_voice_is_made_anew_with_its_lines_alone(self, book):
        book.run()
        book.replace("quick and curious", "slow and thoughtful", file="cast.csv")
        assert book.plan()["to_send"] == 4
        sent = book.run()
        assert voices(sent) == ["Wait"]
        assert lines(sent) == [
            "Can we follow it?",
            "Look, it is still burning!",
            "Why did you let it go?",
        ]

    def test_an_edited_line_is_one_job(self, book):
        book.run()
        book.replace("Can we follow it?", "Could we follow it?", file="script.csv")
        assert book.plan()["to_send"] == 1
        sent = book.run()
        assert (voices(sent), lines(sent)) == ([], ["Could we follow it?"])

    def test_a_line_more_is_one_job_more(self, book):
        book.run()
        book.replace("1,6,Narrator,", "1,6,Keeper,Not so loud.\n1,7,Narrator,", file="script.csv")
        sent = book.run()
        assert (voices(sent), lines(sent)) == ([], ["Not so loud."])

    def test_a_line_less_sends_nothing(self, book, work):
        book.run()
        book.replace('2,3,Ada,"Why did you let it go?"\n', "", file="script.csv")
        assert book.run() == []
        assert len(book.results()) == 15

    def test_lines_in_another_order_send_nothing(self, book, work):
        book.run()
        text = work.folder.joinpath("script.csv").read_text()
        head, *rows = text.splitlines()
        work.folder.joinpath("script.csv").write_text("\n".join([head, *reversed(rows)]) + "\n")
        assert book.run() == []

    def test_a_speaker_without_a_voice_is_a_problem_at_the_line(self, book, work, emulator):
        book.replace("Keeper,", "Kepper,", file="cast.csv")
        outcome = work.dsrun("run", book.manifest)
        assert outcome.code == 2
        assert "script.csv:9" in outcome.err
        assert "Kepper" in outcome.err
        assert emulator.requests() == []

    @pytest.mark.parametrize(
        "renames",
        [
            {"  cast:": "  people:", "{step: cast}": "{step: people}"},
            {"  speech:": "  spoken:"},
            {" who: ": " person: ", "who.": "person."},
            {" line: ": " words: ", "line.": "words."},
            {" voice: {step": " speaker: {step", " voice.": " speaker."},
        ],
    )
    def test_another_name_of_a_step_or_an_axis_sends_nothing(self, book, renames):
        book.run()
        for was, now in renames.items():
            book.replace(was, now)
        assert book.run() == []
        assert len(book.results()) == 16

    def test_another_take_of_the_cast_makes_every_voice_and_line_again(self, book):
        first = book.run()
        book.replace("  cast:\n", "  cast:\n    take: 2\n")
        assert book.plan()["to_send"] == 16
        again = book.run()
        assert (voices(again), lines(again)) == (voices(first), lines(first))
        assert book.run() == []

    def test_another_take_of_the_lines_makes_no_voice_again(self, book):
        first = book.run()
        book.replace("  speech:\n", "  speech:\n    take: 2\n")
        again = book.run()
        assert (voices(again), lines(again)) == ([], lines(first))

    def test_another_take_of_one_voice_makes_its_lines_again(self, book):
        book.run()
        book.replace("  cast:\n", "  cast:\n    take: \"{{ 2 if who.name == 'Tom' else 1 }}\"\n")
        sent = book.run()
        assert voices(sent) == ["The "]
        assert len(lines(sent)) == 3

    def test_the_first_take_is_no_take(self, book):
        book.run()
        book.replace("  cast:\n", "  cast:\n    take: 1\n")
        assert book.run() == []


def models(sent):
    return Counter(body["model"] for body in sent)


class TestAStoryboard:
    def test_every_picture_begins_its_film(self, film, large):
        sent = film.run()
        assert models(sent) == {"wan2.2-t2i-flash": 4, "wan2.6-i2v-flash": 4}
        begins = {body["input"]["img_url"] for body in sent if "img_url" in body["input"]}
        assert len(begins) == 4
        assert all(address.startswith("http") for address in begins)
        assert large.count("GET", "uploads") == 0

    def test_the_address_of_a_picture_is_in_no_file_but_the_ledger(self, film, work):
        sent = film.run("--log-file", work.folder / "dsrun.log", "-v")
        addresses = [body["input"]["img_url"] for body in sent if "img_url" in body["input"]]
        found = [path for path in work.folder.rglob("*") if path.is_file()]
        assert {"results.jsonl", "report.html", "dsrun.log"} <= {path.name for path in found}
        for path in found:
            if not path.name.startswith("ledger.sqlite3"):
                content = path.read_bytes()
                assert not [one for one in addresses if one.encode() in content], path

    def test_the_pictures_alone_then_the_films(self, film):
        assert models(film.run("--step", "shots")) == {"wan2.2-t2i-flash": 4}
        assert models(film.run()) == {"wan2.6-i2v-flash": 4}

    def test_the_films_bring_their_pictures_along(self, film):
        assert models(film.run("--step", "films")) == {"wan2.2-t2i-flash": 4, "wan2.6-i2v-flash": 4}

    def test_another_motion_is_another_film_of_the_same_picture(self, film):
        film.run()
        film.replace("the beam sweeps once", "the beam sweeps twice", file="shots.csv")
        assert models(film.run()) == {"wan2.6-i2v-flash": 1}

    def test_another_picture_is_another_film(self, film):
        film.run()
        film.replace("a lighthouse on a rock", "a lighthouse on a cliff", file="shots.csv")
        assert models(film.run()) == {"wan2.2-t2i-flash": 1, "wan2.6-i2v-flash": 1}

    def test_a_film_of_seconds_that_the_model_does_not_make_is_a_problem(self, film, work, large):
        film.replace("across the sea,5", "across the sea,16", file="shots.csv")
        outcome = work.dsrun("run", film.manifest)
        assert outcome.code == 2
        assert "duration" in outcome.err
        assert large.requests() == []


class TestDraftsOfWhichSomeAreEnlarged:
    def test_only_what_is_picked_is_enlarged_and_nothing_is_sent_twice(self, drafts, work):
        picks = work.folder / "picks.txt"
        assert models(drafts.run()) == {"wanx2.0-t2i-turbo": 3}
        names = ["a-tea-house-in-the-rain-2", "a-cat-asleep-on-a-garden-wall-0"]
        for count in (1, 2):
            lines = [f"artifacts/drafts/{name}.png\n" for name in names[:count]]
            picks.write_text("".join(lines), encoding="utf-8")
            assert models(drafts.run()) == {"wanx2.1-imageedit": 1}
            assert sorted(path.stem for path in drafts.files("large")) == sorted(names[:count])
        assert drafts.run() == []
