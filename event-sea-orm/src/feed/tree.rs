//! What belongs together: the events of one correlation id, as a tree of causes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use event_core::{EventRef, Labels, LogName, SHARED_LOG, StoredEvent, registry};
use sea_orm::ConnectionTrait;

use super::FeedError;
use crate::backend::{Sql, dialect};
use crate::names::Names;
use crate::own_table;
use crate::row::stored_event;

/// The most events of a tree.
const MOST: usize = 10_000;

/// The events of one correlation id, each beneath the event that caused it: request → event → handler → event.
///
/// ```
/// # use event_sea_orm::prelude::*;
/// # async fn example(db: &sea_orm::DatabaseConnection) -> Result<(), FeedError> {
/// println!("{}", EventTree::of(db, &EventRef::new("events", 7)).await?);
/// // events/7 opened: issue 3
/// //   greets → events/8 welcomed: user 5
/// # Ok(())
/// # }
/// ```
///
/// A chain may be thousands of events deep, where a handler records its own successor: everything here works level by level
/// or from list to list, and nothing calls itself.
#[derive(Clone, Debug)]
pub struct EventTree {
    /// What they have in common.
    pub correlation_id: String,
    /// Whether these are all: a tree has at most 10,000 events.
    pub complete: bool,
    /// The oldest first.
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
struct Node {
    event: Arc<StoredEvent>,
    /// The place of its cause among the nodes, and of what it caused.
    cause: Option<usize>,
    caused: Vec<usize>,
}

/// An event of a tree, and what it caused.
#[derive(Clone, Copy)]
pub struct EventNode<'t> {
    nodes: &'t [Node],
    node: &'t Node,
}

impl<'t> EventNode<'t> {
    /// The event.
    pub fn event(&self) -> &'t Arc<StoredEvent> {
        &self.node.event
    }

    /// What its handlers recorded, the oldest first.
    pub fn caused(&self) -> impl ExactSizeIterator<Item = EventNode<'t>> + use<'t> {
        let nodes = self.nodes;
        self.node.caused.iter().map(move |&place| EventNode { nodes, node: &nodes[place] })
    }

    /// The inbox whose handler recorded it; none for what begins a chain.
    pub fn inbox(&self) -> Option<&'t str> {
        self.node.event.context.as_ref()?.get(event_core::context::INBOX)?.as_str()
    }
}

impl fmt::Debug for EventNode<'_> {
    /// Without what it caused, which may be long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventNode").field("event", self.event()).field("caused", &self.node.caused.len()).finish()
    }
}

impl EventTree {
    /// The tree that the event belongs to.
    ///
    /// # Errors
    /// What the database says; a log that has no table there.
    pub async fn of<C: ConnectionTrait>(conn: &C, event: &EventRef) -> Result<Self, FeedError> {
        let found = select(conn, &event.log, Ask::Id(event.id)).await?;
        let correlation_id = found.into_iter().next().and_then(|event| event.correlation_id);
        Self::correlated(conn, correlation_id.unwrap_or_else(|| event.to_string())).await
    }

    /// The tree of that correlation id: the caller's own, or the name (`events/7`) of the event that began it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn correlated<C: ConnectionTrait>(conn: &C, id: impl Into<String>) -> Result<Self, FeedError> {
        let correlation_id = id.into();
        let mut logs: BTreeSet<_> = registry::events().iter().map(|event| LogName::from_static(event.log())).collect();
        if logs.is_empty() {
            logs.insert(LogName::from_static(SHARED_LOG));
        }
        let mut events: Vec<StoredEvent> = Vec::new();
        for log in &logs {
            // The event that began the chain has no correlation id if nobody gave it one.
            if let Some(first) = named(&correlation_id, log) {
                let first = select(conn, log, Ask::Id(first)).await?;
                events.extend(first.into_iter().filter(|event| event.correlation_id.is_none()));
            }
            events.extend(select(conn, log, Ask::Correlation(&correlation_id)).await?);
        }
        let complete = events.len() <= MOST;
        events.sort_by(|a, b| (a.occurred_at, &a.at.log, a.at.id).cmp(&(b.occurred_at, &b.at.log, b.at.id)));
        events.truncate(MOST);
        Ok(Self { correlation_id, nodes: grow(events), complete })
    }

    /// The events that none of the others caused, the oldest first.
    pub fn roots(&self) -> impl Iterator<Item = EventNode<'_>> {
        self.iter().filter(|node| node.node.cause.is_none())
    }

    /// All events, the oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = EventNode<'_>> {
        self.nodes.iter().map(|node| EventNode { nodes: &self.nodes, node })
    }

    /// How many events it has.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

