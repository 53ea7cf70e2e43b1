"""What a run writes to is removed, renamed or replaced meanwhile: it stops, and nothing is lost."""

import shutil

import pytest


def remove_root(work):
    shutil.rmtree(work.folder / "outputs")


def rename_root(work):
    (work.folder / "outputs").rename(work.folder / "moved")


def remove_pipeline(work):
    shutil.rmtree(work.folder / "outputs" / "demo")


def remove_run(work):
    shutil.rmtree(work.run_dir())


def rename_run(work):
    work.run_dir().rename(work.folder / "moved")


def replace_run(work):
    own = work.run_dir()
    shutil.copytree(own, work.folder / "copy")
    own.rename(work.folder / "moved")
    (work.folder / "copy").rename(own)


def remove_ledger(work):
    (work.run_dir() / "ledger.sqlite3").unlink()


def replace_ledger(work):
    path = work.run_dir() / "ledger.sqlite3"
    copy = work.folder / "copy"
    shutil.copy(path, copy)
    copy.rename(path)


def remove_log(work):
    (work.run_dir() / "ledger.sqlite3-wal").unlink()


def remove_index(work):
    (work.run_dir() / "ledger.sqlite3-shm").unlink()


def remove_lock(work):
    (work.run_dir() / ".lock").unlink()


def remove_artifacts(work):
    shutil.rmtree(work.run_dir() / "artifacts")


def remove_temporary(work):
    shutil.rmtree(work.run_dir() / ".tmp")


HARMS = [
    remove_root, rename_root, remove_pipeline, remove_run, rename_run, replace_run, remove_ledger,
    replace_ledger, remove_log, remove_index, remove_lock, remove_artifacts, remove_temporary,
]  # fmt: skip


def tree(folder):
    return {str(path.relative_to(folder)): path.is_dir() for path in folder.rglob("*")}


@pytest.fixture
def under_way(work, serve, standing_clock):
    """A run with one job made and three tasks that do not end."""
    service = serve(clock=standing_clock)
    pipeline = work.posters(4)
    first = work.spawn(pipeline, "--limit", "1")
    work.until(lambda: service.paid() == 1 and service.tasks_asked_for() == 1, what="a task")
    standing_clock.advance(60)
    assert first.end().code == 0
    child = work.spawn(pipeline)
    work.until(lambda: service.tasks_asked_for() == 4, what="tasks that were asked for")
    return child, service


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_the_run_stops_at_once_and_names_what_is_under_way(work, under_way, harm):
    child, service = under_way
    tasks = {
        row["task_id"] for row in work.query("SELECT task_id FROM job WHERE status = 'submitted'")
    }
    harm(work)
    before = tree(work.folder)
    outcome = child.end()

    assert outcome.code == 3
    assert "Traceback" not in outcome.err
    assert len(tasks) == 3
    assert all(task in outcome.err for task in tasks)
    assert "the run stops" in outcome.err
    assert service.paid() == 4
    came = {name for name in tree(work.folder).keys() - before.keys() if ".cache/" not in name}
    assert came == set()


@pytest.mark.parametrize("harm", [rename_run, rename_root], ids=lambda harm: harm.__name__)
def test_what_was_renamed_goes_on_once_it_is_back(work, under_way, standing_clock, harm):
    child, service = under_way
    place = work.run_dir() if harm is rename_run else work.folder / "outputs"
    harm(work)
    assert child.end().code == 3
    (work.folder / "moved").rename(place)
    standing_clock.release()
    assert work.dsrun("demo.yaml").code == 0
    assert list(service.creates().values()) == [1] * 4


@pytest.mark.parametrize("harm", [remove_run, remove_ledger, remove_artifacts])
def test_what_the_cache_has_is_not_paid_again(work, under_way, standing_clock, harm):
    child, service = under_way
    harm(work)
    assert child.end().code == 3
    standing_clock.release()
    outcome = work.dsrun("demo.yaml")
    if harm is remove_ledger:  # its tail is there, and says that there were tasks
        assert outcome.code == 3
        assert service.paid() == 4
    else:
        assert outcome.code == 0
    first = next(body for body in service.creates() if "lantern 0" in body)
    assert service.creates()[first] == 1


def test_one_that_waits_for_another_run_stops_too_and_makes_no_tree(work, serve, standing_clock):
    service = serve(clock=standing_clock)
    first = work.spawn(work.posters(2))
    work.until(lambda: service.tasks_asked_for() == 2, what="tasks")
    notify = work.folder / "told"
    pipeline = work.posters(2, max_attempts=2)
    text = pipeline.read_text().replace("steps:", f"notify: {{command: [touch, {notify}]}}\nsteps:")
    pipeline.write_text(text.replace('filename: "', 'filename: "again-'))
    other = work.spawn(pipeline, "--allow-notify")
    other.wait_for_words("waiting for 2 jobs")
    shutil.rmtree(work.folder / "outputs")
    assert other.end().code == first.end().code == 3
    assert not (work.folder / "outputs").exists()
    assert notify.exists()
    assert service.paid() == 2
