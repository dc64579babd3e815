//! Inboxes of another crate than the program's: linked by `use linked_inboxes as _;`, and by nothing else.

use event_core::{DomainEvent, Event, InboxResult, handled, inbox, skipped};
use serde::{Deserialize, Serialize};

/// What its events happen to.
#[derive(Debug)]
pub struct Parcel;

/// What happens to parcels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(Parcel))]
pub enum ParcelEvent {
    /// It went out.
    Sent {
        /// In grams.
        weight: u32,
    },
    /// It came back.
    Returned,
}

/// Takes every event.
#[inbox]
async fn parcel_tracker(event: Event<ParcelEvent>) -> InboxResult {
    match event.event {
        ParcelEvent::Sent { weight: 0 } => skipped("nothing in it"),
        _ => handled(),
    }
}

/// Takes one action.
#[inbox(on(Returned))]
async fn parcel_refunds(_event: Event<ParcelEvent>) -> InboxResult {
    handled()
}
