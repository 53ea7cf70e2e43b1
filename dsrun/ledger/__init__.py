"""The truth of a run directory, in SQLite.

It never imports HTTP, or a room above it. Begin with `schema`, the tables, and `writer`, which ends
each call when the fact is on disk. `view`, `lookup` and `query` read; `peers` reads the ledgers of
other runs; `history` what earlier runs were. `tail`, `check`, `loss` and `salvage` are for a
ledger that has lost something, or says what nobody wrote.
"""
