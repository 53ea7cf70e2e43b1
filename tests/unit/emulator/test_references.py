"""What the emulator sees of a picture that a request refers to."""

import base64
import io

import pytest
from PIL import Image

from dsrun.emulator.references import find_thumbnail
from dsrun.emulator.signing import Signer
from dsrun.emulator.uploads import UploadStore

NONE = UploadStore(signer=Signer(secret=b""), now=lambda: 0.0)


def clear(mode):
    """A red square in the middle of nothing."""
    picture = Image.new("RGBA", (90, 90), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (30, 30, 60, 60))
    return picture.quantize(16) if mode == "P" else picture.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_a_cut_out_picture_is_seen_on_white_however_it_tells_its_transparency(mode):
    file = io.BytesIO()
    clear(mode).save(file, "PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    small = find_thumbnail({"/input/image": url}, store=NONE, model="m")
    with Image.open(io.BytesIO(small)) as seen:
        assert seen.mode == "RGB"
        assert seen.getpixel((0, 0)) == (255, 255, 255)
        assert seen.getpixel((45, 45)) != (255, 255, 255)
