//! About how long logs are, so that no plan outlives the log that it was made for.
//!
//! PostgreSQL keeps a prepared statement's plan until the table is analysed. On a log that grows without that (autovacuum is off, or an
//! import is in its first minute) a feed would scan and sort the whole log for as long as its connection lasts, since that was cheapest
//! when the log was nearly empty. A plan depends on the number of pages that the table has as it is made; so it is enough to send
//! another text, which is planned again, whenever the log has become four times as long. Wrong sizes (another database of the same
//! process has a log of the same name) cost nothing but a statement more.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use event_core::{EventRef, LogName};

/// The highest size of each log that a feed of this process has shown.
static SIZES: RwLock<Option<HashMap<LogName, u32>>> = RwLock::new(None);

/// The size of a log whose highest id is this one: 0 below 4, 1 below 16, and so on.
fn size(id: i64) -> u32 {
    id.max(1).unsigned_abs().ilog2() / 2
}

/// The size of the log, as far as it is known.
pub(super) fn of(log: &LogName) -> u32 {
    let sizes = SIZES.read().unwrap_or_else(PoisonError::into_inner);
    sizes.as_ref().and_then(|sizes| sizes.get(log)).copied().unwrap_or(0)
}

/// The log has this event.
pub(super) fn seen(event: &EventRef) {
    let size = size(event.id);
    if size > of(&event.log) {
        let mut sizes = SIZES.write().unwrap_or_else(PoisonError::into_inner);
        let known = sizes.get_or_insert_default().entry(event.log.clone()).or_insert(0);
        *known = size.max(*known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_became_four_times_as_long_has_another_size() {
        assert_eq!([0, 1, 3, 4, 15, 16, 63, 64, i64::MAX].map(size), [0, 0, 0, 1, 1, 2, 2, 3, 31]);
    }
}
