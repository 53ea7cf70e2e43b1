"""The table of ARCHITECTURE.md, row by row: killed before and after every commit of a job."""

import json
import re
import shutil
from pathlib import Path

import pytest

from dsrun.common.resources import iter_operation_files
from dsrun.ledger.writer import Ledger

ROOT = Path(__file__).parents[2]
CHILD = ROOT / "tests/torture/child.py"
VOICE = """
steps:
  voices:
    operation: qwen-voice-design
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: A calm voice
      preview_text: Good evening.
    filename: calm
"""
# Commits of no job: of the run itself, and of uploads, which cost nothing.
OF_NO_JOB = {"start_run", "end_run", "record_upload", "forget_upload", "forget_uploads"}
OF_NO_STATE = {"record_abandoned"}  # a note on what a create may have made
FAULTS = {
    "record_refusal": "throttle-bare",
    "record_lost": "lost-answer",
    "record_repeat": "lost-answer",
    "record_trouble": "garbage-json",
    "share_open": "garbage-json",
    "reopen": "failed-task",
    "reopen_part": "partial-task",
    "reopen_task": "partial-task",
    "forget_task": "failed-task",
    "record_retry": "failed-task",
}
AGAIN = {"reopen", "reopen_part", "reopen_task", "forget_task"}
PARTS = {"reopen_part", "reopen_task"}
SENT_AGAIN = {"forget_task", "record_repeat", "record_retry"}
# That a create was not accepted is shown by one that was accepted after it.
NEEDS_WITNESS = {("record_intent", "after"), ("record_refusal", "before")}
# Killed here a job has ended already, and waits for --retry-failed.
ENDED = {"reopen": "failed", "reopen_part": "partial", "reopen_task": "partial"}


def read_table():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.partition("### Killed at any point")[2]
    rows = re.findall(r"^\| `(\w+)` \| `?(\w+)`? \| `?(\w+)`? \|", section, re.MULTILINE)
    return {name: (before, after) for name, before, after in rows}


TABLE = read_table()
PAIRS = [
    pytest.param(name, when, status, id=f"{when} {name}")
    for name, statuses in TABLE.items()
    if name != "record_foreign"  # test_lost_creates.py: it takes a stranger
    for when, status in zip(("before", "after"), statuses, strict=True)
]


def test_the_table_has_every_commit_of_a_job():
    commits = {
        name
        for name in vars(Ledger)
        if name.startswith(("record_", "reopen", "share_", "load_", "forget_"))
    }
    assert set(TABLE) == commits - OF_NO_JOB - OF_NO_STATE


@pytest.mark.parametrize(("name", "when", "status"), PAIRS)
def test_the_ledger_says_what_the_table_says_and_the_next_run_makes_it_good(
    work, serve, name, when, status
):
    own = [repeating_operation(work)] if name == "record_repeat" else []
    service = serve(*([FAULTS[name]] if name in FAULTS else []), operations=tuple(own))
    others = 1 if (name, when) in NEEDS_WITNESS else 0
    pipeline = prepare(work, service, name, others=others)
    words = ["run", pipeline, *(["--retry-failed"] if name in AGAIN else [])]
    work.spawn_script(CHILD, f"{when} Ledger.{name}", "1", *words).end()
    found = work.statuses()
    assert (found or {"nowhere": 1}) == {status: 1, **({"pending": others} if others else {})}

    service.heal()
    outcome = work.dsrun(pipeline)
    end = ENDED.get(name) if when == "before" else None
    if name == "record_answer":
        end = "partial"  # the preview is given once
    assert work.statuses() == {end or "succeeded": 1 + others}
    assert outcome.code == (1 if end else 0)
    # A failed task is not billed; asking again is another create of the same request. A cheap
    # call whose operation says so is sent again although it may be paid.
    is_sent_again = (name, when) == ("reopen", "after") or name in SENT_AGAIN
    assert max(service.creates().values()) == (2 if is_sent_again else 1)
    assert work.dsrun("verify", work.run_dir()).code == 0
    assert not (work.run_dir() / ".tmp").exists()


def repeating_operation(work):
    """The text of an operation file whose lost creates are sent again, which the user has."""
    schema = json.loads(dict(iter_operation_files())["qwen-voice-design"])
    schema["properties"]["model"]["const"] = "speech-1"
    schema["x-dsrun"]["price"]["items"][0]["amount"] = "0.01"
    schema["x-dsrun"]["recovery"] = {"by": "repeat", "times": 1}
    text = json.dumps(schema)
    (work.folder / "operations").mkdir()
    (work.folder / "operations/speech.json").write_text(text, encoding="utf-8")
    return text


def prepare(work, service, name, *, others=0):
    """A pipeline of one job that comes by the commit, and of so many others."""
    if name == "record_answer":
        return work.pipeline(VOICE)
    if name == "record_repeat":
        return work.pipeline(VOICE.replace("qwen-voice-design", "speech"))
    retry = {"retry": {"failed_tasks": 1}} if name == "record_retry" else {}
    pipeline = work.posters(1 + others, pictures=2 if name in PARTS else 1, **retry)
    if name in AGAIN:
        work.dsrun(pipeline)
        service.heal()
    elif name == "reopen_lost":
        work.dsrun(pipeline, "--no-cache")
        shutil.rmtree(work.run_dir() / "artifacts")
    elif name == "share_open":
        text = work.posters(1, timeout="500ms").read_text()
        work.dsrun(pipeline)
        service.heal()
        pipeline.write_text(text.replace("-{{ index }}", "x{{ index }}"))  # another digest
    elif name == "record_cached":
        work.dsrun(pipeline)
        shutil.rmtree(work.run_dir())
    return pipeline
