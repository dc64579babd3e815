//! What the inboxes of a test saw: given to the dispatcher as state, read by the test.

use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Lines, in the order in which handlers wrote them. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    /// Writes a line.
    pub fn note(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// The lines so far, forgotten with this.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Waits until there are so many lines, for a minute at most.
    pub async fn wait_for(&self, lines: usize) {
        for _ in 0..12_000 {
            if self.0.lock().unwrap().len() >= lines {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("only {:?}", self.lines());
    }
}
