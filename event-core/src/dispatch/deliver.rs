//! One delivery: asks the filters, takes the arguments, runs the handler; a panic or an overrun time is an error like any.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;

use futures_util::FutureExt;

use super::plan::Plan;
use crate::context;
use crate::inbox::{Attempt, Delivery, ErrorKind, InboxError, InboxResult, LoadedEvent, Outcome, States};

/// Runs `plan`'s handler on the event. Never panics.
pub(crate) async fn deliver(
    plan: &Plan,
    event: &LoadedEvent,
    attempt: u32,
    states: &States,
    transaction: Option<&(dyn Any + Send + Sync)>,
) -> InboxResult {
    event.readable()?;
    let settings = plan.descriptor.settings();
    let attempt = Attempt::new(attempt, settings.retry.max_attempts);
    let delivery = Delivery::new(event, plan.name(), attempt, states, transaction);
    for when in plan.descriptor.parts.when {
        let answer = std::panic::catch_unwind(AssertUnwindSafe(|| when(&delivery)));
        if !answer.map_err(|panic| panicked(&*panic))?? {
            return Ok(Outcome::Skipped("filtered by `when`".into()));
        }
    }
    // The call itself runs none of the user's code; the future it gives does.
    let call = AssertUnwindSafe((plan.descriptor.parts.call)(&delivery)).catch_unwind();
    let mut handler = pin!(context::handling(event.stored(), plan.name(), call));
    // A handler that is ready when first polled costs no timer.
    let first = std::future::poll_fn(|context| Poll::Ready(handler.as_mut().poll(context))).await;
    let ended = match first {
        Poll::Ready(ended) => ended,
        Poll::Pending => match tokio::time::timeout(settings.timeout, handler).await {
            Ok(ended) => ended,
            Err(_) => {
                let message = format!("no answer within {:?}: the handler was dropped at its await", settings.timeout);
                return Err(InboxError::of_kind(ErrorKind::TimedOut, message));
            }
        },
    };
    ended.unwrap_or_else(|panic| Err(panicked(&*panic)))
}

fn panicked(panic: &(dyn Any + Send)) -> InboxError {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned());
    InboxError::of_kind(ErrorKind::Panic, format!("the handler panicked: {message}"))
}
