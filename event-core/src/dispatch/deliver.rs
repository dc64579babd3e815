//! One call of a handler: asks the filters, takes the arguments, runs it; a panic or an overrun time is an error like any.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::Either;

use super::plan::Plan;
use super::shared::drop_guarded;
use crate::context;
use crate::inbox::{Attempt, Delivery, ErrorKind, InboxError, InboxResult, LoadedEvent, Outcome, Place, States};

/// Runs `plan`'s handler on one event, as a batch of one where it takes batches. Never panics.
pub(crate) async fn deliver(
    plan: &Plan,
    event: &Arc<LoadedEvent>,
    attempt: u32,
    states: &States,
    transaction: Option<&(dyn Any + Send + Sync)>,
) -> InboxResult {
    let delivery = Delivery::of_one(event, place(plan, attempt, states, transaction));
    event.readable()?;
    if is_wanted(plan, &delivery)? { call(plan, &delivery).await } else { filtered() }
}

/// Runs `plan`'s handler once on those of the events that its filters want, and gives the result of each event.
///
/// An error says that one of them, nobody knows which, could not be handled: each has to be tried by [`deliver`]. Never panics.
pub(crate) async fn deliver_batch(
    plan: &Plan,
    events: &[Arc<LoadedEvent>],
    states: &States,
    transaction: Option<&(dyn Any + Send + Sync)>,
) -> Result<Vec<InboxResult>, InboxError> {
    let place = place(plan, 1, states, transaction);
    let mut results = Vec::with_capacity(events.len());
    let mut wanted = Vec::with_capacity(events.len());
    for event in events {
        event.readable()?;
        if is_wanted(plan, &Delivery::of_one(event, place))? {
            wanted.push(event.clone());
            results.push(None);
        } else {
            results.push(Some(filtered()));
        }
    }
    let Some(delivery) = Delivery::of_batch(&wanted, place) else { return Ok(results.into_iter().flatten().collect()) };
    let outcome = call(plan, &delivery).await?;
    Ok(results.into_iter().map(|filtered| filtered.unwrap_or_else(|| Ok(outcome.clone()))).collect())
}

fn place<'a>(
    plan: &Plan,
    attempt: u32,
    states: &'a States,
    transaction: Option<&'a (dyn Any + Send + Sync)>,
) -> Place<'a> {
    let attempt = Attempt::new(attempt, plan.descriptor.settings().retry.max_attempts);
    Place { inbox: plan.name(), attempt, states, transaction }
}

fn filtered() -> InboxResult {
    Ok(Outcome::Skipped("filtered by `when`".into()))
}

/// Asks the filters of `when`.
fn is_wanted(plan: &Plan, delivery: &Delivery<'_>) -> Result<bool, InboxError> {
    for when in plan.descriptor.parts.when {
        let answer = std::panic::catch_unwind(AssertUnwindSafe(|| when(delivery)));
        if !answer.map_err(panicked)?? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn call(plan: &Plan, delivery: &Delivery<'_>) -> InboxResult {
    // The call itself runs none of the user's code; the future it gives does.
    let call = DropGuarded(Some((plan.descriptor.parts.call)(delivery)));
    let call = AssertUnwindSafe(call).catch_unwind();
    let handler = if plan.takes_batch {
        Either::Left(context::handling_batch(plan.name(), call))
    } else {
        Either::Right(context::handling(delivery.stored(), plan.name(), call))
    };
    let mut handler = pin!(handler);
    // A handler that is ready when first polled costs no timer.
    let first = std::future::poll_fn(|context| Poll::Ready(handler.as_mut().poll(context))).await;
    let ended = match first {
        Poll::Ready(ended) => ended,
        Poll::Pending => {
            let timeout = plan.descriptor.settings().timeout;
            match tokio::time::timeout(timeout, handler).await {
                Ok(ended) => ended,
                Err(_) => {
                    let message = format!("no answer within {timeout:?}: the handler was dropped at its await");
                    return Err(InboxError::of_kind(ErrorKind::TimedOut, message));
                }
            }
        }
    };
    ended.unwrap_or_else(|panic| Err(panicked(panic)))
}

fn panicked(panic: Box<dyn Any + Send>) -> InboxError {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned());
    drop_guarded(panic);
    InboxError::of_kind(ErrorKind::Panic, format!("the handler panicked: {message}"))
}

/// A handler's future, whose destructor may panic where it is dropped unfinished (a time-out).
struct DropGuarded<F>(Option<F>);

impl<F: Future + Unpin> Future for DropGuarded<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match &mut self.0 {
            Some(future) => Pin::new(future).poll(context),
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for DropGuarded<F> {
    fn drop(&mut self) {
        drop_guarded(self.0.take());
    }
}
