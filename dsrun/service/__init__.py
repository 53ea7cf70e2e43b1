"""The vendor: which APIs there are, how they are asked, and what their answers mean.

It never imports a ledger, a file of a run, or a room above it. Begin with `operation`, what is
known of one API, and `catalog`, which reads it from `schemas/operations/`. `request` fills a
request in, `client` and `transport` send it, `replies` reads the answer and `classify` judges it.
"""
