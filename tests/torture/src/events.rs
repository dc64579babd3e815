//! The events: in the shared log and in one of their own. Each carries its writer's number, which is unique in the run.

use event_sea_orm::prelude::*;
use serde::{Deserialize, Serialize};

/// What events happen to; without a model.
pub(crate) struct Tally;

/// The shared log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(Tally))]
pub(crate) enum TallyEvent {
    /// Most of them.
    Counted { number: i64 },
    /// Recorded while the subject's row is locked, so that ids follow the order of the commits.
    Stepped { number: i64 },
    /// The ones that handlers have trouble with.
    Troubled { number: i64, trouble: Trouble },
    /// The ones that handlers answer with an event of their own.
    Asked { number: i64 },
    /// The answer of a transactional handler.
    Echoed { number: i64 },
    /// The answer of a plain handler, under an idempotency key.
    Relayed { number: i64 },
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Trouble {
    /// Errors and panics.
    Common,
    /// What costs an inbox some time: time-outs, deadlocks, transactions that end in the middle.
    Grave,
    /// The end of the process that handles it.
    Fatal,
}

/// The other log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(Tally), log = "audit_events")]
pub(crate) enum AuditEvent {
    Noted { number: i64 },
}

/// The names of the logs.
pub(crate) const LOGS: [&str; 2] = ["events", "audit_events"];

impl TallyEvent {
    pub(crate) fn number(&self) -> i64 {
        match *self {
            Self::Counted { number }
            | Self::Stepped { number }
            | Self::Troubled { number, .. }
            | Self::Asked { number }
            | Self::Echoed { number }
            | Self::Relayed { number } => number,
        }
    }
}
