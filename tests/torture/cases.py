"""The cases: which service, which kills. Each is a value; the driver runs it."""

import random

from tests.torture.child import points
from tests.torture.driver import Case
from tests.torture.faults import USUAL

# So that a short run comes by every point: a refused create, a question and a file that fail.
AT_POINTS = {"storm": [2, 9], "ask-5xx": [1, 4, 8], "file-short": [1, 3]}
# Points that a run of few jobs passes once.
ONCE = (
    "Ledger.start_run", "Ledger.load_plan", "Ledger.end_run", "Ledger.reopen", "Ledger.reopen_lost",
)  # fmt: skip


def kill_case(*, jobs, kills, window=1, seed=7, faults=None, name=None):
    """Mostly pictures, some voices, killed at random."""
    voices = jobs // 10
    return Case(
        name=name or f"{kills} kills",
        pictures=jobs - voices,
        voices=voices,
        per_job=2 if "partial-task" in (faults or {}) else 1,
        faults=faults or {},
        kills=kills,
        window=window,
        seed=seed,
    )


def point_cases(*, seed=7, only=None):
    """A case for every named point; which of its first passes kills is left to the dice."""
    dice = random.Random(f"{seed} points")
    return [
        Case(
            name=point,
            pictures=6,
            voices=2,
            point=point,
            number=1 if point.endswith(ONCE) else dice.randint(1, 3),
            faults=AT_POINTS,
            forgets=point.endswith("Ledger.reopen_lost"),
            settings={"task_s": 0.1, "lag_s": 0.1, "storm_s": 0.1},
            seed=seed,
        )
        for point in points()
        if only is None or point in only
    ]


def fault_cases(given, *, jobs, kills, window=1, seed=7):
    """With the faults that are given, as `NAME` or `NAME=P`; with none, each, and then all.

    Raises ValueError.
    """
    chosen = dict(_chance(text) for text in given)
    if chosen:
        name = " ".join(f"{key}={value:g}" for key, value in chosen.items())
        sets = {name: chosen}
    else:
        sets = {name: {name: chance} for name, chance in USUAL.items()}
        # A list that is absent leaves unknown what the other cases must find again.
        sets["list-absent"] |= {"reset-after": 0.1}
        sets["all"] = {name: p / 4 for name, p in USUAL.items() if name != "list-absent"}
    return [
        kill_case(jobs=jobs, kills=kills, window=window, seed=seed, faults=faults, name=name)
        for name, faults in sets.items()
    ]


def _chance(text):
    name, _, chance = text.partition("=")
    if name not in USUAL:
        raise ValueError(f"no such fault: {name}; there are {', '.join(USUAL)}")
    return name, float(chance) if chance else USUAL[name]
