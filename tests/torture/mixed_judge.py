"""The judge of the pipeline of four kinds: what the emulator was paid, and what became of it."""

import hashlib
import io
import re
import sqlite3
import time
import wave
from collections import Counter
from contextlib import closing
from decimal import Decimal

from PIL import Image

from tests.torture.judge import Verdict, judge_ledger, judge_litter, read_results
from tests.torture.marks import canonical

MOST_REPEATS = 2  # as the file of the speech says
LOST_ALONE = {"addresses", "speech"}  # steps whose lost answers no list tells
PRICES = {
    "wan2.2-t2i-flash": Decimal("0.14"),
    "wanx-v1": Decimal("0.16"),
    "z-image-turbo": Decimal("0.10"),
    "qwen-image-2.0": Decimal("0.20"),
    "qwen-voice-design": Decimal("0.2"),
}
_EXPIRES = re.compile(r"[?&]Expires=([0-9]+)")


def judge_mixed(run_dir, state, *, each, steps, max_cost=None):
    """The verdict on a run directory with so many jobs of each step.

    With `max_cost` jobs may stay pending, and all that was paid must keep within it.
    """
    verdict = Verdict()
    if run_dir is None:
        verdict.blame("unended", "there is no run directory", each * len(steps))
        return verdict
    judge_ledger(verdict, run_dir / "ledger.sqlite3")
    lines = read_results(run_dir)
    repeats, addresses = _read_ledger(run_dir / "ledger.sqlite3")
    judge_litter(verdict, run_dir, lines, also=_waiting(run_dir, lines))
    for step in steps:
        numbers = [line["matrix"]["number"] for line in lines if line["step"] == step]
        if numbers != list(range(each)):
            verdict.blame("unended", f"{step}: {len(numbers)} lines of {each}")
    for line in lines:
        _judge_payments(verdict, line, state, repeats[line["job_id"]])
        _judge_files(verdict, line, run_dir)
        is_dead = line["task_id"] in state["dead"] or _is_dead(addresses[line["job_id"]])
        # What was paid and lost, and is to be sent again, is told as a repeat.
        is_accounted = _paid(state, line) <= repeats[line["job_id"]]
        if line["status"] == "pending" and max_cost is not None and is_accounted:
            verdict.told += 1
        else:
            _judge_end(verdict, line, state, is_dead=is_dead)
    asked = {canonical(line["request"]) for line in lines}
    for body in state["creates"].keys() - asked:
        verdict.blame("lost", f"paid and of no job: {body[:120]}")
    _judge_sources(verdict, lines)
    cost = sum(_paid(state, line) * price_of(line["request"]) for line in lines)
    if max_cost is not None and cost > max_cost:
        verdict.blame("twice", f"{cost} CNY was paid of max_cost {max_cost}")
    return verdict


def price_of(request):
    """What the emulator's price list says, by hand."""
    if request["model"] == "qwen3-tts-flash":
        return Decimal("0.00008") * len(request["input"]["text"])
    return PRICES[request["model"]] * request.get("parameters", {}).get("n", 1)


def _read_ledger(path):
    """How often each job was repeated, and the addresses of its answer."""
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT job_id, repeats, coalesce(answer, '') FROM job").fetchall()
    repeats = {job_id: times for job_id, times, _ in rows}
    return repeats, {job_id: _EXPIRES.findall(answer) for job_id, _, answer in rows}


def _is_dead(expiries):
    """Whether an address of an answer had expired before it was handed out, as a fault has it."""
    return any(int(moment) < time.time() for moment in expiries)


def _waiting(run_dir, lines):
    """Files of answers of which another file cannot be fetched yet: they are told at its end."""
    stems = {
        f"artifacts/{line['step']}/{line['matrix']['number']}-"
        for line in lines
        if line["status"] == "submitted"
    }
    names = (path.relative_to(run_dir).as_posix() for path in run_dir.rglob("artifacts/*/*"))
    return {name for name in names if any(name.startswith(stem) for stem in stems)}


def _paid(state, line):
    found = state["creates"].get(canonical(line["request"]), {"accepted": 0, "failed": 0})
    return found["accepted"] - found["failed"]


