"""Texts, pictures, sounds, voices and films made of one another, each of the right one."""

import hashlib
import json
import urllib.request

import pytest

from tests.files_of_kinds import sound

EXPAND = {
    "description": "Makes a longer prompt of a short one.",
    "type": "object",
    "required": ["model", "input"],
    "additionalProperties": False,
    "properties": {
        "model": {"type": "string", "const": "expand"},
        "input": {
            "type": "object",
            "required": ["prompt"],
            "additionalProperties": False,
            "properties": {"prompt": {"type": "string", "minLength": 1}},
        },
    },
    "x-dsrun": {
        "protocol": "sync",
        "endpoint": {"method": "POST", "path": "/services/aigc/text-generation/generation",
                     "headers": {}, "timeout_s": 60},
        "fill": [],
        "artifacts": [{"media": "text", "at": "/output/text", "as": "value", "asked": 1}],
        "outputs": {"text": "/output/text"},
        "price": {"currency": "CNY", "as_of": "2026-05", "items": [
            {"unit": "text", "amount": "0.01", "units": {"count": True}}]},
        "limits": {"requests": 1000, "per_s": 1},
        "sample": {"request": {"model": "expand", "input": {"prompt": "a lantern"}},
                   "answer": {"output": {"text": "A paper lantern on a dark river"}, "usage": {}}},
    },
}  # fmt: skip
PICTURES = """\
  shots:
    operation: wan2.2-t2i-flash
    matrix:
      beat:
        - {scene: 1, what: dawn}
        - {scene: 1, what: noon}
        - {scene: 2, what: rain}
        - {scene: 2, what: sun}
    input: {prompt: "{{ beat.what }}"}
    filename: "{{ beat.what }}"
"""


class Made:
    """A run, and what the service was sent for each of its rows."""

    def __init__(self, work, service, steps, *, code=0):
        outcome = work.dsrun("run", work.pipeline("steps:\n" + steps), "--no-progress", "--yes")
        assert outcome.code == code, outcome.err
        self._rows = work.results()
        self._folder = work.run_dir()
        self.sent = [json.loads(text) for text in service.creates()]
        self.paid = service.paid()

    def rows(self, step):
        return [row for row in self._rows if row["step"] == step]

    def files(self, step):
        """SHA-256 of what the service gave for each file of a step."""
        return [item["source_sha256"] for row in self.rows(step) for item in row["artifacts"]]

    def texts(self, step):
        return [
            (self._folder / item["path"]).read_text(encoding="utf-8")
            for row in self.rows(step)
            for item in row["artifacts"]
        ]

    def of(self, **words):
        """What was sent where the input has these words."""
        return [body for body in self.sent if body["input"].items() >= words.items()]


def sha256_at(address):
    with urllib.request.urlopen(address, timeout=30) as answer:
        return hashlib.sha256(answer.read()).hexdigest()


@pytest.fixture
def make(work, serve):
    """Run some steps; `expand` is an operation of the user's own."""
    own = json.dumps({"$id": "urn:dsrun:operation:expand", **EXPAND})
    (work.folder / "operations").mkdir()
    (work.folder / "operations/expand.json").write_text(own, encoding="utf-8")
    service = serve(picture_scale=0.5, operations=(own,))
    return lambda steps, code=0: Made(work, service, steps, code=code)


def test_a_text_goes_into_a_prompt_and_on_into_a_film(make):
    made = make("""\
  words:
    operation: expand
    matrix: {idea: [a fox, an owl]}
    input: {prompt: "{{ idea }}"}
    filename: "{{ idea | slug }}"
  pics:
    operation: wan2.2-t2i-flash
    matrix: {text: {step: words}, style: [ink, oil]}
    input: {prompt: "{{ text.output.text | trim | upper | truncate(440, true, '') }}, {{ style }}"}
    filename: "{{ text.idea | slug }}-{{ style }}"
  films:
    operation: wan2.6-i2v-flash
    matrix: {pic: {step: pics}}
    input: {img_url: "{{ pic.artifact }}", prompt: "{{ pic.text.output.text }}"}
    parameters: {resolution: 720P, duration: 2, audio: false}
    filename: "{{ pic.text.idea | slug }}-{{ pic.style }}"
""")
    fox, owl = (text.strip() for text in made.texts("words"))
    assert made.paid == 2 + 4 + 4
    for text in (fox, owl):
        for style in ("ink", "oil"):
            assert len(made.of(prompt=f"{text.upper()}, {style}")) == 1
        films = made.of(prompt=text)
        assert len(films) == 2
        began = [sha256_at(film["input"]["img_url"]) for film in films]
        of_text = made.files("pics")[:2] if text == fox else made.files("pics")[2:]
        assert sorted(began) == sorted(of_text)
    assert all(row["artifacts"][0]["media_type"] == "video/mp4" for row in made.rows("films"))


