//! What a feed asks for, and the statement that asks the database.
//!
//! A feed is a union of branches, each one walk along one index: a log and one subject of it, or one actor, or nothing.
//! Every branch gives at most a page, newest first; the database merges them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use event_core::{ActorRef, LogName, StoredEvent, SubjectRef};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::size;
use super::token::PageToken;
use super::{FeedError, PAGE_DEFAULT, PAGE_MAX};
use crate::backend::{Dialect, Sql, dialect};
use crate::names::Names;
use crate::own_table::{self, OwnTable};
use crate::row::{integer, stored_event};

/// SQLite refuses more than 500 SELECTs in one; beyond this many branches there is a second statement.
const BRANCHES: usize = 100;

/// How many values a statement binds at most for lists; SQLite takes 32,766 in all, the servers 65,535.
const VALUES: usize = 30_000;

/// How many actors, and how many batches, a branch names; more of them are further branches.
const LISTED: usize = 5_000;

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
    /// And these, which are of one kind of subject in one log only: log, kind, action.
    pub(super) aliases: BTreeSet<(&'static str, &'static str, &'static str)>,
    pub(super) batches: Option<BTreeSet<String>>,
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
    table: Option<&'static OwnTable>,
    subject: Option<&'a SubjectRef>,
    /// Whose index is walked.
    actor: Option<&'a ActorRef>,
    /// Of these, where the branch walks a subject's index.
    actors: Option<&'a [&'a ActorRef]>,
    batches: Option<&'a [&'a str]>,
}

/// What is listed in statements, in parts of a bounded length.
struct Lists<'a> {
    actors: Option<Vec<&'a ActorRef>>,
    batches: Option<Vec<&'a str>>,
}

/// The parts of a list: one, `None`, where there is no list.
fn parts<T>(list: &Option<Vec<T>>) -> Vec<Option<&[T]>> {
    match list {
        None => vec![None],
        Some(list) => list.chunks(LISTED).map(Some).collect(),
    }
}

impl Branch<'_> {
    /// About how many values it binds.
    fn values(&self) -> usize {
        self.actors.map_or(0, <[_]>::len) + self.batches.map_or(0, <[_]>::len)
    }

    /// Whether both can be parts of one statement: the columns of tables of their own have types of their own.
    fn goes_with(&self, other: &Self) -> bool {
        self.log == other.log || self.table.is_none() && other.table.is_none()
    }
}

