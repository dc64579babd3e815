//! The clock that retries, snoozes and recordings go by: the system's, or one that a test moves.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

/// Tells the time. Clones of a manual clock are the same clock.
///
/// ```
/// use event_core::Clock;
/// use std::time::Duration;
/// let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.now().to_rfc3339(), "2026-01-01T00:01:30+00:00");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock {
    manual: Option<Arc<watch::Sender<DateTime<Utc>>>>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands still until it is moved.
    #[must_use]
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self { manual: Some(Arc::new(watch::Sender::new(start))) }
    }

    /// The time.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.manual {
            Some(time) => *time.borrow(),
            None => Utc::now(),
        }
    }

    /// Whether it stands still until it is moved.
    pub(crate) fn is_manual(&self) -> bool {
        self.manual.is_some()
    }

    /// Moves a manual clock forward; the system's clock does not listen.
    pub fn advance(&self, by: Duration) {
        if let Some(time) = &self.manual {
            let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
            time.send_modify(|now| *now = now.checked_add_signed(by).unwrap_or(*now));
        }
    }

    /// Moves a manual clock to a time, if that is later.
    pub fn advance_to(&self, to: DateTime<Utc>) {
        if let Some(time) = &self.manual {
            time.send_modify(|now| *now = (*now).max(to));
        }
    }

    /// Waits until that time. Cancel-safe.
    pub async fn sleep_until(&self, until: DateTime<Utc>) {
        match &self.manual {
            None => {
                // In steps: the system's clock may be set while we wait, and tokio's timers have a limit.
                while let Ok(left) = (until - Utc::now()).to_std() {
                    if left.is_zero() {
                        return;
                    }
                    tokio::time::sleep(left.min(Duration::from_secs(60))).await;
                }
            }
            Some(time) => {
                // The sender lives as long as this clock, so waiting can't fail.
                let _ = time.subscribe().wait_for(|now| *now >= until).await;
            }
        }
    }
}
