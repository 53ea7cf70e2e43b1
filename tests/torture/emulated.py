"""dsrun's emulator as a service of the proof, for operations that the other server has not.

A process of its own. The driver opens a world with POST /_world, which is an emulator with dice
that count what they strike; what was paid is what that emulator has accepted.
"""

import asyncio
import json
import random
from collections import Counter

from aiohttp import web

from dsrun.emulator import EmulatorOptions, start_emulator
from dsrun.emulator.faults import FAULTS
from tests.torture.marks import canonical
from tests.torture.server import serve_until_stdin_ends

VOICE = "qwen-voice-design"
HELD_S = 2.0  # a stalled answer is held so long at most; the client would wait for minutes


class CountingDice:
    """As the emulator's own; a fault strikes by a probability, or at the rolls (from 1) named."""

    def __init__(self, faults, *, seed):
        unknown = faults.keys() - FAULTS.keys()
        if unknown:
            raise ValueError(f"no such fault: {', '.join(sorted(unknown))}")
        self._faults = faults
        self._streams = {name: random.Random(f"{seed}:{name}") for name in faults}
        self._rolls = dict.fromkeys(faults, 0)
        self.hits = dict.fromkeys(faults, 0)

    def strikes(self, name):
        if name not in self._faults:
            return False
        chance = self._faults[name]
        self._rolls[name] += 1
        if isinstance(chance, list):
            hit = self._rolls[name] in chance
        else:
            hit = self._streams[name].random() < chance
        self.hits[name] += hit
        return hit

    def pick(self, name, choices):
        return self._streams[name].randrange(choices)


class Emulated:
    """One world behind the addresses that the driver asks."""

    def __init__(self):
        self._emulator = self._world = self._pulse = None

    def app(self):
        app = web.Application()
        app.on_cleanup.append(self.close)
        app.add_routes(
            [
                web.post("/_world", self.open_world),
                web.get("/_counts", self.counts),
                web.get("/_reach", self.reach),
            ]
        )
        return app

    async def open_world(self, request):
        about = await request.json()
        options = EmulatorOptions(
            api_key=about["key"],
            task_time_s=about.get("task_s", 0.2),
            queue_time_s=0.05,
            picture_scale=0.05,
            limits=about.get("limits", False),
        )
        self._emulator = await start_emulator(options)
        self._world = self._emulator._world
        self._world.dice = CountingDice(about["faults"], seed=about["seed"])
        self._pulse = asyncio.create_task(self._let_go())
        return web.json_response({"base_url": self._emulator.base_url})

    async def close(self, _):
        if self._emulator is not None:
            self._pulse.cancel()
            await self._emulator.aclose()

    async def _let_go(self):
        """Hang up on those who are held, again and again, as if the emulator ended."""
        while True:
            await asyncio.sleep(HELD_S)
            self._world.closing.set()
            await asyncio.sleep(0.1)
            self._world.closing.clear()

    async def counts(self, _):
        world, requests = self._world, self._emulator.requests
        tasks = list(world.tasks.newest_first(now=world.now()))
        failed = Counter(canonical(task.body) for task in tasks if task.fate.ailment)
        creates = {}
        for text, times in world.creates.items():
            body = canonical(json.loads(text))
            creates[body] = {"accepted": times, "failed": failed[body]}
        state = {
            "events": len(requests),
            "calls": {"create": sum(method == "POST" for method, _ in requests)},
            "creates": creates,
            "hits": world.dice.hits,
            "tasks": {task.task_id: canonical(task.body) for task in tasks},
            "dead": [task.task_id for task in tasks if task.fate.has_expired_urls],
            "voices": {one["voice"]: one for one in world.made.newest_first(VOICE, {})},
        }
        return web.json_response(state)

    async def reach(self, request):
        events = int(request.query["events"])
        while len(self._emulator.requests) < events:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.005)
        return web.json_response({})


if __name__ == "__main__":
    asyncio.run(serve_until_stdin_ends(Emulated().app()))
