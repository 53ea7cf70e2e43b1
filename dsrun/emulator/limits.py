"""Request rates over a sliding window, measured by the clock that is passed in."""

from collections import deque
from collections.abc import Callable

from dsrun.emulator.wire import Refusal

# Published for task query, list and cancel; one page says each, one says all three together.
TASK_CALLS_PER_S = 20

# Published for the upload policy, per account and model.
POLICY_CALLS_PER_S = 100


class SlidingWindow:
    """Admits at most `requests` in any `per_s` seconds; a refused call does not count."""

    def __init__(self, *, requests: int, per_s: float) -> None:
        self._requests = requests
        self._per_s = per_s
        self._admitted: deque[tuple[float, int]] = deque()
        self._sum = 0

    def admits(self, now: float, weight: int = 1) -> bool:
        """Whether a call fits; one heavier than the whole window fits where nothing else is."""
        while self._admitted and self._admitted[0][0] <= now - self._per_s:
            self._sum -= self._admitted.popleft()[1]
        if self._admitted and self._sum + weight > self._requests:
            return False
        self._admitted.append((now, weight))
        self._sum += weight
        return True


class Limits:
    """One window for each name, made at its first use. Does nothing when limits are off."""

    def __init__(self, *, enforced: bool, now: Callable[[], float]) -> None:
        self._enforced = enforced
        self._now = now
        self._windows: dict[str, SlidingWindow] = {}

    def charge(self, name: str, *, requests: int, per_s: float = 1.0) -> None:
        """Count one call against the named window, or refuse it."""
        self._weigh(name, requests, per_s, 1, throttled())

    def charge_tokens(self, name: str, tokens: int, *, most: int, per_s: float) -> None:
        """Count the tokens of a call against the named window, or refuse it."""
        message = "You exceeded your current quota of tokens, please try again later."
        refusal = Refusal(429, "Throttling.AllocationQuota", message)
        self._weigh(f"{name} tokens", most, per_s, tokens, refusal)

    def _weigh(self, name: str, most: int, per_s: float, weight: int, refusal: Refusal) -> None:
        if not self._enforced:
            return
        window = self._windows.get(name)
        if window is None:
            window = self._windows[name] = SlidingWindow(requests=most, per_s=per_s)
        if not window.admits(self._now(), weight):
            raise refusal


def throttled(*, retry_after_s: int | None = None) -> Refusal:
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    message = "Requests rate limit exceeded, please try again later."
    return Refusal(429, "Throttling.RateQuota", message, headers=headers)
