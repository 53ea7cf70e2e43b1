"""The cases: which service, which kills. Each is a value; the driver runs it."""

import itertools
import random

from tests.torture import disk, wal
from tests.torture.driver import Case
from tests.torture.faults import LIST, MUTE, SETTINGS, USUAL, Dice
from tests.torture.points import (
    AGAIN,
    ONCE,
    SPECIAL,
    VOICES,
    faults_for,
    first_pass,
    place_of,
    rank,
    reachable_points,
)

QUICK = {"task_s": 0.1, "lag_s": 0.1, "storm_s": 0.05}  # of the world


WAL_SEEDS = 3
PATIENCE_CLOCK_S = 90.0
CLOCKS = {"-2 h": -7200, "-3 d": -259200, "+1 year": 31536000, "+30 min": 1800}
# What a fault of the list needs beside it: creates that are looked for.
LOST = ("reset-after", "reset-before")
# Faults that need more than their name: more settings, another grace.
MORE = {
    "list-lag": {"grace": None},
    "list-misses": {"grace": None},
    "list-slow-page": {"settings": {"page_most": 10, "foreign_s": 0.5}},
    "trickle": {"patience_s": 150.0},
}


def kill_case(*, jobs, kills, window=1, seed=7, faults=None, name=None, every_fault=True, **more):
    """Mostly pictures, some voices, killed at random; `more` are other fields of the case."""
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
        **more,
    )


def point_cases(*, seed=7):
    """A case for every named point; which of its first passes kills is left to the dice."""
    dice = random.Random(f"{seed} points")
    cases = []
    for point in reachable_points():
        later = dice.randint(0, 2)
        faults = faults_for(point)
        number = first_pass(point) + (0 if faults or place_of(point) in ONCE else later)
        cases.append(
            Case(
                name=point, pictures=5, voices=3, points=((point, number),), settings=QUICK,
                per_job=2 if "partial-task" in faults else 1,
                # The first creates of both operations, where an answer is to be lost.
                faults={name: [1, 2] for name in faults}, seed=seed,
            )
        )  # fmt: skip
    return cases


def point_chains(count, *, seed=7):
    """All named points in fewer cases: each life of a chain is killed at the next of its points.

    What comes after a lost answer or a partial task has a case of its own.
    """
    alone = [case for case in point_cases(seed=seed) if SPECIAL & case.faults.keys()]
    apart = {case.name for case in alone}
    others = sorted((point for point in reachable_points() if point not in apart), key=rank)
    again = [point for point in others if place_of(point) in AGAIN]
    voices = [point for point in others if place_of(point) in VOICES]
    common = [point for point in others if place_of(point) not in AGAIN | VOICES]
    return [
        *(_chain(common[number::count], 30, seed + number) for number in range(count)),
        _chain(again, 6, seed),
        _chain(voices, 0, seed),
        *alone,
    ]


def _chain(points, pictures, seed):
    return Case(
        name=f"{len(points)} points from {points[0]}",
        pictures=pictures,
        voices=8,
        points=tuple((point, first_pass(point)) for point in points),
        faults={name: list(range(2, 1000, 6)) for point in points for name in faults_for(point)},
        settings=QUICK,
        seed=seed,
    )


def fault_cases(given, *, jobs, kills, window=1, seed=7):
    """With the faults that are given, as `NAME` or `NAME=P`; with none, each, and then all.

    Among them may be settings of the world, such as `foreign=0.5`. Raises ValueError.
    """
    common = {"jobs": jobs, "kills": kills, "window": window, "seed": seed}
    settings = dict(_setting(text) for text in given if text.partition("=")[0] in SETTINGS)
    chosen = dict(_chance(text) for text in given if text.partition("=")[0] not in SETTINGS)
    if given:
        more = next((MORE[name] for name in chosen if name in MORE), {})
        more = {**more, "settings": more.get("settings", {}) | settings}
        name = " ".join(given)
        return [kill_case(name=name, faults=chosen, every_fault=False, **common, **more)]
    everything = {name: p / 4 for name, p in USUAL.items() if name not in {*LIST, MUTE, "trickle"}}
    return [
        *(kill_case(name=name, **fault_fields(name), **common) for name in USUAL),
        *(kill_case(name=name, **fields, **common) for name, fields in _foreign().items()),
        kill_case(name="all", faults=everything, every_fault=False, **common),
    ]


def fault_fields(name):
    """Of a case for this fault: beside a fault of the list, creates are lost."""
    faults = {name: [3] if name in (MUTE, "trickle") else _evenly(USUAL[name])}
    if name in LIST:
        faults |= {each: _evenly(0.1) for each in LOST}
    if name == "big-create":
        faults[name] = [2, 9]
    return {"faults": faults, **MORE.get(name, {})}


def _foreign():
    """Another program sends tasks of the same model, of which the list tells nothing else."""
    lost = {name: _evenly(0.1) for name in LOST}
    return {
        "foreign": {"faults": lost, "settings": {"foreign_s": 0.7}},
        "foreign, many": {"faults": lost, "settings": {"foreign_s": 0.1}},
        "foreign, list-no-date": {
            "faults": lost | {"list-no-date": 1.0}, "settings": {"foreign_s": 0.7},
        },
    }  # fmt: skip


def wal_cases(*, jobs, kills, window=1, seed=7):
    """After each kill the log is spoilt, in one way, in any, and where the user pays."""
    common = {"jobs": jobs, "kills": kills, "window": window}
    ways = {f"wal {kind}": (kind,) for kind in wal.KINDS} | {"wal any": wal.KINDS}
    cases = [
        kill_case(name=f"{name}, seed {number}", wal=kinds, seed=number, **common)
        for name, kinds in ways.items()
        for number in range(seed, seed + WAL_SEEDS)
    ]
    resubmit = kill_case(
        name="wal any, resubmit", wal=wal.KINDS, resubmit=True, seed=seed, **common
    )
    return [*cases, resubmit]


def disk_cases(*, jobs, kills, seed=7):
    """The disk fills up so many times as there are kills."""
    return [
        kill_case(
            name=f"full {kind}, window {window}", jobs=jobs, kills=kills, window=window, seed=seed,
            disk=kind,
        )
        for kind in disk.KINDS
        for window in (1, 8)
    ]  # fmt: skip


def clock_cases(*, jobs, kills, window=1, seed=7):
    """The clock jumps from life to life, and answers of creates are lost."""
    lost = {"reset-after": _evenly(0.2), "reset-before": _evenly(0.2)}
    common = {"jobs": jobs, "kills": kills, "window": window, "seed": seed, "faults": lost}
    jumps = {name: (0, seconds) for name, seconds in CLOCKS.items()}
    jumps["all"] = (0, *itertools.chain(*((seconds, 0) for seconds in CLOCKS.values())))
    return [
        kill_case(
            name=f"clock {name}", clocks=clocks, patience_s=PATIENCE_CLOCK_S, every_fault=False,
            **common,
        )
        for name, clocks in jumps.items()
    ]  # fmt: skip


def _evenly(chance):
    """The second roll and every so many after it, so that a short case has its fault too."""
    return 1.0 if chance == 1 else list(range(2, 10000, round(1 / chance)))


def _setting(text):
    """`foreign=0.5`, as a keyword of the world. Raises ValueError."""
    name, _, value = text.partition("=")
    number = float(value)
    return SETTINGS[name], int(number) if number.is_integer() else number


def _chance(text):
    """`NAME=0.1` or `NAME`. Raises ValueError."""
    name, _, chance = text.partition("=")
    Dice({name: 0}, seed=0)
    return name, float(chance) if chance else USUAL[name]
