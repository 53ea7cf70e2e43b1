"""From a manifest to its jobs: pure, lazy, the same on every machine.

It never imports HTTP, or SQLite beyond the temporary index of its own. Begin with `plan`, then
`compiled_step`, which makes a checked request of a row. `plan_digest` says what a pipeline is,
`selection` which of its jobs are wanted, `problems` what is wrong with others.
"""
