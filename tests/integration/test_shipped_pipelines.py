"""The pipelines that ship as folders: what each makes, after kills and after an edit too."""

import csv
import json
import random
import re
import shlex
import wave
from collections import Counter
from pathlib import Path

import pytest

from dsrun.service.catalog import load_catalog
from dsrun.service.operation import Repeat
from tests.files_of_kinds import FILES as KINDS

CHILD = Path(__file__).parents[1] / "torture/child.py"
CATALOG = load_catalog()
SPEECH, VOICES = "qwen3-tts-vd-2026-01-26", "qwen-voice-design"
SCENES, WORDS, HEARING = "wanx-background-generation-v2", "qwen-mt-flash", "qwen3-asr-flash"
SHOOTOUT = ("wan2.6-t2i", "wan2.5-t2i-preview", "wan2.2-t2i-flash", "wanx2.1-t2i-turbo",
            "qwen-image-plus")  # fmt: skip

# What a pipeline sends, by model, and the files that it makes, by ending.
JOBS = {
    "audiobook": {VOICES: 4, SPEECH: 12},
    "storyboard": {"qwen-plus": 4, "wan2.2-t2i-flash": 4, "wan2.7-i2v": 4},
    "product-set": {SCENES: 3, WORDS: 15},
    "dub": {"paraformer-v2": 3, HEARING: 3, WORDS: 6, "qwen3-tts-flash": 6},
    "model-shootout": dict.fromkeys(SHOOTOUT, 3),
}
FILES = {
    "audiobook": {".wav": 16},
    "storyboard": {".txt": 4, ".png": 4, ".mp4": 4},
    "product-set": {".png": 3, ".txt": 15},
    "dub": {".json": 3, ".srt": 3, ".txt": 12, ".wav": 6},
    "model-shootout": {".png": 15},
}
# An edit of one row: pipeline, file, what stands there, what is to stand there, what it sends.
EDITS = [
    ("audiobook", "script.csv", "Can we follow it?", "Shall we follow it?", {SPEECH: 1}),
    ("audiobook", "cast.csv", "soft and hoarse", "hoarse", {VOICES: 1, SPEECH: 2}),
    ("storyboard", "shots.csv", "a mossy post", "an iron ring",
     {"qwen-plus": 1, "wan2.2-t2i-flash": 1, "wan2.7-i2v": 1}),
    ("storyboard", "shots.csv", "sweeps once", "sweeps twice", {"wan2.7-i2v": 1}),
    ("product-set", "products.csv", "Holds 350 ml", "Holds 400 ml", {WORDS: 5}),
    ("product-set", "products.csv", "in a quiet study", "in a library", {SCENES: 1}),
    ("dub", "clips.csv", "fold.wav,English", "fold.wav,auto", {WORDS: 2, "qwen3-tts-flash": 2}),
    ("model-shootout", "prompts.csv", "red paper", "blue paper", dict.fromkeys(SHOOTOUT, 1)),
]  # fmt: skip
POINTS = ("Ledger.commit", "Ledger.record_intent", "Ledger.record_result", "Ledger.record_task",
          "ApiClient.create", "ApiClient.fetch", "Ledger.wake", "store.replace")  # fmt: skip
KILLS = 6
BIG = {"picture_scale": 0.5}  # a film takes no first picture below 240 pixels
MOST_RUNS = 4


def copied(work, name):
    """A pipeline as `dsrun init` copies it, at the pace of a test; the folder that it is run in."""
    assert work.dsrun("init", "mine", "--from", name).code == 0
    manifest = work.folder / "mine/pipeline.yaml"
    text = manifest.read_text(encoding="utf-8")
    quick = "rate: 1000/s\n  grace: 200ms\n  polling: {first: 50ms, max: 200ms, rate: 1000/s}\n"
    assert text.count("execution:\n") == 1
    manifest.write_text(text.replace("execution:\n", f"execution:\n  {quick}"), encoding="utf-8")
    return manifest


def models(service):
    """How many creates of each model were accepted, each of which is paid."""
    sent = Counter()
    for body, number in service.creates().items():
        sent[json.loads(body)["model"]] += number
    return sent


def repeats(work):
    """How many creates of each model were sent again, since their answers left no trace."""
    rows = work.query(
        "SELECT json_extract(request, '$.model') AS model, sum(repeats + (SELECT count(*) FROM "
        "attempt WHERE outcome = 'abandoned' AND attempt.job_id = job.job_id)) AS repeats "
        "FROM job GROUP BY 1",
        "mine",
    )
    return {row["model"]: row["repeats"] for row in rows}


