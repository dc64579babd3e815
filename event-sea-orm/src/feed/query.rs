//! What a feed asks for, and the statement that asks the database.
//!
//! A feed is a union of branches, each one walk along one index: a log and one subject of it, or one actor, or nothing.
//! Every branch gives at most a page, newest first; the database merges them.

use std::collections::BTreeSet;
use std::sync::Arc;

use event_core::{ActorRef, LogName, StoredEvent, SubjectRef};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::token::PageToken;
use super::{FeedError, PAGE_DEFAULT, PAGE_MAX};
use crate::backend::{Dialect, Sql, dialect};
use crate::row::{integer, stored_event};

/// SQLite refuses more than 500 SELECTs in one; beyond this many branches there is a second statement.
const BRANCHES: usize = 100;

#[derive(Clone, Debug)]
pub(super) struct Query {
    /// Sorted, so that a log's place here is its place in the order of a page.
    pub(super) logs: BTreeSet<LogName>,
    /// The only kind of subject, for a typed feed.
    pub(super) kind: Option<&'static str>,
    /// `None` is all; an empty set is nothing.
    pub(super) subjects: Option<BTreeSet<SubjectRef>>,
    pub(super) actors: Option<BTreeSet<ActorRef>>,
    pub(super) actions: Option<BTreeSet<String>>,
    /// Actions of the subject that belong to another enum.
    pub(super) but: BTreeSet<&'static str>,
    pub(super) limit: u64,
    pub(super) after: Option<PageToken>,
}

/// The events of a page, and where the next one begins.
pub(super) struct Found {
    pub(super) events: Vec<Arc<StoredEvent>>,
    pub(super) next: Option<PageToken>,
}

#[derive(Clone, Copy)]
struct Branch<'a> {
    log_index: usize,
    log: &'a LogName,
    subject: Option<&'a SubjectRef>,
    actor: Option<&'a ActorRef>,
}

impl Query {
    pub(super) fn of_logs(logs: impl IntoIterator<Item = LogName>) -> Self {
        Self {
            logs: logs.into_iter().collect(),
            kind: None,
            subjects: None,
            actors: None,
            actions: None,
            but: BTreeSet::new(),
            limit: PAGE_DEFAULT,
            after: None,
        }
    }

