"""The table that the proof prints."""

_COUNTS = (
    "succeeded", "kept", "unknown", "unended", "twice", "lost", "mixed", "damaged", "litter",
    "broken",
)  # fmt: skip
_WORDS_TOLD = 4
_NAME = 28

HEAD = f"{'case':{_NAME}} {'jobs':>5} {'kills':>5} {'runs':>5} {'creates':>7} " + " ".join(_COUNTS) + f" {'s':>6}  verdict"  # fmt: skip


def row_of(outcome):
    """One line of a case, and below it what is wrong."""
    case, verdict = outcome.case, outcome.verdict
    counts = " ".join(f"{getattr(verdict, name):>{len(name)}}" for name in _COUNTS)
    line = (
        f"{case.name:{_NAME}} {case.jobs:>5} {outcome.kills:>5} {outcome.runs:>5} "
        f"{outcome.creates:>7} {counts} {outcome.seconds:>6.1f}  "
        f"{'pass' if outcome.is_pass else 'FAIL'}"
    )
    return "\n".join([line, *(f"    {words}" for words in reasons(outcome))])


def reasons(outcome):
    """Why a case did not pass, in few words."""
    if outcome.is_pass:
        return []
    found = [] if outcome.was_reached else ["the point was never come to"]
    strange = sorted(set(outcome.exits) - {0, 1, 3})
    if strange:
        found.append(f"exit codes {strange}: {outcome.last_words}")
    words = outcome.verdict.words
    found += words[:_WORDS_TOLD]
    if len(words) > _WORDS_TOLD:
        found.append(f"and {len(words) - _WORDS_TOLD} more")
    return found
