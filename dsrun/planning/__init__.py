"""From a manifest to its jobs: pure, lazy, the same on every machine.

It never imports HTTP, or SQLite beyond the temporary `job_index`; the only files that it opens are
those that requests upload (`uploads`). Begin with `plan`, then `compiled_step`, which makes the job
of a row, and `compiled_text`, which makes the values of its request. `plan_digest` says what
identifies a pipeline, `selection` which of its jobs are wanted, `problems` how the problems of many
rows are reported as one.
"""
