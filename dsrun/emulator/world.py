"""The state of one emulator, and what every handler asks of it."""

import asyncio
import hashlib
import secrets
from collections import Counter
from collections.abc import Callable

from aiohttp import web

from dsrun.emulator.faults import FaultDice
from dsrun.emulator.files import FileHost
from dsrun.emulator.limits import Limits
from dsrun.emulator.made import MadeStore
from dsrun.emulator.operations import load_operations
from dsrun.emulator.options import EmulatorOptions
from dsrun.emulator.signing import Signer
from dsrun.emulator.tasks import TaskStore
from dsrun.emulator.uploads import UploadStore
from dsrun.emulator.wire import Refusal

BAD_KEY_PREFIX = "sk-bad"


class World:
    """`now` returns epoch seconds that never go back."""

    def __init__(self, options: EmulatorOptions, *, now: Callable[[], float]) -> None:
        self.options = options
        self.now = now
        self.dice = FaultDice(options.faults, seed=options.seed)
        self.limits = Limits(enforced=options.limits, now=now)
        self.catalog = load_operations(options.operations)
        self.tasks = TaskStore(
            queue_time_s=options.queue_time_s,
            task_time_s=options.task_time_s,
            limits=options.limits,
        )
        signer = Signer(secrets.token_bytes(32))
        self.files = FileHost(signer=signer, url_life_s=options.url_life_s)
        self.uploads = UploadStore(signer=signer, now=now)
        self.made = MadeStore()
        self.creates: Counter[str] = Counter()
        self.requests: list[tuple[str, str]] = []
        self.closing = asyncio.Event()

    def authorise(self, request: web.Request) -> str:
        """The id of the caller's key; refuses a missing or bad key."""
        header = request.headers.get("Authorization", "")
        if not header:
            raise Refusal(401, "InvalidApiKey", "No API-key provided.")
        scheme, _, key = header.partition(" ")
        key = key.strip()
        expected = self.options.api_key
        good = key == expected if expected is not None else not key.startswith(BAD_KEY_PREFIX)
        if scheme.lower() != "bearer" or not key or not good or self.dice.strikes("bad-key"):
            raise Refusal(401, "InvalidApiKey", "Invalid API-key provided.")
        return str(int(hashlib.sha256(key.encode()).hexdigest()[:8], 16))
