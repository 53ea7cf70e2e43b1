"""The cases: which service, which kills. Each is a value; the driver runs it."""

import itertools
import random

from tests.torture import disk, wal
from tests.torture.driver import Case
from tests.torture.faults import LIST, LIST_ABSENT, MUTE, SETTINGS, TRICKLE, USUAL, Dice
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
LONG_GRACE = "2s"  # so that most kills come while a create is looked for
CLOCKS = {"-2 h": -7200, "-3 d": -259200, "+1 year": 31536000, "+30 min": 1800}
# Faults that need more than their name: more settings, another grace.
MORE = {
    "list-lag": {"grace": None},
    "list-misses": {"grace": None},
    "list-slow-page": {"settings": {"page_s": 0.3, "page_most": 10, "foreign_s": 1.0}},
    TRICKLE: {"patience_s": 120.0, "kills": 0},  # a kill would end what hangs
}
# Creates that are lost: before they were accepted, after it, and between the two.
LOST = {"reset-after": [1, *range(4, 10000, 10)], "reset-before": [2, *range(9, 10000, 10)]}
HOURS_7, DAYS_3 = 7 * 3600, 3 * 86400


def kill_case(
    *, jobs, kills, window=1, seed=7, faults=None, name=None, every_fault=True, voices=None, **more
):
    """Mostly pictures, some voices, killed at random; `more` are other fields of the case."""
    voices = jobs // 10 if voices is None else voices
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
        return [kill_case(name=name, faults=chosen, every_fault=False, **common | more)]
    everything = {name: p / 4 for name, p in USUAL.items() if name not in {*LIST, MUTE, TRICKLE}}
    plain = [name for name in USUAL if name not in LIST or name == LIST_ABSENT]
    return [
        *(kill_case(name=name, **common | fault_fields(name)) for name in plain),
        *(kill_case(name=name, **common | fields) for name, fields in list_cases().items()),
        kill_case(name="all", faults=everything, every_fault=False, **common),
    ]


def fault_fields(name):
    """Of a case for this fault."""
    faults = {name: [3] if name in (MUTE, TRICKLE) else _evenly(USUAL[name])}
    if name == LIST_ABSENT:  # it leaves unknown what the other cases must find again
        faults |= {"reset-after": _evenly(0.1)}
    if name == "big-create":
        faults[name] = [2, 9]
    return {"faults": faults, **MORE.get(name, {})}


def list_cases():
    """Fields of a case, by name: the list of tasks misleads while creates are looked for.

    The first creates of all are lost: as yet no task of our own tells what the list is worth.
    """
    settings = {
        "list-clock +7 h": {"clock_s": HOURS_7},
        "list-clock -7 h": {"clock_s": -HOURS_7},
        "list-clock +3 d": {"clock_s": DAYS_3},
        "list-clock -3 d": {"clock_s": -DAYS_3},
        "list-clock +7 h, date too": {"clock_s": HOURS_7, "date_s": HOURS_7},
        "list-clock +7 h, no date": {"clock_s": HOURS_7},
        "foreign": {"foreign_s": 0.7},
        "foreign, many": {"foreign_s": 0.1},
        "foreign, no date": {"foreign_s": 0.7},
        "foreign, list-clock +7 h": {"foreign_s": 0.7, "clock_s": HOURS_7},
    }
    names = [name for name in LIST if name not in (LIST_ABSENT, "list-clock")]
    found = {}
    for name in (*names, *settings):
        faults = dict(LOST)
        if "no date" in name:
            faults["list-no-date"] = 1.0
        if name in names:
            faults[name] = USUAL[name]
        more = MORE.get(name, {})
        more = {"settings": settings.get(name, {}), "voices": 0, **more}
        found[name] = {"faults": faults, **more}
    return found


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
            grace=LONG_GRACE, **common,
        )
        for name, clocks in jumps.items()
    ]  # fmt: skip


def short_cases():
    """Every fault that came after the first ones, in a case of a few seconds; for the gate."""
    some = [2, 4, 7]
    faults = {
        "gateway-before": {"faults": {"gateway-before": some}},
        "gateway-after": {"faults": {"gateway-after": some}},
        "refused": {"faults": {"refused": some}},
        # What the API itself refuses is in no doubt, so no list is needed.
        "refused, no list": {"faults": {"refused": some, LIST_ABSENT: 1.0}, "every_fault": False},
        "same-id-before": {"faults": {"same-id-before": some}},
        "same-id-after": {"faults": {"same-id-after": some}},
        "no-results": {"faults": {"no-results": some}},
        "huge-count": {"faults": {"huge-count": list(range(1, 13))}},
        "html-404": {"faults": {MUTE: [2]}},
        "big-create": {"faults": {"big-create": [2, 3]}, "window": 2},
        "big-answer": {"faults": {"big-answer": [2, 3, 4, 5]}},
    }
    cases = [_short(name, **{"voices": 2, **fields}) for name, fields in faults.items()]
    lost = {"reset-after": [1, 4], "reset-before": [2]}
    smaller = {
        "list-huge": {"settings": {"history": 6_000}, "memory_mb": 150},
        "list-slow-page": {"settings": {"page_s": 0.3, "page_most": 2}},
    }
    for name, fields in list_cases().items():
        changes = {"faults": fields["faults"] | lost, **smaller.get(name, {})}
        cases.append(_short(name, **{**fields, **changes}))
    cases += [
        *(_short(f"wal {kind}", pictures=12, kills=2, wal=(kind,)) for kind in wal.KINDS),
        _short("wal any, resubmit", pictures=12, kills=2, wal=wal.KINDS, resubmit=True),
    ]
    # Each life but the last dies just when the loss of an answer was noted.
    cases += [
        _short(
            f"clock {name}", points=(("after Ledger.record_lost", 1),) * 2,
            clocks=(0, seconds, 0), patience_s=60.0,
            faults={"reset-before": [1, 2, 6], "reset-after": [2, 4]},
        )
        for name, seconds in CLOCKS.items()
    ]  # fmt: skip
    return cases + [
        _short(f"full {kind}, window {window}", pictures=20, kills=2, window=window, disk=kind)
        for kind in disk.KINDS
        for window in (1, 8)
    ]


def _short(name, *, pictures=8, **fields):
    settings = QUICK | fields.pop("settings", {})
    return Case(name=name, pictures=pictures, settings=settings, **fields)


def _evenly(chance):
    """The second roll and every so many after it, so that a short case has its fault too."""
    return 1.0 if chance == 1 else list(range(2, 10000, round(1 / chance)))


def _setting(text):
    """`foreign=0.5`, as a keyword of the world. Raises ValueError."""
    name, _, value = text.partition("=")
    try:
        number = float(value)
    except ValueError as error:
        raise ValueError(f"{text}: a setting is a number, as in {name}=0.5") from error
    return SETTINGS[name], int(number) if number.is_integer() else number


def _chance(text):
    """`NAME=0.1` or `NAME`. Raises ValueError."""
    name, _, chance = text.partition("=")
    Dice({name: 0}, seed=0)
    return name, float(chance) if chance else USUAL[name]
