//! Waking: tells every dispatcher of this process that something was recorded. Only ever a hint; polling lies underneath.

use std::sync::LazyLock;

use tokio::sync::watch;

static WAKE: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));

/// Something was recorded, and is visible now or will be soon: every dispatcher of this process looks at once, and then
/// polls quickly for a while.
pub fn recorded() {
    WAKE.send_modify(|count| *count = count.wrapping_add(1));
}

/// A receiver that changes whenever something was recorded.
pub(crate) fn subscribe() -> watch::Receiver<u64> {
    WAKE.subscribe()
}
