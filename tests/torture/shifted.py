"""A program on a machine whose clock is wrong: `shifted.py SECONDS PROGRAM ARGUMENTS...`.

A script by itself, outside of dsrun: Python's own words for the time of day are replaced before
it is loaded; PROGRAM is a script or a module. Durations (`time.monotonic`) and the times of files
stay as they are.
"""

import datetime as dt
import runpy
import sys
import time
from functools import partial

_time, _time_ns, _localtime, _gmtime = time.time, time.time_ns, time.localtime, time.gmtime


def shift(seconds):
    def now():
        return _time() + seconds

    class Shifted(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(now(), tz)

        @classmethod
        def utcnow(cls):
            return cls.fromtimestamp(now(), dt.UTC).replace(tzinfo=None)

    time.time = now  # of which date.today() and datetime.today() are made
    time.time_ns = lambda: _time_ns() + int(seconds * 1e9)
    time.localtime = lambda at=None: _localtime(now() if at is None else at)
    time.gmtime = lambda at=None: _gmtime(now() if at is None else at)
    dt.datetime = Shifted


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this script, whose names are not dsrun's
    shift(float(sys.argv[1]))
    sys.argv = sys.argv[2:]
    run = (
        runpy.run_path if sys.argv[0].endswith(".py") else partial(runpy.run_module, alter_sys=True)
    )
    run(sys.argv[0], run_name="__main__")
