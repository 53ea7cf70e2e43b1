"""The voices of the account: what is listed of them, who made them, and how they are deleted.

Which services have voices is told by the operation files: those with a list that has the output
`voice`. Files of one service share its list.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dsrun.common.clock import SystemClock
from dsrun.common.digest import canonical_json
from dsrun.common.errors import SetupError
from dsrun.common.pointer import value_at
from dsrun.common.settings import Settings, state_folder
from dsrun.engine.limits import RateLimiter
from dsrun.engine.listing import Lister, Unlisted
from dsrun.ledger.makers import Maker, Makers, find_makers
from dsrun.service.catalog import Catalog
from dsrun.service.operation import MadeList, Operation
from dsrun.session.roots import OutputRoots

OUTPUT = "voice"
_ATTEMPTS = 3  # somebody waits for the answer


class VoiceService(NamedTuple):
    """A list of voices, and the files of the operations that add to it."""

    operation: Operation
    recovery: MadeList
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """A voice as its list has it; `said` is all that the service says of it."""

    name: str
    service: VoiceService
    made_at: str
    said: Mapping[str, str]

    def model(self, makers: Sequence[Maker] = ()) -> str | None:
        """The model that it is bound to: as the service tells, else as it was asked for."""
        rule = self.service.operation.output_rules.get(OUTPUT)
        at = next(iter(rule.binds), None) if rule else None
        if at is None:
            return None
        asked = next((value_at(one.request, at) for one in makers), None)
        return self.said.get(str(at[-1])) or (asked if isinstance(asked, str) else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Voices:
    """The voices that could be listed, and why others could not, by the names of their files."""

    voices: Sequence[Voice]
    unlisted: Mapping[str, str]


def voice_services(catalog: Catalog) -> list[VoiceService]:
    """Every list of voices once, in the order of the catalog."""
    found: dict[bytes, VoiceService] = {}
    for name in catalog.names:
        one = catalog[name]
        if not isinstance(one.recovery, MadeList) or OUTPUT not in one.recovery.outputs:
            continue
        key = canonical_json([one.method, one.root, one.path, dict(one.recovery.body)])
        known = found.get(key)
        files = dict.fromkeys([*(known.files if known else ()), one.family])
        first = known or VoiceService(one, one.recovery, ())
        found[key] = first._replace(files=tuple(files))
    return list(found.values())


def most_voices(services: Iterable[VoiceService]) -> int | None:
    """How many voices an account keeps, as far as a file tells."""
    return max((one.recovery.most or 0 for one in services), default=0) or None


class VoiceDesk:
    """Lists, shows and deletes voices. Every method raises SetupError where nothing answers."""

    def __init__(self, lister: Lister, clock: SystemClock, catalog: Catalog) -> None:
        self._lister = lister
        self.services = voice_services(catalog)
        self._limiters = {
            one.operation.name: RateLimiter(one.operation.limits.rate, clock=clock)
            for one in self.services
        }

    async def all(self) -> Voices:
        """All voices; what a service does not list is told, unless it does not answer at all."""
        voices: list[Voice] = []
        unlisted: dict[str, str] = {}
        for service in self.services:
            try:
                voices += await self._list_of(service)
            except Unlisted as error:
                if error.is_silent or error.is_foreign:
                    raise SetupError(f"{', '.join(service.files)}: {error.reason}") from error
                unlisted[", ".join(service.files)] = error.reason
        if self.services and len(unlisted) == len(self.services):
            raise SetupError("; ".join(f"{name}: {why}" for name, why in unlisted.items()))
        return Voices(voices=voices, unlisted=unlisted)

    async def show(self, voice: Voice) -> Voice:
        """The voice with what its service says when it is asked for this one alone."""
        query = voice.service.recovery.query
        if query is None:
            return voice
        operation = voice.service.operation
        try:
            entry = await self._lister.by_name(operation, query, voice.name, self._limiter(voice))
        except Unlisted as error:
            raise SetupError(f"{voice.name}: {error.reason}") from error
        return Voice(
            name=voice.name, service=voice.service, made_at=voice.made_at,
            said={**voice.said, **entry.says},
        )  # fmt: skip

    async def delete(self, voice: Voice) -> None:
        """A voice that is not there any more is deleted, whatever was answered."""
        delete = voice.service.recovery.delete
        if delete is None:
            raise SetupError(f"{voice.name}: {voice.service.files[0]} tells no way to delete it")
        operation = voice.service.operation
        try:
            await self._lister.by_name(operation, delete, voice.name, self._limiter(voice))
        except Unlisted as error:
            if await self._is_there(voice):
                raise SetupError(f"{voice.name} is not deleted: {error.reason}") from error

    async def _is_there(self, voice: Voice) -> bool:
        """Also where the list cannot tell."""
        try:
            return any(one.name == voice.name for one in await self._list_of(voice.service))
        except Unlisted:
            return True

    async def _list_of(self, service: VoiceService) -> list[Voice]:
        limiter = self._limiters[service.operation.name]
        listing = await self._lister.all_made(service.operation, service.recovery, limiter)
        return [
            Voice(
                name=str(row.output[OUTPUT]),
                service=service,
                made_at=row.dated,
                said=row.entry.says,
            )
            for row in listing.rows
            if row.output[OUTPUT] is not None
        ]  # fmt: skip

    def _limiter(self, voice: Voice) -> RateLimiter:
        return self._limiters[voice.service.operation.name]


@asynccontextmanager
async def open_desk(settings: Settings, catalog: Catalog) -> AsyncIterator[VoiceDesk]:
    # Imported here: a command line that is wrong should not wait for aiohttp.
    from dsrun.service.transports import open_transport  # noqa: PLC0415
    from dsrun.session.wiring import lone_lister  # noqa: PLC0415

    clock = SystemClock()
    async with open_transport() as transport:
        lister = lone_lister(transport, settings, clock, max_attempts=_ATTEMPTS)
        yield VoiceDesk(lister, clock, catalog)


def makers_of(voices: Iterable[Voice], *, out: Path) -> Makers:
    """The jobs that made them, below `out` and the other output directories of this machine."""
    roots = [out, *OutputRoots(state_folder()).others(out)]
    return find_makers(roots, OUTPUT, {voice.name for voice in voices})
