//! The tables on MySQL and MariaDB.

use sea_orm::DbBackend;

use super::attachments::{CHANGED, CHECKS, DELETED, FRESH, INSERTED, Same};
use super::who::Who;
use crate::backend::dialect;
use crate::own_table::{self, OwnTable};

/// The rows of a log's slots.
pub(crate) const SLOTS: u16 = 256;

/// The table of a log's slots.
pub(crate) fn slots(log: &str) -> String {
    format!("{log}_slots")
}

/// The index by which an idempotency key is taken once.
pub(crate) fn key(log: &str) -> String {
    format!("{log}_key")
}

/// Text is compared as it is, without folding of case, accents or trailing spaces; ids and times as numbers and UTC. What
/// stands in `/*M!` is read by MariaDB alone, in `/*!80017` by MySQL alone.
const TABLE: &str = "ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 /*M! COLLATE utf8mb4_nopad_bin */ /*!80017 COLLATE utf8mb4_0900_bin */";

/// A log.
///
/// Every statement here is a transaction by itself, so that a migration may end anywhere in between: all is made under names
/// that nobody else has (with a `~`), and renamed at once. What an earlier run left is dropped first.
///
/// - JSON is kept as text, as it was recorded: MySQL's own type for it would change numbers and the order of keys.
/// - The slots show who is recording. Whoever inserts holds a share lock on one of them from before its id is drawn to the end
///   of its transaction: the trigger sees to it. The connection's number and the time only spread the load: which slot it is
///   does not matter.
/// - `event_id` is never filled: its foreign key has TRUNCATE, which fires no trigger, refused.
/// - `NEW.id` is 0 or NULL before the id is drawn, also where the session chose it by `SET insert_id`, which the trigger refuses: one
///   below the cursors would never be delivered, the highest one would be the log's last. The AFTER INSERT trigger refuses what then is
///   no drawn one: 0, under
///   NO_AUTO_VALUE_ON_ZERO. (A CHECK may not name an AUTO_INCREMENT column.)
pub(crate) fn log(log: &str, who: &Who) -> Vec<String> {
    let Who { columns, constraints, subject_index, actor_index } = who;
    let (slots, key) = (slots(log), key(log));
    let [slot, id, update, delete] = log_triggers(log).map(|trigger| trigger.create(log));
    let (metadata, context, snapshot) =
        (object("metadata"), object("context"), json("snapshot", "json_valid(snapshot)", "true"));
    vec![
        format!(
            "CREATE TABLE IF NOT EXISTS event_retention (log varchar(64) NOT NULL PRIMARY KEY, upto bigint NOT NULL) {TABLE}"
        ),
        format!("DROP TABLE IF EXISTS `{slots}~`, `{log}~`"),
        format!(
            r"CREATE TABLE `{log}~` (
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    {columns}
    action varchar(64) NOT NULL,
    version bigint NOT NULL,
    metadata longtext NOT NULL,
    context longtext NULL,
    correlation_id varchar(128) NULL,
    causation_log varchar(64) NULL,
    causation_id bigint NULL,
    batch_id varchar(128) NULL,
    snapshot longtext NULL,
    idempotency_key varchar(128) NULL,
    occurred_at datetime(6) NOT NULL,
    created_at datetime(6) NOT NULL DEFAULT (utc_timestamp(6)),
    KEY `{log}_subject` ({subject_index}, occurred_at, id),
    KEY `{log}_actor` ({actor_index}, occurred_at, id),
    KEY `{log}_batch` (batch_id, occurred_at, id),
    KEY `{log}_time` (occurred_at, id),
    KEY `{log}_corr` (correlation_id, id),
    UNIQUE KEY `{key}` (idempotency_key),
    CONSTRAINT `{log}_metadata` CHECK ({metadata}),
    CONSTRAINT `{log}_context` CHECK (context IS NULL OR {context}),
    CONSTRAINT `{log}_snapshot` CHECK (snapshot IS NULL OR {snapshot}),
    CONSTRAINT `{log}_cause` CHECK ((causation_log IS NULL) = (causation_id IS NULL)){constraints}
) {TABLE}"
        ),
        format!(
            "CREATE TABLE `{slots}~` (
    id smallint NOT NULL PRIMARY KEY,
    event_id bigint NULL,
    CONSTRAINT `{log}_kept` FOREIGN KEY (event_id) REFERENCES `{log}~` (id)
) {TABLE}"
        ),
        format!(
            "INSERT INTO `{slots}~` (id) VALUES {}",
            (0..SLOTS).map(|id| format!("({id})")).collect::<Vec<_>>().join(", ")
        ),
        slot,
        id,
        update,
        delete,
        format!("RENAME TABLE `{log}~` TO `{log}`, `{slots}~` TO `{slots}`"),
    ]
}

/// A condition: the column holds a JSON object.
fn object(column: &str) -> String {
    json(column, &format!("json_valid({column}) AND json_type({column}) = 'OBJECT'"), &format!("{column} LIKE '{{%}}'"))
}

