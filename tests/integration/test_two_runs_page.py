"""The page of two runs in a real browser, as a person opens it: from disk, without network."""

import json

import pytest
from playwright.sync_api import expect

from tests.browsing import MARKS, NARROW, dsrun
from tests.files_of_kinds import TEXT
from tests.studio import write_operations

pytestmark = MARKS

EVIL = '</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1">'
STEPS = """
steps:
  posters:
    operation: wanx-v1
    matrix:
      subject: [a lantern, 一条河, {evil}]
      style: {styles}
    input: {{prompt: "{{{{ subject }}}} in {light} light"}}
    parameters: {{style: "{{{{ style }}}}", seed: {seed}}}
    filename: "{{{{ style | slug }}}} #1 100% {{{{ subject | slug }}}}"
  host:
    operation: qwen-voice-design
    matrix: {{tone: {tones}}}
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: "A {{{{ tone }}}} voice"
      preview_text: Good evening.
      language: en
"""


def steps(*, light="calm", seed=7, styles='["<anime>", "<sketch>"]', tones="[calm, warm]"):
    return STEPS.format(evil=json.dumps(EVIL), light=light, seed=seed, styles=styles, tones=tones)


def run(work, text):
    assert dsrun(work, work.pipeline(text)).code == 0
    return work.run_dir()


def compare(work, old, new, *options):
    outcome = dsrun(work, "report", old, new, *options)
    assert outcome.code == 0, outcome.err
    return work.folder / outcome.out.strip()


@pytest.fixture
def page(work, emulator):
    old = run(work, steps())
    new = run(work, steps(light="wild evening", styles='["<anime>"]', tones="[calm, warm, proud]"))
    return compare(work, old, new)


def states(reader):
    return reader.page.locator(".card .state").all_text_contents()


def test_every_row_stands_beside_its_counterpart(read, page):
    reader = read(page)
    assert states(reader) == [
        *(["changed", "gone"] * 3),
        "unchanged",
        "unchanged",
        "new",
    ]
    card = reader.page.locator(".card").first
    assert card.locator(".open").text_content() == "posters · subject a lantern · style <anime>"
    assert card.locator("del").text_content() == "calm"
    assert card.locator("ins").text_content() == "wild evening"
    assert "differs by" in card.locator(".verdict").text_content()
    gone = reader.page.locator(".card").nth(1)
    assert gone.locator(".right").text_content() == "not in the right run"
    kept = reader.page.locator(".card").nth(6)
    assert kept.locator(".verdict").text_content() == "same file"
    assert kept.locator("audio").count() == 2
    assert reader.complaints == []


def test_the_pictures_of_both_directories_are_seen_and_nothing_leaves_the_disk(read, page):
    reader = read(page)
    images = reader.page.locator(".glance img")
    assert images.count() == 9
    for number in range(9):
        images.nth(number).scroll_into_view_if_needed()
        reader.page.wait_for_function(
            "n => document.querySelectorAll('.glance img')[n].naturalWidth > 0", arg=number
        )
    folders = {images.nth(n).evaluate("node => node.src").split("/.thumbs/")[0] for n in range(9)}
    assert len(folders) == 2
    assert {address.split(":")[0] for address in reader.addresses} == {"file"}
    assert reader.complaints == []


def test_a_page_elsewhere_finds_both_directories(read, page, work):
    (work.folder / "a #1 100%").mkdir()
    old = work.folder / "outputs/demo" / page.stem.removeprefix("compare-")
    far = compare(work, old, "outputs/demo", "-o", "a #1 100%/two.html")
    reader = read(far)
    reader.page.locator(".open").first.click()
    reader.page.wait_for_function(
        "() => [...document.querySelectorAll('#panes img')].filter(n => n.naturalWidth).length == 2"
    )
    assert reader.complaints == []


