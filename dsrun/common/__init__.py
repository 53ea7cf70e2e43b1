"""What every room uses: errors, values, digests, money and time, settings, and the terminal.

It never imports another room. Begin with `models`, the values that travel between rooms, and
`errors`, every way in which dsrun can fail. The doors to the outside are `clock`, `settings`
(environment and key), `resources` (the package's files), `user_files` (the user's files),
`state_file`, `sqlite` (opening a database) and `console`.
"""
