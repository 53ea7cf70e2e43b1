"""`dsrun voices`: the voices of the account; which job made them; how they are deleted."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dsrun.cli.schema import catalog_of
from dsrun.common.console import answer, answer_json, answer_table, ask, count_of, say
from dsrun.common.errors import ExitCode, SetupError, UsageError
from dsrun.common.messages import nearest
from dsrun.common.models import Json
from dsrun.common.settings import read_settings
from dsrun.ledger.makers import Maker, Makers
from dsrun.session.voices import Voice, VoiceDesk, Voices, makers_of, most_voices, open_desk

VERBS = ("list", "show", "delete")

T = TypeVar("T")


def run(words: Sequence[str], *, out: Path, yes: bool, as_json: bool) -> int:
    """`words`: a verb and names; no word lists. Raises UsageError, SetupError."""
    verb, *names = words or ("list",)
    _check(verb, names)
    if verb == "show":
        return _show(names[0], out=out, as_json=as_json)
    if verb == "delete":
        return _delete(names, out=out, yes=yes, as_json=as_json)
    return _list(out=out, as_json=as_json)


def _check(verb: str, names: Sequence[str]) -> None:
    if verb not in VERBS:
        raise UsageError(
            f"dsrun voices {verb}: no such verb{nearest(verb, VERBS)}; allowed: list, show NAME, "
            "delete NAME..."
        )
    if verb == "list" and names:
        raise UsageError("dsrun voices list takes no name; `dsrun voices show NAME` shows one")
    if verb == "show" and len(names) != 1:
        raise UsageError("dsrun voices show takes one name; `dsrun voices` lists all")
    if verb == "delete" and not names:
        raise UsageError("dsrun voices delete wants the names; `dsrun voices` lists all")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """What was listed, with its makers; `most`: how many voices an account keeps."""

    found: Voices
    makers: Makers
    most: int | None

    def one(self, name: str) -> Voice:
        """Raises UsageError for a voice that is not there, SetupError where nobody knows."""
        for voice in self.found.voices:
            if voice.name == name:
                return voice
        if self.found.unlisted:
            raise SetupError(f"{name} is not among the voices that could be listed")
        near = nearest(name, [voice.name for voice in self.found.voices])
        raise UsageError(f"the account has no voice {name}{near}; `dsrun voices` lists all")

    @property
    def used(self) -> str:
        number = len(self.found.voices)
        if self.most is None or self.found.unlisted:
            return f"{count_of(number, 'voice')}"
        return f"{number} of the account's {self.most} voices are used"


def _list(*, out: Path, as_json: bool) -> int:
    listed = _at_desk(lambda desk: _listing(desk, out))
    voices = sorted(listed.found.voices, key=lambda one: (one.made_at, one.name))
    if as_json:
        answer_json(
            {
                "voices": [_as_json(voice, listed.makers) for voice in voices],
                "used": len(voices),
                "most": listed.most,
                "not_listed": dict(listed.found.unlisted),
            }
        )
    else:
        if voices:
            answer_table([_HEAD, *(_row(voice, listed.makers) for voice in voices)], titled=True)
        answer(listed.used)
    return ExitCode.INCOMPLETE if listed.found.unlisted else ExitCode.OK


def _show(name: str, *, out: Path, as_json: bool) -> int:
    async def look(desk: VoiceDesk) -> tuple[Voice, _Listed]:
        listed = await _listing(desk, out)
        return await desk.show(listed.one(name)), listed

    voice, listed = _at_desk(look)
    told = _as_json(voice, listed.makers)
    if as_json:
        answer_json(told)
    else:
        answer_table(_lines(told))
    return ExitCode.OK


def _delete(names: Sequence[str], *, out: Path, yes: bool, as_json: bool) -> int:
    listed = _at_desk(lambda desk: _listing(desk, out))
    chosen = [listed.one(name) for name in dict.fromkeys(names)]
    if not (yes or _is_agreed(chosen, listed.makers)):
        say("nothing was deleted")
        return ExitCode.INCOMPLETE
    deleted: list[str] = []

    async def delete(desk: VoiceDesk) -> SetupError | None:
        for voice in chosen:
            try:
                await desk.delete(voice)
            except SetupError as error:
                return error
            deleted.append(voice.name)
        return None

    fault = _at_desk(delete)
    if as_json:
        answer_json({"deleted": deleted, "used": len(listed.found.voices) - len(deleted)})
    else:
        for name in deleted:
            answer(f"deleted {name}")
    if fault is not None:
        raise fault
    return ExitCode.OK


def _is_agreed(voices: Sequence[Voice], makers: Makers) -> bool:
    """Whether the user at the terminal agrees; without one --yes decides."""
    number = count_of(len(voices), "voice")
    if not sys.stdin.isatty():
        raise UsageError(f"{number} would be deleted for good; add --yes to agree")
    for voice in voices:
        made = _made_by(makers.by_name.get(voice.name, ()))
        say(f"{voice.name}{f', made by {made}' if made else ''}")
    return ask(f"Delete {number} for good? Nothing can be spoken with a deleted voice. Go on?")


def _at_desk(work: Callable[[VoiceDesk], Awaitable[T]]) -> T:
    catalog = catalog_of(Path(), ())
    settings = read_settings()
    for warning in settings.warnings:
        say(f"warning: {warning}")

    async def serve() -> T:
        async with open_desk(settings, catalog) as desk:
            return await work(desk)

    return asyncio.run(serve())


async def _listing(desk: VoiceDesk, out: Path) -> _Listed:
    found = await desk.all()
    makers = makers_of(found.voices, out=out)
    for fault in makers.faults:
        say(f"warning: {fault}")
    for name, reason in found.unlisted.items():
        say(f"warning: the voices of {name} are left out: {reason}")
    return _Listed(found=found, makers=makers, most=most_voices(desk.services))


_HEAD = ("voice", "made at", "speaks with", "operation", "made by")


def _row(voice: Voice, makers: Makers) -> tuple[str, ...]:
    made = makers.by_name.get(voice.name, ())
    operations = made[0].operation if made else " or ".join(voice.service.files)
    return (voice.name, voice.made_at, voice.model(made) or "-", operations, _made_by(made) or "-")


def _made_by(makers: Sequence[Maker]) -> str:
    return f"{makers[0].directory}, {makers[0].step}/{makers[0].index}" if makers else ""


def _as_json(voice: Voice, makers: Makers) -> dict[str, Json]:
    """`made_by`: the jobs whose output it is, the one that made it first."""
    made = makers.by_name.get(voice.name, ())
    return {
        "voice": voice.name,
        "target_model": voice.model(made),
        "made_at": voice.made_at or None,
        "operations": list(dict.fromkeys(one.operation for one in made) or voice.service.files),
        "made_by": [
            {
                "directory": str(one.directory),
                "step": one.step,
                "index": one.index,
                "job_id": one.job_id,
                "cached": one.is_cached,
            }
            for one in made
        ],
        "said": dict(voice.said),
    }


def _lines(told: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """A line for each thing that is known of a voice."""
    yield "voice", told["voice"]
    yield "speaks with", told["target_model"] or "-"
    yield "operation", " or ".join(told["operations"])
    for made in told["made_by"]:
        word = " (from the cache)" if made["cached"] else ""
        yield "made by", f"{made['directory']}, {made['step']}/{made['index']}{word}"
    for key, value in told["said"].items():
        if value != told["voice"] and value != told["target_model"]:
            yield key, value
