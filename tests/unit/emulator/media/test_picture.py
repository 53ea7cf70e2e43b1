"""Pictures: the same for the same order, of the asked size, legible and different at a glance."""

import io
import itertools
from dataclasses import replace

import pytest
from PIL import Image, ImageChops, ImageFont, ImageStat

from dsrun.emulator.media.brushes import BRUSHES
from dsrun.emulator.media.orders import PictureOrder
from dsrun.emulator.media.picture import draw_picture, find_wide_font, wrap

ORDER = PictureOrder(
    prompt="A paper lantern over a quiet river",
    style="<auto>",
    width=512,
    height=512,
    seed=7,
    index=0,
)


def _open(order: PictureOrder) -> Image.Image:
    return Image.open(io.BytesIO(draw_picture(order))).convert("RGB")


def _difference(one: PictureOrder, other: PictureOrder) -> float:
    """Mean difference of the channels, 0 to 255, of thumbnails without the panel."""
    thumbnails = [_open(order).crop((0, 0, 512, 380)).resize((32, 32)) for order in (one, other)]
    return sum(ImageStat.Stat(ImageChops.difference(*thumbnails)).mean) / 3


@pytest.mark.parametrize("style", BRUSHES)
def test_the_same_order_gives_the_same_bytes(style):
    order = replace(ORDER, style=style)
    assert draw_picture(order) == draw_picture(order)


@pytest.mark.parametrize("style", BRUSHES)
@pytest.mark.parametrize(
    ("width", "height"), [(1024, 1024), (720, 1280), (768, 1152), (1280, 720), (102, 102), (1, 1)]
)
def test_a_picture_is_a_png_of_the_asked_size(style, width, height):
    content = draw_picture(replace(ORDER, style=style, width=width, height=height))
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("PNG", (width, height))
    assert len(content) < 400_000


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(BRUSHES, 2)))
def test_two_styles_can_be_told_apart(one, other):
    assert _difference(replace(ORDER, style=one), replace(ORDER, style=other)) > 8


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"seed": 8}, id="seed"),
        pytest.param({"index": 1}, id="index"),
        pytest.param({"model": "z-image-turbo"}, id="model"),
        pytest.param({"prompt": "A cat on a wall"}, id="prompt"),
    ],
)
def test_every_part_of_the_order_changes_the_picture(changes):
    assert _difference(ORDER, replace(ORDER, **changes)) > 3


def test_an_unknown_style_is_painted_plainly():
    assert draw_picture(replace(ORDER, style="<etching>"))


@pytest.mark.parametrize(
    "prompt",
    [
        pytest.param("", id="empty"),
        pytest.param("近景镜头,18岁的中国女孩,古代服饰", id="chinese"),
        pytest.param("\U0001f3ee\U0001f468\u200d\U0001f469\u200d\U0001f467", id="emoji"),
        pytest.param("\u202eright to left\x00\x07", id="control"),
        pytest.param("x" * 800, id="one-long-word"),
        pytest.param("word " * 160, id="many-words"),
        pytest.param("画" * 800, id="many-ideographs"),
        pytest.param("Café \u201ctea\u201d \u2013 naïve\u2026", id="typographic"),
    ],
)
@pytest.mark.parametrize("side", [64, 512])
def test_any_prompt_can_be_lettered(prompt, side):
    assert draw_picture(replace(ORDER, prompt=prompt, width=side, height=side))


def test_a_font_of_the_system_draws_ideographs(monkeypatch, tmp_path):
    without = draw_picture(replace(ORDER, prompt="画 a river"))
    (tmp_path / "fonts").mkdir()
    font = tmp_path / "fonts" / "NotoSansCJK-Regular.ttc"
    font.write_bytes(ImageFont.load_default(10).font_bytes)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    find_wide_font.cache_clear()
    assert draw_picture(replace(ORDER, prompt="画 a river")) != without
    find_wide_font.cache_clear()


@pytest.mark.parametrize(
    "text", ["a quiet river at dusk in the evening", "x" * 60, "ab " + "y" * 40, ""]
)
def test_wrapped_lines_fit_and_lose_no_letter(text):
    font = ImageFont.load_default(16)
    lines = wrap(text, font, 90, most=99)
    assert all(font.getlength(line) <= 90 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_no_more_lines_are_wrapped_than_can_be_shown():
    assert wrap("x" * 800, ImageFont.load_default(16), 90, most=3) == wrap(
        "x" * 60, ImageFont.load_default(16), 90, most=3
    )


def test_ideographs_are_wrapped_without_spaces():
    font = ImageFont.load_default(16)
    assert "".join(wrap("ab画" * 12, font, 90, most=99)) == "ab画" * 12


def test_a_reference_picture_hangs_in_the_corner():
    target = io.BytesIO()
    Image.new("RGB", (256, 256), (255, 0, 255)).save(target, "PNG")
    with_reference = _open(replace(ORDER, reference=target.getvalue()))
    red, green, blue = ImageStat.Stat(with_reference.crop((420, 20, 490, 90))).mean
    assert min(red, blue) > 200
    assert green < 60
