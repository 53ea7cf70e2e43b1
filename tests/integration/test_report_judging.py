"""To judge with the report in a real browser: compare, reject, note, listen, watch, and take along.

The runs are those of the examples, emulated.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browsing import MARKS, NARROW, dsrun

EVIL = '</script><img src=x onerror="window.hacked=1">'
ROOT = Path(__file__).resolve().parents[2]
pytestmark = MARKS


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """The report of each example, which is run once."""
    folder, made = tmp_path_factory.mktemp("a person's runs"), {}

    def report(name):
        if name not in made:
            command = [sys.executable, "-m", "dsrun", ROOT / "examples" / name, "--emulate"]
            run = subprocess.run(  # our own program
                [*command, "--out", folder], capture_output=True, text=True, timeout=120,
                check=True,
            )  # fmt: skip
            made[name] = Path(run.stdout.strip()) / "report.html"
        return made[name]

    return report


@pytest.fixture
def models(examples):
    return examples("compare-models.yaml")


@pytest.fixture
def voices(examples):
    return examples("audiobook/audiobook.yaml")


@pytest.fixture
def films(examples):
    return examples("storyboard/storyboard.yaml")


def mark(reader, *numbers):
    for number in numbers:
        reader.page.locator(".open").nth(number).focus()
        reader.page.keyboard.press("m")


def lenses(reader):
    """The transformation of every picture that is compared."""
    return reader.page.locator(".glass > *").evaluate_all("all => all.map(p => p.style.transform)")


def seen(reader):
    panes = reader.page.locator(".pane")
    return [n for n in range(panes.count()) if panes.nth(n).is_visible()]


class TestCompare:
    def test_marked_pictures_stand_side_by_side_and_tell_what_differs(self, read, models):
        reader = read(models)
        mark(reader, 0, 1, 2)
        assert reader.page.locator("#picked").inner_text() == "⇄ 3 marked"
        reader.page.get_by_role("button", name="Compare", exact=True).click()
        assert reader.page.locator(".pane").count() == 3
        boxes = [reader.page.locator(".glass").nth(n).bounding_box() for n in range(3)]
        assert boxes[0]["y"] == boxes[1]["y"] == boxes[2]["y"]
        assert boxes[0]["x"] < boxes[1]["x"] < boxes[2]["x"]
        captions = reader.page.locator(".pane figcaption span").all_inner_texts()
        assert len(set(captions)) == 3
        reader.page.wait_for_function(
            "() => [...document.querySelectorAll('.glass img')].every(img => img.naturalWidth)"
        )
        sources = reader.page.locator(".glass img").evaluate_all("all => all.map(p => p.src)")
        assert all("/artifacts/" in source for source in sources), "not their thumbnails"
        assert reader.complaints == []

    def test_all_have_one_zoom_and_one_shift(self, read, models):
        reader = read(models)
        mark(reader, 0, 1, 2, 3)
        reader.page.keyboard.press("c")
        assert set(lenses(reader)) == {"translate(0%, 0%) scale(1)"}
        box = reader.page.locator(".glass").first.bounding_box()
        x, y = box["x"] + box["width"] / 4, box["y"] + box["height"] / 2
        reader.page.mouse.move(x, y)
        for _ in range(4):
            reader.page.mouse.wheel(0, -100)
        reader.page.wait_for_function(
            "() => document.querySelector('#zoom').textContent === '244 %'"
        )
        assert len(set(lenses(reader))) == 1
        zoomed = lenses(reader)[0]
        # What was under the mouse still is: a quarter from the left.
        shift, scale = reader.page.evaluate("[lens.x, lens.scale]")
        assert abs((0.25 - shift) / scale - 0.25) < 0.01
        reader.page.mouse.down()
        reader.page.mouse.move(x + 40, y + 10, steps=4)
        reader.page.mouse.up()
        assert len(set(lenses(reader))) == 1
        assert lenses(reader)[0] != zoomed
        reader.page.keyboard.press("ArrowRight")
        reader.page.keyboard.press("+")
        assert len(set(lenses(reader))) == 1
        reader.page.keyboard.press("0")
        assert set(lenses(reader)) == {"translate(0%, 0%) scale(1)"}
        assert reader.complaints == []

    def test_no_picture_is_shifted_out_of_its_pane(self, read, models):
        reader = read(models)
        mark(reader, 0, 1)
        for key in ["c", "+", "+", *["ArrowLeft"] * 30, *["ArrowUp"] * 30]:
            reader.page.keyboard.press(key)
        assert lenses(reader)[0].startswith("translate(0%, 0%)")
        for key in ["ArrowRight"] * 30:
            reader.page.keyboard.press(key)
        assert reader.page.evaluate("lens.x + lens.scale") == pytest.approx(1)

    def test_one_to_one_shows_a_pixel_of_a_picture_as_one_of_the_screen(self, read, models):
        reader = read(models)
        mark(reader, 0, 1)
        reader.page.keyboard.press("c")
        picture = reader.page.locator(".glass img").first
        reader.page.wait_for_function("() => document.querySelector('.glass img').naturalWidth > 0")
        reader.page.get_by_role("button", name="1:1").click()
        width, height = picture.evaluate("p => [p.naturalWidth, p.naturalHeight]")
        box = picture.bounding_box()  # letterboxed in one direction
        assert min(box["width"] / width, box["height"] / height) == pytest.approx(1, abs=0.01)

    def test_flicker_swaps_them_in_one_place(self, read, models):
        reader = read(models)
        mark(reader, 0, 1, 2)
        for key in "cf":
            reader.page.keyboard.press(key)
        assert seen(reader) == [0]
        places = reader.page.locator(".glass").evaluate_all(
            "all => all.map(g => JSON.stringify(g.getBoundingClientRect()))"
        )
        assert len(set(places)) == 1
        swapped = []
        for key in (" ", " ", " ", "3", "Shift+ ", "+"):
            reader.page.keyboard.press(key)
            swapped += seen(reader)
        assert swapped == [1, 2, 0, 2, 1, 1]
        reader.page.locator(".pane.front .glass").click()
        assert seen(reader) == [2], "a click swaps too"
        reader.page.keyboard.press("f")
        assert seen(reader) == [0, 1, 2]
        assert reader.complaints == []

    def test_a_fifth_is_not_marked_and_the_page_says_so(self, read, models):
        reader = read(models)
        mark(reader, 0, 1, 2, 3, 4)
        assert reader.page.locator("#picked").inner_text() == "⇄ 4 marked"
        expect(reader.page.locator("#toast")).to_contain_text("4 at most")

    def test_one_picture_alone_is_not_compared(self, read, models):
        reader = read(models)
        mark(reader, 0)
        reader.page.keyboard.press("c")
        assert not reader.page.locator("#compare").is_visible()
        expect(reader.page.locator("#toast")).to_contain_text("Mark two to 4")
        assert reader.page.get_by_role("button", name="Compare", exact=True).is_disabled()

    def test_a_voice_is_not_compared(self, read, voices):
        reader = read(voices)
        mark(reader, 0)
        assert not reader.page.locator("#picks").is_visible()
        assert reader.page.locator(".reject").count() == 1
        assert reader.page.locator(".mark").count() == 0

    def test_what_is_starred_or_taken_away_there_is_so_on_the_page(self, read, models):
        reader = read(models)
        mark(reader, 0, 1, 2)
        for key in ("c", "2", "s", "3", "x", "1", "m"):
            reader.page.keyboard.press(key)
        assert reader.page.locator(".pane").count() == 2
        reader.page.keyboard.press("m")
        assert not reader.page.locator("#compare").is_visible(), "one alone is no comparison"
        cards = reader.page.locator(".card")
        assert "starred" in cards.nth(1).get_attribute("class")
        assert "rejected" in cards.nth(2).get_attribute("class")
        assert reader.page.locator("#picked").inner_text() == (
            "★ 1 starred · ✗ 1 rejected · ⇄ 1 marked"
        )

    def test_the_full_view_below_hears_no_key(self, read, models):
        reader = read(models)
        mark(reader, 0, 1)
        reader.page.keyboard.press("Enter")
        told = reader.page.locator("#told").inner_text()
        for key in ("c", "ArrowRight", "n", "u", "b"):
            reader.page.keyboard.press(key)
        assert reader.page.locator("#compare").is_visible()
        reader.page.keyboard.press("Escape")
        assert not reader.page.locator("#compare").is_visible()
        assert reader.page.locator("#told").inner_text() == told
        reader.page.keyboard.press("Escape")
        assert not reader.page.locator("#view").is_visible()

    def test_marks_are_in_the_address(self, read, models):
        reader = read(models)
        mark(reader, 0, 3)
        again = read(reader.page.url)
        assert again.page.locator(".card.marked").count() == 2
        reader.page.get_by_role("button", name="Clear").click()
        assert "compare=" not in reader.page.url
        odd = read(f"{models.as_uri()}#compare=no/such/card,{'x' * 2000}&notes=%7B&rejects=")
        assert odd.page.locator(".card.marked").count() == 0
        assert odd.complaints == []

    def test_films_are_compared_silently(self, read, films):
        reader = read(films)
        mark(reader, 4, 5)
        reader.page.keyboard.press("c")
        reader.page.wait_for_function(
            "() => [...document.querySelectorAll('.glass video')].every(v => v.currentTime > 0)"
        )
        assert reader.page.locator(".glass video").evaluate_all("all => all.every(v => v.muted)")
        reader.page.keyboard.press("Escape")
        expect(reader.page.locator(".glass")).to_have_count(0)
        assert reader.complaints == []

    def test_two_fingers_zoom_on_a_phone(self, read, models):
        reader = read(models, viewport=NARROW, has_touch=True)
        for number in (0, 1):
            reader.page.locator(".open").nth(number).click()
            reader.page.locator("#mark").click()
            reader.page.get_by_role("button", name="Close").click()
        reader.page.get_by_role("button", name="Compare", exact=True).click()
        boxes = [reader.page.locator(".glass").nth(n).bounding_box() for n in range(2)]
        assert boxes[0]["x"] == boxes[1]["x"], "one above the other"
        assert reader.page.evaluate("document.querySelector('#compare').scrollWidth") <= 390
        x, y = boxes[0]["x"] + boxes[0]["width"] / 2, boxes[0]["y"] + boxes[0]["height"] / 2
        touch = reader.page.context.new_cdp_session(reader.page)
        for kind, apart in (("touchStart", 20), ("touchMove", 30), ("touchMove", 60)):
            points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        reader.page.wait_for_function("() => lens.scale > 2.5")
        assert len(set(lenses(reader))) == 1


class TestMarks:
    def test_what_is_rejected_is_not_starred_and_can_be_hidden(self, read, models):
        reader = read(models)
        first = reader.page.locator(".open").first
        first.focus()
        for key in "sx":
            reader.page.keyboard.press(key)
        card = reader.page.locator(".card").first
        assert "rejected" in card.get_attribute("class")
        assert "starred" not in card.get_attribute("class")
        reader.page.get_by_label("Show by judgement").select_option("not rejected")
        assert reader.page.locator(".card").count() == 19
        reader.page.get_by_label("Show by judgement").select_option("rejected")
        assert reader.page.locator(".card").count() == 1
        reader.reload()
        assert reader.page.locator(".card").count() == 1
        reader.page.get_by_role("button", name="Reset").click()
        assert reader.page.locator(".card").count() == 20
        reader.page.locator(".open").first.focus()
        reader.page.keyboard.press("s")
        assert "rejected" not in reader.page.locator(".card").first.get_attribute("class")
        assert reader.complaints == []

    def test_a_note_is_kept_and_shown_on_the_card(self, read, models):
        reader = read(models)
        reader.page.locator(".open").nth(2).focus()
        reader.page.keyboard.press("n")
        reader.page.keyboard.type("too dark s x m")
        reader.page.keyboard.press("Escape")
        assert reader.page.locator("#view").is_visible(), "the first Esc leaves the field alone"
        reader.page.keyboard.press("Escape")
        assert reader.page.locator(".card").nth(2).locator(".said").inner_text() == (
            "too dark s x m"
        )
        reader.visit("about:blank")
        reader.visit(models.as_uri())  # without what the address says
        reader.page.get_by_label("Show by judgement").select_option("with a note")
        assert reader.page.locator(".card .said").all_text_contents() == ["too dark s x m"]
        reader.page.get_by_role("button", name="Reset").click()
        reader.page.locator("#q").fill("TOO dark")
        expect(reader.page.locator(".card")).to_have_count(1)
        again = read(reader.page.url)  # another person, with the address
        assert again.page.locator(".card .said").all_text_contents() == ["too dark s x m"]
        assert reader.complaints == []

    def test_a_note_is_no_markup(self, read, models):
        reader = read(models)
        reader.page.locator(".open").first.focus()
        reader.page.keyboard.press("n")
        reader.page.locator("#note").fill(EVIL)
        reader.page.keyboard.press("Escape")
        reader.page.keyboard.press("Escape")
        assert reader.page.locator(".said").first.inner_text() == EVIL
        assert reader.page.evaluate("window.hacked") is None
        assert reader.complaints == []

    @pytest.mark.parametrize(
        "kept", ["", "null", "5", "[]", '{"rejects": 5, "notes": 7}', '{"notes": {"a": {}}}']
    )
    def test_what_the_browser_kept_badly_breaks_nothing(self, read, models, kept):
        reader = read(models)
        reader.page.evaluate("kept => localStorage.setItem(MARKS, kept)", kept)
        reader.visit("about:blank")
        reader.visit(models.as_uri())
        assert reader.page.locator(".card").count() == 20
        assert reader.page.locator(".card.rejected").count() == 0
        assert reader.complaints == []

    def test_a_hand_reaches_every_mark(self, read, models):
        reader = read(models)
        card = reader.page.locator(".card").first
        card.hover()
        card.get_by_role("button", name="Reject").click()
        card.get_by_role("button", name="Mark to compare").click()
        assert "rejected" in card.get_attribute("class")
        card.get_by_role("button", name="Note").click()
        assert reader.page.evaluate("document.activeElement.id") == "note"


class TestPicks:
    def test_the_list_is_what_the_next_step_reads(self, read, examples, work, emulator):
        reader = read(examples("draft-pick-enlarge/pipeline.yaml"))
        reader.page.locator(".pick").nth(1).click()
        reader.page.locator(".open").nth(6).focus()
        reader.page.keyboard.press("s")
        reader.page.keyboard.press("n")
        reader.page.locator("#note").fill("the best # of all\nreally")
        reader.page.keyboard.press("Escape")
        reader.page.keyboard.press("Escape")
        saved = reader.saved("Save list")
        assert saved.suggested_filename == "picks.txt"
        shutil.copy(ROOT / "examples/draft-pick-enlarge/pipeline.yaml", work.folder)
        saved.save_as(work.folder / "picks.txt")
        lines = (work.folder / "picks.txt").read_text(encoding="utf-8").splitlines()
        note = lines.index("# the best # of all")
        assert lines[note + 1] == "# really"
        assert [line.startswith("artifacts/drafts/") for line in lines].count(True) == 2
        outcome = dsrun(work, "plan", "pipeline.yaml", "--emulate", "--json", "--full")
        assert outcome.code == 0
        assert "names no file" not in outcome.err
        large = [job for job in outcome.answer["job_list"] if job["step"] == "large"]
        assert len(large) == 2

    def test_the_list_is_called_as_the_manifest_asks_for_it(self, read, work, emulator):
        (work.folder / "picks").mkdir()
        steps = """