/// A condition on a column that holds JSON. MariaDB's functions know no more than 32 levels of nesting: what may have more is
/// judged by its look.
fn json(column: &str, condition: &str, look: &str) -> String {
    let brackets = format!("char_length({column}) - char_length(replace(replace({column}, '[', ''), '{{', ''))");
    format!("CASE WHEN {brackets} > 32 THEN {look} ELSE {condition} END")
}

/// The permission to delete is a row that lives within one transaction. (Made here and not by `system`: logs are made first.)
fn not_allowed(log: &str) -> String {
    format!("IF NOT EXISTS (SELECT 1 FROM event_retention WHERE log = '{log}' AND upto >= OLD.id) THEN")
}

/// The table that a log's old events are moved to: its columns, and none of its triggers. Not `LIKE`, which makes the log's indexes too:
/// an idempotency key may come again once its event has left the log.
pub(crate) fn archive(log: &str, archive: &str) -> Vec<String> {
    vec![format!(
        "CREATE TABLE IF NOT EXISTS `{archive}` (PRIMARY KEY (id)) ENGINE = InnoDB AS SELECT * FROM `{log}` WHERE 1 = 0"
    )]
}

/// A trigger of a log, in the words in which `information_schema.triggers` has it.
pub(crate) struct LogTrigger {
    pub(crate) name: String,
    pub(crate) timing: &'static str,
    pub(crate) event: &'static str,
    pub(crate) body: String,
}

impl LogTrigger {
    /// One that refuses, always or on a condition.
    fn refusing(
        log: &str,
        name: &str,
        (timing, event): (&'static str, &'static str),
        condition: &str,
        why: &str,
    ) -> Self {
        let end = if condition.is_empty() { "" } else { " END IF;" };
        let body = format!(
            "BEGIN
    {condition} SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'events are append-only: {why}';{end}
END"
        );
        Self { name: format!("{log}_{name}"), timing, event, body }
    }

    /// The statement that creates it, on the table's first name.
    fn create(self, log: &str) -> String {
        let Self { name, timing, event, body } = self;
        format!("CREATE TRIGGER `{name}` {timing} {event} ON `{log}~` FOR EACH ROW {body}")
    }
}

/// The triggers that [`log`] makes; exactness rests on the first. The start of a dispatcher compares them, but for white space.
pub(crate) fn log_triggers(log: &str) -> [LogTrigger; 4] {
    let slots = slots(log);
    let slot = LogTrigger {
        name: format!("{log}_slot"),
        timing: "BEFORE",
        event: "INSERT",
        body: format!(
            r"BEGIN
    DECLARE slot smallint DEFAULT connection_id() % 64 + 64 * (floor(unix_timestamp() / 2) % 4);
    DECLARE locked, known smallint;
    IF NEW.id <> 0 OR @@insert_id <> 0 THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'events are append-only: leave the id to the database';
    END IF;
    SELECT id INTO locked FROM `{slots}` WHERE id = slot LOCK IN SHARE MODE;
    IF locked IS NULL THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'events can''t be recorded: a row of `{slots}` is missing';
    END IF;{}
END",
            exact_keys(log)
        ),
    };
    let refusing = |name, when, condition: &str, why| LogTrigger::refusing(log, name, when, condition, why);
    [
        slot,
        refusing("id", ("AFTER", "INSERT"), "IF NEW.id < 1 THEN", "leave the id to the database"),
        refusing("update", ("BEFORE", "UPDATE"), "", "an event can''t be changed; record another one"),
        refusing("delete", ("BEFORE", "DELETE"), &not_allowed(log), "an event can''t be deleted"),
    ]
}

/// A text column's bytes, in whatever character set and collation it is.
pub(crate) fn exact_text(column: &str) -> String {
    format!("CAST(CONVERT({column} USING utf8mb4) AS BINARY)")
}

/// What refuses, in a typed table, a text key that is not the very one of a row: the foreign key has the collation of the column that it
/// refers to, which by default takes `A` for `a`. As no such row, which it is on every other database. The row is locked as the foreign
/// key locks it.
fn exact_keys(log: &str) -> String {
    let Ok(dialect) = dialect(DbBackend::MySql) else { return String::new() };
    let keys = own_table::of(log).into_iter().flat_map(OwnTable::text_keys);
    let checks = keys.map(|(key, target)| {
        let (table, column) = (target.quoted(dialect), dialect.quoted(target.column));
        let (row, new) = (exact_text(&column), exact_text(&format!("NEW.{key}")));
        format!(
            r"
    IF NEW.{key} IS NOT NULL THEN
        SET known = NULL;
        SELECT 1 INTO known FROM {table} WHERE {column} = NEW.{key} AND {row} = {new} LOCK IN SHARE MODE;
        IF known IS NULL THEN
            SIGNAL SQLSTATE '23000' SET MYSQL_ERRNO = 1452, MESSAGE_TEXT = 'no row has the key in {key}';
        END IF;
    END IF;"
        )
    });
    checks.collect()
}

