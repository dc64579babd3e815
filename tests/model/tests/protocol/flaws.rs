//! The wrong variants: each is found, by the property that it breaks.

use model::Flaw;
use model::bounds::{Bounds, Kind, Proof};
use model::properties::{ALL_HANDLED, NOTHING_LOST, NOTHING_TWICE, ONLY_COMMITTED, ORDER_KEPT, STARTS_KNOWN};

use crate::runs::{deadly, finds};

/// Two recorders, one lane.
fn reading() -> Bounds {
    Bounds { claims: 1, ..Bounds::default() }
}

/// Three recorders: the third one's event may be a later one of the second one's subject.
fn order() -> Bounds {
    Bounds { ids: 3, recorders: 3, claims: 1, ordered: true, ..Bounds::default() }
}

/// Two lanes at once.
fn takeover() -> Bounds {
    Bounds { claims: 2, lanes: 2, ..Bounds::default() }
}

#[test]
fn bare_id() {
    finds(Flaw::BareId, NOTHING_LOST, &reading());
}

#[test]
fn list_before_seen() {
    finds(Flaw::ListBeforeSeen, NOTHING_LOST, &reading());
}

#[test]
fn settle_without_read() {
    finds(Flaw::SettleWithoutRead, NOTHING_LOST, &reading());
}

#[test]
fn xmin_passes_xmax() {
    finds(Flaw::XminPassesXmax, NOTHING_LOST, &reading());
}

#[test]
fn sequence_cache() {
    finds(Flaw::SequenceCache, NOTHING_LOST, &reading());
}

#[test]
fn unlock_first() {
    finds(Flaw::UnlockFirst, NOTHING_LOST, &reading());
}

#[test]
fn dirty_reads() {
    finds(Flaw::DirtyReads, ONLY_COMMITTED, &reading());
}

#[test]
fn page_unchecked() {
    finds(Flaw::PageUnchecked, ORDER_KEPT, &order());
}

#[test]
fn still_by_lock() {
    finds(Flaw::StillByLock, ORDER_KEPT, &order());
}

#[test]
fn still_by_slot() {
    finds(Flaw::StillByLock, ORDER_KEPT, &Bounds { proof: Proof::Slots(2), ..order() });
}

#[test]
fn epoch_only() {
    finds(Flaw::EpochOnly, NOTHING_TWICE, &takeover());
}

/// The counter keeps the effects right even so; but the lane never gets a save through again.
#[test]
fn no_reload() {
    finds(Flaw::NoReload, ALL_HANDLED, &takeover());
}

#[test]
fn load_then_bump() {
    finds(Flaw::LoadThenBump, NOTHING_TWICE, &takeover());
}

#[test]
fn effects_apart() {
    finds(Flaw::EffectsApart, NOTHING_TWICE, &takeover());
}

#[test]
fn in_flight_left_out() {
    finds(Flaw::InFlightLeftOut, NOTHING_LOST, &Bounds { kind: Kind::Plain, ..takeover() });
}

/// Every owner starts the event, and dies of it.
#[test]
fn suspects_as_others() {
    for kind in [Kind::Transactional, Kind::Plain] {
        finds(Flaw::SuspectsAsOthers, ALL_HANDLED, &Bounds { kind, ..deadly() });
    }
}

#[test]
fn ceiling_later() {
    for kind in [Kind::Transactional, Kind::Plain] {
        finds(Flaw::CeilingLater, STARTS_KNOWN, &Bounds { kind, ..takeover() });
    }
}
