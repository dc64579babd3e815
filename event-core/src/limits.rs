//! How large an event may be.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde::Serialize;

/// How large an event may be unless the program says otherwise: 1 MiB.
pub const EVENT_BYTES_DEFAULT: usize = 1 << 20;

static EVENT_BYTES_MAX: AtomicUsize = AtomicUsize::new(EVENT_BYTES_DEFAULT);

/// The most bytes of JSON that the metadata, the context and the snapshot of an event may have together.
///
/// A recording that has more is refused with [`RecordingError::TooLarge`](crate::RecordingError::TooLarge).
pub fn event_bytes_max() -> usize {
    EVENT_BYTES_MAX.load(Relaxed)
}

/// Sets the limit of [`event_bytes_max`] for this process; [`EVENT_BYTES_DEFAULT`] until then. Call it once, where the program starts.
///
/// Every worker holds each event that it delivers in memory, text and decoded, and a database has bounds of its own
/// (`max_allowed_packet` on MariaDB and MySQL): what is larger than the default is better kept as an attachment. Events that are
/// in a log already are delivered whatever their size.
///
/// ```
/// event_core::set_event_bytes_max(4 << 20);
/// assert_eq!(event_core::event_bytes_max(), 4 << 20);
/// ```
pub fn set_event_bytes_max(bytes: usize) {
    EVENT_BYTES_MAX.store(bytes, Relaxed);
}

/// How many bytes the value has as JSON; nothing is allocated for it.
pub(crate) fn json_bytes(value: &impl Serialize) -> usize {
    let mut counter = Counter(0);
    // A map or a value always is JSON, and counting can't fail.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_text() {
        for value in [serde_json::json!({"a": [1, "Zoë\n", null]}), serde_json::json!("🦀"), serde_json::json!({})] {
            assert_eq!(json_bytes(&value), value.to_string().len());
        }
    }
}