def statuses(work):
    return Counter(line["status"] for line in work.results("mine"))


@pytest.mark.parametrize("name", sorted(JOBS))
def test_it_makes_every_file_and_costs_what_was_planned_at_most(work, serve, name):
    service = serve(**BIG)
    pipeline = copied(work, name)
    plan = work.dsrun("plan", pipeline, "--json").answer
    assert work.dsrun(pipeline).code == 0
    assert models(service) == JOBS[name]
    assert Counter(Path(file).suffix for file in work.files("mine")) == FILES[name]
    spent = sum(line["cost"]["amount"] for line in work.results("mine"))
    assert 0 < spent <= plan["cost"]["amount"] + 1e-9
    assert work.dsrun(pipeline).code == 0
    assert models(service) == JOBS[name]


@pytest.mark.parametrize("name", sorted(JOBS))
def test_killed_at_random_it_pays_for_nothing_twice(work, serve, name):
    service = serve(**BIG)
    pipeline = copied(work, name)
    dice = random.Random(name)
    for _ in range(KILLS):
        point = f"{dice.choice(['before', 'after'])} {dice.choice(POINTS)}"
        work.spawn_script(CHILD, point, str(dice.randint(2, 12)), "run", pipeline).end()
    for _ in range(MOST_RUNS):
        work.dsrun(pipeline)
    sent, again, ends = models(service), repeats(work), statuses(work)
    for model, jobs in JOBS[name].items():
        may_repeat = isinstance(CATALOG[model].recovery, Repeat)
        assert sent[model] <= jobs + (again[model] if may_repeat else 0), model
    # What has no witness in its list stays unknown, and is sent again by the user's word alone.
    # What waited for it is sent then.
    assert work.dsrun(pipeline, "--resubmit-unknown").code in (0, 1)
    assert models(service).total() - sent.total() <= ends["unknown"] + ends["waiting"]
    # A voice whose answer was lost is kept, without its preview.
    ended = statuses(work)
    assert ended["succeeded"] + ended["partial"] == sum(JOBS[name].values()), ended


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: f"{edit[0]}: {edit[3]}")
def test_an_edited_row_sends_what_follows_from_it_alone(work, serve, edit):
    name, file, old, new, follows = edit
    service = serve(**BIG)
    pipeline = copied(work, name)
    assert work.dsrun(pipeline).code == 0
    before = models(service)
    data = pipeline.parent / file
    text = data.read_text(encoding="utf-8")
    assert text.count(old) == 1
    data.write_text(text.replace(old, new), encoding="utf-8")
    assert work.dsrun("plan", pipeline, "--json").answer["to_send"] == sum(follows.values())
    assert work.dsrun(pipeline).code == 0
    assert models(service) - before == follows


def test_another_recording_is_heard_translated_and_spoken_anew(work, serve):
    service = serve(**BIG)
    pipeline = copied(work, "dub")
    assert work.dsrun(pipeline).code == 0
    before = models(service)
    (pipeline.parent / "clips/fold.wav").write_bytes(KINDS["audio"][0])
    assert work.dsrun(pipeline).code == 0
    follows = {"paraformer-v2": 1, HEARING: 1, WORDS: 2, "qwen3-tts-flash": 2}
    assert models(service) - before == follows


def test_an_audiobook_has_a_cue_sheet_with_the_length_of_every_line(work, serve):
    serve(**BIG)
    pipeline = copied(work, "audiobook")
    assert work.dsrun(pipeline).code == 0
    text = (pipeline.parent / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall("^    dsrun (ledger .+)$", text, re.MULTILINE)
    words = [str(pipeline) if word == "pipeline.yaml" else word for word in shlex.split(command)]
    assert work.dsrun(*words).code == 0
    with (work.folder / "cues.csv").open(encoding="utf-8", newline="") as file:
        cues = list(csv.DictReader(file))
    assert [(cue["line.chapter"], cue["line.number"]) for cue in cues] == [
        (str(chapter), str(number)) for chapter in (1, 2) for number in range(1, 7)
    ]
    for cue in cues:
        with wave.open(str(work.run_dir("mine") / cue["file"])) as sound:
            length = sound.getnframes() / sound.getframerate()
        assert float(cue["file_duration_s"]) == pytest.approx(length, abs=0.001)
