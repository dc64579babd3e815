//! The tables on SQLite.

use super::attachments::{CHANGED, CHECKS, DELETED, FRESH, INSERTED, Same};
use super::who::Who;

/// A log.
///
/// - `AUTOINCREMENT`, or ids begin anew when the newest rows are gone.
/// - `created_at` is written in just the form in which SeaORM (sqlx) writes a `DateTime<Utc>`: a fraction of three, six or
///   nine digits, or none. Text in that form sorts by time, since `+` comes before `.`, and that before the digits.
/// - `INSERT OR REPLACE` deletes without firing DELETE triggers (unless `recursive_triggers` is on), hence the BEFORE INSERT
///   trigger. `NEW.id` is -1 there when the database chooses the id; any other is refused. Were the highest one taken, the log could
///   give out none after it. (An explicit -1 is refused by the CHECK.)
/// - `sqlite_sequence` is written at the end of a statement: in an AFTER INSERT trigger it holds the newest id *before* the
///   statement, also of rows that are gone, and `max(id)` the newest within it.
pub(crate) fn log(log: &str, who: &Who) -> Vec<String> {
    let Who { columns, constraints, subject_index, actor_index } = who;
    let time_form = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]*+00:00";
    let mut statements = vec![
        RETENTION.to_owned(),
        format!(
            r#"CREATE TABLE "{log}" (
    id integer NOT NULL PRIMARY KEY AUTOINCREMENT CHECK (id >= 1),
    {columns}
    action varchar(64) NOT NULL,
    version integer NOT NULL,
    metadata json_text NOT NULL CHECK (json_valid(metadata) AND json_type(metadata) = 'object'),
    context json_text NULL CHECK (context IS NULL OR (json_valid(context) AND json_type(context) = 'object')),
    correlation_id varchar(128) NULL,
    causation_log varchar(64) NULL,
    causation_id bigint NULL,
    batch_id varchar(128) NULL,
    snapshot json_text NULL CHECK (snapshot IS NULL OR json_valid(snapshot)),
    idempotency_key varchar(128) NULL,
    occurred_at timestamp_with_timezone_text NOT NULL CHECK (occurred_at GLOB '{time_form}'),
    created_at timestamp_with_timezone_text NOT NULL
        DEFAULT (replace(strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'), '.000+', '+')),
    CHECK ((causation_log IS NULL) = (causation_id IS NULL)){constraints}
)"#
        ),
        format!(r#"CREATE INDEX "{log}_subject" ON "{log}" ({subject_index}, occurred_at, id)"#),
        format!(r#"CREATE INDEX "{log}_actor" ON "{log}" ({actor_index}, occurred_at, id)"#),
        format!(r#"CREATE INDEX "{log}_batch" ON "{log}" (batch_id, occurred_at, id) WHERE batch_id IS NOT NULL"#),
        format!(r#"CREATE INDEX "{log}_time" ON "{log}" (occurred_at, id)"#),
        format!(r#"CREATE INDEX "{log}_corr" ON "{log}" (correlation_id, id) WHERE correlation_id IS NOT NULL"#),
        format!(r#"CREATE UNIQUE INDEX "{log}_key" ON "{log}" (idempotency_key)"#),
    ];
    statements.extend(log_triggers(log).map(|(_, statement)| statement));
    statements
}

/// The permission to delete, which logs' triggers ask for; made with the first log. Its rows live within one transaction.
const RETENTION: &str = "CREATE TABLE IF NOT EXISTS event_retention (
    log varchar(64) NOT NULL PRIMARY KEY,
    upto bigint NOT NULL
)";

/// The table that a log's old events are moved to: its columns, and none of its triggers.
pub(crate) fn archive(log: &str, archive: &str) -> Vec<String> {
    vec![
        format!(r#"CREATE TABLE IF NOT EXISTS "{archive}" AS SELECT * FROM "{log}" WHERE 0"#),
        format!(r#"CREATE UNIQUE INDEX IF NOT EXISTS "{archive}_id" ON "{archive}" (id)"#),
    ]
}

/// The triggers that [`log`] makes, by name; exactness rests on the last two. The start of a dispatcher compares them, but for white space
/// and quotes.
pub(crate) fn log_triggers(log: &str) -> [(String, String); 4] {
    let no_update = format!(
        r#"CREATE TRIGGER "{log}_no_update" BEFORE UPDATE ON "{log}" BEGIN
    SELECT RAISE(ABORT, 'events are append-only: an event of {log} can''t be changed; record another one');
END"#
    );
    let no_delete = format!(
        r#"CREATE TRIGGER "{log}_no_delete" BEFORE DELETE ON "{log}"
WHEN NOT EXISTS (SELECT 1 FROM event_retention WHERE log = '{log}' AND upto >= OLD.id)
BEGIN
    SELECT RAISE(ABORT, 'events are append-only: an event of {log} can''t be deleted');
END"#
    );
    let no_replace = format!(
        r#"CREATE TRIGGER "{log}_no_replace" BEFORE INSERT ON "{log}"
WHEN NEW.id <> -1 OR EXISTS (SELECT 1 FROM "{log}" WHERE idempotency_key = NEW.idempotency_key)
BEGIN
    SELECT RAISE(ABORT, 'events are append-only: leave the id of {log} to the database, and give no idempotency_key that exists');
END"#
    );
    let only_newest = format!(
        r#"CREATE TRIGGER "{log}_only_newest" AFTER INSERT ON "{log}"
WHEN NEW.id < (SELECT max(id) FROM "{log}")
    OR NEW.id <= (SELECT seq FROM sqlite_sequence WHERE name = '{log}')
BEGIN
    SELECT RAISE(ABORT, 'events are append-only: ids of {log} only grow; leave the id to the database');
END"#
    );
    [("no_update", no_update), ("no_delete", no_delete), ("no_replace", no_replace), ("only_newest", only_newest)]
        .map(|(name, statement)| (format!("{log}_{name}"), statement))
}

pub(crate) fn system() -> Vec<String> {
    vec![
        r#"CREATE TABLE event_cursors (
    inbox varchar(64) NOT NULL,
    log varchar(64) NOT NULL,
    high bigint NOT NULL,
    ceiling bigint NOT NULL,
    missing text NOT NULL,
    in_flight text NOT NULL,
    epoch bigint NOT NULL,
    saves bigint NOT NULL,
    owner varchar(64) NULL,
    lease_until timestamp_with_timezone_text NULL,
    leased_at timestamp_with_timezone_text NULL,
    paused_at timestamp_with_timezone_text NULL,
    paused_until timestamp_with_timezone_text NULL,
    paused_why text NULL,
    probes bigint NOT NULL DEFAULT 0,
    updated_at timestamp_with_timezone_text NOT NULL,
    PRIMARY KEY (inbox, log)
)"#
        .to_owned(),
        r#"CREATE TABLE event_failures (
    inbox varchar(64) NOT NULL,
    log varchar(64) NOT NULL,
    event_id bigint NOT NULL,
    subject_type varchar(64) NOT NULL,
    subject_id varchar(128) NOT NULL,
    action varchar(64) NOT NULL,
    state varchar(16) NOT NULL,
    attempts integer NOT NULL,
    interrupted integer NOT NULL DEFAULT 0,
    next_attempt_at timestamp_with_timezone_text NULL,
    kind varchar(16) NOT NULL,
    error text NOT NULL,
    started_at timestamp_with_timezone_text NULL,
    first_failed_at timestamp_with_timezone_text NOT NULL,
    last_failed_at timestamp_with_timezone_text NOT NULL,
    PRIMARY KEY (inbox, log, event_id)
)"#
        .to_owned(),
        "CREATE INDEX event_failures_due ON event_failures (inbox, state, next_attempt_at)".to_owned(),
        "CREATE INDEX event_failures_event ON event_failures (log, event_id)".to_owned(),
    ]
}

/// Throttles that are taken; `name` is what counts together, as a hash.
pub(crate) fn throttles() -> Vec<String> {
    vec![
        r#"CREATE TABLE event_throttles (
    log varchar(64) NOT NULL,
    name char(64) NOT NULL,
    action varchar(64) NOT NULL,
    until timestamp_with_timezone_text NOT NULL,
    last_at timestamp_with_timezone_text NOT NULL,
    PRIMARY KEY (log, name)
)"#
        .to_owned(),
        "CREATE INDEX event_throttles_until ON event_throttles (until)".to_owned(),
    ]
}

/// Batches: what events were recorded together, and why.
pub(crate) fn batches() -> Vec<String> {
    vec![
        r#"CREATE TABLE event_batches (
    id varchar(128) NOT NULL PRIMARY KEY,
    parent_id varchar(128) NULL,
    description text NOT NULL,
    created_at timestamp_with_timezone_text NOT NULL
)"#
        .to_owned(),
        "CREATE INDEX event_batches_parent ON event_batches (parent_id)".to_owned(),
    ]
}

/// Attachments. `INSERT OR REPLACE` deletes without firing DELETE triggers, hence the last one.
pub(crate) fn attachments() -> Vec<String> {
    let allowed = Same("IS").allowed();
    vec![
        format!(
            r#"CREATE TABLE event_attachments (
    id varchar(36) NOT NULL PRIMARY KEY,
    name varchar(255) NOT NULL,
    content_type varchar(255) NOT NULL,
    state varchar(16) NOT NULL,
    size bigint NULL,
    sha256 char(64) NULL,
    log varchar(64) NULL,
    event_id bigint NULL,
    created_at timestamp_with_timezone_text NOT NULL
        DEFAULT (replace(strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'), '.000+', '+')),
    {CHECKS}
)"#
        ),
        "CREATE INDEX event_attachments_event ON event_attachments (log, event_id) WHERE event_id IS NOT NULL"
            .to_owned(),
        "CREATE INDEX event_attachments_pending ON event_attachments (created_at, id) WHERE event_id IS NULL"
            .to_owned(),
        "CREATE INDEX event_attachments_removing ON event_attachments (id) WHERE state = 'removing'".to_owned(),
        format!(
            "CREATE TRIGGER event_attachments_only_new BEFORE INSERT ON event_attachments
WHEN NOT ({FRESH})
BEGIN
    SELECT RAISE(ABORT, '{INSERTED}');
END"
        ),
        format!(
            "CREATE TRIGGER event_attachments_no_update BEFORE UPDATE ON event_attachments
WHEN NOT ({allowed})
BEGIN
    SELECT RAISE(ABORT, '{CHANGED}');
END"
        ),
        format!(
            "CREATE TRIGGER event_attachments_no_delete BEFORE DELETE ON event_attachments
WHEN OLD.state <> 'removing'
BEGIN
    SELECT RAISE(ABORT, '{DELETED}');
END"
        ),
        format!(
            "CREATE TRIGGER event_attachments_no_replace BEFORE INSERT ON event_attachments
WHEN EXISTS (SELECT 1 FROM event_attachments WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, '{CHANGED}');
END"
        ),
    ]
}
