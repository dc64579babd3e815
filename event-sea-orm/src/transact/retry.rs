//! Running a transaction again where another one was in the way.

use std::time::Duration;

use sea_orm::DbBackend;

use crate::backend::{Trouble, dialect};
use crate::{RecordError, TransitionError};

/// The pause after the first attempt, in the mean; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Whether another transaction was in the way, of ours or in a statement of the caller's.
pub(super) fn is_conflict(backend: DbBackend, error: &RecordError) -> bool {
    match error {
        RecordError::Locked { .. } => true,
        RecordError::Transition(error) => matches!(**error, TransitionError::Locked { .. }),
        RecordError::Db(error) => {
            dialect(backend).is_ok_and(|dialect| matches!(dialect.trouble(error.db_err()), Some(Trouble::Locked)))
        }
        _ => false,
    }
}

/// Waits after so many attempts.
pub(super) async fn pause(made: u32) {
    tracing::debug!(attempt = made, "another transaction was in the way; the work runs again");
    tokio::time::sleep(random_pause(made)).await;
}

/// Random, so that two that were in each other's way do not meet again.
fn random_pause(made: u32) -> Duration {
    let mean = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(made.saturating_sub(1))).min(LONGEST_PAUSE);
    mean.mul_f64(0.5 + fastrand::f64())
}
