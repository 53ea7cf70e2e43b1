"""Chats, translations, vectors, transcripts, voices, models and portraits, as users run them."""

import wave
from decimal import Decimal

import pytest

MANY = """
steps:
  chat:
    operation: qwen-chat
    model: qwen-plus
    matrix: {subject: [a lantern, 一只风筝]}
    input: {messages: [{role: user, content: "Describe {{ subject }}"}]}
    parameters: {result_format: message, max_tokens: 100}
  translated:
    operation: qwen-mt
    model: qwen-mt-plus
    matrix: {said: {step: chat}, to: [German, French]}
    input: {messages: [{role: user, content: "{{ said.output.text }}"}]}
    parameters: {translation_options: {target_lang: "{{ to }}"}}
  vectors:
    operation: text-embedding
    model: text-embedding-v4
    input: {texts: [one, two, three]}
    parameters: {dimension: 64}
  heard:
    operation: paraformer
    model: paraformer-v2
    input: {file_urls: [{upload: talk.wav}]}
    parameters: {timestamp_alignment_enabled: true}
  cast:
    operation: cosyvoice-design
    matrix: {who: [a sailor, a cat]}
    input: {target_model: cosyvoice-v3.5-flash, voice_prompt: "{{ who }}", preview_text: Hello.}
  speech:
    operation: cosyvoice-tts
    model: cosyvoice-v3.5-flash
    matrix: {voice: {step: cast}}
    input: {text: "Good evening 你好", voice: "{{ voice.output.voice }}", format: wav}
  wood:
    operation: tripo-3d
    model: Tripo/Tripo-H3.1
    input: {prompt: a lantern}
"""
PORTRAIT = """
steps:
  face:
    operation: portrait-detect
    model: emo-detect-v1
    input: {image_url: "https://pictures.example/girl.png"}
    parameters: {ratio: "1:1"}
  film:
    operation: emo-v1
    matrix: {face: {step: face}}
    input:
      image_url: "https://pictures.example/girl.png"
      audio_url: {upload: talk.wav}
      face_bbox: "{{ face.output.face_bbox }}"
      ext_bbox: "{{ face.output.ext_bbox }}"
"""


@pytest.fixture
def talk(work):
    """A sound of three seconds."""
    with wave.open(str(work.folder / "talk.wav"), "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", ""))
        sound.writeframes(b"\1\0" * 16000 * 3)


def rows(work):
    found = {}
    for row in work.results():
        found.setdefault(row["step"], []).append(row)
    return found


def costs(work, step):
    return [Decimal(str(row["cost"]["amount"])) for row in rows(work)[step]]


def names(row):
    return [item["path"].rpartition(".")[2] for item in row["artifacts"]]


def test_results_outputs_and_costs_are_those_of_each_kind(work, emulator, talk):
    pipeline = work.pipeline(MANY)
    assert work.dsrun(pipeline).code == 0
    made = rows(work)
    assert [len(each) for each in made.values()] == [2, 4, 1, 1, 2, 2, 1]
    assert {name for row in made["chat"] + made["translated"] for name in names(row)} == {"txt"}
    assert all(row["output"]["text"] for row in made["chat"] + made["translated"])
    assert [names(row) for row in made["vectors"]] == [["json"]]
    assert sorted(names(made["heard"][0])) == ["json", "srt", "txt"]
    assert sorted(names(made["wood"][0])) == ["glb", "webp"]
    assert [row["request"]["input"]["voice"] for row in made["speech"]] == [
        row["output"]["voice"] for row in made["cast"]
    ]
    assert costs(work, "heard") == [Decimal("0.00024")]  # three seconds
    assert costs(work, "speech") == [Decimal("0.00136")] * 2  # 13 signs, and two that count twice
    assert costs(work, "wood") == [Decimal("1.4")]


def test_no_kind_costs_more_than_its_plan(work, emulator, talk):
    known = MANY.replace("{{ said.output.text }}", "a lantern")
    pipeline = work.pipeline(known)
    most = work.dsrun("plan", pipeline, "--json").answer["cost"]["amount"]
    assert work.dsrun(pipeline).code == 0
    spent = sum(Decimal(str(row["cost"]["amount"])) for row in work.results())
    assert 0 < spent <= Decimal(str(most))


def test_a_voice_with_another_model_than_its_own_is_a_problem_before_the_run(work, emulator):
    cast = "steps:\n  cast:" + MANY.partition("  cast:")[2].partition("  wood:")[0]
    other = cast.replace("model: cosyvoice-v3.5-flash\n", "model: cosyvoice-v2\n")
    assert other != cast
    assert work.dsrun("validate", work.pipeline(cast)).code == 0
    refused = work.dsrun("validate", work.pipeline(other))
    assert refused.code == 2
    assert "cosyvoice-v3.5-flash" in refused.err
    assert emulator.requests() == []


def test_a_portrait_is_detected_and_then_sings(work, emulator, talk):
    assert work.dsrun(work.pipeline(PORTRAIT)).code == 0
    made = rows(work)
    assert (
        made["film"][0]["request"]["input"]["face_bbox"] == made["face"][0]["output"]["face_bbox"]
    )
    assert names(made["film"][0]) == ["mp4"]
    assert (costs(work, "face"), costs(work, "film")) == ([Decimal("0.004")], [Decimal("0.48")])


def test_a_portrait_that_is_none_is_paid_and_nothing_is_made_of_it(work, serve, talk):
    service = serve("failed-check")
    assert work.dsrun(work.pipeline(PORTRAIT)).code == 1
    [face], [film] = rows(work).values()
    assert (face["status"], face["error"]["code"]) == ("failed", "InvalidImage.NoHumanFace")
    assert costs(work, "face") == [Decimal("0.004")]
    assert (film["status"], costs(work, "film")) == ("skipped", [Decimal(0)])
    assert work.dsrun(work.pipeline(PORTRAIT)).code == 1
    assert service.paid() == 1


def test_what_lives_two_hours_is_fetched_before_what_lives_a_day(work, serve):
    """Both are at the service and nobody has them; one place is free in the next run."""
    service = serve("truncated-download")
    steps = """
steps:
  posters: {operation: wanx-v1, matrix: {number: [1, 2]}, input: {prompt: "a lamp {{ number }}"}}
  wood: {operation: tripo-3d, model: Tripo/Tripo-H3.1, input: {prompt: a lantern}}
"""
    assert work.dsrun(work.pipeline(steps, max_attempts=1)).code == 3
    service.heal()
    before = len(service.requests())
    assert work.dsrun(work.pipeline(steps, concurrency=1)).code == 0
    tasks = {row["task_id"]: row["step"] for row in work.results()}
    fetched = [
        step
        for _, path in service.requests()[before:]
        for task, step in tasks.items()
        if task in path and "/tasks/" not in path
    ]
    assert fetched[0] == "wood"
    assert sorted({*fetched}) == ["posters", "wood"]
