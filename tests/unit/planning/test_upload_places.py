"""Files in lists, beside what says their kind, and as data URLs: from the manifest to the job."""

import copy
import io

import orjson
import pytest
from PIL import Image

from dsrun.common.errors import ManifestError
from dsrun.common.resources import iter_operation_files
from dsrun.service.catalog import load_catalog
from dsrun.service.request import iter_uploads
from tests.pipelines import jobs_of, one_step, plan_of

WANX = orjson.loads(dict(iter_operation_files())["wanx-v1"])


def picture(colour, size=(300, 300)):
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


FILES = {"a.png": picture("red"), "b.png": picture("blue")}
SOUND = b"ID3" + bytes(500)


@pytest.fixture
def own(tmp_path):
    """The manifest's folder, with an operation `mine` that takes `media`: films of parts."""

    def write(*fields):
        schema = copy.deepcopy(WANX)
        schema["properties"]["model"]["const"] = "mine"
        item = {
            "type": "object",
            "required": ["type", "url"],
            "additionalProperties": False,
            "properties": {
                "type": {"enum": ["first_frame", "last_frame", "driving_audio"]},
                "url": {"type": "string", "pattern": "^(https?|oss|data):"},
            },
        }
        schema["properties"]["input"]["properties"]["media"] = {"type": "array", "items": item}
        schema["x-dsrun"]["uploads"]["fields"] = list(fields)
        (tmp_path / "operations").mkdir(exist_ok=True)
        (tmp_path / "operations/mine.json").write_bytes(orjson.dumps(schema))
        return tmp_path

    return write


def field(media, formats, when, **facts):
    return {
        "at": "/input/media/*/url", "media": media, "formats": formats, "max_bytes": 10000,
        "when": {"type": when}, **facts,
    }  # fmt: skip


FRAMES = field("image", ["png"], "first_frame | last_frame", min_side=300)
VOICE = field("audio", ["mp3"], "driving_audio", **{"as": "data"})
MEDIA = """    operation: mine
    input:
      prompt: a pot
      media:
      - {type: first_frame, url: {upload: a.png}}
      - {type: driving_audio, url: {upload: a.mp3}}
      - {type: last_frame, url: {upload: b.png}}
      - {type: last_frame, url: "https://example.com/c.png"}
"""


def step(text):
    return one_step(text).replace("    operation: wanx-v1\n", "", 1)


def test_each_file_is_that_of_the_field_whose_condition_it_meets(own):
    folder = own(FRAMES, VOICE)
    [job] = jobs_of(folder, step(MEDIA), files=FILES | {"a.mp3": SOUND})
    uploads = load_catalog(folder / "operations")["mine"].uploads
    found = {at: field.media for at, _, field in iter_uploads(job.request, uploads)}
    assert found == {
        ("input", "media", 0, "url"): "image",
        ("input", "media", 1, "url"): "audio",
        ("input", "media", 2, "url"): "image",
    }


def test_a_file_that_meets_no_condition_is_told(own):
    folder = own(FRAMES)
    with pytest.raises(ManifestError) as caught:
        plan_of(folder, step(MEDIA), files=FILES | {"a.mp3": SOUND}).check()
    [problem] = caught.value.problems
    assert problem.where == "steps.s.input.media[1].url.upload"
    assert "only beside type: first_frame or last_frame" in problem.message


def test_each_field_has_limits_of_its_own(own):
    folder = own(FRAMES, VOICE)
    small = FILES | {"a.mp3": FILES["a.png"], "b.png": picture("blue", (299, 300))}
    with pytest.raises(ManifestError) as caught:
        plan_of(folder, step(MEDIA), files=small).check()
    told = {problem.where: problem.message for problem in caught.value.problems}
    assert "no audio" in told["steps.s.input.media[1].url.upload"]
    assert "allowed: from 300x300" in told["steps.s.input.media[2].url.upload"]


def test_what_a_file_holds_counts_for_job_and_plan_and_its_name_does_not(own):
    folder = own(FRAMES, VOICE)
    files = FILES | {"a.mp3": SOUND}
    before = plan_of(folder, step(MEDIA), files=files)
    renamed = step(MEDIA.replace("a.mp3", "z.mp3"))
    same = plan_of(folder, renamed, files=files | {"z.mp3": SOUND})
    assert same.digest == before.digest
    other = plan_of(folder, step(MEDIA), files=files | {"a.mp3": SOUND + b"x"})
    assert other.digest != before.digest
    swapped = step(MEDIA.replace("a.png", "x").replace("b.png", "a.png").replace("x}", "b.png}"))
    assert plan_of(folder, swapped, files=files).digest != before.digest


def test_the_facts_of_a_file_may_stand_in_the_matrix(own):
    folder = own(FRAMES, VOICE)
    rows = """    operation: mine
    matrix:
      part:
      - [{type: first_frame, url: {upload: a.png}}]
      - [{type: first_frame, url: {upload: a.png}}, {type: last_frame, url: {upload: b.png}}]
    input: {prompt: a pot, media: "{{ part }}"}
"""
    one, two = jobs_of(folder, step(rows), files=FILES)
    assert [len(job.request["input"]["media"]) for job in (one, two)] == [1, 2]
    assert all("upload" in part["url"] for part in two.request["input"]["media"])
    before = plan_of(folder, step(rows), files=FILES).digest
    assert plan_of(folder, step(rows), files=FILES | {"b.png": picture("green")}).digest != before


@pytest.mark.parametrize(
    ("operation", "place"),
    [
        ("wan2.6-image", "messages"),
        ("wan2.7-image-pro", "messages"),
        ("wan2.5-i2i-preview", "images"),
    ],
)
def test_pictures_in_the_short_form_are_files(tmp_path, operation, place):
    text = (
        f"    operation: {operation}\n"
        "    matrix: {pic: [{upload: b.png}, 'https://example.com/a.png']}\n"
        "    input: {prompt: both, images: [{upload: a.png}, '{{ pic }}']}\n"
    )
    big = {name: picture((name[0] == "a" and "red") or "blue", (400, 400)) for name in FILES}
    one, two = jobs_of(tmp_path, step(text), files=big)
    assert str(one.request["input"][place]).count("'sha256:") == 2
    assert str(two.request["input"][place]).count("'sha256:") == 1


def test_a_whole_list_of_pictures_may_be_one_value(tmp_path):
    text = (
        "    operation: wan2.6-image\n"
        "    matrix: {pics: [[{upload: a.png}], [{upload: a.png}, {upload: b.png}]]}\n"
        "    input: {prompt: both, images: '{{ pics }}'}\n"
    )
    big = {name: picture("red", (400, 400 + number)) for number, name in enumerate(FILES)}
    one, two = jobs_of(tmp_path, step(text), files=big)
    content = two.request["input"]["messages"][0]["content"]
    assert [sorted(part) for part in content] == [["image"], ["image"], ["text"]]
    assert len(one.request["input"]["messages"][0]["content"]) == 2
    literal = text.replace("'{{ pics }}'", "[{upload: a.png}, {upload: b.png}]")
    literal = literal.replace(
        "    matrix: {pics: [[{upload: a.png}], [{upload: a.png}, {upload: b.png}]]}\n", ""
    )
    [same] = jobs_of(tmp_path, step(literal), files=big)
    assert same.job_id == two.job_id
