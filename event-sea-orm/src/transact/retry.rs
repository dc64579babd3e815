//! Running a transaction again where another one was in the way.

use std::time::Duration;

use crate::RecordError;
use crate::backend::{Dialect, Trouble};

/// The pause after the first attempt, in the mean; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Runs `attempt` until it ends otherwise than by a conflict, `attempts` times at most, and at least once.
pub(super) async fn retrying<T>(
    dialect: &dyn Dialect,
    attempts: u32,
    attempt: impl AsyncFn() -> Result<T, RecordError>,
) -> Result<T, RecordError> {
    let mut made = 1;
    loop {
        match attempt().await {
            Err(error) if made < attempts && is_conflict(dialect, &error) => {
                tracing::debug!(attempt = made, "another transaction was in the way; the work runs again");
                tokio::time::sleep(pause(made)).await;
                made += 1;
            }
            ended => return ended,
        }
    }
}

/// Whether another transaction was in the way, of ours or in a statement of the caller's.
fn is_conflict(dialect: &dyn Dialect, error: &RecordError) -> bool {
    match error {
        RecordError::Locked { .. } => true,
        RecordError::Db(error) => matches!(dialect.trouble(error.db_err()), Some(Trouble::Locked)),
        _ => false,
    }
}

/// Random, so that two that were in each other's way do not meet again.
fn pause(made: u32) -> Duration {
    let mean = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(made.saturating_sub(1))).min(LONGEST_PAUSE);
    mean.mul_f64(0.5 + fastrand::f64())
}
