"""Request rates over a sliding window, measured by the clock that is passed in."""

from collections import deque
from collections.abc import Callable

from dsrun.emulator.wire import Refusal

# Published for task query, list and cancel; one page says each, one says all three together.
TASK_CALLS_PER_S = 20

# Published for the upload policy, per account and model.
POLICY_CALLS_PER_S = 100


class SlidingWindow:
    """Admits at most `requests` calls in any `per_s` seconds; a refused call does not count."""

    def __init__(self, *, requests: int, per_s: float) -> None:
        self._requests = requests
        self._per_s = per_s
        self._admitted: deque[float] = deque()

    def admits(self, now: float) -> bool:
        while self._admitted and self._admitted[0] <= now - self._per_s:
            self._admitted.popleft()
        if len(self._admitted) >= self._requests:
            return False
        self._admitted.append(now)
        return True


class Limits:
    """One window for each name, made at its first use. Does nothing when limits are off."""

    def __init__(self, *, enforced: bool, now: Callable[[], float]) -> None:
        self._enforced = enforced
        self._now = now
        self._windows: dict[str, SlidingWindow] = {}

    def charge(self, name: str, *, requests: int, per_s: float = 1.0) -> None:
        """Count one call against the named window, or refuse it."""
        if not self._enforced:
            return
        window = self._windows.get(name)
        if window is None:
            window = self._windows[name] = SlidingWindow(requests=requests, per_s=per_s)
        if not window.admits(self._now()):
            raise throttled()


def throttled(*, retry_after_s: int | None = None) -> Refusal:
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    message = "Requests rate limit exceeded, please try again later."
    return Refusal(429, "Throttling.RateQuota", message, headers=headers)