def test_foreign_text_is_shown_and_never_run(read, page):
    reader = read(page)
    reader.page.get_by_label("Search prompts").fill("hacked")
    expect(reader.page.locator(".card")).to_have_count(2)
    reader.page.locator(".open").first.click()
    assert EVIL in reader.page.locator("#told").inner_text()
    reader.page.keyboard.press("Escape")
    reader.page.locator("#edits summary").click()
    expect(reader.page.locator("#edits .change")).to_have_count(3)
    assert reader.page.evaluate("window.hacked") is None
    assert reader.page.locator("script").count() == 2
    assert reader.complaints == []


def test_the_policy_forbids_what_is_not_the_pages_own(read, page):
    reader = read(page)
    reader.page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.hacked=1';"
        "document.body.append(s) }"
    )
    assert reader.page.evaluate("window.hacked") is None
    assert reader.page.evaluate("fetch('http://127.0.0.1:9/').then(() => false, () => true)")
    assert any("Content Security Policy" in words for words in reader.complaints)


def test_states_are_chips_of_which_several_may_be_on(read, page):
    reader = read(page)
    reader.page.locator(".chip.new").click()
    assert states(reader) == ["new"]
    reader.page.locator(".chip.gone").click()
    assert sorted(states(reader)) == ["gone"] * 3 + ["new"]
    reader.reload()
    assert sorted(states(reader)) == ["gone"] * 3 + ["new"]
    assert reader.page.locator("#shown").inner_text() == "4 of 9 pairs shown"
    reader.page.get_by_role("button", name="Reset").click()
    assert len(states(reader)) == 9
    reader.page.get_by_label("Step").select_option("host")
    assert states(reader) == ["unchanged", "unchanged", "new"]


def test_what_changed_most_comes_first(read, page):
    reader = read(page)
    reader.page.get_by_label("Sort").select_option("most")
    words = reader.page.locator(".card .verdict").all_text_contents()
    numbers = [float(text.split()[-1]) for text in words if text.startswith("differs by")]
    assert len(numbers) == 3
    assert numbers == sorted(numbers, reverse=True)
    assert words[3:] == ["same file", "same file"]
    assert states(reader)[5:] == ["gone", "gone", "gone", "new"]
    reader.page.get_by_label("Sort").select_option("least")
    assert reader.page.locator(".card .verdict").first.text_content() == "same file"


def test_one_of_the_two_is_picked_and_listed_for_its_own_run(read, page, work):
    reader = read(page, permissions=["clipboard-read", "clipboard-write"])
    picks = reader.page.locator(".pick")
    picks.nth(0).click()
    picks.nth(1).click()  # the other of the same pair
    reader.page.locator(".card").nth(1).locator(".pick").click()
    assert reader.page.locator(".of:visible .count").all_inner_texts() == ["★ 1 left", "★ 1 right"]
    data = json.loads(reader.page.locator("#data").inner_text())
    saved = reader.saved("Save right list")
    assert saved.path().read_text() == data["pairs"][0]["files"][0]["right"]["path"] + "\n"
    assert saved.suggested_filename.startswith("demo-")
    assert saved.suggested_filename.endswith("-picks.txt")
    assert (page.parent / saved.path().read_text().strip()).is_file()
    reader.page.get_by_role("button", name="Copy left list").click()
    reader.page.get_by_text("List copied").wait_for()
    copied = reader.page.evaluate("navigator.clipboard.readText()")
    assert copied == data["pairs"][1]["files"][0]["left"]["path"] + "\n"
    reader.reload()
    assert reader.page.locator(".card.picked").count() == 2
    reader.page.get_by_label("picked", exact=True).check()
    assert states(reader) == ["changed", "gone"]
    reader.page.get_by_role("button", name="Clear").click()
    assert not reader.page.locator("#picks").is_visible()
    assert reader.complaints == []


