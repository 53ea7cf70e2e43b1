"""The ledger's tables and their migrations: one step a version, each in its own transaction."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dsrun.common.errors import SetupError
from dsrun.common.sqlite import disk_error
from dsrun.ledger.edges import EDGES
from dsrun.ledger.left_out import LEFT_OUT
from dsrun.service.price import MOST_GRAINS


class UnitColumns(NamedTuple):
    """What jobs cost, as SQL: in units of their unit_price. An impossible number is a planned one.

    A row without `planned` is of a time when each artifact was one unit.
    """

    planned: str
    paid: str


def unit_columns(*, has_planned: bool) -> UnitColumns:
    """`has_planned`: a ledger of an older version stays as it is, and lacks the column."""
    column = "coalesce(planned, wanted)" if has_planned else "wanted"
    planned = f"max(0, min({column}, {MOST_GRAINS}))"
    both = (
        f"iif({name} BETWEEN 0 AND {MOST_GRAINS}, {name}, {planned})"
        for name in ("units", "units_before")
    )
    return UnitColumns(planned, f"({' + '.join(both)})")


def planned_of(row: sqlite3.Row | Mapping[str, Any]) -> int:
    """What a job was to cost, in units of its unit_price."""
    planned = row["planned"] if "planned" in row.keys() else None  # noqa: SIM118  # a Row
    return int(row["wanted"] if planned is None else planned)


MAY_BE_REPRICED = (
    "(units = 0 AND units_before = 0 AND "
    "status IN ('waiting', 'pending', 'failed', 'cancelled', 'skipped'))"
)
_UNITS = unit_columns(has_planned=True)
PAID_UNITS = _UNITS.paid
# Of an answer whose files have come too late nobody knows more than what was planned.
PAID_AND_LOST = f"iif(status = 'unknown' AND answer IS NOT NULL AND units = 0, {_UNITS.planned}, 0)"


def paid_units(units: int, units_before: int, planned: int) -> int:
    """What the column `paid` gives of a row that has been read."""
    instead = max(0, min(planned, MOST_GRAINS))
    return sum(n if 0 <= n <= MOST_GRAINS else instead for n in (units, units_before))


FIRST_COUNTED = 7  # the first version that counts its facts

_PARENTS = """
        (SELECT json_group_array(json_object('axis', axis, 'step', step, 'index', idx,
            'job_id', parent_id, 'file', file)) FROM (SELECT axis, step, idx, parent_id,
            CASE WHEN takes LIKE 'file:%' THEN CAST(substr(takes, 6) AS INTEGER) END AS file
            FROM edge WHERE edge.job_id = job.job_id
            GROUP BY axis, step, idx, parent_id, file ORDER BY min(number))) AS parents,
"""
_SENT = "coalesce(sent, request) AS request"

# Plain enough for DuckDB too. A view that changes needs a step of its own: DROP VIEW, CREATE VIEW.
_RESULTS = f"""
    SELECT job_id, position, step, idx AS "index", operation, status, matrix, {_SENT},{_PARENTS}
        (SELECT path FROM artifact WHERE artifact.job_id = job.job_id
            ORDER BY name, path LIMIT 1) AS file,
        (SELECT count(*) FROM artifact WHERE artifact.job_id = job.job_id) AS files,
        (SELECT duration_s FROM artifact WHERE artifact.job_id = job.job_id
            ORDER BY name, path LIMIT 1) AS file_duration_s,
        (SELECT width FROM artifact WHERE artifact.job_id = job.job_id
            ORDER BY name, path LIMIT 1) AS file_width,
        (SELECT height FROM artifact WHERE artifact.job_id = job.job_id
            ORDER BY name, path LIMIT 1) AS file_height,
        (SELECT json_group_array(json_object('path', path, 'sha256', sha256, 'size', size,
            'media_type', media_type, 'index', artifact.idx, 'seed', seed,
            'source_sha256', source_sha256, 'duration_s', duration_s, 'width', width,
            'height', height, 'name', name))
            FROM artifact WHERE artifact.job_id = job.job_id) AS artifacts,
        output,
        CASE WHEN status <> 'succeeded' THEN error_code END AS error_code,
        CASE WHEN status <> 'succeeded' THEN error_message END AS error_message,
        CASE WHEN status <> 'succeeded' THEN error_class END AS error_class,
        attempts, task_id, request_id,
        round(CAST(unit_price AS DOUBLE) * (units + units_before), 12) AS cost, currency, cached,
        submitted_at, ended_at
    FROM job
"""  # noqa: S608  # ours
_SPEND = """
    SELECT substr(coalesce(ended_at, submitted_at), 1, 10) AS day, step, operation,
        count(*) AS jobs, sum(units + units_before) AS units,
        round(sum(CAST(unit_price AS DOUBLE) * (units + units_before)), 9) AS amount, currency
    FROM job WHERE units + units_before > 0
    GROUP BY substr(coalesce(ended_at, submitted_at), 1, 10), step, operation, currency
