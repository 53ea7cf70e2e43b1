"""A task for Airflow, or any scheduler that runs Python functions and retries them.

A retry goes on where the last try stopped, so it never pays for a job twice. The function passes
the next task something small and plain: paths, not pictures.

    from airflow.sdk import dag, task

    @dag(schedule="@daily")
    def posters():
        task(retries=3)(make_posters)("/srv/pipelines/posters.yaml", out="/srv/outputs")
"""

import dsrun


def make_posters(pipeline: str, *, out: str, emulate: bool = False) -> list[str]:
    """The files of a pipeline. Raises DsrunError, which fails the task."""
    # A try that the scheduler lost may still be at work: wait for it, then do what it left.
    result = dsrun.run_sync(pipeline, out=out, emulate=emulate, yes=True, if_running="wait")
    return [str(path) for path in result.check().files()]
