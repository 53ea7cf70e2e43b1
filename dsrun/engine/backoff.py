"""How long to wait before the next try or the next question. Pure arithmetic."""

from random import Random

_CAP_S = 60.0
_LONGEST_ASKED_S = 3600.0  # however long the service asks us to wait, an hour is enough
_DOUBLINGS = 6  # by then the cap is reached
_LEAST_POLL_S = 0.1  # after a first question at once, unless less is asked for
_SHORTEST_POLL_S = 0.001  # however little is asked for
_LONGEST_TASK_S = 86400.0  # the service forgets a task after a day


def retry_delay(attempt: int, *, rng: Random, retry_after_s: float | None = None) -> float:
    """Seconds before try number `attempt` + 1: 1, 2, 4, ... with jitter, at most 60.

    A wait that the service asks for is a lower bound, up to an hour.
    """
    backoff = min(_CAP_S, 2.0 ** min(attempt - 1, _DOUBLINGS))
    return max(min(retry_after_s or 0.0, _LONGEST_ASKED_S), backoff * rng.uniform(0.75, 1.25))


def next_poll_delay(previous_s: float, *, factor: float, max_s: float) -> float:
    """Seconds before the next question for a task that is not ready."""
    return min(max(previous_s * factor, _LEAST_POLL_S), max(max_s, _SHORTEST_POLL_S))


class PollEstimate:
    """When to expect a result: at first what the operation advises, then what tasks have taken.

    It averages the seconds from create to end, as the service reports them, over recent tasks.
    """

    _WEIGHT = 0.2

    def __init__(self, *, first_s: float, max_s: float, learns: bool) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._learns = learns
        self._seen_s: float | None = None

    def first_s(self) -> float:
        return self._first_s if self._seen_s is None else min(self._seen_s, self._max_s)

    def learn(self, duration_s: float) -> None:
        if not self._learns or not 0 <= duration_s <= _LONGEST_TASK_S:
            return
        if self._seen_s is None:
            self._seen_s = duration_s
        else:
            self._seen_s += self._WEIGHT * (duration_s - self._seen_s)
