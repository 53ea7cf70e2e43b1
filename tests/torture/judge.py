"""What is on the disk, held against what the service was asked for and what it was paid."""

import hashlib
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field, fields

from tests.tagging import take_out
from tests.torture.marks import canonical, draw, picture_mark, speak, voice_mark

UNKNOWN = frozenset({"unknown_paid", "unknown_free"})


@dataclass
class Verdict:
    """Counts of what must not be, with a few words on each; all of them 0 is a pass."""

    succeeded: int = 0
    kept: int = 0  # voices that were found again; the service does not tell their preview twice
    told: int = 0  # left in doubt with its reason, where nobody could know more
    repeated: int = 0  # payments beyond the first that the operation's `repeat` allows
    mute: int = 0  # left submitted, since no question for its task was ever answered
    unknown_paid: int = 0  # the service accepted it
    unknown_free: int = 0  # it did not
    unended: int = 0  # pending, submitted, failed, partial: not what the manifest asked for
    twice: int = 0  # paid again
    lost: int = 0  # paid, and in no file
    adopted: int = 0  # jobs that ended with a picture that is not theirs
    mixed: int = 0  # another job's request, name of a file, or voice
    damaged: int = 0  # a file that is not what the ledger says
    litter: int = 0  # files that nobody owns
    broken: int = 0  # a ledger that is not whole, a task of two jobs, a key that was given away
    words: list = field(default_factory=list)

    def wrong(self):
        """What is not as it must be, with its count."""
        good = ("succeeded", "kept", "told", "repeated", "mute", "words")
        counts = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: count for name, count in counts.items() if name not in good and count}

    def blame(self, kind, words, number=1):
        setattr(self, kind, getattr(self, kind) + number)
        self.words.append((kind, words))


def judge(run_dir, state, *, pictures, voices):
    """The verdict on a run directory; `pictures` and `voices` are the jobs that were asked for."""
    verdict = Verdict()
    _judge_payments(verdict, state)
    if run_dir is None:
        verdict.blame("unended", "there is no run directory", pictures + voices)
        return verdict
    judge_ledger(verdict, run_dir / "ledger.sqlite3")
    lines = read_results(run_dir)
    _judge_rows(verdict, lines, pictures=pictures, voices=voices)
    fulfilled = set()
    for line in lines:
        _judge_line(verdict, line, run_dir, state, fulfilled)
    judge_litter(verdict, run_dir, lines)
    for mark in state["paid"].keys() - fulfilled:
        verdict.blame("lost", f"paid and in no file: {mark[:12]}{_tale(state, mark)}")
    return verdict


def judge_payments(state):
    """The verdict where no ledger is to be read."""
    verdict = Verdict()
    _judge_payments(verdict, state)
    return verdict


def _tale(state, mark):
    """What befell the creates of a picture or voice."""
    return "".join(f"; {words}" for words in state.get("tale", {}).get(mark, ()))


def _judge_payments(verdict, state):
    for mark, times in state["paid"].items():
        if times > 1:
            verdict.blame(
                "twice", f"{mark[:12]} was made {times} times{_tale(state, mark)}", times - 1
            )
    for body, found in state["creates"].items():
        paid = found["accepted"] - found["failed"]
        if paid > 1 and not verdict.twice:
            verdict.blame("twice", f"{paid} creates of {body[:80]}", paid - 1)
    if state["leaks"]:
        verdict.blame("broken", "the key was sent to the host of the files", state["leaks"])


def judge_ledger(verdict, path):
    with closing(sqlite3.connect(path)) as db:
        found = db.execute("PRAGMA integrity_check").fetchall()
        if found != [("ok",)]:
            verdict.blame("broken", f"integrity_check: {found}")
        if db.execute("PRAGMA foreign_key_check").fetchall():
            verdict.blame("broken", "foreign_key_check")
        shared = db.execute(
            "SELECT task_id, count(*) FROM job WHERE task_id IS NOT NULL "
            "GROUP BY task_id HAVING count(*) > 1"
        ).fetchall()
        for task_id, count in shared:
            verdict.blame("broken", f"task {task_id} belongs to {count} jobs")


