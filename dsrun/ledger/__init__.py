"""The truth of a run directory, in SQLite. It never imports HTTP, or a room above it.

Read it in this order:

- `schema`, the tables; `writes`, what can be written to them.
- `writer`, which records facts, and ends each call when the fact is on disk; `transactions` and
  `commits`, how it gets there, also when the disk is full or the directory was moved.
- `reader`, which reads one ledger; `totals`, `lookup` and `history`, which ask a reader for sums,
  single jobs and the past. `query` answers the user's SQL, `peers` reads the ledgers of other runs.
- `tail`, the newest facts once more; `check`, `loss` and `salvage`, for a ledger that is damaged or
  has lost something.
"""