def test_the_full_view_tells_what_differs_and_flickers(read, page):
    reader = read(page)
    keys = reader.page.keyboard
    reader.page.locator(".glance").first.click()
    images = reader.page.locator("#panes img")
    assert images.count() == 2
    assert reader.page.locator("#told .change").inner_text().startswith("prompt a lantern in ")
    assert reader.page.locator("#told tr.other th").all_inner_texts() == ["size"]
    keys.press("f")
    assert [images.nth(n).is_visible() for n in range(2)] == [True, False]
    keys.press(" ")
    assert [images.nth(n).is_visible() for n in range(2)] == [False, True]
    boxes = [images.nth(n).bounding_box() for n in range(2)]
    assert boxes[0] == boxes[1]
    keys.press("f")
    assert [images.nth(n).is_visible() for n in range(2)] == [True, True]
    keys.press("ArrowRight")
    assert reader.page.locator("#panes").inner_text().count("does not have this row") == 1
    assert reader.page.locator("#flicker").is_hidden()
    assert reader.complaints == []


def test_keys_alone_are_enough(read, page):
    reader = read(page)
    keys = reader.page.keyboard
    keys.press("ArrowDown")
    keys.press("2")
    assert reader.page.locator(".of:visible .count").inner_text() == "★ 1 right"
    keys.press("1")
    assert reader.page.locator(".of:visible .count").inner_text() == "★ 1 left"
    keys.press("1")
    assert not reader.page.locator("#picks").is_visible()
    keys.press("Enter")
    assert reader.page.locator("#view").is_visible()
    keys.press("ArrowRight")
    keys.press("2")  # of a row that the right run does not have
    reader.page.get_by_text("The right run does not have it").wait_for()
    keys.press("Escape")
    keys.press("ArrowRight")
    focused = "document.activeElement.card === document.querySelectorAll('.open')[2].card"
    assert reader.page.evaluate(focused)
    keys.press("?")
    assert reader.page.locator("#keys").is_visible()
    keys.press("Escape")
    keys.press("/")
    assert reader.page.evaluate("document.activeElement.id") == "q"
    assert reader.complaints == []


def test_two_voices_play_one_after_the_other_or_both(read, page):
    reader = read(page)
    reader.page.get_by_label("Step").select_option("host")
    players = reader.page.locator(".card audio")
    for number in range(2):
        players.nth(number).evaluate("node => { node.muted = false; return node.play() }")
    assert players.nth(0).evaluate("node => node.paused"), "one voice at a time"
    reader.page.locator(".open").first.click()
    reader.page.get_by_role("button", name="Play both").click()
    reader.page.wait_for_function(
        "() => [...document.querySelectorAll('#panes audio')].every(node => node.currentTime > 0)"
    )
    assert reader.complaints == []


class TestKinds:
    @pytest.fixture
    def page(self, work, studio):
        kinds = ("text", "json", "video", "model")
        text = f"steps:\n{write_operations(work.folder, *kinds)}"
        old = run(work, text)
        studio.files |= {f"{kind}-2": studio.files[kind] for kind in kinds}
        studio.files["text-2"] = TEXT.replace(b"rises", b"falls") + EVIL.encode()
        for kind in kinds:
            text = text.replace(f"prompt: {kind}", f"prompt: {kind}-2")
        return compare(work, old, run(work, text))

    def test_texts_are_compared_by_words(self, read, page):
        reader = read(page)
        card = reader.page.locator(".card").first
        assert card.locator(".left .text del").all_text_contents() == ["rises"]
        assert card.locator(".right .text ins").first.text_content() == "falls"
        assert card.locator(".left .text").text_content() == TEXT.decode()
        assert EVIL in card.locator(".right .text").text_content()
        card.locator(".open").click()
        assert reader.page.locator("#panes .whole").count() == 2
        assert reader.page.evaluate("window.hacked") is None
        assert reader.complaints == []

    def test_videos_play_together(self, read, page):
        reader = read(page)
        reader.page.locator(".card").nth(2).locator(".open").click()
        reader.page.get_by_role("button", name="Play both").click()
        assert reader.page.locator("#panes video").count() == 2

    def test_what_cannot_be_shown_is_named_by_its_kind(self, read, page):
        reader = read(page)
        words = reader.page.locator(".card").nth(3).locator(".words").all_text_contents()
        assert [text.split(" · ")[0] for text in words] == ["model", "model"]


