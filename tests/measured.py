"""dsrun that tells its exit code and its memory at most: `measured.py ARGUMENTS...`."""

import sys

from hostile import peak_mb

from dsrun.cli.main import main

if __name__ == "__main__":
    code = main(sys.argv[1:])
    print(code, peak_mb())
