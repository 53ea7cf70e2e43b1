"""What must be so for a run to come by a point: `before`, `after` or `inside` a place."""

from tests.torture.child import points

# Faults. A place that is not named here, nor plain, is thought to deal with lost answers.
NEEDS = {
    "Ledger.record_refusal": ("409-before",),
    "Ledger.record_trouble": ("ask-5xx", "file-short"),
    "Ledger.reopen_part": ("partial-task",),
}
LOST = ("reset-after",)
SPECIAL = {"reset-after", "partial-task"}  # what follows them is seen best by itself
PLAIN = {
    "ApiClient.create", "ApiClient.fetch", "ApiClient.query", "ArtifactStore.keep",
    "Ledger.commit", "Ledger.end_run", "Ledger.leave_out", "Ledger.load_plan",
    "Ledger.record_answer",
    "Ledger.record_cached", "Ledger.record_intent", "Ledger.record_result", "Ledger.record_task",
    "Ledger.reopen", "Ledger.reopen_lost", "Ledger.start_run", "ResultCache.bring",
    "ResultCache.keep", "ResultCache.sync", "results", "store.fsync", "store.replace",
    "store.write",
}  # fmt: skip
# Uploads of reference pictures: they cost nothing, and this service has none.
ABSENT = {
    "ApiClient.ask_by_name",  # of `dsrun voices`, which no run asks
    "ApiClient.ask_upload", "ApiClient.upload", "Ledger.forget_upload", "Ledger.forget_uploads",
    "Ledger.record_upload",
    # What takes a stranger, a lost log or a word of the user has its tests elsewhere.
    "Ledger.forget_task", "Ledger.record_abandoned", "Ledger.record_foreign",
    "Ledger.record_order", "Ledger.record_repeat", "Ledger.record_retry", "Ledger.reopen_task",
    "Ledger.settle_loss",
    # So has what only jobs of steps on steps come by.
    "Ledger.let_wait", "Ledger.reconsider", "Ledger.record_dead_addresses", "Ledger.wake",
}  # fmt: skip

# Passed only where jobs that ended are opened again.
REOPENING = {"Ledger.reopen_lost", "Ledger.reopen_part"}
# Passed only where the run directory is gone and the cache is there.
AGAIN = {"Ledger.record_cached", "ResultCache.bring", "ResultCache.sync"}
# Passed once in a life.
ONCE = AGAIN | REOPENING | {
    "Ledger.end_run", "Ledger.leave_out", "Ledger.load_plan", "Ledger.reopen", "Ledger.start_run",
    "ResultCache.keep", "results",
}  # fmt: skip
# Passed some times before the first job begins.
EARLY = {"Ledger.commit": 3, "store.fsync": 2}
# Passed by voices alone.
VOICES = {"Ledger.record_answer"}
# When all is made only the last places are left.
ORDER = {
    "Ledger.record_refusal": 0, "ResultCache.keep": 2, "Ledger.reopen_lost": 2,
    "Ledger.end_run": 2, "results": 2,
}  # fmt: skip


def place_of(point):
    """Of `before Ledger.reopen`: `Ledger.reopen`."""
    return point.partition(" ")[2]


def reachable_points():
    return [point for point in points() if place_of(point) not in ABSENT]


def faults_for(point):
    place = place_of(point)
    return () if place in PLAIN else NEEDS.get(place, LOST)


def first_pass(point):
    """The first pass at which the run is under way."""
    return 1 + EARLY.get(place_of(point), 0)


def rank(point):
    """For the order in which one run may be killed at many points."""
    return ORDER.get(place_of(point), 1), point