pub(crate) fn log_down(log: &str) -> Vec<String> {
    vec![format!("DROP TABLE IF EXISTS `{}`", slots(log)), format!("DROP TABLE `{log}`")]
}

/// What may be there already is what a run made that was cut short.
pub(crate) fn system() -> Vec<String> {
    vec![
        format!(
            "CREATE TABLE IF NOT EXISTS event_cursors (
    inbox varchar(64) NOT NULL,
    log varchar(64) NOT NULL,
    high bigint NOT NULL,
    ceiling bigint NOT NULL,
    missing longtext NOT NULL,
    in_flight longtext NOT NULL,
    epoch bigint NOT NULL,
    saves bigint NOT NULL,
    owner varchar(64) NULL,
    lease_until datetime(6) NULL,
    leased_at datetime(6) NULL,
    paused_at datetime(6) NULL,
    paused_until datetime(6) NULL,
    paused_why text NULL,
    probes bigint NOT NULL DEFAULT 0,
    updated_at datetime(6) NOT NULL,
    PRIMARY KEY (inbox, log)
) {TABLE}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS event_failures (
    inbox varchar(64) NOT NULL,
    log varchar(64) NOT NULL,
    event_id bigint NOT NULL,
    subject_type varchar(64) NOT NULL,
    subject_id varchar(128) NOT NULL,
    action varchar(64) NOT NULL,
    state varchar(16) NOT NULL,
    attempts bigint NOT NULL,
    interrupted bigint NOT NULL DEFAULT 0,
    next_attempt_at datetime(6) NULL,
    kind varchar(16) NOT NULL,
    error text NOT NULL,
    started_at datetime(6) NULL,
    first_failed_at datetime(6) NOT NULL,
    last_failed_at datetime(6) NOT NULL,
    PRIMARY KEY (inbox, log, event_id),
    KEY event_failures_due (inbox, state, next_attempt_at),
    KEY event_failures_event (log, event_id)
) {TABLE}"
        ),
    ]
}

/// Throttles that are taken; `name` is what counts together, as a hash.
pub(crate) fn throttles() -> Vec<String> {
    vec![format!(
        r#"CREATE TABLE IF NOT EXISTS event_throttles (
    log varchar(64) NOT NULL,
    name char(64) NOT NULL,
    action varchar(64) NOT NULL,
    until datetime(6) NOT NULL,
    last_at datetime(6) NOT NULL,
    PRIMARY KEY (log, name),
    KEY event_throttles_until (until)
) {TABLE}"#
    )]
}

/// Batches: what events were recorded together, and why.
pub(crate) fn batches() -> Vec<String> {
    vec![format!(
        r#"CREATE TABLE IF NOT EXISTS event_batches (
    id varchar(128) NOT NULL PRIMARY KEY,
    parent_id varchar(128) NULL,
    description text NOT NULL,
    created_at datetime(6) NOT NULL,
    KEY event_batches_parent (parent_id)
) {TABLE}"#
    )]
}

/// Attachments. Made under a name that nobody else has, as a log is, so that the table is never without its triggers.
pub(crate) fn attachments() -> Vec<String> {
    let allowed = Same("<=>").allowed();
    let refuse = |why| format!("SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{why}'");
    vec![
        "DROP TABLE IF EXISTS `event_attachments~`".to_owned(),
        format!(
            r"CREATE TABLE `event_attachments~` (
    id varchar(36) NOT NULL PRIMARY KEY,
    name varchar(255) NOT NULL,
    content_type varchar(255) NOT NULL,
    state varchar(16) NOT NULL,
    size bigint NULL,
    sha256 char(64) NULL,
    log varchar(64) NULL,
    event_id bigint NULL,
    created_at datetime(6) NOT NULL DEFAULT (utc_timestamp(6)),
    KEY event_attachments_event (log, event_id),
    KEY event_attachments_pending (event_id, created_at),
    KEY event_attachments_removing (state, id),
    {CHECKS}
) {TABLE}"
        ),
        format!(
            "CREATE TRIGGER event_attachments_insert BEFORE INSERT ON `event_attachments~` FOR EACH ROW BEGIN
    IF NOT ({FRESH}) THEN {}; END IF;
END",
            refuse(INSERTED)
        ),
        format!(
            "CREATE TRIGGER event_attachments_update BEFORE UPDATE ON `event_attachments~` FOR EACH ROW BEGIN
    IF NOT ({allowed}) THEN {}; END IF;
END",
            refuse(CHANGED)
        ),
        format!(
            "CREATE TRIGGER event_attachments_delete BEFORE DELETE ON `event_attachments~` FOR EACH ROW BEGIN
    IF OLD.state <> 'removing' THEN {}; END IF;
END",
            refuse(DELETED)
        ),
        "RENAME TABLE `event_attachments~` TO event_attachments".to_owned(),
    ]
}
