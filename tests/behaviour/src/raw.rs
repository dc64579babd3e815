//! Rows as somebody else writes them, or as a crash leaves them: by raw SQL.

use sea_orm::{ConnectionTrait, DbErr};

use crate::{Kind, TestDb};

/// An event of an issue, to be written by raw SQL.
#[derive(Clone, Debug)]
pub struct RawEvent {
    log: String,
    id: Option<i64>,
    subject: String,
    key: Option<String>,
    action: String,
    version: i32,
    metadata: String,
}

impl RawEvent {
    /// One that decodes.
    pub fn closed() -> Self {
        Self::of("closed", 1, "{}")
    }

    /// One of this action, version and metadata.
    pub fn of(action: &str, version: i32, metadata: &str) -> Self {
        Self {
            log: "events".to_owned(),
            id: None,
            subject: "issue".to_owned(),
            key: None,
            action: action.to_owned(),
            version,
            metadata: metadata.to_owned(),
        }
    }

    /// In another log than the shared one.
    #[must_use]
    pub fn in_log(mut self, log: &str) -> Self {
        self.log = log.to_owned();
        self
    }

    /// With an id that the database did not choose.
    #[must_use]
    pub fn id(mut self, id: i64) -> Self {
        self.id = Some(id);
        self
    }

    /// Of another kind of subject than an issue.
    #[must_use]
    pub fn of_subject(mut self, kind: &str) -> Self {
        self.subject = kind.to_owned();
        self
    }

    /// With an idempotency key.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// `(columns) VALUES (values)`
    pub fn columns_and_values(&self, db: &TestDb) -> String {
        let Self { id, subject, key, action, version, metadata, log: _ } = self;
        let mut columns = "subject_type, subject_id, action, version, metadata, occurred_at".to_owned();
        let time = db.time("2030-01-01T00:00:00+00:00");
        let mut values = format!("'{subject}', '1', '{action}', {version}, '{metadata}', {time}");
        if let Some(key) = key {
            columns.push_str(", idempotency_key");
            values.push_str(&format!(", '{key}'"));
        }
        let Some(id) = id else { return format!("({columns}) VALUES ({values})") };
        let overriding = if db.kind() == Kind::Postgres { " OVERRIDING SYSTEM VALUE" } else { "" };
        format!("(id, {columns}){overriding} VALUES ({id}, {values})")
    }

    /// The statement that writes it into its log.
    pub fn insert(&self, db: &TestDb) -> String {
        format!("INSERT INTO {} {}", self.log, self.columns_and_values(db))
    }

    /// Writes it into its log.
    pub async fn write(&self, db: &TestDb) -> Result<(), DbErr> {
        db.execute_unprepared(&self.insert(db)).await.map(drop)
    }
}

/// A failure row of an issue's event, to be written by raw SQL.
#[derive(Clone, Copy, Debug)]
pub struct RawFailure {
    /// The inbox.
    pub inbox: &'static str,
    /// The log.
    pub log: &'static str,
    /// The event.
    pub id: i64,
    /// How often it was begun.
    pub attempts: u32,
    /// When it is to be tried again.
    pub next_attempt_at: Option<&'static str>,
    /// When it was begun, if it has not ended.
    pub started_at: Option<&'static str>,
}

impl RawFailure {
    /// Writes it.
    pub async fn write(self, db: &TestDb) {
        let Self { inbox, log, id, attempts, .. } = self;
        let time = |time: Option<&str>| time.map_or_else(|| "NULL".to_owned(), |time| db.time(time));
        let (next, started) = (time(self.next_attempt_at), time(self.started_at));
        let kind = if self.started_at.is_some() { "crash" } else { "error" };
        let failed = db.time("2026-01-01T00:00:00+00:00");
        let sql = format!(
            "INSERT INTO event_failures (inbox, log, event_id, subject_type, subject_id, action, state, attempts, \
             next_attempt_at, kind, error, started_at, first_failed_at, last_failed_at) VALUES ('{inbox}', '{log}', {id}, \
             'issue', '0', 'closed', 'retrying', {attempts}, {next}, '{kind}', 'x', {started}, {failed}, {failed})"
        );
        db.execute_unprepared(&sql).await.unwrap();
    }
}