def test_a_late_text_that_is_too_long_for_its_field_fails_that_child_unsent(make, work):
    made = make(
        """\
  words:
    operation: expand
    input: {prompt: a fox}
    filename: a
  pics:
    operation: wan2.2-t2i-flash
    matrix: {text: {step: words}, style: [ink, LONG, oil]}
    input: {prompt: "{{ text.output.text }}, {{ style }}"}
    filename: "{{ job.index }}"
""".replace("LONG", "x" * 495),
        code=1,
    )
    [text] = made.texts("words")
    assert made.paid == 1 + 2
    assert len(made.of(prompt=f"{text.strip()}, ink")) == 1
    assert len(made.of(prompt=f"{text.strip()}, oil")) == 1
    assert [row["status"] for row in made.rows("pics")] == ["succeeded", "failed", "succeeded"]
    error = made.rows("pics")[1]["error"]
    assert (error["code"], error["class"]) == ("InvalidRequest", "job")
    found = f"found {len(text.strip()) + 497} characters; allowed: at most 500"
    assert error["message"] == f"input.prompt: {found}"


def test_posters_in_five_languages_are_a_join_of_scenes_and_words(make, work):
    rows = "product,claim\nteapot,Warm evenings\nlamp,Light the way\n"
    (work.folder / "products.csv").write_text(rows, encoding="utf-8")
    made = make("""\
  scenes:
    operation: wan2.2-t2i-flash
    matrix: {product: {file: products.csv}}
    input: {prompt: "a {{ product.product }} on a table"}
    filename: "{{ product.product }}"
  words:
    operation: expand
    matrix: {product: {file: products.csv}, language: [en, de, fr, zh, ja]}
    input: {prompt: "{{ product.claim }} in {{ language }}"}
    filename: "{{ product.product }}-{{ language }}"
  posters:
    operation: wan2.5-i2i-preview
    matrix:
      scene: {step: scenes}
      words: {step: words}
      where: scene.product == words.product
    input: {images: ["{{ scene.artifact }}"], prompt: "Write: {{ words.output.text | trim }}"}
    filename: "{{ words.language }}/{{ scene.product.product }}"
""")
    assert made.paid == 2 + 10 + 10
    teapot, lamp = made.files("scenes")
    texts = [text.strip() for text in made.texts("words")]
    for number, text in enumerate(texts):
        (poster,) = made.of(prompt=f"Write: {text}")
        assert sha256_at(poster["input"]["images"][0]) == (teapot if number < 5 else lamp)


def test_a_film_goes_from_a_frame_to_the_next_of_its_scene(make):
    made = make(
        PICTURES
        + """\
  between:
    operation: wan2.5-i2i-preview
    matrix:
      first: {step: shots}
      last: {step: shots}
      where: last.index == first.index + 1 and last.beat.scene == first.beat.scene
    input:
      prompt: "{{ first.beat.what }} to {{ last.beat.what }}"
      images: ["{{ first.artifact }}", "{{ last.artifact }}"]
    filename: "{{ first.beat.what }}"
"""
    )
    assert made.paid == 4 + 2
    dawn, noon, rain, sun = made.files("shots")
    for words, pair in (("dawn to noon", [dawn, noon]), ("rain to sun", [rain, sun])):
        (film,) = made.of(prompt=words)
        assert [sha256_at(address) for address in film["input"]["images"]] == pair


def test_a_group_gives_its_files_in_the_order_of_the_plan(make):
    made = make(
        PICTURES
        + """\
  together:
    operation: wan2.5-i2i-preview
    matrix:
      scene: [{id: 2, mood: stormy}, {id: 1, mood: calm}]
      group: {step: shots, group_by: beat.scene}
      where: group.key == scene.id
    input: {prompt: "{{ scene.mood }}", images: "{{ group.artifacts }}"}
    filename: "{{ scene.mood }}"
"""
    )
    assert made.paid == 4 + 2
    files = made.files("shots")
    for mood, own in (("calm", files[:2]), ("stormy", files[2:])):
        (one,) = made.of(prompt=mood)
        assert [sha256_at(address) for address in one["input"]["images"]] == own


