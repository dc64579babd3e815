//! A dispatcher at work beside a test, and waiting for what it does.

use std::time::Duration;

use event_core::storage::StorageError;
use event_sea_orm::Dispatcher;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running dispatcher; dropped, it is cut off.
pub struct Worker {
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<(), StorageError>>,
}

impl Worker {
    /// Runs the dispatcher on a task.
    pub fn start(dispatcher: Dispatcher) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        Self { stop, run: tokio::spawn(async move { dispatcher.run(async { drop(stopped.await) }).await }) }
    }

    /// Stops it orderly.
    pub async fn stop(self) {
        drop(self.stop);
        self.run.await.unwrap().unwrap();
    }

    /// Whether it ended by itself.
    pub fn has_ended(&self) -> bool {
        self.run.is_finished()
    }
}

/// Waits until the question is answered by yes, for a minute at most; `what` says what did not happen.
pub async fn until(what: &str, mut question: impl AsyncFnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !question().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