def _judge_payments(verdict, line, state, repeats):
    """Paid once; speech once more for each repeat that the ledger has counted."""
    name, paid = name_of(line), _paid(state, line)
    most = MOST_REPEATS if line["step"] == "speech" else 0
    if repeats > most:
        verdict.blame("twice", f"{name} was repeated {repeats} times of {most}", repeats - most)
    beyond = paid - 1 - repeats
    if beyond > 0:
        verdict.blame("twice", f"{name} was paid {paid} times with {repeats} repeats", beyond)
    verdict.repeated += max(0, min(paid - 1, repeats))


def _judge_files(verdict, line, run_dir):
    """Each file is what the ledger says, and is called as the job is."""
    for item in line["artifacts"]:
        path = run_dir / item["path"]
        data = path.read_bytes() if path.exists() else b""
        if hashlib.sha256(data).hexdigest() != item["sha256"] or len(data) != item["size"]:
            verdict.blame("damaged", f"{item['path']} is not what the ledger says")
        elif not _is_whole(data):
            verdict.blame("damaged", f"{item['path']} is no whole picture or sound")
        stem = f"{line['matrix']['number']}-{item['index']}"
        if (path.parent.name, path.stem) != (line["step"], stem):
            verdict.blame("mixed", f"{item['path']} is a file of {name_of(line)}")


def _is_whole(data):
    try:
        if data.startswith(b"RIFF"):
            with wave.open(io.BytesIO(data)) as sound:
                size = sound.getnframes() * sound.getsampwidth() * sound.getnchannels()
                return len(sound.readframes(sound.getnframes())) == size > 0
        Image.open(io.BytesIO(data)).verify()
    except (wave.Error, EOFError, OSError, SyntaxError):
        return False
    return True


def _judge_end(verdict, line, state, *, is_dead):
    """A job has its own file, or says why not; `is_dead`: nobody can fetch its file."""
    name, paid, status = name_of(line), _paid(state, line), line["status"]
    task = state["tasks"].get(line["task_id"])
    if line["step"] == "tasks" and task not in (None, canonical(line["request"])):
        verdict.blame("adopted", f"{name} has the task of another request")
    if line["step"] == "voices" and not _is_own_voice(line, state):
        verdict.blame("mixed", f"{name} has a voice that is not its own")
    if status == "succeeded":
        verdict.succeeded += 1
        asked, made = line["request"].get("parameters", {}).get("n", 1), len(line["artifacts"])
        if made != asked:
            verdict.blame("lost", f"{name} has succeeded with {made} of {asked} files")
        if not paid:
            verdict.blame("adopted", f"{name} has succeeded and was never paid")
    elif status == "partial" and line["step"] == "voices" and (line["output"] or {}).get("voice"):
        verdict.kept += 1
    elif status == "unknown" and _is_told(line):
        verdict.told += 1
    elif status == "submitted" and is_dead:
        verdict.told += 1  # each run tries again, and says so, until its documented end
    elif status == "unknown":
        kind = "unknown_paid" if paid else "unknown_free"
        verdict.blame(kind, f"{name}, paid {paid} times: {line['error']}")
    else:
        verdict.blame("unended", f"{name} is {status}, paid {paid} times: {line['error']}")


def _is_told(line):
    """Whether nobody could know more, and the job says why."""
    error = line["error"] or {}
    is_expired = error.get("code") == "Expired"
    return bool(error.get("message")) and (is_expired or line["step"] in LOST_ALONE)


def _is_own_voice(line, state):
    voice = (line["output"] or {}).get("voice")
    if voice is None:
        return line["status"] not in ("succeeded", "partial")
    entry, asked = state["voices"].get(voice, {}), line["request"]["input"]
    return entry.get("voice_prompt") == asked["voice_prompt"]


def _judge_sources(verdict, lines):
    """No two jobs have one file: the emulator makes another of every request."""
    sources = Counter(item["source_sha256"] for line in lines for item in line["artifacts"])
    for source, times in sources.items():
        if times > 1:
            verdict.blame("mixed", f"{times} files are made of {source[:12]}", times - 1)


def name_of(line):
    return f"{line['step']} {line['matrix']['number']}"