def test_each_file_and_all_files_of_a_row_go_on(make):
    made = make("""\
  drafts:
    operation: wanx2.0-t2i-turbo
    matrix: {subject: [a fox, an owl]}
    input: {prompt: "{{ subject }}"}
    parameters: {n: 3}
    filename: "{{ subject | slug }}-{{ index }}"
  large:
    operation: wanx2.1-imageedit
    matrix: {pick: {step: drafts, each: artifact}}
    input:
      function: super_resolution
      prompt: "{{ pick.subject }} {{ pick.artifact.index }} {{ pick.artifact.seed }}"
      base_image_url: "{{ pick.artifact }}"
    filename: "{{ pick.subject | slug }}-{{ pick.artifact.index }}"
  mixed:
    operation: wan2.5-i2i-preview
    matrix: {drafts: {step: drafts}}
    input: {prompt: "all of {{ drafts.subject }}", images: "{{ drafts.artifacts }}"}
    filename: "{{ drafts.subject | slug }}"
""")
    assert made.paid == 2 + 6 + 2
    files = made.files("drafts")
    enlarged = {
        sha256_at(body["input"]["base_image_url"]) for body in made.of(function="super_resolution")
    }
    assert enlarged == set(files)
    for row in made.rows("drafts"):
        (mixed,) = made.of(prompt=f"all of {row['matrix']['subject']}")
        own = [item["source_sha256"] for item in row["artifacts"]]
        assert [sha256_at(address) for address in mixed["input"]["images"]] == own
        for item in row["artifacts"]:
            words = f"{row['matrix']['subject']} {item['index']} {item['seed']}"
            (large,) = made.of(prompt=words)
            assert sha256_at(large["input"]["base_image_url"]) == item["source_sha256"]


CLONES = """\
  clones:
    operation: qwen-voice-clone
    matrix: {who: [ada, tom]}
    input: {target_model: qwen3-tts-vc-2026-01-22, audio: {data: {upload: "{{ who }}.wav"}}}
    filename: "{{ who }}"
  speech:
    operation: qwen3-tts
    model: "{{ voice.request.input.target_model }}"
    matrix:
      line: [{by: ada, says: Hello}, {by: tom, says: Good evening}, {by: ada, says: Bye}]
      voice: {step: clones}
      where: voice.who == line.by
    input: {text: "{{ line.says }}", voice: "{{ voice.output.voice }}"}
    filename: "{{ job.index }}-{{ line.by }}"
"""


def test_a_recording_becomes_a_voice_that_speaks(make, work):
    for seconds, who in enumerate(("ada", "tom"), 10):
        (work.folder / f"{who}.wav").write_bytes(sound(seconds, rate=24000))
    made = make(CLONES)
    assert made.paid == 2 + 3
    clones = [body for body in made.sent if "audio" in body["input"]]
    assert all(body["input"]["audio"]["data"].startswith("data:audio/") for body in clones)
    voices = {row["matrix"]["who"]: row["output"]["voice"] for row in made.rows("clones")}
    assert len({*voices.values()}) == 2
    for row in made.rows("speech"):
        line = row["matrix"]["line"]
        (spoken,) = made.of(text=line["says"])
        assert spoken["input"]["voice"] == voices[line["by"]]
        assert spoken["model"] == "qwen3-tts-vc-2026-01-22"


def test_a_sound_and_a_picture_become_a_film(make):
    text = "I have lived beside this river for as long as I can remember, as did my mother. " * 2
    made = make(f"""\
  stills:
    operation: wan2.2-t2i-flash
    matrix: {{who: [Ada, Tom]}}
    input: {{prompt: "{{{{ who }}}}"}}
    filename: "{{{{ who }}}}"
  said:
    operation: qwen3-tts
    model: qwen3-tts-flash
    matrix: {{who: [Ada, Tom]}}
    input: {{text: "I am {{{{ who }}}}. {text}", voice: Cherry}}
    filename: "{{{{ who }}}}"
  films:
    operation: wan2.5-i2v-preview
    matrix:
      still: {{step: stills}}
      said: {{step: said}}
      where: still.who == said.who
    input:
      img_url: "{{{{ still.artifact }}}}"
      audio_url: "{{{{ said.artifact }}}}"
      prompt: "{{{{ still.who }}}} speaks"
    parameters: {{resolution: 480P}}
    filename: "{{{{ still.who }}}}"
""")
    assert made.paid == 2 + 2 + 2
    for who, still, said in zip(
        ("Ada", "Tom"), made.files("stills"), made.files("said"), strict=True
    ):
        (film,) = made.of(prompt=f"{who} speaks")
        assert sha256_at(film["input"]["img_url"]) == still
        assert sha256_at(film["input"]["audio_url"]) == said


