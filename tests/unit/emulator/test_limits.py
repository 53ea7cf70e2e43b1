"""The sliding window, and the life of tasks that share a few places."""

import pytest

from dsrun.emulator.files import ByteCache
from dsrun.emulator.limits import Limits, SlidingWindow
from dsrun.emulator.pointers import read_pointer, schema_default, write_pointer
from dsrun.emulator.wire import Refusal


def _admitted(moments: list[float], *, requests: int, per_s: float = 1.0) -> list[float]:
    window = SlidingWindow(requests=requests, per_s=per_s)
    return [moment for moment in moments if window.admits(moment)]


@pytest.mark.parametrize(
    ("moments", "admitted"),
    [
        pytest.param([0, 0, 0], [0, 0], id="burst"),
        pytest.param([0, 0.9, 0.95, 1.0, 1.05], [0, 0.9, 1.0], id="slides-not-resets"),
        pytest.param([0, 0.5, 0.999, 1.0, 1.5], [0, 0.5, 1.0, 1.5], id="edge-of-the-second"),
        pytest.param([0, 0, 0.5, 0.6, 0.7, 1.0], [0, 0, 1.0], id="refused-does-not-count"),
    ],
)
def test_two_calls_fit_into_any_one_second(moments, admitted):
    assert _admitted(moments, requests=2) == admitted


def test_a_window_may_be_a_minute():
    moments = [float(second) for second in range(0, 121, 10)]
    assert _admitted(moments, requests=3, per_s=60) == [0, 10, 20, 60, 70, 80, 120]


def test_names_have_windows_of_their_own():
    limits = Limits(enforced=True, now=lambda: 0.0)
    limits.charge("one", requests=1)
    limits.charge("other", requests=1)
    with pytest.raises(Refusal) as caught:
        limits.charge("one", requests=1)
    assert (caught.value.status, caught.value.code) == (429, "Throttling.RateQuota")


def test_limits_that_are_off_refuse_nothing():
    limits = Limits(enforced=False, now=lambda: 0.0)
    for _ in range(100):
        limits.charge("one", requests=1)


def test_the_cache_drops_what_was_used_least():
    cache = ByteCache(capacity=10)
    cache.put("a", b"aaaa")
    cache.put("b", b"bbbb")
    assert cache.get("a") == b"aaaa"
    cache.put("c", b"cccc")
    assert [cache.get(key) for key in "abc"] == [b"aaaa", None, b"cccc"]


def test_the_cache_counts_a_replaced_file_once():
    cache = ByteCache(capacity=10)
    for _ in range(5):
        cache.put("a", b"aaaa")
    cache.put("b", b"bbbb")
    assert cache.get("a") == b"aaaa"


@pytest.mark.parametrize(
    ("pointer", "value"),
    [("/a/b", 1), ("/a/c/1", 2), ("/a/x", None), ("/a/c/9", None), ("/a/b/z", None), ("/m~1n", 3)],
)
def test_a_pointer_reads_a_place(pointer, value):
    assert read_pointer({"a": {"b": 1, "c": [1, 2]}, "m/n": 3}, pointer) == value


def test_a_pointer_makes_the_way_to_its_place():
    document: dict[str, object] = {}
    write_pointer(document, "/output/results/0/url", "x")
    write_pointer(document, "/output/results/1/content/0/image", "y")
    write_pointer(document, "/output/results/0/url", "z")
    assert document == {"output": {"results": [{"url": "z"}, {"content": [{"image": "y"}]}]}}


def test_the_default_of_a_schema_is_found_by_the_pointer_of_the_value():
    schema = {"properties": {"parameters": {"properties": {"n": {"default": 4}}}}}
    assert schema_default(schema, "/parameters/n") == 4
    assert schema_default(schema, "/parameters/m") is None
    assert schema_default(schema, "/input/n/m") is None
