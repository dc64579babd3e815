//! The events of the tests: two enums in the shared log, one in a log of its own.

use event_core::DomainEvent;
use serde::{Deserialize, Serialize};

/// A subject.
#[derive(Debug)]
pub struct Issue;

/// Another subject.
#[derive(Debug)]
pub struct Account;

/// What happens to issues; in the shared log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(Issue))]
#[allow(missing_docs)]
pub enum IssueEvent {
    Created,
    Commented { comment_id: i64, words: u32 },
    Closed,
}

/// What happens to accounts; in a log of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(Account), log = "audit_events")]
#[allow(missing_docs)]
pub enum AccountEvent {
    SignedIn,
    #[event(version = 2)]
    Renamed {
        to: String,
    },
}
