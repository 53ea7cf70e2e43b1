"""The report in a real browser, as a person opens it: from disk, without network.

`.ci/run` installs Chromium; where it is not installed these tests are skipped, except in CI.
"""

import json
import re
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote

import pytest
import yaml
from playwright.sync_api import expect

from tests import browsing
from tests.browsing import NARROW, dsrun
from tests.files_of_kinds import model
from tests.studio import write_operations

pytestmark = browsing.MARKS

EVIL = '</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1">'
GALLERY = f"""
steps:
  posters:
    operation: wanx-v1
    matrix:
      subject: [a lantern, 一条河, {json.dumps(EVIL)}]
      style: ["<anime>", "<sketch>"]
      light: [evening, noon]
    input: {{prompt: "{{{{ subject }}}} at {{{{ light }}}}"}}
    parameters: {{style: "{{{{ style }}}}"}}
    filename: "{{{{ style | slug }}}} #1 100% {{{{ light }}}}-{{{{ subject | slug }}}}"
  host:
    operation: qwen-voice-design
    matrix: {{tone: [calm, warm]}}
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: "A {{{{ tone }}}} voice"
      preview_text: Good evening.
      language: en
    parameters: {{response_format: wav}}
"""


@pytest.fixture
def report(work, emulator):
    assert dsrun(work, work.pipeline(GALLERY)).code == 0
    return work.run_dir() / "report.html"


def test_every_thumbnail_is_seen_and_nothing_leaves_the_disk(read, report):
    reader = read(report)
    images = reader.page.locator(".open img")
    assert images.count() == 12
    for number in range(12):
        images.nth(number).scroll_into_view_if_needed()
        reader.page.wait_for_function(
            "n => document.querySelectorAll('.open img')[n].naturalWidth > 0", arg=number
        )
    assert all("/.thumbs/" in images.nth(n).evaluate("node => node.src") for n in range(12))
    assert {address.split(":")[0] for address in reader.addresses} == {"file"}
    assert reader.complaints == []


