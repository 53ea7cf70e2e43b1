"""Jobs that wait for others: the edges between them, and the SQL that wakes or skips a job.

A job waits while a job that it takes something of has not ended, or is in doubt. Then it becomes
pending, or is skipped where one of them did not give what is needed.
"""

EDGES = """
    CREATE TABLE edge (
        job_id        TEXT NOT NULL REFERENCES job,
        number        INTEGER NOT NULL,
        axis          TEXT NOT NULL,
        step          TEXT NOT NULL,
        idx           INTEGER NOT NULL,
        parent_id     TEXT NOT NULL REFERENCES job,
        takes         TEXT,
        PRIMARY KEY (job_id, number)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX edge_parent ON edge (parent_id);
    CREATE TABLE address (
        job_id        TEXT NOT NULL REFERENCES job,
        idx           INTEGER NOT NULL,
        url           TEXT NOT NULL,
        endpoint      TEXT NOT NULL,
        answered_at   TEXT NOT NULL,
        PRIMARY KEY (job_id, idx)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE job ADD COLUMN late TEXT;
    ALTER TABLE job ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE job ADD COLUMN sent TEXT;
    CREATE INDEX job_asleep ON job (position) WHERE status IN ('waiting', 'skipped');
"""

PAGE = 1000  # jobs that are woken at once, so that no intent waits long behind them

_OPEN = "('waiting', 'pending', 'submitting', 'submitted', 'unknown')"
_NEEDED = (
    "FROM edge JOIN job AS parent ON parent.job_id = edge.parent_id "
    "WHERE edge.job_id = job.job_id AND edge.takes IS NOT NULL"
)
_HAS_OPEN = f"EXISTS (SELECT 1 {_NEEDED} AND parent.status IN {_OPEN})"
# What is taken is `file:NUMBER` or `output:NAME`.
_IS_THERE = (
    "CASE WHEN edge.takes GLOB 'file:*' THEN EXISTS (SELECT 1 FROM artifact "
    "WHERE artifact.job_id = parent.job_id "
    "AND artifact.idx = CAST(substr(edge.takes, 6) AS INTEGER)) "
    "ELSE EXISTS (SELECT 1 FROM json_each(parent.output) AS made "
    "WHERE made.key = substr(edge.takes, 8) AND made.type <> 'null') END"
)
_LACKING = f"{_NEEDED} AND NOT ({_IS_THERE})"
_WHY = (
    "(SELECT edge.step || ' ' || edge.idx || ' (job ' || substr(parent.job_id, 1, 12) || "
    "') has no ' || replace(edge.takes, ':', ' ') || ': it is ' || parent.status || "
    f"coalesce(', ' || parent.error_code, '') {_LACKING} LIMIT 1)"
)

# Ids of jobs that wait for nothing any more; of those that take something of these jobs, or of all.
READY = (
    "SELECT job_id FROM job WHERE status = 'waiting' AND (?1 IS NULL OR job_id IN "  # noqa: S608  # ours
    "(SELECT edge.job_id FROM edge WHERE edge.takes IS NOT NULL AND edge.parent_id IN "
    f"(SELECT value FROM json_each(?1)))) AND NOT {_HAS_OPEN} ORDER BY position LIMIT {PAGE}"
)

# Takes the time, and the ids of jobs that are ready.
WAKE = (
    "UPDATE job SET (status, error_code, error_class, error_message, ended_at) = (SELECT "  # noqa: S608  # ours
    "iif(why IS NULL, 'pending', 'skipped'), iif(why IS NULL, NULL, 'ParentMissing'), "
    "iif(why IS NULL, NULL, 'parent'), why, iif(why IS NULL, NULL, ?1) "
    f"FROM (SELECT {_WHY} AS why)) "
    "WHERE status = 'waiting' AND job_id IN (SELECT value FROM json_each(?2))"
)

# Skipped jobs wait again once a job that they take something of is open again.
SLEEPY = f"SELECT job_id FROM job WHERE status = 'skipped' AND {_HAS_OPEN} LIMIT {PAGE}"  # noqa: S608  # ours
SLEEP = (
    "UPDATE job SET status = 'waiting', error_code = NULL, error_class = NULL, "
    "error_message = NULL, ended_at = NULL "
    "WHERE status = 'skipped' AND job_id IN (SELECT value FROM json_each(?1))"
)
