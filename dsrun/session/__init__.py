"""One invocation, whoever asks for it: where planning, engine, ledger and storage meet.

It never imports `cli` or `api`, and never asks or answers by itself: `host` has all that differs
between a terminal and a program. Begin with `run`, the stages of one run; `open_run` opens what
they share, `driver` hands jobs to the engine, and `wiring` builds its parts. `options` is what is
asked for, `opening` reads its plan, and `preview` says what a run would do.
"""