steps:
  drafts: {operation: wanx-v1, input: {prompt: a fox}}
  large:
    operation: wan2.5-i2i-preview
    matrix: {pick: {step: drafts, only: picks/best.txt}}
    input: {prompt: brighter, images: ["{{ pick.artifact }}"]}
"""
        assert dsrun(work, work.pipeline(steps)).code == 0
        reader = read(work.run_dir() / "report.html")
        reader.page.locator(".pick").first.click()
        assert reader.saved("Save list").suggested_filename == "best.txt"

    def test_the_copied_command_packs_the_starred_files(self, read, work, emulator):
        steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {subject: [a lantern, 一条河, it's]}
    input: {prompt: "{{ subject }}"}
    filename: "{{ subject }} #1 100% of it's"
"""
        assert dsrun(work, work.pipeline(steps)).code == 0
        report = work.run_dir() / "report.html"
        reader = read(report, permissions=["clipboard-read", "clipboard-write"])
        for number in (0, 2):
            reader.page.locator(".pick").nth(number).click()
        reader.page.get_by_role("button", name="Copy zip command").click()
        reader.page.get_by_text("Command copied").wait_for()
        command = reader.page.evaluate("navigator.clipboard.readText()")
        assert f"dsrun report {report.parent} --picks - --zip picks.zip" in command
        program = work.folder / "dsrun"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dsrun "$@"\n')
        program.chmod(0o755)
        path = f"{work.folder}:{os.environ['PATH']}"
        done = work.spawn_command(["sh", "-c", command], env=os.environ | {"PATH": path}).end()
        assert done.code == 0, done.err
        with zipfile.ZipFile(work.folder / "picks.zip") as archive:
            names = {f"artifacts/{name}": archive.read(name) for name in archive.namelist()}
        chosen = [work.results()[number]["artifacts"][0]["path"] for number in (0, 2)]
        assert names == {path: (report.parent / path).read_bytes() for path in chosen}

    def test_a_link_with_a_bare_percent_sign_opens(self, read, models, tmp_path):
        folder = tmp_path / "100% of them"
        shutil.copytree(models.parent, folder)
        reader = read(f"file://{tmp_path}/100% of them/report.html")
        assert reader.page.locator(".card").count() == 20
        assert reader.complaints == []


