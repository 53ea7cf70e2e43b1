"""The cases: which service, which kills. Each is a value; the driver runs it."""

import random

from tests.torture.child import points
from tests.torture.driver import Case
from tests.torture.faults import USUAL, Dice

QUICK = {"task_s": 0.1, "lag_s": 0.1, "storm_s": 0.05}  # of the world
# What a point needs to be come to. A method that is not named here, nor plain, is thought to
# deal with creates whose answer was lost.
NEEDS = {
    "record_refusal": ("409-before",),
    "record_trouble": ("ask-5xx", "file-short"),
    "reopen_part": ("partial-task",),
}
PLAIN = {
    "start_run", "load_plan", "reopen", "reopen_lost", "end_run", "record_intent", "record_task",
    "record_answer", "record_result", "commit", "create", "query", "fetch", "keep", "write",
    "fsync", "replace", "inside results",
}  # fmt: skip
LOST = ("reset-after",)
# Passed once in a life; of the others, one of the first three passes kills.
ONCE = {"start_run", "load_plan", "reopen", "reopen_lost", "end_run", "inside results"}
# Passed some times before the first job begins.
EARLY = {"commit": 3, "fsync": 2}
# Passed only when files are there, or nothing is left to do.
LATE = ("reopen_lost", "end_run", "inside results")


def kill_case(*, jobs, kills, window=1, seed=7, faults=None, name=None, every_fault=True):
    """Mostly pictures, some voices, killed at random."""
    voices = jobs // 10
    return Case(
        name=name or f"{kills} kills",
        pictures=jobs - voices,
        voices=voices,
        per_job=2 if "partial-task" in (faults or {}) else 1,
        faults=faults or {},
        every_fault=every_fault,
        kills=kills,
        window=window,
        seed=seed,
    )


def point_cases(*, seed=7):
    """A case for every named point; which of its first passes kills is left to the dice."""
    dice = random.Random(f"{seed} points")
    cases = []
    for point in points():
        needs = _needs(point)
        number = dice.randint(1, 3)
        if needs or _method(point) in ONCE:
            number = 1
        number += EARLY.get(_method(point), 0)
        cases.append(
            Case(
                name=point, pictures=5, voices=3, points=((point, number),), settings=QUICK,
                per_job=2 if "partial-task" in needs else 1,
                # The first creates of both operations, where an answer is to be lost.
                faults={name: [1, 2] for name in needs}, seed=seed,
            )
        )  # fmt: skip
    return cases


def point_chains(count, *, seed=7):
    """All named points in fewer cases: each life of a chain is killed at the next of its points.

    What comes after a lost answer or a partial task has a case of its own.
    """
    special = {*LOST, "partial-task"}
    alone = [case for case in point_cases(seed=seed) if special & case.faults.keys()]
    apart = {case.name for case in alone}
    found = sorted(set(points()) - apart, key=lambda point: (_method(point) in LATE, point))
    chains = [found[number::count] for number in range(count)]
    return [
        Case(
            name=f"{len(chain)} points", pictures=40, voices=8, settings=QUICK, seed=seed + number,
            points=tuple((point, 1 + EARLY.get(_method(point), 0)) for point in chain),
            faults={name: list(range(2, 1000, 4)) for point in chain for name in _needs(point)},
        )
        for number, chain in enumerate(chains)
    ] + alone  # fmt: skip


def _needs(point):
    method = _method(point)
    return () if method in PLAIN else NEEDS.get(method, LOST)


def _method(point):
    """Of `before Ledger.reopen`: `reopen`."""
    return point.rpartition(".")[2]


def fault_cases(given, *, jobs, kills, window=1, seed=7):
    """With the faults that are given, as `NAME` or `NAME=P`; with none, each, and then all.

    Raises ValueError.
    """
    common = {"jobs": jobs, "kills": kills, "window": window, "seed": seed}
    chosen = dict(_chance(text) for text in given)
    if chosen:
        name = " ".join(f"{key}={value:g}" for key, value in chosen.items())
        return [kill_case(name=name, faults=chosen, every_fault=False, **common)]
    sets = {name: {name: _evenly(chance)} for name, chance in USUAL.items()}
    # A list that is absent leaves unknown what the other cases must find again.
    sets["list-absent"] |= {"reset-after": _evenly(0.1)}
    everything = {name: p / 4 for name, p in USUAL.items() if name != "list-absent"}
    return [
        *(kill_case(name=name, faults=faults, **common) for name, faults in sets.items()),
        kill_case(name="all", faults=everything, every_fault=False, **common),
    ]


def _evenly(chance):
    """The second roll and every so many after it, so that a short case has its fault too."""
    return 1.0 if chance == 1 else list(range(2, 10000, round(1 / chance)))


def _chance(text):
    """`NAME=0.1` or `NAME`. Raises ValueError."""
    name, _, chance = text.partition("=")
    Dice({name: 0}, seed=0)
    return name, float(chance) if chance else USUAL[name]
