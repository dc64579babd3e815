//! A dispatcher at work beside a test, and waiting for what it does.

use std::cell::RefCell;
use std::sync::Once;
use std::time::Duration;

use event_core::storage::StorageError;
use event_sea_orm::Dispatcher;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::{Event, Level, Metadata, span};

use crate::seen::Seen;

/// A running dispatcher, until it is stopped.
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

    /// Runs the dispatcher on a thread of its own, where all that it tells of (as `tracing`, from INFO on) is noted.
    pub fn start_telling(dispatcher: Dispatcher, told: &Seen) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        // For the whole process, or what other threads' dispatchers say first would decide what is said at all.
        static TELLER: Once = Once::new();
        TELLER.call_once(|| tracing::subscriber::set_global_default(Teller).unwrap());
        let told = told.clone();
        let run = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            TOLD.set(Some(told));
            let ended = runtime.block_on(dispatcher.run(async { drop(stopped.await) }));
            TOLD.take();
            ended
        });
        Self { stop, run }
    }

    /// Stops it orderly.
    pub async fn stop(self) {
        drop(self.stop);
        self.run.await.unwrap().unwrap();
    }

    /// How it ended, of one that ends without being stopped.
    pub async fn result(self) -> Result<(), StorageError> {
        let result = self.run.await.unwrap();
        drop(self.stop);
        result
    }

    /// Whether it ended by itself.
    pub fn has_ended(&self) -> bool {
        self.run.is_finished()
    }
}

thread_local! {
    /// Where this thread's dispatcher is noted.
    static TOLD: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// Notes what is told.
struct Teller;

impl tracing::Subscriber for Teller {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && metadata.target().starts_with("event_")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0.push_str(&format!(" {}={value:?}", field.name()));
            }
        }
        let mut text = Text(event.metadata().level().to_string());
        event.record(&mut text);
        TOLD.with_borrow(|told| told.iter().for_each(|told| told.note(text.0.as_str())));
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Waits until the question is answered by yes, for a minute at most; `what` says what did not happen.
pub async fn until(what: &str, mut question: impl AsyncFnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !question().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