class TestVoices:
    def test_a_card_tells_the_words_their_length_and_the_voice(self, read, voices):
        reader = read(voices, permissions=["clipboard-read", "clipboard-write"])
        lines = (voices.parent / "results.jsonl").read_text(encoding="utf-8").splitlines()
        cast = json.loads(lines[0])
        card = reader.page.locator(".card").first
        words = card.locator(".words").text_content()
        assert words == cast["request"]["input"]["preview_text"], "what is heard, not how it sounds"
        assert card.locator(".time").text_content().endswith(" s")
        card.get_by_role("button", name="Copy voice").click()
        reader.page.get_by_text("Voice copied").wait_for()
        assert reader.page.evaluate("navigator.clipboard.readText()") == cast["output"]["voice"]
        assert reader.complaints == []

    def test_space_plays_and_pauses_and_opens_nothing(self, read, voices):
        reader = read(voices)
        reader.page.locator(".open").nth(4).focus()
        reader.page.locator("article audio").nth(4).evaluate("node => { node.muted = true }")
        reader.page.keyboard.press("Space")
        reader.page.wait_for_function(
            "() => document.querySelectorAll('article audio')[4].currentTime > 0"
        )
        assert not reader.page.locator("#view").is_visible()
        card = reader.page.locator(".card").nth(4)
        expect(card.get_by_role("button", name="Pause")).to_be_visible()
        reader.page.keyboard.press("Space")
        assert reader.page.locator("article audio").nth(4).evaluate("node => node.paused")
        expect(card.get_by_role("button", name="Play")).to_be_visible()
        assert reader.complaints == []

    def test_the_bar_moves_to_any_place(self, read, voices):
        reader = read(voices)
        card = reader.page.locator(".card").first
        audio = card.locator("audio")
        audio.evaluate("node => { node.muted = true }")
        card.locator(".play").click()
        reader.page.wait_for_function("() => document.querySelector('audio').currentTime > 0")
        card.locator(".play").click()
        bar = card.get_by_role("slider", name="Position")
        box = bar.bounding_box()
        bar.click(position={"x": box["width"] * 0.5, "y": box["height"] / 2})
        length = audio.evaluate("node => node.duration")
        assert audio.evaluate("node => node.currentTime") == pytest.approx(length / 2, rel=0.2)
        bar.press("Home")
        reader.page.wait_for_function("() => document.querySelector('audio').currentTime === 0")
        assert reader.complaints == []

    def test_the_full_view_plays_with_space_too(self, read, voices):
        reader = read(voices)
        reader.page.locator(".open", has_text="still burning").click()
        heard = reader.page.locator(".heard")
        assert "still burning" in heard.locator("p").inner_text()
        heard.locator("audio").evaluate("node => { node.muted = true }")
        reader.page.keyboard.press("Space")
        reader.page.wait_for_function(
            "() => document.querySelector('.heard audio').currentTime > 0"
        )
        assert heard.get_by_role("button", name="Copy voice").is_visible()
        assert reader.complaints == []