def read_results(run_dir):
    path = run_dir / "results.jsonl"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def _judge_rows(verdict, lines, *, pictures, voices):
    """Every job that was asked for has one line, whatever its state."""
    for step, count in (("pictures", pictures), ("voices", voices)):
        numbers = [line["matrix"]["number"] for line in lines if line["step"] == step]
        if numbers != list(range(count)):
            verdict.blame("unended", f"{step}: {len(numbers)} lines of {count}")


def _judge_line(verdict, line, run_dir, state, fulfilled):
    name = f"{line['step']} {line['matrix']['number']}"
    is_picture = line["step"] == "pictures"
    marks = _marks(line["request"]) if is_picture else [voice_mark(line["request"])]
    if is_picture and line["request"]["input"]["prompt"] != f"lantern {line['matrix']['number']}":
        verdict.blame("mixed", f"{name} has another job's request")
    _judge_files(verdict, line, run_dir, marks, fulfilled)
    found = state["creates"].get(canonical(line["request"]), {"voices": []})
    voice = (line["output"] or {}).get("voice")
    status = line["status"]
    if status == "succeeded":
        verdict.succeeded += 1
        if len(line["artifacts"]) < len(marks):
            verdict.blame("lost", f"{name}: {len(line['artifacts'])} files of {len(marks)}")
        if not is_picture and voice not in found["voices"]:
            verdict.blame("mixed", f"{name} has a voice that is not its own")
    elif not is_picture and status == "partial" and voice in found["voices"]:
        verdict.kept += 1
        fulfilled.add(marks[0])
    elif status == "unknown":
        # Named as such, it may have been paid: not lost, but for the user to judge.
        is_paid = any(mark in state["paid"] for mark in marks)
        kind, told = ("unknown_paid", "may be paid") if is_paid else ("unknown_free", "not paid")
        verdict.blame(kind, f"{name}, {told}: {line['error']['message']}{_tale(state, marks[0])}")
        fulfilled.update(marks)
    elif status == "submitted" and set(marks) <= set(state.get("mute", ())):
        verdict.mute += 1
        fulfilled.update(marks)
    else:
        verdict.blame("unended", f"{name} is {status}: {line['error']}{_tale(state, marks[0])}")


def _judge_files(verdict, line, run_dir, marks, fulfilled):
    number = line["matrix"]["number"]
    strange = []
    for item in line["artifacts"]:
        index = item["index"]
        path = run_dir / item["path"]
        if index >= len(marks):
            strange.append(item["path"])
            continue
        if line["step"] == "pictures":
            expected, name = draw(marks[index]), f"artifacts/pictures/{number}-{index}.png"
        else:
            expected, name = speak(marks[index]), f"artifacts/voices/{number}.wav"
        data = path.read_bytes() if path.exists() else b""
        if hashlib.sha256(data).hexdigest() != item["sha256"] or len(data) != item["size"]:
            verdict.blame("damaged", f"{item['path']} is not what the ledger says")
        elif item["path"] != name:
            verdict.blame("mixed", f"{item['path']} is not called {name}")
        elif expected not in (data, take_out(data)):
            strange.append(item["path"])
        else:
            fulfilled.add(marks[index])
    if strange:
        verdict.blame("adopted", f"{', '.join(strange)}: not of this job")


def judge_litter(verdict, run_dir, lines, *, also=frozenset()):
    """`also`: paths of files that no line names yet and that are in order."""
    owned = {item["path"] for line in lines for item in line["artifacts"]} | also
    for path in run_dir.rglob("*"):
        name = path.relative_to(run_dir).as_posix()
        is_file = path.is_file() and name.startswith("artifacts/") and name not in owned
        if is_file or ".tmp" in path.name:
            verdict.blame("litter", name)
    for path in run_dir.parent.glob(".*.tmp"):
        verdict.blame("litter", path.name)


def _marks(body):
    return [picture_mark(body, index) for index in range(body["parameters"]["n"])]
