"""How much two pictures differ to the eye."""

import pytest
from PIL import Image, ImageDraw, ImageOps

from dsrun.report.picture_distance import distance, signature_of


def scene(*, sun=(150, 60), sky="#e8c048", ground="#205080"):
    picture = Image.new("RGB", (256, 192), sky)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 120, 256, 192), ground)
    draw.ellipse((sun[0] - 40, sun[1] - 40, sun[0] + 40, sun[1] + 40), "#d03010")
    return picture


@pytest.fixture
def apart(tmp_path):
    def measure(one, other, **how):
        paths = []
        for number, picture in enumerate((one, other)):
            paths.append(tmp_path / f"{number}.{how.get('form', 'png')}")
            picture.save(paths[-1], **({"quality": 70} if how.get("form") == "jpg" else {}))
        one, other = map(signature_of, paths)
        assert distance(one, other) == distance(other, one)
        return distance(one, other)

    return measure


def test_the_same_picture_does_not_differ(apart):
    assert apart(scene(), scene()) == 0


def test_a_black_and_a_white_picture_differ_by_colour_alone(apart):
    assert apart(Image.new("RGB", (64, 64)), Image.new("RGB", (64, 64), "white")) == 50


def test_noise_in_flat_areas_is_nothing(apart):
    flat = Image.new("RGB", (256, 256), "#808080")
    noisy = Image.blend(flat, Image.effect_noise((256, 256), 40).convert("RGB"), 0.05)
    assert apart(flat, noisy) < 3


def test_another_format_and_size_are_next_to_nothing(apart, tmp_path):
    assert apart(scene(), scene().resize((512, 384)), form="jpg") < 3


def test_they_are_ranked_as_an_eye_ranks_them(apart):
    moved = apart(scene(), scene(sun=(170, 60)))
    recoloured = apart(scene(), scene(ground="#208050"))
    other = apart(scene(), scene(sun=(40, 130), sky="#102030", ground="#e0e0d0"))
    negative = apart(scene(), ImageOps.invert(scene()))
    assert min(moved, recoloured) > 0
    assert max(moved, recoloured) < other < 100
    assert other < negative <= 100


def test_a_picture_that_cannot_be_read_has_no_signature(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    assert signature_of(tmp_path / "bad.png") is None
    assert signature_of(tmp_path / "none.png") is None