class TestFilms:
    def test_a_film_plays_with_space_even_where_motion_is_unwanted(self, read, films):
        reader = read(films, reduced_motion="reduce")
        reader.page.locator(".open").nth(4).focus()
        film = reader.page.locator("article video").first
        reader.page.wait_for_timeout(200)
        assert film.evaluate("node => node.paused")
        reader.page.keyboard.press("Space")
        reader.page.wait_for_function("() => document.querySelector('video').currentTime > 0.1")
        reader.page.keyboard.press("Space")
        assert film.evaluate("node => node.paused")
        assert not reader.page.locator("#view").is_visible()
        assert reader.complaints == []

    def test_a_film_in_full_is_paused_with_space(self, read, films):
        reader = read(films)
        reader.page.locator(".open").nth(4).click()
        film = reader.page.locator("#media video")
        reader.page.wait_for_function(
            "() => document.querySelector('#media video').currentTime > 0"
        )
        reader.page.locator("#star").focus()
        reader.page.evaluate("document.activeElement.blur()")
        reader.page.keyboard.press("Space")
        assert film.evaluate("node => node.paused")


class TestLineage:
    def test_keys_lead_from_a_film_to_its_picture_to_its_prompt_and_back(self, read, films):
        reader = read(films)
        lines = (films.parent / "results.jsonl").read_text(encoding="utf-8").splitlines()
        picture, film = (json.loads(lines[number])["job_id"] for number in (1, 5))
        told, keys = reader.page.locator("#told"), reader.page.keyboard
        reader.page.locator(".open").nth(5).click()
        expect(told).to_contain_text(film)
        keys.press("u")
        expect(told).to_contain_text(picture)
        keys.press("u")
        assert reader.page.evaluate("document.activeElement.id") == "prompt"
        assert "leans over the side" in reader.page.locator("#prompt").inner_text()
        keys.press("d")
        keys.press("d")
        expect(told).to_contain_text(film)
        keys.press("b")
        expect(told).to_contain_text(picture)
        keys.press("b")
        expect(told).to_contain_text(film)
        assert not reader.page.locator("#back").is_visible()
        keys.press("b")
        expect(reader.page.locator("#toast")).to_have_text("This is where you began")
        assert reader.complaints == []

    def test_a_film_tells_the_prompt_of_its_picture_which_leads_there(self, read, films):
        reader = read(films)
        reader.page.locator(".open").nth(5).click()
        link = reader.page.get_by_role("button", name="Go to the prompt of shots 1")
        assert "leans over the side" in link.inner_text()
        link.click()
        assert "leans over the side" in reader.page.locator("#prompt").inner_text()
        reader.page.get_by_role("button", name="back").click()
        expect(reader.page.locator("#media video")).to_have_count(1)

    def test_back_is_to_what_was_filtered(self, read, films):
        reader = read(films)
        reader.page.locator("#q").fill("reaches out")
        expect(reader.page.locator(".card")).to_have_count(1)
        reader.page.locator(".open").first.click()
        reader.page.keyboard.press("u")
        assert reader.page.locator(".card").count() == 8
        reader.page.keyboard.press("b")
        assert reader.page.locator(".card").count() == 1
        expect(reader.page.locator("#media video")).to_have_count(1)

    def test_back_finds_what_no_filter_shows_any_more(self, read, films):
        reader = read(films)
        reader.page.locator(".pick").nth(5).click()
        reader.page.get_by_label("starred", exact=True).check()
        reader.page.locator(".open").first.click()
        for key in "sub":  # no longer starred, up, and back
            reader.page.keyboard.press(key)
        expect(reader.page.locator("#media video")).to_have_count(1)
        assert reader.page.locator(".card").count() == 8
        assert reader.complaints == []

    def test_all_generations_are_told(self, read, work, serve):
        steps = """
steps:
  shots:
    operation: wanx-v1
    matrix: {beat: [a fox, an owl]}
    input: {prompt: "{{ beat }}"}
  bright:
    operation: wan2.5-i2i-preview
    matrix: {still: {step: shots}}
    input: {prompt: brighter, images: ["{{ still.artifact }}"]}
  dark:
    operation: wan2.5-i2i-preview
    matrix: {light: {step: bright}}
    input: {prompt: darker, images: ["{{ light.artifact }}"]}
"""
        serve(picture_scale=0.5)
        assert dsrun(work, work.pipeline(steps)).code == 0
        reader = read(work.run_dir() / "report.html")
        for number, words in ((0, ["Used in", "After that"]), (2, ["Made from", "Used in"]),
                              (4, ["Made from", "Before that"])):  # fmt: skip
            reader.page.locator(".open").nth(number).click()
            heads = reader.page.locator("#told h3").all_inner_texts()
            told = [head.partition(" (")[0] for head in heads]
            assert [head for head in told if head in
                    ("Made from", "Before that", "Used in", "After that")] == words  # fmt: skip
            reader.page.keyboard.press("Escape")
        assert reader.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["audiobook/audiobook.yaml", "storyboard/storyboard.yaml"])
