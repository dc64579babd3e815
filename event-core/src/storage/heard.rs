//! What a worker hears of other processes, and what it says to them.

use std::sync::Arc;

use tokio::sync::watch;

use crate::names::LogName;
use crate::wake::News;

/// How much of what other processes record a worker is told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hearing {
    /// Nothing: only polling finds it.
    #[default]
    Nothing,
    /// Everything soon: somebody who records just now may not know yet that this worker wants to be told.
    Soon,
    /// Everything.
    All,
}

/// The worker's side.
pub(crate) struct Heard {
    pub(crate) recorded: Arc<News>,
    pub(crate) hearing: watch::Receiver<Hearing>,
    pub(crate) idle: watch::Sender<bool>,
}

/// The storage's side: where it tells the worker what it heard.
#[derive(Debug)]
pub struct Ears {
    recorded: Arc<News>,
    hearing: watch::Sender<Hearing>,
    idle: watch::Receiver<bool>,
}

impl Heard {
    pub(crate) fn channel() -> (Ears, Self) {
        let recorded = Arc::new(News::default());
        let (hearing, hears) = watch::channel(Hearing::Nothing);
        let (idle, idles) = watch::channel(false);
        (Ears { recorded: recorded.clone(), hearing, idle: idles }, Self { recorded, hearing: hears, idle })
    }
}

impl Ears {
    /// Another process recorded something, nobody knows in which log.
    pub fn recorded(&self) {
        self.recorded.tell(&|news| news.is_everything = true);
    }

    /// Another process recorded something in this log.
    pub fn recorded_in(&self, log: &LogName) {
        self.recorded.tell(&|news| news.note(log));
    }

    /// How much the worker is told of from now on.
    pub fn hear(&self, hearing: Hearing) {
        self.hearing.send_replace(hearing);
    }

    /// Whether the worker is idle, and would like to be told rather than look.
    pub fn is_idle(&self) -> bool {
        *self.idle.borrow()
    }

    /// Waits until [`Ears::is_idle`] has changed; for ever when the worker is gone.
    pub async fn idle_changed(&mut self) {
        if self.idle.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
