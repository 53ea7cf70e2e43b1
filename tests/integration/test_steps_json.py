"""A text that is JSON gives its fields to later steps."""

import json

import pytest
from PIL import Image

STORY = """
steps:
  ideas:
    operation: qwen-chat
    model: qwen-plus
    matrix: {{subject: [a lantern, a kite]}}
    input:
      messages:
        - {{role: system, content: "{ask}"}}
        - {{role: user, content: "{{{{ subject }}}}"}}
    parameters: {{result_format: message, response_format: {{type: {form}}}}}
  pictures:
    operation: wanx-v1
    matrix: {{idea: {{step: ideas}}}}
    input: {{prompt: "{prompt}"}}
"""
ASK = "Answer as JSON with the keys prompt, title and mood."


def story(prompt, *, ask=ASK, form="json_object"):
    return STORY.format(prompt=prompt, ask=ask.replace('"', '\\"'), form=form)


def of(work, step):
    return [row for row in work.results() if row["step"] == step]


def test_a_field_of_a_json_answer_is_the_prompt_of_a_later_step(work, emulator):
    words = "{{ (idea.output.text | from_json).prompt | trim }}, soft light"
    assert work.dsrun(work.pipeline(story(words))).code == 0
    ideas = [json.loads(row["output"]["text"]) for row in of(work, "ideas")]
    assert [idea.keys() for idea in ideas] == [{"prompt", "title", "mood"}] * 2
    assert [row["request"]["input"]["prompt"] for row in of(work, "pictures")] == [
        f"{idea['prompt']}, soft light" for idea in ideas
    ]


def test_a_part_alone_keeps_its_type_and_must_fit_its_field(work, emulator):
    """The whole object is no prompt; its jobs fail unsent, and nothing of them is paid."""
    assert work.dsrun(work.pipeline(story("{{ idea.output.text | from_json }}"))).code == 1
    errors = [row["error"]["message"] for row in of(work, "pictures")]
    assert all("input.prompt" in words for words in errors)
    assert not any(row["request_id"] for row in of(work, "pictures"))
    assert emulator.paid() == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"prompt": "{{ (idea.output.text | from_json).promt }}"},
            "input.prompt: the JSON has no promt (did you mean prompt?); it has prompt, title, ",
        ),
        (
            {"prompt": "{{ (idea.output.text | from_json).prompt }}", "form": "text"},
            'input.prompt: from_json takes JSON, and this is "Emulated answer',
        ),
        (
            {"prompt": "{{ (idea.output.text | from_json).prompt.en }}"},
            'input.prompt: prompt of the JSON has no en: it is "Emulated prompt',
        ),
        (
            {"prompt": "{{ (idea.output.text | from_json)[0] }}"},
            "input.prompt: the JSON has no item 0: it is {",
        ),
    ],
    ids=["no-such-key", "no-json", "no-part", "no-list"],
)
def test_what_is_not_there_fails_its_job_unsent_and_no_other(work, emulator, changes, words):
    outcome = work.dsrun(work.pipeline(story(**changes)))
    assert outcome.code == 1
    assert {row["status"] for row in of(work, "ideas")} == {"succeeded"}
    for row in of(work, "pictures"):
        assert words in row["error"]["message"]
        assert "a higher `take` in the step that gave it makes it anew" in row["error"]["message"]
        assert (row["attempts"], row["request_id"]) == (0, None)
    assert emulator.paid() == 2


def test_the_way_into_the_json_belongs_to_the_job(work, emulator):
    """Another field is another picture; the ideas are not asked for again."""
    words = "{{{{ (idea.output.text | from_json).{} }}}}"
    assert work.dsrun(work.pipeline(story(words.format("prompt")))).code == 0
    assert work.dsrun(work.pipeline(story(words.format("title")))).code == 0
    assert emulator.paid() == 2 + 2 + 2
    said = work.dsrun("plan", work.pipeline(story(words.format("mood")))).out
    assert "output.text | from_json mood" in said


@pytest.mark.parametrize(
    ("ask", "keys"),
    [
        ('Answer in JSON: {"scene": a place, "light": of day}', {"scene", "light"}),
        ("Give JSON with the fields `name` and `mood`", {"name", "mood"}),
        ("Give JSON with the key caption", {"caption"}),
        ("Answer in JSON.", {"text"}),
    ],
)
def test_the_emulator_answers_with_the_keys_that_a_request_names(work, emulator, ask, keys):
    ask = ask.replace("{", "(").replace("}", ")")
    assert work.dsrun(work.pipeline(story("a lamp", ask=ask)), "--step", "ideas").code == 0
    assert json.loads(of(work, "ideas")[0]["output"]["text"]).keys() == keys


def test_json_that_no_word_asks_for_is_refused(work, emulator):
    outcome = work.dsrun(work.pipeline(story("a lamp", ask="Be brief.")), "--step", "ideas")
    assert outcome.code == 1
    assert "must contain the word 'json'" in of(work, "ideas")[0]["error"]["message"]


DUET = """
steps:
  ideas:
    operation: qwen-chat
    model: qwen-plus
    matrix: {subject: [a lantern, a kite]}
    input: {messages: [{role: user, content: "{{ subject }}"}]}
    parameters: {result_format: message}
  edits:
    operation: qwen-image-edit
    model: qwen-image-edit
    matrix: {idea: {step: ideas}}
    input:
      images: [{upload: photo.png}]
      prompt: "Make it {{ idea.output.text }}"
"""


def test_a_request_with_a_file_of_the_user_takes_what_others_give_as_well(work, emulator):
    Image.new("RGB", (800, 800)).save(work.folder / "photo.png")
    assert work.dsrun(work.pipeline(DUET)).code == 0
    told = [row["output"]["text"] for row in of(work, "ideas")]
    sent = [row["request"]["input"]["messages"][0]["content"] for row in of(work, "edits")]
    assert [parts[1]["text"] for parts in sent] == [f"Make it {text}" for text in told]
    assert [list(parts[0]["image"]) for parts in sent] == [["upload"]] * 2
    planned = [json.loads(row["request"]) for row in work.query("SELECT request FROM job")]
    late = [one["input"]["messages"][0]["content"] for one in planned if "edit" in one["model"]]
    assert all(parts[1]["text"]["parts"][1]["at"] == "/output/text" for parts in late)
    assert work.dsrun(work.pipeline(DUET)).code == 0
    assert emulator.paid() == 4
