"""Everything that describes a run: results.jsonl, the page, exports, and files for other tools.

It reads the ledger and never the service; it imports `ledger`, `storage` and `common`, never a room
above or beside it. Begin with `results`, the line for each job that all else is made from. `report`
writes the page, which `entries` and `page` build; the page's own code, with its filters, is
in `scripts/` beside this file, one idea a file, which `page` joins.
"""
