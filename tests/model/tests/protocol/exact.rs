//! The protocol as it is: every state of it within the bounds.

use model::bits::Bits;
use model::bounds::{Bounds, Kind, Proof};

use crate::runs::{deadly, every_run_ends, holds, large};

/// One lane, and many ways to record: what is missing is found or proved dead, a subject's events come in their order.
#[test]
fn commits_in_any_order() {
    let claims = if large() { 2 } else { 1 };
    holds("commits in any order", &Bounds { ids: 4, recorders: 3, claims, ordered: true, ..Bounds::default() });
}

/// The same with pages of one event, and a crash, an error or a stop in between.
#[test]
fn commits_in_any_order_and_a_second_owner() {
    let ids = if large() { 4 } else { 3 };
    holds(
        "commits in any order, a second owner",
        &Bounds { ids, recorders: 3, claims: 2, page: 1, ordered: true, ..Bounds::default() },
    );
}

/// By slots, as on MySQL and MariaDB: two for three recorders.
#[test]
fn commits_in_any_order_proved_by_slots() {
    let ids = if large() { 4 } else { 3 };
    holds(
        "commits in any order, proved by slots",
        &Bounds { ids, recorders: 3, proof: Proof::Slots(2), claims: 2, ordered: true, ..Bounds::default() },
    );
}

/// Recorders roll back to savepoints and go on.
#[test]
fn savepoints() {
    for proof in [Proof::Holders, Proof::Slots(2)] {
        let ids = if large() { 4 } else { 3 };
        holds(
            &format!("savepoints, {proof:?}"),
            &Bounds { ids, proof, savepoints: true, claims: 2, ordered: true, ..Bounds::default() },
        );
    }
}

/// Two lanes at once, one of them stopped while it was taken over; acknowledgements are lost, processes die.
#[test]
fn takeover_of_a_transactional_inbox() {
    let claims = if large() { 4 } else { 3 };
    holds("takeover, transactional", &Bounds { ids: 3, claims, lanes: 2, ..Bounds::default() });
}

#[test]
fn takeover_of_a_plain_inbox() {
    let claims = if large() { 3 } else { 2 };
    holds("takeover, plain", &Bounds { ids: 3, claims, lanes: 2, kind: Kind::Plain, ..Bounds::default() });
}

/// An owner after an owner after an owner.
#[test]
fn many_takeovers() {
    for kind in [Kind::Transactional, Kind::Plain] {
        let lanes = if large() { 3 } else { 2 };
        holds(&format!("many takeovers, {kind:?}"), &Bounds { claims: 4, lanes, kind, ..Bounds::default() });
    }
}

/// Handlers fail, or kill their process; rows are tried again; what fails too often is a dead letter.
#[test]
fn failures_of_a_transactional_inbox() {
    let bounds = Bounds { failing: Bits::range(1, 2), claims: 3, lanes: 2, ..Bounds::default() };
    holds("failures, transactional", &bounds);
}

#[test]
fn failures_of_a_plain_inbox() {
    let failing = if large() { Bits::range(1, 2) } else { Bits::range(1, 1) };
    let claims = if large() { 3 } else { 2 };
    holds("failures, plain", &Bounds { failing, claims, lanes: 2, kind: Kind::Plain, ..Bounds::default() });
}

/// An event that kills whoever starts it: started once like any other, and then as often as there are attempts. One more owner
/// makes it a dead letter, and handles the others.
#[test]
fn a_deadly_event_is_a_dead_letter_in_the_end() {
    for kind in [Kind::Transactional, Kind::Plain] {
        holds(&format!("a deadly event, {kind:?}"), &Bounds { kind, ..deadly() });
    }
}

/// The cursor moves over what nobody wants.
#[test]
fn events_that_the_inbox_does_not_take() {
    for kind in [Kind::Transactional, Kind::Plain] {
        let bounds = Bounds { ids: 3, unwanted: Bits::range(2, 2), claims: 2, kind, ..Bounds::default() };
        holds(&format!("unwanted events, {kind:?}"), &bounds);
    }
}

#[test]
fn no_run_goes_round_in_circles() {
    for kind in [Kind::Transactional, Kind::Plain] {
        every_run_ends(&Bounds { failing: Bits::range(1, 1), claims: 2, lanes: 2, kind, ..Bounds::default() });
    }
}
