"""The vendor: which APIs there are, how they are asked, and what their answers mean.

It never imports a ledger, a file of a run, or a room above it. Begin with `operation`, which holds
what is known of one API, and `catalog`, which reads it from `schemas/operations/`. A file of
several models becomes one operation for each in `families`; values that hang on a request stand in
`tables`, and `price` says what one costs. `request` fills in a request, `client` sends it over any
HTTP transport (`transport` is ours, with aiohttp), and `classify` judges the answer. `replies` and
`lists` read it once into values; the JSON of an answer never leaves this room.
"""
