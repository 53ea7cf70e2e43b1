"""One invocation, whoever asks for it: where planning, engine, ledger and storage meet.

It never imports `cli` or `api`. Begin with `run`, one run from its options to its ending, and
`driver`, which hands jobs to the engine; `wiring` builds the engine's parts. `survey` and `preview`
say what a run would do. `host` has all that differs between a terminal and a program.
"""
