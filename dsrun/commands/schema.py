"""`dsrun schema NAME`: the JSON Schemas that dsrun validates with."""

from dsrun.catalog import load_catalog
from dsrun.console import answer
from dsrun.errors import ExitCode, UsageError
from dsrun.resources import read_schema
from dsrun.wording import nearest

_OWN = ("manifest", "results")


def run(name: str | None) -> int:
    """Print one schema, or the names of all. Raises UsageError for a name that is none."""
    operations = load_catalog().names
    known = [*_OWN, *operations]
    if name is None:
        answer("\n".join(known))
        return ExitCode.OK
    if name not in known:
        raise UsageError(f"no schema {name}{nearest(name, known)}; allowed: {', '.join(known)}")
    path = f"operations/{name}.json" if name in operations else f"{name}.json"
    answer(read_schema(path).decode().rstrip("\n"))
    return ExitCode.OK
