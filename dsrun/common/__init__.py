"""Words of all rooms: errors, values, digests, money and time, settings, and what people see.

It never imports another room. Begin with `models`, the values that travel from room to room, and
`errors`, every way in which dsrun can fail. The doors here are `clock`, `settings` (environment and
key), `resources` (files of the package), `user_files` (files of the user, opened in one way),
`sqlite` (opening a database) and `console`.
"""
