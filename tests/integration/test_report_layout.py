"""How the report is laid out in a real browser: arranged, compact, and at home on a phone."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests import browsing, screens
from tests.browsing import dsrun

pytestmark = browsing.MARKS

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 375, "height": 812}
MODELS = """
steps:
  compare:
    operation: [wan2.6-t2i, qwen-image-plus, wanx-v1]
    matrix: {thing: [a lamp, a boat], light: [noon, dusk]}
    input: {prompt: "{{ thing }} at {{ light }}"}
"""
POSTERS = """
description: Every look that we may want for the posters of autumn, in the order of the calendar.
steps:
  posters:
    operation: wanx-v1
    matrix:
      style: ["<anime>", "<sketch>", "<watercolor>"]
      subject: [a lamp, a boat, a fox, an owl]
      seed: [11, 12]
    input: {prompt: "{{ subject }}"}
    parameters: {style: "{{ style }}", seed: "{{ seed }}"}
"""
BRACKETS = """
steps:
  posters:
    operation: wanx-v1
    matrix: {style: ["<sketch>", "<watercolor>"], word: [anime, "<anime>"]}
    input: {prompt: "{{ word }}"}
    parameters: {style: "{{ style }}"}
"""
REPEATED = """
steps:
  posters:
    operation: wanx-v1
    repeat: 3
    matrix: {style: ["<anime>", "<sketch>"], subject: [a lamp, a boat]}
    input: {prompt: "{{ subject }}"}
    parameters: {style: "{{ style }}"}
"""


def of(reader, selector):
    return reader.page.locator(selector)


def heads(reader, scope):
    return of(reader, f".sheet th[scope={scope}]").all_inner_texts()


def scroll(reader, x, y):
    reader.page.evaluate("([x, y]) => scrollTo(x, y)", [x, y])
    reader.page.wait_for_function("([x, y]) => scrollX === x && scrollY === y", arg=[x, y])


@pytest.fixture
def page_of(work, emulator):
    def make(steps):
        assert dsrun(work, work.pipeline(steps)).code == 0
        return work.run_dir() / "report.html"

    return make


@pytest.fixture
def posters(page_of):
    return page_of(POSTERS)


class TestArrangement:
    def test_it_opens_on_the_axes_that_a_contact_sheet_chooses(self, read, posters):
        reader = read(posters)
        assert heads(reader, "col") == ["anime", "sketch", "watercolor"]
        assert heads(reader, "row") == ["a lamp", "a boat", "a fox", "an owl"]
        assert of(reader, ".sheet td").count() == 12
        assert of(reader, "main h2").all_inner_texts() == ["posters"]
        assert reader.complaints == []

    def test_several_models_are_the_columns(self, read, page_of):
        reader = read(page_of(MODELS))
        assert heads(reader, "col") == ["wan2.6-t2i", "qwen-image-plus", "wanx-v1"]
        assert heads(reader, "row") == ["a lamp", "a boat"]
        assert set(reader.captions()) == {"light noon", "light dusk"}

    def test_each_step_has_its_own_sheet_or_gallery(self, read, page_of):
        reader = read(
            page_of(
                MODELS
                + """
  other:
    operation: wanx-v1
    matrix: {word: [one, two]}
    input: {prompt: "{{ word }}"}
