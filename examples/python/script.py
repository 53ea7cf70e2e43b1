"""A script: shows what a pipeline would cost, runs it, and prints where the files are.

python examples/python/script.py            # emulated, costs nothing
python examples/python/script.py --real     # with your key
"""

import sys
from pathlib import Path

import dsrun

PIPELINE = Path(__file__).with_name("posters.yaml")


def main() -> int:
    emulate = "--real" not in sys.argv[1:]
    try:
        pipeline = dsrun.load(PIPELINE, set_params={"light": "noon sun"})
        plan = dsrun.plan(pipeline, emulate=emulate)
        print(f"{plan.to_send} of {plan.jobs} jobs to send, {plan.cost}")
        result = dsrun.run_sync(pipeline, emulate=emulate, max_cost="5 CNY", yes=True)
    except dsrun.DsrunError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for job in result.results():
        print(job.status, *(file.path for file in job.files))
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main())
