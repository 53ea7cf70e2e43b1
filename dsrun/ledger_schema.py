"""The ledger's tables and their migrations: one step a version, each in its own transaction."""

VERSION = 3

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
)
