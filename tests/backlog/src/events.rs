//! The event, and two inboxes that only count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use event_sea_orm::prelude::*;
use serde::{Deserialize, Serialize};

#[allow(unreachable_pub, reason = "SeaORM's entities are written so")]
mod thing {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "things")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(thing::Entity))]
pub(crate) enum ThingEvent {
    Happened { count: u64 },
}

/// How many deliveries each inbox had.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) live: AtomicU64,
    pub(crate) late: AtomicU64,
}

#[inbox(start = beginning)]
async fn live(_event: Event<ThingEvent>, State(counts): State<Arc<Counts>>) -> InboxResult {
    counts.live.fetch_add(1, Relaxed);
    handled()
}

#[inbox(start = beginning)]
async fn late(_event: Event<ThingEvent>, State(counts): State<Arc<Counts>>) -> InboxResult {
    counts.late.fetch_add(1, Relaxed);
    handled()
}
