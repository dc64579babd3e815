//! What the supervisor says to a lane.

use chrono::{DateTime, Utc};
use tokio::sync::watch;

/// Where the supervisor speaks to a lane.
pub(crate) struct Orders {
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) due: watch::Receiver<Option<DateTime<Utc>>>,
}

/// What the supervisor says to a lane.
pub(super) enum Told {
    Stop,
    /// A failure row is due then, perhaps one that an operator revived.
    Due(Option<DateTime<Utc>>),
    /// It is gone, and the lane with it.
    Nothing,
}

pub(super) async fn told(orders: &mut Option<Orders>) -> Told {
    let Some(orders) = orders else { return std::future::pending().await };
    tokio::select! {
        changed = orders.stop.changed() => if changed.is_ok() { Told::Stop } else { Told::Nothing },
        changed = orders.due.changed() => {
            if changed.is_ok() { Told::Due(*orders.due.borrow_and_update()) } else { Told::Nothing }
        }
    }
}