def test_a_web_server_is_asked_for_nothing_but_the_page_and_its_files(read, report):
    asked = []

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(unquote(self.path))

    handler = partial(Quiet, directory=str(report.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        reader = read(f"http://127.0.0.1:{server.server_port}/report.html")
        reader.page.wait_for_load_state("networkidle")
        server.shutdown()
    assert asked
    assert all((report.parent / path.lstrip("/")).is_file() for path in asked)
    assert reader.complaints == []


def test_foreign_text_is_shown_and_never_run(read, report):
    reader = read(report)
    reader.page.get_by_label("Search prompts").fill("hacked")
    expect(reader.page.locator(".card")).to_have_count(4)
    reader.page.locator(".open").first.click()
    assert EVIL in reader.page.locator("#prompt").inner_text()
    assert reader.page.evaluate("window.hacked") is None
    assert reader.page.locator("script").count() == 2
    assert reader.complaints == []


def test_the_policy_forbids_what_is_not_the_pages_own(read, report):
    reader = read(report)
    reader.page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.hacked=1';"
        "document.body.append(s) }"
    )
    assert reader.page.evaluate("window.hacked") is None
    failed = "fetch('http://127.0.0.1:9/').then(() => false, () => true)"
    assert reader.page.evaluate(failed)
    assert any("Content Security Policy" in words for words in reader.complaints)


def test_two_axes_make_a_sheet_and_a_third_makes_panels(read, report):
    reader = read(report)
    reader.choose("Rows", "subject")
    reader.choose("Columns", "style")
    reader.choose("Panels", "light")
    assert reader.page.locator("main h2").all_inner_texts() == [
        "light: evening",
        "light: noon",
        "without subject or style or light",
    ]
    sheet = reader.page.locator(".sheet").first
    assert sheet.locator("thead th").all_inner_texts() == ["subject \\ style", "anime", "sketch"]
    assert sheet.locator("tbody th").all_inner_texts() == ["a lantern", "一条河", EVIL]
    assert sheet.locator("td").count() == sheet.locator(".card").count() == 6
    assert reader.page.locator(".sheet").count() == 2
    assert reader.complaints == []


def test_a_long_value_leaves_room_for_the_others(read, report):
    reader = read(report)
    reader.flatten()
    (caption,) = {
        words
        for words in reader.captions()
        if "script" in words and "noon" in words and "anime" in words
    }
    assert caption == f"subject {EVIL[:23]}… · style anime · light noon · step posters"


def test_a_prompt_reads_in_its_own_direction(read, work, emulator):
    steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {subject: [a lantern, فانوس ورقي]}
    input: {prompt: "{{ subject }}"}
"""
    assert dsrun(work, work.pipeline(steps)).code == 0
    reader = read(work.run_dir() / "report.html")
    begins = []
    for number in range(2):
        reader.page.locator(".open").nth(number).click()
        begins.append(
            reader.page.locator("#prompt").evaluate(
                "node => { const range = document.createRange(); range.selectNodeContents(node);"
                "return range.getBoundingClientRect().left - node.getBoundingClientRect().left }"
            )
        )
        reader.page.keyboard.press("Escape")
    assert begins[0] < 2
    assert begins[1] > 50


def test_filters_narrow_and_live_in_the_address(read, report):
    reader = read(report)
    reader.filter("style", "sketch")
    reader.filter("light", "noon")
    assert reader.page.locator(".card").count() == 3
    reader.reload()
    assert reader.page.locator(".card").count() == 3
    assert reader.page.locator("#shown").inner_text() == "3 of 14 shown, 3 jobs"
    reader.page.get_by_role("button", name="Reset").click()
    assert reader.page.locator(".card").count() == 14
    assert reader.complaints == []


def test_the_full_view_tells_everything_about_a_picture(read, report, work):
    reader = read(report)
    reader.page.locator(".open").first.click()
    line = work.results()[0]
    full = reader.page.locator("#media img")
    reader.page.wait_for_function("() => document.querySelector('#media img').naturalWidth > 0")
    assert full.get_attribute("alt") == line["request"]["input"]["prompt"]
    told = reader.page.locator("#told").inner_text()
    file = line["artifacts"][0]
    for fact in (line["job_id"], line["task_id"], line["request_id"], str(file["seed"]),
                 file["path"], file["sha256"], "succeeded"):  # fmt: skip
        assert fact in told
    assert json.loads(reader.page.locator("#told pre").inner_text()) == line["request"]
    assert reader.complaints == []


def test_a_prompt_can_be_copied(read, report):
    reader = read(report, permissions=["clipboard-read", "clipboard-write"])
    reader.page.locator(".open").first.click()
    reader.page.get_by_role("button", name="Copy prompt").click()
    reader.page.get_by_text("Prompt copied").wait_for()
    assert reader.page.evaluate("navigator.clipboard.readText()") == "a lantern at evening"


def test_a_voice_is_heard(read, report):
    reader = read(report)
    reader.filter("step", "host")
    player = reader.page.locator("article audio")
    assert player.count() == 2
    player.first.evaluate("node => { node.muted = true; return node.play() }")
    reader.page.wait_for_function("() => document.querySelector('article audio').currentTime > 0")
    player.last.evaluate("node => { node.muted = true; return node.play() }")
    assert player.first.evaluate("node => node.paused"), "one voice at a time"
    assert reader.complaints == []


def test_keys_alone_are_enough(read, report):
    reader = read(report)
    keys = reader.page.keyboard
    reader.page.locator(".open").first.focus()
    keys.press("ArrowRight")
    keys.press("s")
    assert reader.page.locator("#picked").inner_text() == "★ 1 starred"
    keys.press("Enter")
    assert reader.page.locator("#star").inner_text() == "★ starred"
    keys.press("ArrowRight")
    assert reader.page.locator("#star").inner_text() == "☆ star"
    keys.press("Escape")
    assert not reader.page.locator("#view").is_visible()
    keys.press("ArrowDown")
    keys.press("/")
    assert reader.page.evaluate("document.activeElement.id") == "q"
    assert reader.complaints == []


def test_the_next_key_after_esc_is_not_lost(read, report):
    """The browser tells of a closed dialog later, which took the focus from the search again."""
    reader = read(report)
    reader.page.locator(".open").nth(2).click()
    reader.page.evaluate(
        "['Escape', '/'].forEach(key => document.activeElement.dispatchEvent("
        "new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true})))"
    )
    reader.page.wait_for_timeout(100)
    assert not reader.page.locator("#view").is_visible()
    assert reader.page.evaluate("document.activeElement.id") == "q"


def test_what_has_the_focus_is_below_no_bar(read, report):
    reader = read(report, viewport={"width": 500, "height": 500})
    reader.page.locator(".pick").first.click()  # shows the bar at the bottom too
    cards = reader.page.locator(".open")
    cards.first.focus()
    for key in ["ArrowDown"] * 4 + ["ArrowUp"] * 3:
        reader.page.keyboard.press(key)
    card, bar = (reader.page.locator(name).bounding_box() for name in (".open:focus", "#bar"))
    assert card["y"] >= bar["y"] + bar["height"]


def test_stars_survive_a_reload_and_another_visit(read, report):
    reader = read(report)
    reader.page.locator(".pick").nth(0).click()
    reader.page.locator(".pick").nth(3).click()
    reader.reload()
    assert reader.page.locator(".card.starred").count() == 2
    reader.visit("about:blank")
    reader.visit(report.as_uri())  # without what the address says
    assert reader.page.locator(".card.starred").count() == 2
    reader.page.get_by_label("starred", exact=True).check()
    assert reader.page.locator(".card").count() == 2
    assert reader.complaints == []


def test_what_was_chosen_becomes_a_manifest_that_runs_just_that(read, report, work, emulator):
    reader = read(report)
    chosen = [work.results()[number] for number in (1, 8)]
    for line in chosen:
        reader.star(line["job_id"])
    text = reader.saved("Save list").path().read_text(encoding="utf-8")
    assert text.splitlines() == [line["artifacts"][0]["path"] for line in chosen]
    reader.saved("Save manifest").save_as(work.folder / "picks.yaml")
    manifest = yaml.safe_load((work.folder / "picks.yaml").read_text(encoding="utf-8"))
    assert manifest["steps"]["posters"]["matrix"] == {
        "include": [line["matrix"] for line in chosen]
    }
    plan = dsrun(work, "plan", "picks.yaml", "--json", "--full").answer
    assert [job["job_id"] for job in plan["job_list"]] == [line["job_id"] for line in chosen]
    assert plan["to_send"] == 0


def test_captions_have_the_axes_in_the_order_of_each_step(read, work, emulator):
    steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {seed: [3, 4], style: ["<anime>", "<sketch>"], mood: [calm, wild], zip: [seed, mood]}
    input: {prompt: "a {{ mood }} lantern"}
    parameters: {style: "{{ style }}", seed: "{{ seed }}"}
  banners:
    operation: wanx-v1
    matrix: {mood: [calm, wild], style: ["<anime>"], seed: [5]}
    input: {prompt: "a {{ mood }} river"}
    parameters: {style: "{{ style }}", seed: "{{ seed }}"}
"""
    assert dsrun(work, work.pipeline(steps)).code == 0
    reader = read(work.run_dir() / "report.html")
    reader.flatten()
    assert reader.captions() == [
        "seed 3 · style anime · mood calm · step posters",
        "seed 3 · style sketch · mood calm · step posters",
        "seed 4 · style anime · mood wild · step posters",
        "seed 4 · style sketch · mood wild · step posters",
        "mood calm · style anime · seed 5 · step banners",
        "mood wild · style anime · seed 5 · step banners",
    ]
    options = reader.page.locator("#arrange select").first.locator("option")
    assert options.all_text_contents()[2:] == ["seed", "style", "mood", "step"]


def test_numbers_of_a_row_stay_as_they_are_written(read, work, emulator):
    """A browser reads 1.0 as 1, and a template prints it as another text: another job."""
    steps = """
params: {strength: 2.0}
steps:
  posters:
    operation: wanx-v1
    matrix:
      weight: [0.5, 1.0, 1.0e+3]
      item: [{sku: 9007199254740993, 1: one, 0: nought}]
    input: {prompt: "{{ weight }} {{ item | tojson }} {{ params.strength }}"}
"""
    assert dsrun(work, work.pipeline(steps)).code == 0
    reader = read(work.run_dir() / "report.html")
    assert reader.captions() == ["weight 0.5", "weight 1.0", "weight 1000.0"]
    reader.page.locator(".pick").nth(1).click()
    reader.saved("Save manifest").save_as(work.folder / "picks.yaml")
    plan = dsrun(work, "plan", "picks.yaml", "--json", "--full").answer
    assert [job["job_id"] for job in plan["job_list"]] == [work.results()[1]["job_id"]]
    assert plan["to_send"] == 0


FILM = """
steps:
  shots:
    operation: wanx-v1
    matrix: {beat: [a fox, an owl]}
    input: {prompt: "{{ beat }}"}
    parameters: {n: 2}
  edit:
    operation: wan2.5-i2i-preview
    matrix: {still: {step: shots, each: artifact}}
    input: {prompt: brighter, images: ["{{ still.artifact }}"]}
"""


def test_what_a_picture_was_made_of_stands_beside_it_and_links_lead_both_ways(read, work, serve):
    serve(picture_scale=0.5)
    assert dsrun(work, work.pipeline(FILM)).code == 0
    page = read(work.run_dir() / "report.html").page
    child = page.locator(".card", has_text="an owl, file 1")
    small = child.locator(".kin img")
    expect(small).to_have_count(1)
    lines = {(line["step"], line["index"]): line for line in work.results()}
    sha256 = lines["shots", 1]["artifacts"][1]["sha256"]
    assert sha256[:24] in small.get_attribute("src")
    page.locator("#q").fill("brighter")  # hides the parent
    expect(page.locator(".card")).to_have_count(4)
    child.locator(".relative").click()
    expect(page.locator("#told")).to_contain_text(lines["shots", 1]["artifacts"][1]["path"])
    used = page.locator("#told .relatives .relative")
    expect(used).to_have_count(1)  # the other file of this job has another child
    used.click()
    expect(page.locator("#told")).to_contain_text(lines["edit", 3]["job_id"])
    expect(page.locator("#told h3", has_text="Made from")).to_be_visible()


def test_what_was_skipped_names_the_job_that_failed_and_leads_there(read, work, serve):
    serve("failed-task")
    assert dsrun(work, work.pipeline(FILM)).code == 1
    page = read(work.run_dir() / "report.html").page
    page.locator(".chip.skipped").click()
    expect(page.locator(".card")).to_have_count(4)
    page.locator(".card .open").first.click()
    expect(page.locator("#told .trouble")).to_contain_text("shots 0")
    page.locator("#told .relative").first.click()
    expect(page.locator("#told")).to_contain_text("InternalError")


def test_a_failure_tells_its_reason_and_what_to_do(read, work, serve):
    serve("moderation=1")
    assert dsrun(work, work.posters(2)).code == 1
    reader = read(work.run_dir() / "report.html")
    reader.page.get_by_role("button", name="2 failed").click()
    reader.page.locator(".open", has_text="DataInspectionFailed").first.click()
    assert "reword the prompt" in reader.page.locator(".trouble").inner_text()
    assert reader.complaints == []


def test_a_picture_whose_others_failed_is_marked(read, work, serve):
    serve("partial-task=1")
    assert dsrun(work, work.posters(1, pictures=3)).code == 1
    reader = read(work.run_dir() / "report.html")
    assert reader.captions()[0].startswith("partial · ")


TURNED = """
steps:
  posters:
    operation: wanx-v1
    matrix:
      subject: ["\\u202Eturned", "فانوس"]
      light: [evening, noon]
    input: {prompt: "{{ subject }}"}
    parameters: {style: <anime>}
"""


def test_text_that_turns_around_turns_no_other(read, work, emulator):
    assert dsrun(work, work.pipeline(TURNED)).code == 0
    reader = read(work.run_dir() / "report.html")
    reader.flatten()
    for number in range(4):
        caption = reader.page.locator(".card .foot span").nth(number)
        # As it is seen, the second value stands to the right of the first.
        first, second = (caption.locator("bdi").nth(n).bounding_box() for n in (0, 1))
        assert second["x"] > first["x"] or second["y"] > first["y"]
    reader.page.locator(".open").last.click()
    assert reader.page.locator("#prompt").evaluate("p => getComputedStyle(p).direction") == "rtl"
    assert reader.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(read, report, scheme):
    reader = read(report, viewport=NARROW, color_scheme=scheme)
    assert reader.page.evaluate("document.documentElement.scrollWidth") == 390
    reader.page.locator(".open").first.click()
    assert reader.page.evaluate("document.querySelector('#view').scrollWidth") <= 390
    colour = reader.page.evaluate("getComputedStyle(document.body).color")
    (red, *_) = map(int, re.findall(r"\d+", colour))
    assert (red > 128) == (scheme == "dark")


def test_five_thousand_pictures_are_drawn_as_far_as_they_are_seen(read, work, emulator):
    assert dsrun(work, work.posters(2)).code == 0
    report = work.run_dir() / "report.html"
    text = report.read_text(encoding="utf-8")
    whole = re.search(r'(?s)(id="data">)(.+?)(</script>)', text)
    data = json.loads(whole[2])
    first = data["entries"][0]
    data["entries"] = [
        first
        | {"index": n, "job_id": f"{n:064x}", "axes": {"number": str(n % 50), "row": str(n // 50)}}
        for n in range(5000)
    ]
    report.write_text(text.replace(whole[2], json.dumps(data)), encoding="utf-8")
    reader = read(report)
    assert 0 < reader.page.locator(".card").count() < 1000
    assert reader.page.locator("#shown").inner_text() == "5000 of 5000 shown, 5000 jobs"
    before = reader.page.locator(".card").count()
    reader.page.mouse.wheel(0, 20_000)
    reader.page.wait_for_function("n => document.querySelectorAll('.card').length > n", arg=before)
    reader.choose("Rows", "row")
    reader.choose("Columns", "number")
    assert reader.page.locator("thead th").count() == 51
    assert 0 < reader.page.locator(".card").count() < 1000
    assert reader.complaints == []


class TestKinds:
    """Files that are no pictures: what their cards show, and the full view."""

    @pytest.fixture
    def see(self, read, work, studio):
        """The page of a run that made a file of each of these kinds."""

        def start(*kinds):
            pipeline = work.pipeline(f"steps:\n{write_operations(work.folder, *kinds)}")
            outcome = dsrun(work, pipeline)
            assert outcome.code == 0, outcome.err
            return read(work.run_dir() / "report.html")

        return start

    @pytest.mark.parametrize("has_poster", [True, False])
    def test_a_video_plays_silently_under_the_mouse_and_aloud_in_full(
        self, see, read, work, has_poster
    ):
        reader = see("video")
        if not has_poster:
            path = work.run_dir() / "report.html"
            text = path.read_text(encoding="utf-8")
            path.write_text(re.sub(r', ?"thumb": ?"[^"]*"', "", text), encoding="utf-8")
            shutil.rmtree(work.run_dir() / ".thumbs")
            reader = read(path)
        card = reader.page.locator("article video")
        expect(card).to_have_attribute("src", re.compile(r"\.mp4(#t=0\.1)?$"))
        assert card.evaluate("node => [node.muted, Boolean(node.poster)]") == [True, has_poster]
        if not has_poster:  # its own picture stands there
            reader.page.wait_for_function(
                "() => document.querySelector('article video').readyState >= 2"
            )
        card.hover()
        reader.page.wait_for_function(
            "() => document.querySelector('article video').currentTime > 0.3"
        )
        assert reader.page.locator(".length").inner_text() == "2 s"
        reader.page.locator(".open").click()
        whole = reader.page.locator("#media video")
        expect(whole).to_have_js_property("controls", True)  # its own form
        reader.page.wait_for_function(
            "() => document.querySelector('#media video').currentTime > 0"
        )
        assert whole.evaluate("node => [node.videoWidth, node.duration]") == [320, 2]
        assert "320x180" in reader.page.locator("#told").inner_text()
        reader.page.keyboard.press("Escape")
        expect(whole).to_have_count(0)
        assert reader.complaints == []

    def test_words_that_turn_on_motion_are_heeded(self, see, read, work):
        see("video")
        reader = read(work.run_dir() / "report.html", reduced_motion="reduce")
        reader.page.locator("article video").hover()
        reader.page.locator(".open").click()
        expect(reader.page.locator("#media video")).to_have_js_property("autoplay", False)
        assert reader.page.locator("article video").evaluate("node => node.paused")

    def test_a_text_is_shown_and_found(self, see):
        reader = see("text", "captions")
        assert reader.page.locator(".words.text").all_inner_texts() == [
            "The lantern rises.\n灯笼升起来了。\n",
            '{"sentences": [{"begin": 0, "end": 1500, "text": "The lantern rises."}]}',
            "1\n00:00:00,000 --> 00:00:01,500\nThe lantern rises.\n",
        ]
        reader.page.locator("#q").fill("升起来")
        expect(reader.page.locator(".open")).to_have_count(1)
        reader.page.locator(".open").click()
        assert "灯笼升起来了。" in reader.page.locator("#media pre").inner_text()
        assert reader.complaints == []

    def test_json_is_laid_out_and_its_numbers_keep_their_digits(self, see):
        reader = see("json")
        reader.page.locator(".open").click()
        assert reader.page.locator("#media pre").inner_text() == (
            '{\n  "text": "灯笼",\n  "begin": 1.50,\n  "id": 12345678901234567890123,\n'
            '  "words": [1, 2]\n}'
        )

    def test_a_long_text_says_that_it_goes_on(self, see, studio):
        studio.files["json"] = json.dumps({"words": [{"a": "]"}, "b" * 30_000]}).encode()
        reader = see("json")
        reader.page.locator(".open").click()
        told = reader.page.locator("#media pre").inner_text()
        assert told.startswith('{\n  "words": [\n    {\n      "a": "]"\n    },\n    "bbb')
        assert told.endswith("This is its beginning; “open file” shows all.")

    def test_a_text_cannot_be_markup(self, see, studio):
        studio.files["text"] = f"a {EVIL}".encode()
        reader = see("text")
        reader.page.locator(".open").click()
        assert EVIL in reader.page.locator("#media pre").inner_text()
        assert reader.page.evaluate("() => window.hacked") is None
        assert reader.complaints == []

    def test_a_model_can_be_taken_along(self, see):
        reader = see("model")
        assert (
            reader.page.locator(".words").inner_text().startswith(f"model · {len(model())} bytes")
        )
        reader.page.locator(".open").click()
        link = reader.page.get_by_role("link", name=f"Download ({len(model())} bytes)")
        assert link.get_attribute("download").endswith(".glb")

    def test_a_sound_by_its_address_is_heard(self, see):
        reader = see("audio")
        reader.page.locator("article audio").evaluate("node => node.play()")
        reader.page.wait_for_function(
            "() => document.querySelector('article audio').currentTime > 0"
        )
        assert reader.complaints == []


COMPARE = """
steps:
  compare:
    operation: [wan2.6-t2i, qwen-image-plus, wanx-v1]
    matrix: {light: [at noon], thing: [a lamp, a boat]}
    input: {prompt: "{{ thing }} {{ light }}"}
"""


def heads(reader, scope):
    return reader.page.locator(f".sheet th[scope={scope}]").all_inner_texts()


@pytest.fixture
def compared(work, emulator):
    assert dsrun(work, work.pipeline(COMPARE)).code == 0
    return work.run_dir() / "report.html"


def test_a_step_on_several_models_opens_with_the_models_as_columns(read, compared):
    reader = read(compared)
    assert heads(reader, "col") == ["wan2.6-t2i", "qwen-image-plus", "wanx-v1"]
    assert heads(reader, "row") == ["a lamp", "a boat"]
    assert reader.complaints == []


def test_the_prompt_of_every_form_of_request_is_told(read, compared):
    reader = read(compared)  # wan2.6-t2i has it in the parts of a message
    reader.page.locator(".open").first.click()
    assert reader.page.locator("#prompt").inner_text() == "a lamp at noon"
    assert reader.complaints == []


def test_a_step_without_columns_is_told_by_all_its_axes_below_its_name(read, work, emulator):
    more = """
  other:
    operation: wanx-v1
    matrix: {subject: [a lamp, a boat]}
    input: {prompt: "{{ subject }}"}
"""
    assert dsrun(work, work.pipeline(COMPARE + more)).code == 0
    reader = read(work.run_dir() / "report.html")
    assert reader.page.locator("main h2").all_inner_texts() == ["compare", "other"]
    captions = reader.page.locator(".gallery .card .foot span").all_inner_texts()
    assert captions == ["subject a lamp", "subject a boat"]


def test_another_arrangement_than_the_first_is_in_the_address(read, compared):
    reader = read(compared)
    assert "cols" not in reader.page.url
    reader.choose("Rows", "")
    reader.choose("Columns", "")
    assert reader.page.locator(".sheet").count() == 0
    again = read(compared.as_uri() + "#" + reader.page.url.partition("#")[2])
    assert again.page.locator(".sheet").count() == 0


def test_starred_rows_of_several_operations_are_the_same_jobs(read, compared, work):
    reader = read(compared)
    picks = reader.page.locator(".pick")
    for number in (0, 1, 5):
        picks.nth(number).click()
    reader.saved("Save manifest").save_as(work.folder / "picks.yaml")
    plan = dsrun(work, "plan", "picks.yaml", "--json", "--full").answer
    lines = (compared.parent / "results.jsonl").read_text(encoding="utf-8").splitlines()
    ids = {json.loads(line)["job_id"] for line in lines}
    assert (plan["jobs"], plan["to_send"]) == (3, 0)
    assert {job["job_id"] for job in plan["job_list"]} < ids