def test_a_phone_shows_players_and_films_without_scrolling_sideways(read, examples, name, scheme):
    reader = read(examples(name), viewport=NARROW, color_scheme=scheme, has_touch=True)
    assert reader.page.evaluate("document.documentElement.scrollWidth") == 390
    reader.page.locator(".open").nth(5).click()
    assert reader.page.evaluate("document.querySelector('#view').scrollWidth") <= 390
    assert reader.complaints == []


@pytest.mark.parametrize("name", ["report-compare", "report-voices", "report-videos"])
def test_the_manual_has_small_pictures_of_it(name):
    picture = ROOT / f"docs/images/{name}.png"
    assert 5_000 < picture.stat().st_size < 200_000
    assert picture.stem in (ROOT / "docs/screens_media.py").read_text(encoding="utf-8")


PICKING = """
steps:
  drafts:
    operation: wanx-v1
    matrix: {subject: [fox, owl]}
    input: {prompt: "{{ subject }}"}
    filename: "{{ subject }}"
  large:
    operation: wan2.5-i2i-preview
    matrix: {pick: {step: drafts, only: picks.txt}}
    input: {prompt: "{{ pick.subject }}", images: ["{{ pick.artifact }}"]}
"""


def test_a_saved_list_says_where_it_belongs(read, models):
    reader = read(models)
    reader.page.locator(".pick").first.click()
    reader.saved("Save list")
    words = reader.page.locator("#toast").text_content()
    assert words == "picks.txt saved: move it beside the pipeline"