"""

# Creates whose answers were lost, and which were sent again: each may be paid.
_REPEATS = "ALTER TABLE job ADD COLUMN repeats INTEGER NOT NULL DEFAULT 0;"

# What a run was told while it went on, in the order in which it took it. Its first row is its own:
# what was in force when it began. `refused` says why it did not obey.
_CONTROL = """
    CREATE TABLE control (
        control_id    INTEGER PRIMARY KEY,
        token         TEXT NOT NULL UNIQUE,
        run_id        INTEGER NOT NULL REFERENCES run,
        at            TEXT NOT NULL,
        taken_at      TEXT NOT NULL,
        given_by      TEXT NOT NULL,
        pid           INTEGER NOT NULL,
        command       TEXT NOT NULL,
        value         TEXT,
        refused       TEXT,
        in_force      TEXT NOT NULL
    ) STRICT;
"""

_EDGES = f"{EDGES} DROP VIEW IF EXISTS results; CREATE VIEW results AS {_RESULTS};"

MIGRATIONS = (
    """
    CREATE TABLE run (
        run_id        INTEGER PRIMARY KEY,
        started_at    TEXT NOT NULL,
        ended_at      TEXT,
        dsrun_version TEXT NOT NULL,
        endpoint      TEXT NOT NULL,
        host          TEXT NOT NULL,
        pid           INTEGER NOT NULL,
        exit_code     INTEGER,
        reason        TEXT
    ) STRICT;
    CREATE TABLE plan (
        dsrun_version TEXT PRIMARY KEY,
        jobs          INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE job (
        job_id        TEXT PRIMARY KEY,
        position      INTEGER NOT NULL,
        step          TEXT NOT NULL,
        idx           INTEGER NOT NULL,
        replica       INTEGER NOT NULL,
        operation     TEXT NOT NULL,
        request       TEXT NOT NULL,
        matrix        TEXT NOT NULL,
        stems         TEXT NOT NULL,
        status        TEXT NOT NULL DEFAULT 'pending',
        attempts      INTEGER NOT NULL DEFAULT 0,
        task_id       TEXT,
        request_id    TEXT,
        output        TEXT,
        error_code    TEXT,
        error_message TEXT,
        error_class   TEXT,
        wanted        INTEGER NOT NULL,
        units         INTEGER NOT NULL DEFAULT 0,
        units_before  INTEGER NOT NULL DEFAULT 0,
        unit_price    TEXT NOT NULL,
        currency      TEXT NOT NULL,
        cached        INTEGER NOT NULL DEFAULT 0,
        submitted_at  TEXT,
        ended_at      TEXT
    ) STRICT;
    CREATE INDEX job_position ON job (position);
    CREATE TABLE twin (
        step          TEXT NOT NULL,
        idx           INTEGER NOT NULL,
        job_id        TEXT NOT NULL REFERENCES job,
        matrix        TEXT NOT NULL,
        stems         TEXT NOT NULL,
        PRIMARY KEY (step, idx)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX twin_job ON twin (job_id);
    CREATE TABLE attempt (
        attempt_id    INTEGER PRIMARY KEY,
        run_id        INTEGER NOT NULL REFERENCES run,
        job_id        TEXT NOT NULL REFERENCES job,
        phase         TEXT NOT NULL,
        at            TEXT NOT NULL,
        outcome       TEXT NOT NULL,
        error_code    TEXT,
        error_message TEXT,
        task_id       TEXT,
        request_id    TEXT
    ) STRICT;
    CREATE TABLE artifact (
        job_id        TEXT NOT NULL REFERENCES job,
        idx           INTEGER NOT NULL,
        path          TEXT NOT NULL,
        sha256        TEXT NOT NULL,
        size          INTEGER NOT NULL,
        media_type    TEXT NOT NULL,
        seed          INTEGER,
        sample_rate   INTEGER,
        PRIMARY KEY (job_id, idx, path)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE job ADD COLUMN lost_at TEXT;
    ALTER TABLE job ADD COLUMN part_first INTEGER;
    ALTER TABLE job ADD COLUMN part_count INTEGER;
    CREATE INDEX attempt_task ON attempt (task_id) WHERE task_id IS NOT NULL;
    """,
    """
    CREATE TABLE upload (
        sha256        TEXT NOT NULL,
        model         TEXT NOT NULL,
        endpoint      TEXT NOT NULL,
        url           TEXT NOT NULL,
        uploaded_at   TEXT NOT NULL,
        PRIMARY KEY (sha256, model, endpoint)
    ) STRICT, WITHOUT ROWID;
    """,
    f"CREATE VIEW results AS {_RESULTS}; CREATE VIEW spend AS {_SPEND};",
    f"""
    DROP VIEW results;
    ALTER TABLE artifact ADD COLUMN source_sha256 TEXT;
    UPDATE artifact SET source_sha256 = sha256;
    CREATE VIEW results AS {_RESULTS};
    """,  # noqa: S608
    # The run of the last intent, whose clock has dated it.
    "ALTER TABLE job ADD COLUMN run_id INTEGER;",
    # `facts`: how many were committed. `lost`: how many of them are missing and not settled yet; 0
    # where nobody can tell the number, NULL for none.
    """
    CREATE TABLE IF NOT EXISTS mark (
        ledger_id     TEXT NOT NULL,
        facts         INTEGER NOT NULL,
        lost          INTEGER,
        lost_since    TEXT
    ) STRICT;
    INSERT INTO mark (ledger_id, facts) SELECT lower(hex(randomblob(16))), 0
        WHERE NOT EXISTS (SELECT 1 FROM mark);
    """,
    f"""
    DROP VIEW results;
    ALTER TABLE artifact ADD COLUMN duration_s REAL;
    ALTER TABLE artifact ADD COLUMN width INTEGER;
    ALTER TABLE artifact ADD COLUMN height INTEGER;
    CREATE VIEW results AS {_RESULTS};
    """,
    _REPEATS,
    # `answer`: of a create that made no task, until its files are there and as long as they can be
    # fetched again. What an older dsrun had read of an answer was in `output` and `units`.
    f"""
    ALTER TABLE job ADD COLUMN answer TEXT;
    ALTER TABLE artifact ADD COLUMN name TEXT NOT NULL DEFAULT '';
    UPDATE job SET status = 'submitted', units = 0, answer = json_object(
        'at', submitted_at, 'until', submitted_at, 'whole', json('false'), 'files', json('true'),
        'results', json('[["unkept", null, null, 0, 0]]'), 'output', json(output),
        'billed', units, 'failure', NULL, 'request_id', coalesce(request_id, ''))
        WHERE status = 'submitting' AND submitted_at IS NOT NULL
        AND (units > 0 OR output IS NOT NULL);
    DROP VIEW results;
    CREATE VIEW results AS {_RESULTS};
    """,  # noqa: S608
    # `planned`: what a job was to cost, in units of its unit_price; NULL: one for each artifact.
    f"""
    ALTER TABLE job ADD COLUMN planned INTEGER;
    DROP VIEW IF EXISTS results;
    DROP VIEW IF EXISTS spend;
    CREATE VIEW results AS {_RESULTS};
    CREATE VIEW spend AS {_SPEND};
    """,
    _EDGES,
    _CONTROL,
    LEFT_OUT,
)

VERSION = len(MIGRATIONS)

_SINCE_SOURCES = 5
SINCE_FACTS = 8  # artifacts have the columns of _FACTS
_FACTS = ("duration_s", "width", "height")
SINCE_RUN_IDS = 6  # jobs know the run of their last intent
SINCE_REPEATS = MIGRATIONS.index(_REPEATS) + 1
SINCE_ANSWERS = SINCE_REPEATS + 1  # jobs keep the answers of creates that make no task
SINCE_EDGES = MIGRATIONS.index(_EDGES) + 1
SINCE_CONTROL = MIGRATIONS.index(_CONTROL) + 1
SINCE_LEFT_OUT = MIGRATIONS.index(LEFT_OUT) + 1
_TABLES = {  # by the version that brought them
    1: {"run", "plan", "job", "twin", "attempt", "artifact"},
    3: {"upload"},
    FIRST_COUNTED: {"mark"},
    SINCE_EDGES: {"edge", "address"},
    SINCE_CONTROL: {"control"},
    SINCE_LEFT_OUT: {"left_out"},
}


def tables_of(version: int) -> set[str]:
    """The names of the tables that a ledger of this version has."""
    return set().union(*(names for since, names in _TABLES.items() if since <= version))


def results_view(version: int) -> str:
    """The view `results` for a ledger that may be of an older version, and stays as it is."""
    view = _RESULTS
    if version < SINCE_EDGES:
        view = view.replace(_SENT, "request").replace(_PARENTS, " '[]' AS parents, ")
    if version < SINCE_FACTS:
        for name in _FACTS:
            view = view.replace(f"'{name}', {name}", f"'{name}', NULL")
            view = view.replace(f"(SELECT {name} FROM", "(SELECT NULL FROM")
    if version < SINCE_ANSWERS:
        view = view.replace("'name', name", "'name', ''").replace(
            "ORDER BY name, path", "ORDER BY path"
        )
    if version < _SINCE_SOURCES:
        view = view.replace("'source_sha256', source_sha256", "'source_sha256', sha256")
    return view


def migrate(db: sqlite3.Connection, path: Path) -> int:
    """Bring a ledger to the newest version; returns the one that it had.

    Raises SetupError where it is of a newer one.
    """
    try:
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise SetupError(
                f"{path} has version {version}; this dsrun knows up to {VERSION}. Update dsrun."
            )
        for number in range(version, VERSION):
            db.executescript(
                f"BEGIN IMMEDIATE; {MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;"
            )
    except sqlite3.Error as error:
        raise disk_error(error, path) from error
    return version
