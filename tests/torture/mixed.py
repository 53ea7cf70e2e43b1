"""A pipeline of four kinds of operations, each of which is found again in a way of its own.

A task (by the list of tasks), an answer with an address (by nothing: it ends as unknown), an
answer in base64 (by the list of what was made), and speech, which is cheap (by `repeat`).
"""

from dataclasses import dataclass, field
from decimal import Decimal

from tests.torture.driver import Case, Driver, open_service, write_manifest
from tests.torture.judge import UNKNOWN
from tests.torture.mixed_judge import judge_mixed

EMULATED = "tests.torture.emulated"
STEPS = {
    "tasks": {"operation": "wan2.2-t2i-flash", "input": {"prompt": "lantern {{ number }}"}},
    "addresses": {"operation": "z-image-turbo", "input": {"prompt": "harbour {{ number }}"}},
    "voices": {
        "operation": "qwen-voice-design",
        "input": {
            "target_model": "qwen3-tts-vd-2026-01-26",
            "voice_prompt": "host {{ number }}",
            "preview_text": "Good evening, {{ number }}.",
            "language": "en",
        },
    },
    "speech": {
        "operation": "qwen3-tts-flash",
        "input": {"text": "Evening {{ number }}.", "voice": "Cherry"},
    },
}
# The same kinds, of two pictures each; these tasks repeat nothing of their requests.
OTHERS = STEPS | {
    "tasks": {
        "operation": "wanx-v1",
        "input": {"prompt": "lantern {{ number }}"},
        "parameters": {"n": 2},
    },
    "addresses": {
        "operation": "qwen-image-2.0",
        "input": {"prompt": "harbour {{ number }}"},
        "parameters": {"n": 2},
    },
}
# The faults of the emulator that a run survives; what a probability cannot tell is left to kills.
USUAL_MIXED = {
    "lost-answer": 0.05,
    "reset": 0.03,
    "server-error": 0.03,
    "server-error-after": 0.03,
    "html": 0.02,
    "garbage-json": 0.02,
    "stall": 0.01,
    "throttle-bare": 0.03,
    "throttle": 0.01,
    "truncated-download": 0.05,
    "wrong-type-download": 0.03,
    "download-error": 0.05,
    "expired-url": 0.03,
    "failed-task": 0.03,
}
# Where a life of these jobs can be cut, beside what all operations have.
PLACES = (
    "ApiClient.create", "Ledger.record_intent", "Ledger.record_answer", "Ledger.record_lost",
    "Ledger.record_repeat", "ApiClient.fetch", "ArtifactStore.keep", "Ledger.record_result",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MixedCase(Case):
    """`each` jobs of each of the four steps, on dsrun's emulator."""

    each: int = 5
    steps: dict = field(default_factory=lambda: STEPS)
    max_cost: str | None = None  # in CNY; where it is not enough, some jobs stay pending

    @property
    def jobs(self):
        return self.each * len(self.steps)

    @property
    def allowed(self):
        """Where lives die one upon the other, or nothing is sent, nothing of ours dates a list."""
        is_undated = len(self.points) > 1 or self.max_cost is not None
        return UNKNOWN if is_undated else frozenset()


class MixedDriver(Driver):
    def _manifest(self):
        rows = {"number": {"range": [0, self._case.each - 1]}}
        steps = {
            name: step | {"matrix": rows, "filename": "{{ number }}-{{ index }}"}
            for name, step in self._case.steps.items()
        }
        max_cost = self._case.max_cost
        more = {} if max_cost is None else {"max_cost": f"{max_cost} CNY"}
        return write_manifest(self._case, steps, **more)

    def _judge(self, state):
        case = self._case
        max_cost = case.max_cost and Decimal(case.max_cost)
        return judge_mixed(
            self._run_dir(), state, each=case.each, steps=case.steps, max_cost=max_cost
        )


async def run_mixed(case, folder):
    """The outcome of a case, which has an emulator of its own."""
    async with open_service(EMULATED) as service:
        return await MixedDriver(case, service, folder).run()


def mixed_cases(*, jobs, kills, seed=7):
    """Plain, with every fault, with other operations, with some creates at a time, with limits.

    And killed at the points of a job's life which these operations have, each answer being lost.
    """
    common = {"each": -(-jobs // len(STEPS)), "kills": kills, "seed": seed, "every_fault": False}
    return [
        MixedCase(name="mixed, kills", **common),
        MixedCase(name="mixed, faults", faults=USUAL_MIXED, **common),
        MixedCase(name="mixed, others, faults", steps=OTHERS, faults=USUAL_MIXED, **common),
        MixedCase(name="mixed, faults, window 4", faults=USUAL_MIXED, window=4, **common),
        MixedCase(
            name="mixed, faults, limits", faults=USUAL_MIXED, settings={"limits": True}, **common
        ),
        MixedCase(
            name="mixed, faults, budget",
            faults=USUAL_MIXED,
            max_cost=f"{jobs * 0.08:.2f}",
            **common,
        ),
        _points("mixed, points", STEPS, seed=seed),
        _points("mixed, others, points", OTHERS, seed=seed),
    ]


def _points(name, steps, *, seed):
    points = [(f"{when} {place}", 1) for place in PLACES for when in ("before", "after")]
    faults = {"lost-answer": list(range(3, 1000, 3)), "server-error-after": [2, 13]}
    return MixedCase(
        name=name, each=20, steps=steps, points=tuple(points), faults=faults, seed=seed
    )


def short_mixed():
    """Each fault that leaves a create in doubt, and kills at random and at points; for the gate."""
    faults = {
        "lost-answer": [2, 5, 9],
        "server-error-after": [3, 7],
        "stall": [11],
        "throttle-bare": [4, 8],
        "expired-url": [2],
    }
    points = tuple(
        (point, 1)
        for point in (
            "before Ledger.record_repeat", "after Ledger.record_repeat",
            "before Ledger.record_answer", "after Ledger.record_answer",
        )
    )  # fmt: skip
    lost = {"lost-answer": list(range(1, 100, 2))}
    return [
        MixedCase(name="mixed", each=4, kills=2, faults=faults),
        MixedCase(name="mixed, points", each=4, points=points, faults=lost),
        MixedCase(
            name="mixed, budget", each=6, kills=2, max_cost="1.5", faults={"lost-answer": [2, 5]}
        ),
    ]