    pub(super) async fn run<C: ConnectionTrait>(&self, conn: &C) -> Result<Found, FeedError> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        if self.limit < 1 || self.limit > PAGE_MAX {
            return Err(FeedError::BadLimit { given: self.limit });
        }
        let backend = conn.get_database_backend();
        let dialect = dialect(backend)?;
        let logs: Vec<_> = self.logs.iter().collect();
        let mut events = Vec::new();
        for branches in self.branches().chunks(BRANCHES) {
            let statement = self.statement(dialect, backend, branches);
            for row in conn.query_all_raw(statement).await.map_err(|error| FeedError::of(dialect, error))? {
                let index = integer(&row, "log_index")?;
                // The statement's own number.
                if let Some(log) = usize::try_from(index).ok().and_then(|index| logs.get(index)) {
                    events.push(Arc::new(stored_event(log, &row, 1)?));
                }
            }
        }
        events.sort_by(|a, b| place(b).cmp(&place(a)));
        let more = events.len() > limit;
        events.truncate(limit);
        let next = if more { events.last().map(|event| PageToken::at(event)) } else { None };
        Ok(Found { events, next })
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        if self.actions.as_ref().is_some_and(BTreeSet::is_empty) {
            return Vec::new();
        }
        let mut branches = Vec::new();
        for (log_index, log) in self.logs.iter().enumerate() {
            let whole = Branch { log_index, log, subject: None, actor: None };
            match (&self.subjects, &self.actors) {
                (_, Some(actors)) if actors.is_empty() => {}
                (Some(subjects), _) => {
                    branches.extend(subjects.iter().map(|subject| Branch { subject: Some(subject), ..whole }));
                }
                (None, Some(actors)) => {
                    branches.extend(actors.iter().map(|actor| Branch { actor: Some(actor), ..whole }));
                }
                (None, None) => branches.push(whole),
            }
        }
        branches
    }

    fn statement(&self, dialect: &dyn Dialect, backend: DbBackend, branches: &[Branch<'_>]) -> Statement {
        let mut sql = Sql::new(dialect);
        if let [branch] = branches {
            self.branch(&mut sql, dialect, branch);
            return sql.statement(backend);
        }
        sql.push("SELECT * FROM (");
        for (index, branch) in branches.iter().enumerate() {
            if index > 0 {
                sql.push(" UNION ALL ");
            }
            sql.push("SELECT * FROM (");
            self.branch(&mut sql, dialect, branch);
            sql.push(&format!(") AS branch_{index}"));
        }
        sql.push(") AS page ORDER BY occurred_at DESC, log_index DESC, id DESC LIMIT ").bind(self.fetched());
        sql.statement(backend)
    }

    /// One more than a page: whether there is a next one.
    fn fetched(&self) -> i64 {
        i64::try_from(self.limit).unwrap_or(i64::MAX).saturating_add(1)
    }

    /// Conditions beside the index's are written so that they can't choose another index, which would then have to be
    /// sorted: a log has many events of a kind, and few of them are on the page.
    fn branch(&self, sql: &mut Sql<'_>, dialect: &dyn Dialect, branch: &Branch<'_>) {
        sql.push(&format!("SELECT {} AS log_index, {} FROM ", branch.log_index, dialect.columns()))
            .name(branch.log.as_str());
        let mut word = " WHERE ";
        let mut and = |sql: &mut Sql<'_>| {
            sql.push(word);
            word = " AND ";
        };
        if let Some(subject) = branch.subject {
            and(sql);
            sql.push("subject_type = ").bind(subject.kind.as_ref());
            sql.push(" AND subject_id = ").bind(subject.id.as_str());
        } else if let Some(kind) = self.kind {
            and(sql);
            sql.push(&dialect.without_index("subject_type")).push(" = ").bind(kind);
        }
        if let Some(actor) = branch.actor {
            and(sql);
            sql.push("actor_type = ").bind(actor.kind.as_ref());
            sql.push(" AND actor_id = ").bind(actor.id.as_str());
        } else if let Some(actors) = &self.actors {
            and(sql);
            let (kind, id) = (dialect.without_index("actor_type"), dialect.without_index("actor_id"));
            for (index, actor) in actors.iter().enumerate() {
                sql.push(if index == 0 { "(" } else { " OR " });
                sql.push(&format!("({kind} = ")).bind(actor.kind.as_ref());
                sql.push(&format!(" AND {id} = ")).bind(actor.id.as_str()).push(")");
            }
            sql.push(")");
        }
        if let Some(actions) = &self.actions {
            and(sql);
            sql.push("action IN ").list(actions.iter().map(String::as_str));
        }
        if !self.but.is_empty() {
            and(sql);
            sql.push("action NOT IN ").list(self.but.iter().copied());
        }
        if let Some(after) = &self.after {
            and(sql);
            match branch.log.cmp(&after.log) {
                std::cmp::Ordering::Equal => {
                    dialect.older(sql, after.occurred_at, after.id);
                }
                std::cmp::Ordering::Less => {
                    sql.push("occurred_at <= ").bind(after.occurred_at);
                }
                std::cmp::Ordering::Greater => {
                    sql.push("occurred_at < ").bind(after.occurred_at);
                }
            }
        }
        sql.push(" ORDER BY occurred_at DESC, id DESC LIMIT ").bind(self.fetched());
    }
}

/// An event's place in every feed.
fn place(event: &StoredEvent) -> (chrono::DateTime<chrono::Utc>, &LogName, i64) {
    (event.occurred_at, &event.at.log, event.at.id)
}