@pytest.mark.parametrize(("more", "name"), [((), "cost"), (("--emulate",), "would cost")])
def test_what_an_emulated_job_would_cost_is_no_cost(read, work, emulator, more, name):
    work.pipeline(PICKING.partition("  large:")[0])
    assert dsrun(work, "run", "demo.yaml", *more).code == 0
    (page,) = {path.resolve() for path in work.folder.glob("outputs/demo/*/report.html")}
    reader = read(page)
    reader.page.locator(".open").first.click()
    facts = reader.page.locator("#told dl").text_content()
    assert f"{name}0.16 CNY" in facts
    assert ("would cost" in facts) == bool(more)


class TestLeftOut:
    def cards(self, reader):
        return reader.page.locator(".card .open").evaluate_all(
            "all => all.map(node => node.getAttribute('aria-label').split(':')[0])"
        )

    def test_jobs_that_picks_leave_out_are_hidden_behind_a_chip(self, read, work):
        work.pipeline(PICKING)
        assert dsrun(work, "run", "demo.yaml", "--emulate").code == 0
        (page,) = work.folder.glob("outputs/demo/emulated-*/report.html")
        reader = read(page)
        assert self.cards(reader) == ["succeeded", "succeeded"]
        notes = reader.page.locator("#failures .note").all_text_contents()
        (note,) = notes
        assert note == (
            "2 left out of the last run. Star what is to go on, save the list as picks.txt beside "
            "the pipeline, and run it again."
        )
        chip = reader.page.locator("#counts .chip", has_text="2 left out")
        chip.click()
        assert self.cards(reader) == ["left out", "left out"]
        chip.click()
        reader.page.locator(".open").first.click()
        reader.page.keyboard.press("d")
        assert reader.page.locator("#toast").text_content() == "Nothing was made from it"
        assert reader.complaints == []

    def test_a_selection_is_told_as_what_it_is(self, read, work):
        work.pipeline(PICKING)
        (work.folder / "picks.txt").write_text("drafts/fox\ndrafts/owl\n")
        assert dsrun(work, "run", "demo.yaml", "--emulate", "--step", "drafts").code == 0
        (page,) = work.folder.glob("outputs/demo/emulated-*/report.html")
        reader = read(page)
        (note,) = reader.page.locator("#failures .note").all_text_contents()
        assert note.startswith("2 left out of the last run. Run the pipeline again without --step")
        assert reader.page.locator("#failures .command").count() == 0
        assert self.cards(reader) == ["succeeded", "succeeded"]

    def test_what_was_picked_and_not_sent_is_unfinished(self, read, work):
        work.pipeline(PICKING)
        (work.folder / "picks.txt").write_text("drafts/fox\n")
        stopped = dsrun(work, "run", "demo.yaml", "--emulate", "--max-cost", "0.4 CNY")
        assert stopped.code == 3
        (page,) = work.folder.glob("outputs/demo/emulated-*/report.html")
        notes = read(page).page.locator("#failures .note").all_text_contents()
        assert notes[0].startswith("Unfinished: 1 of 3 jobs have not ended.")
        assert notes[1].startswith("1 left out of the last run.")
