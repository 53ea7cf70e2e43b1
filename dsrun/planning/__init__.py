"""From a manifest to its jobs: pure, lazy, the same on every machine.

It never imports HTTP, or SQLite beyond the temporary `job_index`; the only files that it opens are
those that requests upload (`uploads`). Begin with `plan`, then `compiled_step`, which makes the job
of a row, `request_form`, the request of the operation that a row calls, and `compiled_text`, which
makes its values. `plan_digest` says what identifies a pipeline, `selection` which of its jobs are
wanted, `problems` how the problems of many rows are reported as one.
"""
