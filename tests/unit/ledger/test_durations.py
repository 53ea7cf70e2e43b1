"""How long a task took: the time that it waited for the tasks before it does not count."""

import pytest

from dsrun.ledger.durations import _Span, busy_times


@pytest.mark.parametrize(
    ("at_a_time", "spans", "times"),
    [
        (1, [(0, 10), (0, 20), (0, 32)], [10, 10, 12]),
        (1, [(0, 10), (15, 20)], [10, 5]),
        (2, [(0, 10), (0, 10), (0, 20), (0, 22)], [10, 10, 10, 12]),
        (None, [(0, 10), (0, 20), (5, 32)], [10, 20, 27]),
        (5, [(0, 10), (0, 20)], [10, 20]),
        (1, [(0, 10), (0, 10)], [10, 0]),
        (1, [], []),
    ],
    ids=["a queue", "a pause", "two at a time", "no limit", "more room", "seen at once", "none"],
)
def test_a_task_begins_when_one_before_it_ends(at_a_time, spans, times):
    assert list(busy_times([_Span(*span) for span in spans], at_a_time=at_a_time)) == times
