//! Waking the dispatcher of this process: after a recording, and after a commit.

use event_core::Saved;
use event_core::wake::recorded_in;

/// Something was recorded in this log on a connection; it may not be committed yet. The dispatcher looks at once and polls quickly for
/// a while, so that a transaction of the user's own is noticed soon after its commit.
pub(crate) fn hint(log: &'static str) {
    recorded_in(log);
}

/// The same after many recordings.
pub(crate) fn hint_of(saved: &[Saved]) {
    let mut last = None;
    for event in saved.iter().filter(|saved| saved.is_new()).filter_map(Saved::event) {
        // Those of a log mostly come together.
        if last != Some(&event.log) {
            recorded_in(event.log.clone());
            last = Some(&event.log);
        }
    }
}
