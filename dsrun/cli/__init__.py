"""The command line: grammar, verbs, exit codes.

It never imports `api`. Begin with `main`, then the file that is named like the command. What is
imported when a command line is read is kept light: a command imports its own modules when it runs.
"""
