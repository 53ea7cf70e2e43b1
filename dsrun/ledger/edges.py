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
    ALTER TABLE job ADD COLUMN take INTEGER NOT NULL DEFAULT 1;
    CREATE INDEX job_asleep ON job (position) WHERE status IN ('waiting', 'skipped');
    CREATE INDEX job_woken ON job (operation, depth DESC, position)
        WHERE status = 'pending' AND late IS NOT NULL;
"""

PAGE = 1000  # jobs that are woken at once, so that no intent waits long behind them

_OPEN = "('waiting', 'pending', 'submitting', 'submitted', 'unknown')"
_NEEDED = (
    "FROM edge JOIN job AS parent ON parent.job_id = edge.parent_id "
    "WHERE edge.job_id = job.job_id AND edge.takes IS NOT NULL"
)
# What is taken is `file:NUMBER` or `output:NAME`. A job that failed gives nothing, although its
# answer may say something, such as where a face is that cannot be used.
_IS_THERE = (
    "CASE WHEN edge.takes GLOB 'file:*' THEN EXISTS (SELECT 1 FROM artifact "
    "WHERE artifact.job_id = parent.job_id AND artifact.name = '' "
    "AND artifact.idx = CAST(substr(edge.takes, 6) AS INTEGER)) "
    "ELSE parent.status <> 'failed' AND EXISTS (SELECT 1 FROM json_each(parent.output) AS made "
    "WHERE made.key = substr(edge.takes, 8) AND made.type <> 'null') END"
)
_LACKING = f"{_NEEDED} AND NOT ({_IS_THERE})"
# A partial job that is asked again for what is missing has the rest already.
_HAS_PART = "(parent.part_first IS NOT NULL OR parent.error_class = 'retry')"
_HAS_OPEN = (
    f"EXISTS (SELECT 1 {_NEEDED} AND parent.status IN {_OPEN} "
    f"AND NOT coalesce({_HAS_PART} AND ({_IS_THERE}), false))"
)
_WHY = (
    "(SELECT edge.step || ' ' || edge.idx || ' (job ' || substr(parent.job_id, 1, 12) || "
    "') has no ' || replace(edge.takes, ':', ' ') || ': it is ' || parent.status || "
    f"coalesce(', ' || parent.error_code, '') {_LACKING} LIMIT 1)"
)

# Ids of jobs that wait for nothing any more.
READY = (
    f"SELECT job_id FROM job WHERE status = 'waiting' AND NOT {_HAS_OPEN} "  # noqa: S608  # ours
    f"ORDER BY position LIMIT {PAGE}"
)
# Takes a job and an id: the jobs after it that take something of that job, and which are ready.
CHILDREN = (
    f"SELECT job.job_id, job.status = 'waiting' AND NOT {_HAS_OPEN} AS is_ready "  # noqa: S608  # ours
    "FROM edge AS below CROSS JOIN job ON job.job_id = below.job_id WHERE below.parent_id = ? "
    f"AND below.job_id > ? AND below.takes IS NOT NULL ORDER BY below.job_id LIMIT {PAGE}"
)

# Takes the time, and the ids of jobs that are ready.
WAKE = (
    "UPDATE job SET (status, error_code, error_class, error_message, ended_at) = (SELECT "  # noqa: S608  # ours
    "iif(why IS NULL, 'pending', 'skipped'), iif(why IS NULL, NULL, 'ParentMissing'), "
    "iif(why IS NULL, NULL, 'parent'), why, iif(why IS NULL, NULL, ?1) "
    f"FROM (SELECT {_WHY} AS why)) "
    "WHERE status = 'waiting' AND job_id IN (SELECT value FROM json_each(?2))"
)

# Jobs wait again once a job that they take something of is open again.
SLEEPY = (
    "SELECT job_id FROM job WHERE status IN ('skipped', 'pending') AND late IS NOT NULL "  # noqa: S608  # ours
    f"AND {_HAS_OPEN} LIMIT {PAGE}"
)
SLEEP = (
    "UPDATE job SET status = 'waiting', error_code = NULL, error_class = NULL, "
    "error_message = NULL, ended_at = NULL WHERE status IN ('skipped', 'pending') "
    "AND late IS NOT NULL AND job_id IN (SELECT value FROM json_each(?1))"
)
# Takes the id of a job: what was skipped for it waits again, and what was skipped for that.
SLEEP_BELOW = (
    "WITH RECURSIVE below(id) AS (SELECT ? UNION SELECT edge.job_id FROM below "
    "JOIN edge ON edge.parent_id = below.id AND edge.takes IS NOT NULL "
    "JOIN job ON job.job_id = edge.job_id AND job.status = 'skipped') "
    "UPDATE job SET status = 'waiting', error_code = NULL, error_class = NULL, "
    "error_message = NULL, ended_at = NULL WHERE status = 'skipped' "
    "AND job_id IN (SELECT id FROM below)"
)
# Takes the id of a job: the addresses of the files that it takes are dead.
FORGET_ADDRESSES = (
    "DELETE FROM address WHERE (job_id, idx) IN (SELECT parent_id, "
    "CAST(substr(takes, 6) AS INTEGER) FROM edge WHERE edge.job_id = ? AND takes GLOB 'file:*')"
)
# Days of the calendar (Julian) at which the first address dies of those that a job takes, while it
# can still be used. Takes hours by operation as JSON, the endpoint and the time, by name.
DIES = (
    "(SELECT min(half) FROM (SELECT julianday(given.answered_at) + lives.value / 48.0 AS half "
    "FROM edge JOIN job AS parent ON parent.job_id = edge.parent_id "
    "JOIN address AS given ON given.job_id = edge.parent_id "
    "AND edge.takes = 'file:' || given.idx JOIN json_each(:hours) AS lives "
    "ON lives.key = parent.operation WHERE edge.job_id = job.job_id "
    "AND given.endpoint = :endpoint) WHERE half > julianday(:now))"
)