def test_a_spoken_text_becomes_the_recording_of_a_voice(make):
    made = make("""\
  said:
    operation: qwen3-tts
    model: qwen3-tts-flash
    matrix: {who: [Cherry, Ethan]}
    input: {text: "Long before the railway came, the valley had another name.", voice: "{{ who }}"}
    filename: "{{ who }}"
  clones:
    operation: qwen-voice-clone
    matrix: {said: {step: said}}
    input: {target_model: qwen3-tts-vc-2026-01-22, audio: {data: "{{ said.artifact }}"}}
    filename: "{{ said.who }}"
  speech:
    operation: qwen3-tts
    model: qwen3-tts-vc-2026-01-22
    matrix: {voice: {step: clones}, text: [Hello, Bye]}
    input: {text: "{{ text }}", voice: "{{ voice.output.voice }}"}
    filename: "{{ voice.said.who }}-{{ text }}"
""")
    assert made.paid == 2 + 2 + 4
    voices = [row["output"]["voice"] for row in made.rows("clones")]
    for text in ("Hello", "Bye"):
        assert sorted(body["input"]["voice"] for body in made.of(text=text)) == sorted(voices)


def test_pictures_of_several_models_become_films_of_several_models(make):
    made = make("""\
  pics:
    operation: [wan2.2-t2i-flash, wanx-v1, qwen-image-plus]
    matrix: {idea: [one, two]}
    input: {prompt: "{{ idea }}"}
    filename: "{{ idea }}-{{ operation }}"
  films:
    operation: wan-i2v-classic
    model: "{{ model }}"
    matrix:
      still: {step: pics}
      model: [wan2.2-i2v-flash, wan2.5-i2v-preview]
      where: still.idea == 'one' or model == 'wan2.2-i2v-flash'
    input: {img_url: "{{ still.artifact }}", prompt: "{{ still.idea }} by {{ still.model }}"}
    parameters: {resolution: 480P}
    filename: "{{ still.idea }}-{{ still.model }}-{{ model }}"
""")
    assert made.paid == 6 + 9
    for row, file in zip(made.rows("pics"), made.files("pics"), strict=True):
        films = made.of(prompt=f"{row['matrix']['idea']} by {row['request']['model']}")
        assert len(films) == (2 if row["matrix"]["idea"] == "one" else 1)
        assert {sha256_at(film["input"]["img_url"]) for film in films} == {file}


def test_four_generations_reach_back_to_the_first(make):
    made = make("""\
  first:
    operation: wan2.2-t2i-flash
    matrix: {idea: [fox, owl]}
    input: {prompt: "{{ idea }}"}
    filename: "{{ idea }}"
  second:
    operation: wan2.5-i2i-preview
    matrix: {was: {step: first}}
    input: {prompt: "{{ was.idea }}, darker", images: ["{{ was.artifact }}"]}
    filename: "{{ was.idea }}"
  third:
    operation: wan2.5-i2i-preview
    matrix: {was: {step: second}, base: {step: first}, where: was.was.idea == base.idea}
    input: {prompt: "{{ base.idea }}, mixed", images: ["{{ was.artifact }}", "{{ base.artifact }}"]}
    filename: "{{ base.idea }}"
  fourth:
    operation: wan2.6-i2v-flash
    matrix: {still: {step: third}}
    input:
      img_url: "{{ still.artifact }}"
      prompt: "{{ still.was.was.idea }} of {{ still.base.request.input.prompt }}"
    parameters: {duration: 2, resolution: 720P, audio: false}
    filename: "{{ still.was.was.idea }}"
""")
    assert made.paid == 8
    generations = [made.files(name) for name in ("first", "second", "third")]
    for number, idea in enumerate(("fox", "owl")):
        (mixed,) = made.of(prompt=f"{idea}, mixed")
        (film,) = made.of(prompt=f"{idea} of {idea}")
        assert [sha256_at(one) for one in mixed["input"]["images"]] == [
            generations[1][number],
            generations[0][number],
        ]
        assert sha256_at(film["input"]["img_url"]) == generations[2][number]
