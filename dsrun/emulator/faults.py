"""Named misbehaviours, and the dice that decide when each of them strikes."""

import difflib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "lost-answer": "a create is accepted, and the connection is reset before the answer",
        "reset": "the connection is reset before an API request is looked at",
        "server-error": "500 InternalError to an API request, nothing accepted",
        "server-error-after": "500 InternalError to a create that was accepted all the same",
        "html": "502 with a gateway's HTML page to an API request, nothing accepted",
        "garbage-json": "200 with broken JSON to a task query or list",
        "no-list": "404 to a list of tasks or voices, as from a server that has none",
        "late-list": "a task is not listed in its first half second",
        "stall": "an API request is carried out, its answer held back until the client gives up",
        "throttle": "429 with Retry-After: 1 to an API request, nothing accepted",
        "throttle-bare": "429 without Retry-After to an API request, nothing accepted",
        "truncated-download": "a result file breaks off halfway",
        "wrong-type-download": "200 with an HTML page in place of a result file",
        "download-error": "500 from the file host",
        "expired-url": "the result addresses of a task have expired before they are handed out",
        "partial-task": "some pictures of a task fail (only where it makes two or more)",
        "failed-task": "a task ends as FAILED",
        "failed-check": "200 that says the check failed, to an operation that may say so",
        "bad-size": "a create takes any size, and the task ends as FAILED because of it",
        "stuck-task": "a task never leaves RUNNING (it does not hold up the tasks behind it)",
        "slow-task": "a task runs ten times as long",
        "unknown-task": "a task query says UNKNOWN",
        "arrears": "400 Arrearage to a create",
        "bad-key": "401 InvalidApiKey to an API request",
        "moderation": "400 DataInspectionFailed to a create",
        "voice-quota": "400 Throttling.AllocationQuota to a voice create",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    name: str
    probability: float = 1.0


def parse_fault(text: str) -> Fault:
    """`NAME` or `NAME=p` with 0 < p <= 1."""
    name, has_probability, number = (part.strip() for part in text.partition("="))
    if name not in FAULTS:
        nearest = difflib.get_close_matches(name, FAULTS, n=1, cutoff=0.5)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(f"unknown fault {name!r}{hint} Known faults: {', '.join(FAULTS)}")
    return Fault(name=name, probability=_parse_probability(text, number) if has_probability else 1)


def _parse_probability(text: str, number: str) -> float:
    try:
        probability = float(number)
    except ValueError:
        probability = 0.0
    if not 0 < probability <= 1:
        raise ValueError(f"fault {text!r}: the probability must be above 0 and at most 1")
    return probability


class FaultDice:
    """Every fault has its own random stream, so that adding one never changes another's strikes."""

    def __init__(self, faults: tuple[Fault, ...], *, seed: int) -> None:
        self._probabilities = {fault.name: fault.probability for fault in faults}
        self._streams = {name: random.Random(f"{seed}:{name}") for name in self._probabilities}

    def strikes(self, name: str) -> bool:
        if name not in self._probabilities:
            return False
        return self._streams[name].random() < self._probabilities[name]

    def pick(self, name: str, choices: int) -> int:
        """A number below `choices`, from the stream of a fault that has just struck."""
        return self._streams[name].randrange(choices)
