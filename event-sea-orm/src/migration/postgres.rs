//! The tables on PostgreSQL.

use super::attachments::{CHANGED, CHECKS, DELETED, FRESH, INSERTED, Same};
use super::who::Who;

/// The only encoding that holds every text that can be recorded.
pub(crate) const ENCODING: &str = "UTF8";

/// What is said of a database with another one.
pub(crate) fn wrong_encoding(encoding: &str) -> String {
    format!(
        "this database's encoding is {encoding}, which can't hold every text that is recorded: create one with ENCODING \
         '{ENCODING}' (CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0) and move the tables there"
    )
}

/// What the functions of triggers are created with. Without it, a session's own `search_path` and its temporary tables, which come
/// first in every `search_path` that does not name `pg_temp`, would decide what a name in them means. Tables are named with their
/// schema.
const FUNCTION_SETTINGS: &str = "SET search_path = pg_catalog, pg_temp";

/// The settings as the server stores them.
pub(crate) const FUNCTION_SETTINGS_STORED: &str = "search_path=pg_catalog, pg_temp";

/// The body of the function that refuses changes of a log. The start of a dispatcher compares it: change no character of it without need.
pub(crate) const APPEND_ONLY: &str = " DECLARE allowed boolean; BEGIN
    IF TG_OP = 'DELETE' THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %I.event_retention WHERE log = $1 AND upto >= $2)', TG_TABLE_SCHEMA)
            INTO allowed USING TG_TABLE_NAME::text, OLD.id;
        IF allowed THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'events are append-only: an event of % can''t be %', TG_TABLE_NAME,
        CASE TG_OP WHEN 'UPDATE' THEN 'changed; record another one' ELSE 'deleted' END;
END ";

/// A trigger that exactness rests on, as `pg_trigger` has it.
pub(crate) struct LogTrigger {
    pub(crate) name: String,
    /// `tgtype`: 1 for each row, 2 before, 8 DELETE, 16 UPDATE, 32 TRUNCATE.
    pub(crate) kind: i64,
}

/// The sequence that gives a log its ids.
pub(crate) fn sequence(log: &str) -> String {
    format!("{log}_id_seq")
}