impl Query {
    pub(super) fn of_logs(logs: impl IntoIterator<Item = LogName>) -> Self {
        Self {
            logs: logs.into_iter().collect(),
            kind: None,
            subjects: None,
            actors: None,
            actions: None,
            aliases: BTreeSet::new(),
            batches: None,
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
        let (mut events, mut names) = (Vec::new(), Names::default());
        let lists = Lists {
            actors: self.actors.as_ref().map(|actors| actors.iter().collect()),
            batches: self.batches.as_ref().map(|batches| batches.iter().map(String::as_str).collect()),
        };
        let branches = self.branches(&lists);
        let of_one_kind = branches.chunk_by(|one, other| one.goes_with(other));
        // All have lists of about the same length.
        let listed =
            branches.iter().map(Branch::values).max().unwrap_or(0) + self.actions.as_ref().map_or(0, BTreeSet::len);
        let together = (VALUES / listed.max(1)).clamp(1, BRANCHES);
        for branches in of_one_kind.flat_map(|branches| branches.chunks(together)) {
            let Some(statement) = self.statement(dialect, backend, branches) else { continue };
            for row in conn.query_all_raw(statement).await.map_err(|error| FeedError::of(dialect, error))? {
                let index = integer(&row, "log_index")?;
                // The statement's own number.
                if let Some(log) = usize::try_from(index).ok().and_then(|index| logs.get(index)) {
                    let table = branches.first().and_then(|branch| branch.table);
                    let event = stored_event(log, table, &mut names, &row, 1)?;
                    if dialect.keeps_plans() {
                        size::seen(&event.at);
                    }
                    events.push(Arc::new(event));
                }
            }
        }
        events.sort_by(|a, b| place(b).cmp(&place(a)));
        let more = events.len() > limit;
        events.truncate(limit);
        let next = if more { events.last().map(|event| PageToken::at(event)) } else { None };
        Ok(Found { events, next })
    }

    fn branches<'a>(&'a self, lists: &'a Lists<'a>) -> Vec<Branch<'a>> {
        if self.actions.as_ref().is_some_and(BTreeSet::is_empty) {
            return Vec::new();
        }
        let mut branches = Vec::new();
        for (log_index, log) in self.logs.iter().enumerate() {
            let table = own_table::of(log.as_str());
            // Without a part, of an empty list, there is no branch, and so no row.
            for batches in parts(&lists.batches) {
                let whole = Branch { log_index, log, table, subject: None, actor: None, actors: None, batches };
                match (&self.subjects, &self.actors) {
                    (Some(subjects), _) => {
                        for actors in parts(&lists.actors) {
                            branches.extend(subjects.iter().map(|subject| Branch {
                                subject: Some(subject),
                                actors,
                                ..whole
                            }));
                        }
                    }
                    (None, Some(actors)) => {
                        branches.extend(actors.iter().map(|actor| Branch { actor: Some(actor), ..whole }));
                    }
                    (None, None) => branches.push(whole),
                }
            }
        }
        branches
    }

    /// The statement; none where no row could be in any of the branches.
    fn statement(&self, dialect: &dyn Dialect, backend: DbBackend, branches: &[Branch<'_>]) -> Option<Statement> {
        let branches: Vec<_> = branches.iter().filter(|branch| self.can_match(dialect, branch)).collect();
        let mut sql = Sql::new(dialect);
        match branches[..] {
            [] => return None,
            [branch] => self.branch(&mut sql, dialect, branch),
            _ => {
                sql.push("SELECT * FROM (");
                for (index, branch) in branches.iter().enumerate() {
                    if index > 0 {
                        sql.push(" UNION ALL ");
                    }
                    sql.push("SELECT * FROM (");
                    self.branch(&mut sql, dialect, branch);
                    sql.push(&format!(") AS branch_{index}"));
                }
                sql.push(&format!(
                    ") AS page ORDER BY occurred_at DESC, log_index DESC, id DESC LIMIT {}",
                    self.fetched()
                ));
            }
        }
        if dialect.keeps_plans() {
            let largest = branches.iter().map(|branch| size::of(branch.log)).max().unwrap_or(0);
            sql.push(&format!(" /* size {largest} */"));
        }
        Some(sql.statement(backend))
    }

    /// Whether a table of its own could hold what is asked for: its subjects and actors are of one kind each.
    fn can_match(&self, dialect: &dyn Dialect, branch: &Branch<'_>) -> bool {
        let Some(table) = branch.table else { return true };
        let mut sql = Sql::new(dialect);
        let of = branch.subject.is_none_or(|subject| table.is_of(&mut sql, subject));
        let kind = self.kind.is_none_or(|kind| kind == table.subject.kind);
        let mut is_by = |actor: &ActorRef| table.is_by(&mut sql, "", actor).unwrap_or(true);
        let by = match (branch.actor, branch.actors) {
            (Some(actor), _) => is_by(actor),
            (None, Some(actors)) => actors.iter().any(|actor| is_by(actor)),
            (None, None) => true,
        };
        of && kind && by
    }

    /// One more than a page: whether there is a next one. Written into the statement and not bound: a plan for any limit looks dear
    /// to PostgreSQL on a long log (it takes a tenth of all rows for granted), so that it would plan every page anew.
    fn fetched(&self) -> i64 {
        i64::try_from(self.limit).unwrap_or(i64::MAX).saturating_add(1)
    }

    /// Conditions beside the index's are written so that they can't choose another index, which would then have to be
    /// sorted: a log has many events of a kind, and few of them are on the page.
    fn branch(&self, sql: &mut Sql<'_>, dialect: &dyn Dialect, branch: &Branch<'_>) {
        let columns = own_table::columns(dialect, branch.table);
        sql.push(&format!("SELECT {} AS log_index, {columns} FROM ", branch.log_index)).name(branch.log.as_str());
        if branch.subject.is_none() && branch.actor.is_none() && branch.batches.is_none() {
            sql.push(&dialect.by_time(branch.log.as_str()));
        }
        let table = branch.table;
        let mut word = " WHERE ";
        let mut and = |sql: &mut Sql<'_>| {
            sql.push(word);
            word = " AND ";
        };
        if let Some(subject) = branch.subject {
            and(sql);
            match table {
                Some(table) => {
                    table.is_of(sql, subject);
                }
                None => {
                    sql.push("subject_type = ").bind(subject.kind.as_ref());
                    sql.push(" AND subject_id = ").bind(subject.id.as_str());
                }
            }
        } else if let (Some(kind), None) = (self.kind, table) {
            and(sql);
            sql.push(&dialect.without_index("subject_type")).push(" = ").bind(kind);
        }
        if let Some(actor) = branch.actor {
            and(sql);
            if table.and_then(|table| table.is_by(sql, "actor_id", actor)).is_none() {
                sql.push("actor_type = ").bind(actor.kind.as_ref());
                sql.push(" AND actor_id = ").bind(actor.id.as_str());
            }
        } else if let Some(actors) = branch.actors {
            and(sql);
            is_by_one_of(sql, dialect, table, actors);
        }
        if let Some(actions) = &self.actions {
            and(sql);
            self.actions_of(sql, dialect, branch, actions);
        }
        if let Some(batches) = branch.batches {
            and(sql);
            sql.push("batch_id IN ").set(batches.iter().copied());
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
        sql.push(&format!(" ORDER BY occurred_at DESC, id DESC LIMIT {}", self.fetched()));
    }
}

