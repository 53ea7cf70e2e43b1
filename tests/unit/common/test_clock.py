"""What a thread wants of the processor."""

import threading
import time

from dsrun.common.clock import demand_of_this_thread


def test_a_thread_that_has_computed_has_demanded_the_processor_for_as_long():
    busy, idle = threading.Event(), threading.Event()
    asks = []

    def work():
        asks.append(demand_of_this_thread())
        until = time.thread_time() + 0.3
        while time.thread_time() < until:
            pass
        busy.set()
        idle.wait()

    thread = threading.Thread(target=work)
    thread.start()
    busy.wait(60)
    used = asks[0]()
    idle.set()
    thread.join()
    assert used >= 0.25


def test_where_the_system_says_nothing_of_threads_the_process_counts(monkeypatch):
    monkeypatch.setattr("dsrun.common.clock.get_native_id", lambda: "nowhere")
    demand_s = demand_of_this_thread()
    before = demand_s()
    until = time.thread_time() + 0.05
    while time.thread_time() < until:
        pass
    assert demand_s() - before < 0.05  # the thread that asks does not count