def test_failed_and_missing_files_say_so(read, work, serve):
    serve()
    old = run(work, "steps: {posters: {operation: wanx-v1, input: {prompt: one}}}")
    next(old.glob("artifacts/posters/*")).unlink()
    serve("failed-task")
    failing = work.pipeline("steps: {posters: {operation: wanx-v1, input: {prompt: two}}}")
    assert dsrun(work, failing).code == 1
    reader = read(compare(work, old, work.run_dir()))
    card = reader.page.locator(".card")
    assert card.locator(".left .words").text_content().startswith("missing on disk artifacts/")
    assert card.locator(".right .words b").text_content() == "no such file"
    assert "InternalError" in card.locator(".right .words").text_content()
    reader.page.locator(".chip.trouble").click()
    assert card.count() == 1
    card.locator(".open").click()
    assert "right: " in reader.page.locator("#told .note").inner_text()
    assert "lacks 1 file" in reader.page.locator(".notes").inner_text()
    assert reader.complaints == []


def test_a_phone_needs_no_scrolling_sideways(read, page):
    reader = read(page, viewport=NARROW)
    wide = "document.documentElement.scrollWidth <= innerWidth"
    assert reader.page.evaluate(wide)
    reader.page.locator(".open").first.click()
    assert reader.page.evaluate(wide)


def test_many_pairs_come_as_the_reader_scrolls(read, work, emulator):
    text = """
steps:
  posters:
    operation: wanx-v1
    matrix: {number: {range: [1, 200]}}
    input: {prompt: "a red lantern {{ number }}"}
"""
    page = compare(work, run(work, text), run(work, text.replace("red", "blue")))
    reader = read(page)
    assert reader.page.locator("#shown").inner_text() == "200 of 200 pairs shown"
    first = reader.page.locator(".card").count()
    assert first < 200
    reader.page.evaluate("() => scrollTo(0, document.body.scrollHeight)")
    reader.page.wait_for_function("n => document.querySelectorAll('.card').length > n", arg=first)
    assert reader.complaints == []


def test_texts_are_compared_word_by_word_in_any_script(read, work, emulator):
    text = "steps: {posters: {operation: wanx-v1, input: {prompt: one}}}"
    page = compare(work, run(work, text), run(work, text.replace("one", "two")))
    reader = read(page)

    def compared(old, new):
        parts = reader.page.evaluate("([old, now]) => compared(old, now)", [old, new])
        for texts, kinds in ((old, ("same", "del")), (new, ("same", "ins"))):
            assert "".join(words for kind, words in parts if kind in kinds) == texts
        return [tuple(part) for part in parts if part[0] != "same"]

    assert compared("a red boat", "a red boat") == []
    assert compared("", "new") == [("ins", "new")]
    assert compared("a red boat on it", "a blue boat on it") == [("del", "red"), ("ins", "blue")]
    assert compared("calm light", "wild evening light")[1] == ("ins", "wild evening")
    assert compared("灯笼升起", "灯笼落下") == [("del", "升起"), ("ins", "落下")]
    assert compared("فانوس ورقي", "فانوس أحمر") == [("del", "ورقي"), ("ins", "أحمر")]
    long = " ".join(f"word{number % 97}" for number in range(2600))
    changed = f"{long.replace('word13 ', 'other ', 1)} and more"
    assert ("ins", "other") in compared(f"so {long}", f"now {changed}")
    assert len(compared("a " * 20_000 + "x b", "y c " * 20_000)) == 2, "too long: all of it"
    assert reader.complaints == []
