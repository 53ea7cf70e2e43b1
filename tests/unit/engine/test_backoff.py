"""Waits: how long, and never out of bounds."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.engine.backoff import PollEstimate, next_poll_delay, retry_delay


@given(attempt=st.integers(1, 900), seed=st.integers(), asked=st.none() | st.floats(0, 1e6))
def test_a_retry_waits_what_is_asked_up_to_an_hour_and_at_most_75_s_otherwise(attempt, seed, asked):
    delay = retry_delay(attempt, rng=Random(seed), retry_after_s=asked)
    least = min(asked or 0.0, 3600.0)
    assert delay >= least
    assert 0.75 <= delay <= max(75.0, least)


@pytest.mark.parametrize(
    ("attempt", "middle_s"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (99, 60)]
)
def test_the_wait_doubles_up_to_a_minute_with_a_quarter_of_jitter(attempt, middle_s):
    delays = [retry_delay(attempt, rng=Random(seed)) for seed in range(500)]
    assert middle_s * 0.75 <= min(delays) < middle_s * 0.8
    assert middle_s * 1.2 < max(delays) <= middle_s * 1.25


@pytest.mark.parametrize("attempt", [1025, 10**6], ids=["past a float's exponent", "a million"])
def test_no_number_of_attempts_is_too_large(attempt):
    assert retry_delay(attempt, rng=Random(1)) <= 75.0


@given(previous=st.floats(0, 1e4), factor=st.floats(1, 10), longest=st.floats(0, 1e4))
def test_polls_come_further_apart_up_to_the_longest_and_never_at_once(previous, factor, longest):
    delay = next_poll_delay(previous, factor=factor, max_s=longest)
    assert min(0.1, max(longest, 0.001)) <= delay <= max(longest, 0.001)


@pytest.mark.parametrize("longest", [0.002, 0.02, 0.05, 0.099])
def test_a_longest_wait_of_less_than_a_tenth_of_a_second_is_obeyed(longest):
    assert next_poll_delay(0.0, factor=1.5, max_s=longest) == longest
    assert next_poll_delay(longest, factor=1.5, max_s=longest) == longest


def test_polls_of_an_image_task_as_the_guide_advises():
    delays, delay = [], 3.0
    for _ in range(6):
        delays.append(delay)
        delay = next_poll_delay(delay, factor=1.5, max_s=15.0)
    assert delays == [3.0, 4.5, 6.75, 10.125, 15.0, 15.0]


def test_the_first_poll_is_the_advice_until_a_task_has_been_seen():
    estimate = PollEstimate(first_s=3.0, max_s=15.0, learns=True)
    assert estimate.first_s() == 3.0
    estimate.learn(8.0)
    assert estimate.first_s() == 8.0


@given(st.lists(st.floats(0, 1000), min_size=1))
def test_the_first_poll_is_never_past_the_longest_wait(durations):
    estimate = PollEstimate(first_s=3.0, max_s=15.0, learns=True)
    for duration in durations:
        estimate.learn(duration)
    assert 0.0 <= estimate.first_s() <= 15.0


def test_recent_tasks_count_a_fifth():
    estimate = PollEstimate(first_s=3.0, max_s=15.0, learns=True)
    estimate.learn(10.0)
    estimate.learn(5.0)
    assert estimate.first_s() == pytest.approx(9.0)


def test_a_duration_that_cannot_be_is_not_learnt():
    estimate = PollEstimate(first_s=3.0, max_s=15.0, learns=True)
    estimate.learn(-1.0)
    assert estimate.first_s() == 3.0


def test_an_interval_that_the_user_gives_is_not_overruled():
    estimate = PollEstimate(first_s=3.0, max_s=15.0, learns=False)
    estimate.learn(9.0)
    assert estimate.first_s() == 3.0
