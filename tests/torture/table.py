"""The table that the proof prints."""

_COUNTS = {
    "succeeded": "succeeded", "kept": "kept", "told": "told", "repeated": "repeats",
    "mute": "mute", "unknown_paid": "unknown:paid",
    "unknown_free": "free", "unended": "unended", "twice": "twice", "lost": "lost",
    "adopted": "wrong-adoptions", "mixed": "mixed", "damaged": "damaged", "litter": "litter",
    "broken": "broken",
}  # fmt: skip
_WORDS_TOLD = 4
_NAME = 28

HEAD = (
    f"{'case':{_NAME}} {'jobs':>5} {'kills':>5} {'runs':>5} {'creates':>7} "
    f"{' '.join(_COUNTS.values())} {'s':>6} {'MB':>4}  verdict"
)


def row_of(outcome):
    """One line of a case, and below it what is wrong."""
    case, verdict = outcome.case, outcome.verdict
    counts = " ".join(f"{getattr(verdict, name):>{len(title)}}" for name, title in _COUNTS.items())
    line = (
        f"{case.name:{_NAME}} {case.jobs:>5} {outcome.kills:>5} {outcome.runs:>5} "
        f"{outcome.creates:>7} {counts} {outcome.seconds:>6.1f} "
        f"{outcome.memory_mb:>4}  "
        f"{_word_of(outcome)}"
    )
    words = outcome.faults_found()
    told = words[:_WORDS_TOLD]
    if len(words) > _WORDS_TOLD:
        told.append(f"and {len(words) - _WORDS_TOLD} more")
    return "\n".join([line, *(f"    {text}" for text in told)])


def _word_of(outcome):
    if not outcome.is_pass:
        return "FAIL"
    return "stopped" if outcome.is_stopped else "pass"