impl Query {
    /// The actions by the names that were asked for, or by others that are theirs with one kind of subject only.
    fn actions_of(&self, sql: &mut Sql<'_>, dialect: &dyn Dialect, branch: &Branch<'_>, actions: &BTreeSet<String>) {
        let mut kinds: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (_, kind, name) in self.aliases.iter().filter(|(log, ..)| *log == branch.log.as_str()) {
            kinds.entry(*kind).or_default().push(*name);
        }
        sql.push("(action IN ").set(actions.iter().map(String::as_str));
        for (kind, names) in kinds {
            match branch.table {
                Some(table) if table.subject.kind != kind => continue,
                Some(_) => {
                    sql.push(" OR action IN ");
                }
                None => {
                    sql.push(" OR ").push(&dialect.without_index("subject_type")).push(" = ").bind(kind);
                    sql.push(" AND action IN ");
                }
            }
            sql.list(names);
        }
        sql.push(")");
    }
}

/// Pushes the condition that one of these, sorted, is the actor; it can't choose the actors' index. One list for each kind: SQLite
/// takes no more than 1,000 conditions in a chain of ORs.
fn is_by_one_of(sql: &mut Sql<'_>, dialect: &dyn Dialect, table: Option<&OwnTable>, actors: &[&ActorRef]) {
    if let Some(key) = table.and_then(|table| table.actor.as_ref()) {
        let of_its_kind = actors.iter().filter(|actor| actor.kind == key.kind);
        let keys: Vec<_> = of_its_kind.filter_map(|actor| key.bind(&actor.id)).collect();
        if keys.is_empty() {
            sql.push("1 = 0");
        } else {
            let column = "coalesce(actor_id, actor_id)";
            let exact = if key.is_text() { dialect.exact_text(column) } else { None };
            sql.push(exact.as_deref().unwrap_or(column)).push(" IN ").set(keys);
        }
        return;
    }
    let (kind, id) = (dialect.without_index("actor_type"), dialect.without_index("actor_id"));
    sql.push("(1 = 0");
    for of_one_kind in actors.chunk_by(|one, other| one.kind == other.kind) {
        sql.push(&format!(" OR {kind} = ")).bind(of_one_kind.first().map_or("", |actor| &actor.kind));
        sql.push(&format!(" AND {id} IN ")).set(of_one_kind.iter().map(|actor| actor.id.as_str()));
    }
    sql.push(")");
}

/// An event's place in every feed.
fn place(event: &StoredEvent) -> (chrono::DateTime<chrono::Utc>, &LogName, i64) {
    (event.occurred_at, &event.at.log, event.at.id)
}