/// A log.
///
/// - The sequence gives ids one by one: with a cache a session would hold ids back that were drawn before the lock by which a
///   missing id's recorder is found. `GENERATED ALWAYS` refuses ids from elsewhere.
/// - `created_at` is the time of the statement: `now()` would be that of the transaction's begin.
/// - The trigger that refuses DELETE asks for the permission in the log's own schema: a temporary table of that name gives none.
/// - The key's index is partial: what has no key costs it nothing.
/// - The last trigger tells workers that sleep, and only those: a NOTIFY in every transaction would have commits wait for each
///   other. <https://www.postgresql.org/docs/15/sql-notify.html>
pub(crate) fn log(log: &str, who: &Who) -> Vec<String> {
    let Who { columns, constraints, subject_index, actor_index } = who;
    let sequence = sequence(log);
    vec![
        RETENTION.to_owned(),
        format!(
            r#"CREATE TABLE "{log}" (
    id bigint GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME "{sequence}" START WITH 1 INCREMENT BY 1 CACHE 1 NO CYCLE)
        PRIMARY KEY CHECK (id >= 1),
    {columns}
    action varchar(64) NOT NULL,
    version bigint NOT NULL,
    metadata jsonb NOT NULL CHECK (jsonb_typeof(metadata) = 'object'),
    context jsonb NULL CHECK (jsonb_typeof(context) = 'object'),
    correlation_id varchar(128) NULL,
    causation_log varchar(64) NULL,
    causation_id bigint NULL,
    batch_id varchar(128) NULL,
    snapshot jsonb NULL,
    idempotency_key varchar(128) NULL,
    occurred_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((causation_log IS NULL) = (causation_id IS NULL)){constraints}
)"#
        ),
        format!(r#"CREATE INDEX "{log}_subject" ON "{log}" ({subject_index}, occurred_at, id)"#),
        format!(r#"CREATE INDEX "{log}_actor" ON "{log}" ({actor_index}, occurred_at, id) WHERE actor_id IS NOT NULL"#),
        format!(r#"CREATE INDEX "{log}_batch" ON "{log}" (batch_id, occurred_at, id) WHERE batch_id IS NOT NULL"#),
        format!(r#"CREATE INDEX "{log}_time" ON "{log}" (occurred_at, id)"#),
        format!(r#"CREATE INDEX "{log}_corr" ON "{log}" (correlation_id, id) WHERE correlation_id IS NOT NULL"#),
        format!(r#"CREATE UNIQUE INDEX "{log}_key" ON "{log}" (idempotency_key) WHERE idempotency_key IS NOT NULL"#),
        format!(
            r#"CREATE OR REPLACE FUNCTION "{log}_append_only"() RETURNS trigger LANGUAGE plpgsql {FUNCTION_SETTINGS} AS $${APPEND_ONLY}$$"#
        ),
        format!(
            r#"CREATE TRIGGER "{log}_no_update" BEFORE UPDATE ON "{log}" FOR EACH ROW EXECUTE FUNCTION "{log}_append_only"()"#
        ),
        format!(
            r#"CREATE TRIGGER "{log}_no_delete" BEFORE DELETE ON "{log}" FOR EACH ROW EXECUTE FUNCTION "{log}_append_only"()"#
        ),
        format!(
            r#"CREATE TRIGGER "{log}_no_empty" BEFORE TRUNCATE ON "{log}"
    FOR EACH STATEMENT EXECUTE FUNCTION "{log}_append_only"()"#
        ),
        SLEEPERS.to_owned(),
        in_this_schema(&format!(
            r#"CREATE OR REPLACE FUNCTION "{log}_wake"() RETURNS trigger LANGUAGE plpgsql {FUNCTION_SETTINGS} AS $$ DECLARE
    wanted boolean;
BEGIN
    -- Planned once. Should the schema be renamed later, the tables are asked for by its new name, which is planned each time.
    IF TG_TABLE_SCHEMA = @schema_text@ THEN
        wanted := EXISTS (SELECT FROM @schema@.event_sleepers WHERE until > clock_timestamp());
    ELSE
        EXECUTE format('SELECT EXISTS (SELECT FROM %I.event_sleepers WHERE until > clock_timestamp())', TG_TABLE_SCHEMA)
            INTO wanted;
    END IF;
    IF wanted THEN
        PERFORM pg_notify('event_recorded', TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END $$"#
        )),
        format!(
            r#"CREATE TRIGGER "{log}_wake" AFTER INSERT ON "{log}" FOR EACH STATEMENT EXECUTE FUNCTION "{log}_wake"()"#
        ),
    ]
}

/// Runs a statement in which `@schema@` is the schema that new tables are made in, and `@schema_text@` the same as text.
fn in_this_schema(statement: &str) -> String {
    format!(
        "DO $make$ BEGIN EXECUTE replace(replace($sql${statement}$sql$, '@schema@', quote_ident(current_schema())), \
         '@schema_text@', quote_literal(current_schema())); END $make$"
    )
}

/// The workers that sleep and want to be told; made with the first log, whose trigger asks it. What it holds is of use only
/// while the server runs: unlogged.
const SLEEPERS: &str = "CREATE UNLOGGED TABLE IF NOT EXISTS event_sleepers (
    owner varchar(64) PRIMARY KEY,
    until timestamptz NOT NULL
)";

/// The sleepers with them, which the first log made; logs are taken back after these tables.
pub(crate) fn system_down() -> Vec<String> {
    ["event_failures", "event_cursors", "event_retention", "event_sleepers"]
        .map(|table| format!("DROP TABLE IF EXISTS {table}"))
        .to_vec()
}

/// The permission to delete, which logs' triggers ask for; made with the first log. Its rows live within one transaction.
const RETENTION: &str = r#"CREATE TABLE IF NOT EXISTS event_retention (
    log varchar(64) COLLATE "C" NOT NULL PRIMARY KEY,
    upto bigint NOT NULL
)"#;

/// The table that a log's old events are moved to: its columns, and none of its triggers.
pub(crate) fn archive(log: &str, archive: &str) -> Vec<String> {
    vec![
        format!(r#"CREATE TABLE IF NOT EXISTS "{archive}" (LIKE "{log}")"#),
        format!(r#"CREATE UNIQUE INDEX IF NOT EXISTS "{archive}_id" ON "{archive}" (id)"#),
    ]
}

pub(crate) fn log_down(log: &str) -> Vec<String> {
    vec![
        format!(r#"DROP TABLE "{log}""#),
        format!(r#"DROP FUNCTION "{log}_append_only"()"#),
        format!(r#"DROP FUNCTION "{log}_wake"()"#),
    ]
}

/// The triggers that keep a log append-only. All call the function whose body is [`APPEND_ONLY`].
pub(crate) fn log_triggers(log: &str) -> [LogTrigger; 3] {
    [("no_update", 1 + 2 + 16), ("no_delete", 1 + 2 + 8), ("no_empty", 2 + 32)]
        .map(|(name, kind)| LogTrigger { name: format!("{log}_{name}"), kind })
}

pub(crate) fn system() -> Vec<String> {
    vec![
        r#"CREATE TABLE event_cursors (
    inbox varchar(64) COLLATE "C" NOT NULL,
    log varchar(64) COLLATE "C" NOT NULL,
    high bigint NOT NULL,
    ceiling bigint NOT NULL,
    missing text NOT NULL,
    in_flight text NOT NULL,
    epoch bigint NOT NULL,
    saves bigint NOT NULL,
    owner varchar(64) NULL,
    lease_until timestamptz NULL,
    leased_at timestamptz NULL,
    paused_at timestamptz NULL,
    paused_until timestamptz NULL,
    paused_why text NULL,
    probes bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (inbox, log)
) WITH (fillfactor = 50)"#
            .to_owned(),
        r#"CREATE TABLE event_failures (
    inbox varchar(64) COLLATE "C" NOT NULL,
    log varchar(64) COLLATE "C" NOT NULL,
    event_id bigint NOT NULL,
    subject_type varchar(64) NOT NULL,
    subject_id varchar(128) NOT NULL,
    action varchar(64) NOT NULL,
    state varchar(16) NOT NULL,
    attempts bigint NOT NULL,
    interrupted bigint NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NULL,
    kind varchar(16) NOT NULL,
    error text NOT NULL,
    started_at timestamptz NULL,
    first_failed_at timestamptz NOT NULL,
    last_failed_at timestamptz NOT NULL,
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
    log varchar(64) COLLATE "C" NOT NULL,
    name char(64) COLLATE "C" NOT NULL,
    action varchar(64) NOT NULL,
    until timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
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
    created_at timestamptz NOT NULL
)"#
        .to_owned(),
        "CREATE INDEX event_batches_parent ON event_batches (parent_id)".to_owned(),
    ]
}

/// Attachments. That the event of a claimed one is gone is asked of its log: by EXECUTE, since which log differs from row to row; in the
/// table's own schema, where a temporary table of the log's name is not found; and with an error where a policy hides events.
///
/// The table's owner may insert rows as they were: a restore of the data alone does (`pg_dump --data-only`).
pub(crate) fn attachments() -> Vec<String> {
    let allowed = Same("IS NOT DISTINCT FROM").allowed();
    vec![
        format!(
            r#"CREATE TABLE event_attachments (
    id varchar(36) COLLATE "C" NOT NULL PRIMARY KEY,
    name varchar(255) NOT NULL,
    content_type varchar(255) NOT NULL,
    state varchar(16) NOT NULL,
    size bigint NULL,
    sha256 char(64) NULL,
    log varchar(64) COLLATE "C" NULL,
    event_id bigint NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    {CHECKS}
)"#
        ),
        "CREATE INDEX event_attachments_event ON event_attachments (log, event_id) WHERE event_id IS NOT NULL"
            .to_owned(),
        "CREATE INDEX event_attachments_pending ON event_attachments (created_at, id) WHERE event_id IS NULL"
            .to_owned(),
        "CREATE INDEX event_attachments_removing ON event_attachments (id) WHERE state = 'removing'".to_owned(),
        format!(
            r#"CREATE OR REPLACE FUNCTION event_attachments_append_only() RETURNS trigger LANGUAGE plpgsql
    {FUNCTION_SETTINGS} SET row_security = off AS $$ DECLARE
    recorded boolean;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT ({FRESH}) AND NOT pg_has_role((SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE') THEN
            RAISE EXCEPTION '{INSERTED}';
        END IF;
        RETURN NEW;
    ELSIF TG_OP = 'DELETE' AND OLD.state = 'removing' THEN
        RETURN OLD;
    ELSIF TG_OP <> 'UPDATE' THEN
        RAISE EXCEPTION '{DELETED}';
    ELSIF NOT ({allowed}) THEN
        RAISE EXCEPTION '{CHANGED}';
    END IF;
    IF NEW.state = 'removing' AND OLD.event_id IS NOT NULL THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %I.%I WHERE id = $1)', TG_TABLE_SCHEMA, OLD.log)
            INTO recorded USING OLD.event_id;
        IF recorded THEN
            RAISE EXCEPTION '{DELETED}';
        END IF;
    END IF;
    RETURN NEW;
END $$"#
        ),
        "CREATE TRIGGER event_attachments_only_new BEFORE INSERT ON event_attachments
    FOR EACH ROW EXECUTE FUNCTION event_attachments_append_only()"
            .to_owned(),
        "CREATE TRIGGER event_attachments_no_update BEFORE UPDATE ON event_attachments
    FOR EACH ROW EXECUTE FUNCTION event_attachments_append_only()"
            .to_owned(),
        "CREATE TRIGGER event_attachments_no_delete BEFORE DELETE ON event_attachments
    FOR EACH ROW EXECUTE FUNCTION event_attachments_append_only()"
            .to_owned(),
        "CREATE TRIGGER event_attachments_no_empty BEFORE TRUNCATE ON event_attachments
    FOR EACH STATEMENT EXECUTE FUNCTION event_attachments_append_only()"
            .to_owned(),
    ]
}

pub(crate) fn attachments_down() -> Vec<String> {
    vec!["DROP TABLE event_attachments".to_owned(), "DROP FUNCTION event_attachments_append_only()".to_owned()]
}
