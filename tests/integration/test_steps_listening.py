"""The words of a recording stand in a file of its transcript, and are an output all the same."""

import wave

import pytest

DUB = """
steps:
  heard:
    operation: paraformer
    model: paraformer-v2
    matrix: {clip: [one.wav, two.wav]}
    input: {file_urls: [{upload: "{{ clip }}"}]}
  translated:
    operation: qwen-mt
    model: qwen-mt-flash
    matrix: {said: {step: heard}}
    input: {messages: [{role: user, content: "{{ said.output.text | trim }}"}]}
    parameters: {translation_options: {target_lang: German}, max_tokens: 100}
"""


@pytest.fixture
def dub(work):
    for number, name in enumerate(("one", "two")):
        with wave.open(str(work.folder / f"{name}.wav"), "wb") as sound:
            sound.setparams((1, 2, 16000, 0, "NONE", ""))
            sound.writeframes(bytes([number, 0]) * 16000)
    return work.pipeline(DUB)


def of(work, step):
    return [row for row in work.results() if row["step"] == step]


def text_file(work, row):
    [path] = [item["path"] for item in row["artifacts"] if item["name"] == "text"]
    return (work.run_dir() / path).read_text(encoding="utf-8")


def test_the_words_go_into_the_translation(work, emulator, dub):
    assert work.dsrun(dub).code == 0
    heard = of(work, "heard")
    assert [row["output"] for row in heard] == [{"text": text_file(work, row)} for row in heard]
    sent = [row["request"]["input"]["messages"][0]["content"] for row in of(work, "translated")]
    assert sent == [row["output"]["text"].strip() for row in heard]
    assert all(sent)


def test_another_pipeline_takes_them_from_the_cache(work, emulator, dub):
    assert work.dsrun(dub).code == 0
    text = dub.read_text(encoding="utf-8").replace("German", "French").replace("demo", "again")
    other = work.folder / "again.yaml"
    other.write_text(text, encoding="utf-8")
    assert work.dsrun(other).code == 0
    assert emulator.paid() == 4 + 2


def test_words_that_did_not_arrive_at_once_arrive_with_the_next_run(work, serve, dub):
    """The file of a transcript is fetched again; what follows from it is then made."""
    service = serve("truncated-download")
    assert work.dsrun(dub).code == 3
    service.heal()
    assert work.dsrun(dub).code == 0
    assert all(row["output"]["text"] for row in of(work, "heard"))
    assert service.paid() == 4


def test_operations_tell_it_among_the_outputs(work):
    assert "text, for templates of the steps below it" in work.dsrun(
        "operations", "paraformer-v2"
    ).out  # fmt: skip