/// The id of the event in this log that the correlation id names.
fn named(correlation_id: &str, log: &LogName) -> Option<i64> {
    correlation_id.strip_prefix(log.as_str())?.strip_prefix('/')?.parse().ok()
}

#[derive(Clone, Copy)]
enum Ask<'a> {
    Id(i64),
    Correlation(&'a str),
}

async fn select<C: ConnectionTrait>(conn: &C, log: &LogName, ask: Ask<'_>) -> Result<Vec<StoredEvent>, FeedError> {
    let backend = conn.get_database_backend();
    let dialect = dialect(backend)?;
    let table = own_table::of(log.as_str());
    let mut sql = Sql::new(dialect);
    sql.push("SELECT ").push(&own_table::columns(dialect, table)).push(" FROM ").name(log.as_str());
    match ask {
        Ask::Id(id) => sql.push(" WHERE id = ").bind(id),
        Ask::Correlation(id) => sql.push(" WHERE correlation_id = ").bind(id),
    };
    sql.push(" ORDER BY id LIMIT ").bind(i64::try_from(MOST + 1).unwrap_or(i64::MAX));
    let rows = conn.query_all_raw(sql.statement(backend)).await.map_err(|error| FeedError::of(dialect, error))?;
    let mut names = Names::default();
    rows.iter().map(|row| Ok(stored_event(log, table, &mut names, row, 0)?)).collect()
}

/// Puts each event beneath its cause. A cause that is not among them, or that is its own effect, leaves a root.
fn grow(events: Vec<StoredEvent>) -> Vec<Node> {
    let places: BTreeMap<EventRef, usize> =
        events.iter().enumerate().map(|(place, event)| (event.at.clone(), place)).collect();
    // Only an older one can be a cause: no circle comes of it, whatever the columns hold.
    let cause_of = |(place, event): (usize, &StoredEvent)| {
        event.causation.as_ref().and_then(|cause| places.get(cause).copied()).filter(|&cause| cause < place)
    };
    let causes: Vec<_> = events.iter().enumerate().map(cause_of).collect();
    let node = |(event, cause)| Node { event: Arc::new(event), cause, caused: Vec::new() };
    let mut nodes: Vec<_> = events.into_iter().zip(causes).map(node).collect();
    for place in 0..nodes.len() {
        if let Some(cause) = nodes[place].cause {
            nodes[cause].caused.push(place);
        }
    }
    nodes
}

/// How deep lines are indented; deeper ones say how deep they are.
const INDENTED_MOST: usize = 20;

impl fmt::Display for EventTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is still to be shown, the next one last.
        let mut next: Vec<_> = self.roots().map(|root| (root, 0_usize)).collect();
        next.reverse();
        while let Some((node, depth)) = next.pop() {
            write!(f, "{:width$}", "", width = 2 * depth.min(INDENTED_MOST))?;
            if depth > INDENTED_MOST {
                write!(f, "({depth}) ")?;
            }
            if let Some(inbox) = node.inbox() {
                write!(f, "{inbox} → ")?;
            }
            let event = node.event();
            writeln!(f, "{} {}: {}", event.at, event.action, event.summary(&Labels::default()))?;
            let caused = node.node.caused.iter().rev();
            next.extend(caused.map(|&place| (EventNode { nodes: &self.nodes, node: &self.nodes[place] }, depth + 1)));
        }
        if self.complete { Ok(()) } else { writeln!(f, "... and more") }
    }
}
