"""A pipeline file as it is read: YAML with its places, to a frozen `Manifest`.

It never imports HTTP, SQLite, or a room above it. Begin with `reader`. `matrix`
multiplies, `files` reads the rows of data files, and `templates` renders texts inside `sandbox`,
which lets no template run for longer than `charges` allows.
"""
