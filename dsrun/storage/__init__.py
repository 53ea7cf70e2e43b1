"""Files of a run and of the cache: written aside, checked, synced and renamed, or not at all.

It never imports HTTP, a ledger, or a room above it. Begin with `layout`, which names all files, and
`artifacts`, which keeps what a job has made. `run_lock` lets one run into a directory, and
`precedence` orders runs that go on at the same time. `metadata` tags pictures with their requests.
"""
