"""Films: an MP4 that Chromium plays, of the asked size and length, told apart by its request."""

import base64
import io
import shutil
import struct
from dataclasses import replace

import pytest
from PIL import Image, ImageChops, ImageStat
from playwright.sync_api import sync_playwright

from dsrun.emulator.media.movie import FRAMES_PER_S, film
from dsrun.emulator.media.orders import FilmOrder, PictureOrder
from dsrun.emulator.media.picture import draw_picture

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")

STILL = PictureOrder(
    prompt="A paper lantern over a quiet river",
    style="<auto>",
    width=1280,
    height=720,
    seed=7,
    index=0,
)
ORDER = FilmOrder(picture=STILL, duration_s=5)


def _ordered(width, height, duration_s=5, **changes):
    picture = replace(STILL, width=width, height=height, **changes)
    return FilmOrder(picture=picture, duration_s=duration_s)


@pytest.fixture(scope="module")
def page():
    assert BROWSER is not None, "CI runs these tests; install Debian's package chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


def _show(page, order):
    """Let the browser decode the film up to its last second; what it knows then."""
    address = "data:video/mp4;base64," + base64.b64encode(film(order)).decode()
    page.set_content(f"<body style='margin:0'><video muted src='{address}'></video></body>")
    return page.evaluate(
        """async () => {
            const video = document.querySelector("video");
            const told = (name) => new Promise((good, bad) => {
                video.addEventListener(name, good, {once: true});
                video.addEventListener("error", () => bad(video.error.message), {once: true});
            });
            if (video.readyState < 4) await told("canplaythrough");
            const found = [video.readyState, video.videoWidth, video.videoHeight, video.duration];
            const moved = told("seeked");
            video.currentTime = video.duration * 0.9;
            await moved;
            return found;
        }"""
    )


@pytest.mark.parametrize(
    ("width", "height", "duration_s"),
    [
        pytest.param(832, 480, 3, id="480P"),
        pytest.param(1280, 720, 5, id="720P"),
        pytest.param(720, 1280, 5, id="upright"),
        pytest.param(1920, 1080, 10, id="1080P"),
        pytest.param(624, 624, 15, id="square"),
        pytest.param(102, 58, 1, id="no-multiple-of-16"),
        pytest.param(2, 2, 1, id="smallest"),
    ],
)
def test_chromium_plays_a_film_of_the_asked_size_and_length(page, width, height, duration_s):
    found = _show(page, _ordered(width, height, duration_s))
    assert found == [4, width, height, duration_s]


def test_the_last_frame_still_shows_the_picture_of_the_request(page):
    page.set_viewport_size({"width": 1280, "height": 720})
    _show(page, ORDER)
    with Image.open(io.BytesIO(page.locator("video").screenshot())) as shot:
        shown = shot.convert("RGB").resize((80, 45), Image.Resampling.BOX)
    with Image.open(io.BytesIO(draw_picture(STILL))) as drawn:
        wanted = drawn.convert("RGB").resize((80, 45), Image.Resampling.BOX)
    assert sum(ImageStat.Stat(ImageChops.difference(shown, wanted)).mean) / 3 < 12


def test_the_same_order_gives_the_same_bytes():
    assert film(ORDER) == film(ORDER)


@pytest.mark.parametrize("changes", [{"seed": 8}, {"index": 1}, {"prompt": "A cat on a wall"}])
def test_every_part_of_the_order_changes_the_film(changes):
    assert film(_ordered(1280, 720, **changes)) != film(ORDER)


def test_a_film_is_small():
    assert len(film(_ordered(1920, 1080, 15))) < 100_000


def _boxes(content):
    """Names and bodies of the boxes in a row; they fill the content to its last byte."""
    at = 0
    while at < len(content):
        size, name = struct.unpack_from(">I4s", content, at)
        assert size >= 8
        yield name.decode(), content[at + 8 : at + size]
        at += size
    assert at == len(content)


def _box(content, *way):
    for name in way:
        content = dict(_boxes(content))[name]
    return content


def test_the_index_comes_first_and_points_at_every_frame():
    content = film(ORDER)
    assert [name for name, _ in _boxes(content)] == ["ftyp", "moov", "mdat"]
    table = dict(_boxes(_box(content, "moov", "trak", "mdia", "minf", "stbl")))
    count = struct.unpack_from(">I", table["stsz"], 8)[0]
    sizes = struct.unpack_from(f">{count}I", table["stsz"], 12)
    (start,) = struct.unpack_from(">I", table["stco"], 8)
    assert count == 5 * FRAMES_PER_S
    assert content[start : start + sum(sizes)] == _box(content, "mdat")
    for size in sizes:
        assert struct.unpack_from(">I", content, start)[0] == size - 4
        start += size