"""
            )
        )
        assert of(reader, "main h2").all_inner_texts() == ["compare", "other"]
        assert (of(reader, ".sheet").count(), of(reader, ".gallery .card").count()) == (1, 2)

    def test_repeats_stack_in_their_cell(self, read, page_of):
        reader = read(page_of(REPEATED))
        assert of(reader, ".sheet td").count() == of(reader, ".stack").count() == 4
        first = of(reader, ".stack").first
        captions = first.locator(".foot span").all_text_contents()
        assert captions == ["repeat 1", "repeat 2", "repeat 3"]
        boxes = [first.locator(".card").nth(n).bounding_box() for n in range(3)]
        assert len({box["x"] for box in boxes}) == 1
        assert boxes[0]["y"] < boxes[1]["y"] < boxes[2]["y"]

    def test_captions_name_their_axes_and_no_heading_again(self, read, posters):
        reader = read(posters)
        assert set(reader.captions()) == {"seed 11", "seed 12"}
        reader.choose("Rows", "seed")
        assert set(reader.captions()) == {
            f"subject {s}" for s in ("a lamp", "a boat", "a fox", "an owl")
        }
        reader.flatten()
        assert reader.captions()[0] == "style anime · subject a lamp · seed 11"

    def test_brackets_stay_where_they_tell_two_values_apart(self, read, page_of):
        reader = read(page_of(BRACKETS))
        reader.flatten()
        assert reader.captions() == [
            "style sketch · word anime", "style sketch · word <anime>",
            "style watercolor · word anime", "style watercolor · word <anime>",
        ]  # fmt: skip

    def test_an_axis_of_panels_stands_on_no_row_again(self, read, posters):
        reader = read(posters)
        reader.choose("Panels", "subject")
        assert of(reader, ".sheet").count() == 4
        assert not any(heads(reader, "row"))
        assert set(reader.captions()) == {"seed 11", "seed 12"}

    def test_the_full_view_walks_in_the_order_that_is_seen(self, read, posters):
        reader = read(posters)
        reader.page.locator(".open").first.click()
        seen = []
        for _ in range(4):
            seen.append(reader.page.evaluate("Object.fromEntries(visible[opened].axes).style"))
            reader.page.keyboard.press("ArrowRight")
        assert seen == ["<anime>", "<anime>", "<sketch>", "<sketch>"]


class TestRoom:
    @pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
    @pytest.mark.parametrize("steps", [MODELS, POSTERS], ids=["models", "described"])
    def test_the_header_takes_a_quarter_of_the_screen_at_most(self, read, page_of, size, steps):
        reader = read(page_of(steps), viewport=size)
        bar = of(reader, "#bar").bounding_box()
        assert bar["y"] + bar["height"] <= size["height"] / 4

    def test_the_page_scrolls_and_heads_stay(self, read, posters):
        reader = read(posters, viewport={"width": 900, "height": 500})
        reader.page.evaluate("() => { state.size = 300; fitSizes(); }")
        boxes = reader.page.evaluate(
            "[...document.querySelectorAll('main *')].filter(node =>"
            " ['auto', 'scroll'].includes(getComputedStyle(node).overflowY)).length"
        )
        assert boxes == 0
        scroll(reader, 100, 900)
        bar = of(reader, "#bar").bounding_box()
        assert (bar["x"], bar["y"], bar["width"]) == (0, 0, 900)
        column = of(reader, "th[scope=col]").nth(1).bounding_box()
        assert abs(column["y"] - bar["height"]) <= 1
        row = of(reader, "th[scope=row]").nth(1)
        assert row.bounding_box()["x"] == 0
        name = row.locator(".head").bounding_box()
        assert bar["height"] < name["y"] < 500

    def test_a_slider_and_two_keys_set_the_size(self, read, posters):
        reader = read(posters, viewport=DESKTOP)
        width = lambda: of(reader, ".card").first.bounding_box()["width"]  # noqa: E731
        opened = width()
        of(reader, "#size").fill("300")
        assert abs(width() - 300) < 2
        reader.reload()
        assert abs(width() - 300) < 2
        reader.page.keyboard.press("-")
        assert opened < width() < 300
        of(reader, "#size").fill("64")
        assert abs(width() - 64) < 2

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_a_phone_shows_three_columns_side_by_side(self, read, posters, scheme):
        reader = read(posters, viewport=PHONE, color_scheme=scheme, has_touch=True)
        assert reader.page.evaluate("document.documentElement.scrollWidth") == 375
        tops = {of(reader, "th[scope=col]").nth(n).bounding_box()["y"] for n in range(3)}
        assert len(tops) == 1
        cells = [of(reader, "td").nth(n).bounding_box() for n in range(3)]
        columns = [of(reader, "th[scope=col]").nth(n).bounding_box() for n in range(3)]
        assert len({cell["y"] for cell in cells}) == 1
        assert all(abs(a["x"] - b["x"]) < 8 for a, b in zip(cells, columns, strict=True))
        scroll(reader, 0, 700)
        head = of(reader, "th[scope=col]").first.bounding_box()
        bar = of(reader, "#bar").bounding_box()
        assert abs(head["y"] - bar["height"]) <= 1

    def test_the_digest_is_behind_a_button_and_dates_are_as_people_write_them(self, read, posters):
        reader = read(posters, permissions=["clipboard-read", "clipboard-write"])
        lock = json.loads((posters.parent / "manifest.lock.json").read_text(encoding="utf-8"))
        assert lock["digest"] not in of(reader, "header").inner_text()
        reader.page.get_by_role("button", name="copy digest").click()
        reader.page.get_by_text("Digest copied").wait_for()
        assert reader.page.evaluate("navigator.clipboard.readText()") == lock["digest"]
        assert re.fullmatch(r"\d{1,2} \w{3,4} \d{4}, \d\d:\d\d", of(reader, "time").inner_text())
        of(reader, ".open").first.click()
        told = of(reader, "#told").inner_text()
        assert re.search(r"ended\s+\d{1,2} \w{3,4} \d{4}, \d\d:\d\d", told)


class TestFilters:
    def test_chips_of_one_axis_add_up_and_axes_narrow(self, read, posters):
        reader = read(posters)
        reader.filter("style", "anime")
        assert of(reader, ".card").count() == 8
        reader.filter("style", "sketch")
        assert of(reader, ".card").count() == 16
        reader.filter("subject", "a fox")
        assert of(reader, ".card").count() == 4
        reader.reload()
        assert of(reader, ".card").count() == 4
        of(reader, "#active").get_by_role("button", name="style anime or sketch").click()
        assert of(reader, ".card").count() == 6
        reader.page.get_by_role("button", name="Reset").click()
        assert of(reader, ".card").count() == 24
        assert reader.complaints == []

    def test_several_statuses_can_be_seen_together(self, read, work, serve):
        serve("moderation=0.5")
        dsrun(work, work.posters(12))
        reader = read(work.run_dir() / "report.html")
        for chip in of(reader, "#counts .chip").all():
            chip.click()
        assert of(reader, "main .card").count() == 12
        of(reader, "#counts .chip.succeeded").click()
        assert of(reader, "main .card").count() == len(
            [line for line in work.results() if line["status"] == "failed"]
        )


class TestFailures:
    def test_failures_stand_on_top_by_cause_with_the_command_to_copy(self, read, work, serve):
        serve("failed-task")
        assert dsrun(work, work.posters(3)).code == 1
        reader = read(
            work.run_dir() / "report.html", permissions=["clipboard-read", "clipboard-write"]
        )
        cause = of(reader, ".cause")
        assert cause.count() == 1
        assert "3 failed · InternalError" in cause.inner_text()
        assert cause.bounding_box()["y"] < of(reader, ".card").first.bounding_box()["y"]
        cause.get_by_role("button", name="Copy command").click()
        reader.page.get_by_text("Command copied").wait_for()
        command = reader.page.evaluate("navigator.clipboard.readText()")
        assert command == of(reader, ".cause code").inner_text()
        assert command.startswith("dsrun ")
        assert command.endswith(" --retry-failed")
        serve()
        again = work.spawn(*command.split()[1:]).end()
        assert "3 succeeded" in again.err

    def test_each_cause_leads_to_its_jobs(self, read, work, serve):
        serve("failed-task=0.3", "moderation=0.3")
        dsrun(work, work.posters(16))
        reader = read(work.run_dir() / "report.html")
        codes = [line["error"]["code"] for line in work.results() if line["error"]]
        assert of(reader, ".cause").count() == len(set(codes))
        of(
            reader,
            ".cause",
        ).filter(has_text="DataInspection").get_by_role("button", name="Show").click()
        assert of(reader, "main .card").count() == codes.count("DataInspectionFailed")

    def test_a_run_without_failures_shows_no_such_box(self, read, posters):
        assert not of(read(posters), "#failures").is_visible()

    def test_an_error_cannot_be_markup(self, read, work, serve):
        serve("failed-task")
        assert dsrun(work, work.posters(1)).code == 1
        report = work.run_dir() / "report.html"
        text = report.read_text(encoding="utf-8")
        (whole,) = re.findall(r'(?s)id="data">(.+?)</script>', text)
        data = json.loads(whole)
        data["entries"][0]["error"]["message"] = "<img src=x onerror=window.hacked=1>"
        evil = json.dumps(data).replace("<", "\\u003c")
        report.write_text(text.replace(whole, evil), encoding="utf-8")
        reader = read(report)
        assert "<img src=x" in of(reader, ".cause .message").inner_text()
        assert reader.page.evaluate("window.hacked") is None


@pytest.mark.parametrize("name", screens.SCREENS)
def test_the_manual_has_a_small_picture_of_every_screen(name):
    path = screens.IMAGES / f"report-{name}.webp"
    assert 5_000 < path.stat().st_size < screens.MOST_BYTES


class TestKeys:
    def test_the_first_key_enters_the_pictures(self, read, posters):
        reader = read(posters)
        keys = reader.page.keyboard
        focused = "[...document.querySelectorAll('.open')].indexOf(document.activeElement)"
        keys.press("ArrowRight")
        assert reader.page.evaluate(focused) == 0
        keys.press("ArrowRight")
        assert reader.page.evaluate(focused) == 1
        keys.press("End")
        assert reader.page.evaluate(focused) == 23
        keys.press("Home")
        assert reader.page.evaluate(focused) == 0

    @pytest.mark.parametrize("key", ["s", "Enter", "/", "f", "?"])
    def test_each_key_works_before_any_other(self, read, posters, key):
        reader = read(posters)
        reader.page.keyboard.press(key)
        if key == "s":
            assert of(reader, ".card.starred").count() == 1
        elif key == "/":
            expect(of(reader, "#q")).to_be_focused()
        else:
            opened = {"Enter": "#view", "f": "#filters", "?": "#help"}[key]
            expect(of(reader, opened)).to_be_visible()

    def test_a_question_mark_lists_the_keys_and_esc_closes_the_list(self, read, posters):
        reader = read(posters)
        reader.page.keyboard.press("?")
        words = of(reader, "#help").inner_text()
        assert all(key in words for key in ("Enter", "star", "search", "larger", "Esc"))
        reader.page.keyboard.press("Escape")
        expect(of(reader, "#help")).to_be_hidden()
        reader.page.keyboard.press("ArrowRight")
        expect(of(reader, ".open").first).to_be_focused()

    def test_keys_go_on_where_they_were_after_a_search(self, read, posters):
        reader = read(posters)
        keys = reader.page.keyboard
        for key in ["ArrowRight"] * 3 + ["/", "Escape"]:
            keys.press(key)
        expect(of(reader, ".open").nth(2)).to_be_focused()

    def test_f_opens_the_filters_and_esc_leaves_them(self, read, posters):
        reader = read(posters)
        keys = reader.page.keyboard
        for key in ("f", "Enter"):  # the first chip
            keys.press(key)
        assert of(reader, ".card").count() == 8
        expect(of(reader, "#filters button").first).to_be_focused()
        keys.press("Escape")
        expect(of(reader, "#filters")).to_be_hidden()
        expect(of(reader, ".open").first).to_be_focused()

    def test_a_letter_in_the_search_is_a_letter(self, read, posters):
        reader = read(posters)
        of(reader, "#q").press_sequentially("s?f")
        assert of(reader, "#q").input_value() == "s?f"
        assert of(reader, ".starred").count() == 0
        expect(of(reader, "#help")).to_be_hidden()
