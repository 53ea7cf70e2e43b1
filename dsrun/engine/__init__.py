"""A job's life: submit, poll, fetch, and find again what was lost. Money depends on it.

It never imports the ledger, storage, aiohttp or sqlite3: `ports` says as Protocols what it needs
of them. It decides on values of `service.replies` and `service.lists`, never on JSON of the wire.
Begin with `scheduler`, which draws open jobs, and `job_runner`, which takes one from row to
result. `submit` sends; `reconcile` looks for a create whose answer was lost, `listing` reads the
service's lists for it, and `matching` judges whose a listed task is. `limits` and `control` decide
when to send, and when to stop.
"""
