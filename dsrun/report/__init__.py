"""What tells of a run: results.jsonl, the page, exports, and files for other tools.

It never imports HTTP, or a room above it. Begin with `results`, a line a job, from which the rest
is made. `report` writes the page of `page` and `entries`; the page's own code, its filters among
it, stands in `page.js` beside this file.
"""
