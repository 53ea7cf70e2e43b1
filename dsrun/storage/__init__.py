"""Files of a run and of the cache: written aside, checked, synced, renamed; or not at all.

It never imports HTTP, a ledger, or a room above it. Begin with `layout`, where everything stands,
and `artifacts`, which keeps what a job has made. `run_lock` lets one run into a directory,
`precedence` puts runs beside others in order, `metadata` changes what a picture says of itself.
"""
