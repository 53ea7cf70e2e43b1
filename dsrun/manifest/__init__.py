"""From a pipeline file, and the files that it names, to a frozen `Manifest`.

It never imports HTTP, SQLite, or a room above it. Begin with `model`, which is what the others
make, then `reader`, which makes it. `matrix` multiplies axes into rows, `files` reads the rows of
data files, and `templates` renders texts inside `sandbox`, which pays for every operation what
`charges` says, so that each template ends, and writes every value as `spelling` says. `misread`
and `oddities` look for what may not be meant in a file. `execution`, `notify` and `schedule` each
read the section of their name.
"""
