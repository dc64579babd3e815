//! What must hold in every state of the modelled system.

use stateright::Property;

use crate::Protocol;
use crate::bits::Bits;
use crate::bounds::Kind;
use crate::state::{Lane, RowState, State};

/// No handler sees, and no effect stands for, an event that is not committed.
pub const ONLY_COMMITTED: &str = "only committed events are delivered";
/// A committed event that is done in the stored state had its effect.
pub const NOTHING_LOST: &str = "nothing is lost";
/// No effect of a transactional inbox stands twice.
pub const NOTHING_TWICE: &str = "no effect stands twice";
/// An effect of a transactional inbox stands for what is done in the stored state, and for nothing else.
pub const EFFECT_IFF_DONE: &str = "effects stand for what is done";
/// Above `high`, missing, in flight and a failure row exclude each other in the stored state; done is the rest.
pub const ONE_PLACE: &str = "an event is in one place";
/// What may have been started and is open is known to the database: below its ceiling, or in a failure row.
pub const STARTS_KNOWN: &str = "what was started is known";
/// An event that was visible when another was drawn is taken before it.
pub const ORDER_KEPT: &str = "earlier events are taken first";
/// Where nothing more happens, every committed event is done or a dead letter, and every hole is closed.
pub const ALL_HANDLED: &str = "it ends with everything handled";

impl Protocol {
    pub(crate) fn list_properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(ONLY_COMMITTED, only_committed),
            Property::always(NOTHING_LOST, nothing_lost),
            Property::always(ONE_PLACE, one_place),
            Property::always(STARTS_KNOWN, starts_known),
            Property::always(ALL_HANDLED, all_handled),
            // That these can be met shows that the model gets anywhere at all.
            Property::sometimes("all is handled", |model, state: &State| is_over(state) && model.is_handled(state)),
            Property::sometimes("an id was proved dead", id_was_proved_dead),
        ];
        if self.bounds.kind == Kind::Transactional {
            properties.push(Property::always(NOTHING_TWICE, |_, state: &State| state.doubled.is_empty()));
            properties.push(Property::always(EFFECT_IFF_DONE, effect_iff_done));
        }
        if self.bounds.ordered {
            properties.push(Property::always(ORDER_KEPT, order_kept));
        }
        if self.bounds.lanes > 1 {
            properties.push(Property::sometimes("a lane goes on after it was taken over", |_, state: &State| {
                state.lanes.iter().any(|lane| lane.epoch == Some(0) && !lane.running.is_empty())
            }));
        }
        if !self.bounds.failing.or(self.bounds.deadly).is_empty() {
            properties.push(Property::sometimes("an event is a dead letter", |_, state: &State| {
                state.stored.failures.values().any(|row| row.state == RowState::Dead)
            }));
        }
        properties
    }

    /// Whether every committed event is done or a dead letter, and every hole closed.
    fn is_handled(&self, state: &State) -> bool {
        let stored = &state.stored;
        let dead_letter = |id| stored.failures.get(&id).is_some_and(|row| row.state == RowState::Dead);
        stored.cursor.missing.is_empty()
            && stored.cursor.in_flight.is_empty()
            && state.log.visible.iter().all(|id| stored.is_done(id) || dead_letter(id))
    }

    /// The committed events that the inbox takes.
    fn wanted(&self, state: &State) -> Bits {
        state.log.visible.minus(self.bounds.unwanted)
    }
}

fn only_committed(_: &Protocol, state: &State) -> bool {
    let running = state.lanes.iter().flat_map(|lane| &lane.running).map(|running| running.id);
    state.log.visible.covers(state.effects.or(running.collect()))
}

/// Said of what is stored, since what only a lane believes is lost with it: as a property of every state and not of how a run
/// ends, so that it is found wherever it happens.
fn nothing_lost(model: &Protocol, state: &State) -> bool {
    model.wanted(state).iter().all(|id| !state.stored.is_done(id) || state.effects.contains(id))
}

fn effect_iff_done(model: &Protocol, state: &State) -> bool {
    model.wanted(state).iter().all(|id| state.stored.is_done(id) == state.effects.contains(id))
}

fn one_place(model: &Protocol, state: &State) -> bool {
    let (stored, cursor) = (&state.stored, &state.stored.cursor);
    (1..=model.bounds.ids).all(|id| {
        let places = [
            id > cursor.high,
            cursor.missing.contains(id),
            cursor.in_flight.contains(id),
            stored.failures.contains_key(&id),
        ];
        places.into_iter().filter(|&there| there).count() <= 1
    })
}

fn starts_known(_: &Protocol, state: &State) -> bool {
    // What is done or has a failure row is no longer among these.
    state.started.iter().all(|id| id <= state.stored.cursor.ceiling)
}

fn order_kept(_: &Protocol, state: &State) -> bool {
    let earlier = |id: i64| usize::try_from(id - 1).ok().and_then(|nth| state.log.earlier.get(nth)).copied();
    let taken = |lane: &Lane, id| id <= lane.cursor.high() && !lane.cursor.missing().contains(id);
    state.lanes.iter().all(|lane| {
        let seen = state.log.visible.iter().filter(|&id| taken(lane, id));
        seen.filter_map(earlier).all(|before| before.iter().all(|id| taken(lane, id)))
    })
}

fn all_handled(model: &Protocol, state: &State) -> bool {
    model.is_handled(state) || model.goes_on(state)
}

fn is_over(state: &State) -> bool {
    state.log.open.is_empty() && !state.log.visible.is_empty()
}

fn id_was_proved_dead(_: &Protocol, state: &State) -> bool {
    (1..=state.stored.cursor.high).any(|id| state.log.is_dead(id) && !state.stored.is_open(id))
}
