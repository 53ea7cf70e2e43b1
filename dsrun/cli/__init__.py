"""The command line: grammar, verbs, exit codes.

It never imports `api`. Begin with `main`, the grammar of every command, then read the file that is
named like the command; `options` has the options. What is imported when a command line is read is
kept light: a command imports its own modules when it runs.
"""
