//! The state of the modelled system.

mod lane;
mod log;
mod stored;

pub use lane::{Lane, Reading, Running};
pub use log::{Log, Recorder};
pub use stored::{Change, Row, RowState, Save, Stored};

use crate::bits::Bits;

/// Everything: the log and its recorders, the database's rows about the inbox, the lanes, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// The log.
    pub log: Log,
    /// The rows about the inbox.
    pub stored: Stored,
    /// The living lanes, in the order of their claims. A crash, an error or a stop ends a lane.
    pub lanes: Vec<Lane>,
    /// Events whose effect stands, once at least.
    pub effects: Bits,
    /// Events whose effect stands more than once. Not counted where it may happen.
    pub doubled: Bits,
    /// Events that some lane has started, as long as they are open in the database.
    pub started: Bits,
}

impl State {
    /// The effects of these events happen.
    pub fn add_effects(&mut self, events: Bits, may_repeat: bool) {
        if !may_repeat {
            self.doubled = self.doubled.or(self.effects.and(events));
        }
        self.effects = self.effects.or(events);
    }

    /// Makes states equal that differ in nothing that can ever matter: there are fewer to visit then.
    pub fn normalise(&mut self) {
        let stored = &mut self.stored;
        for lane in &mut self.lanes {
            // A lane of an older epoch never gets a save through, however old it is and whatever counter it knows. Neither
            // does one whose counter is behind: the counter only grows.
            if lane.epoch.is_some_and(|epoch| epoch < stored.epoch) {
                lane.epoch = Some(0);
                lane.saves = 0;
            } else {
                lane.saves = (lane.saves - stored.saves).max(-1);
            }
        }
        stored.saves = 0;
        self.started = self.started.iter().filter(|&id| stored.is_open(id)).collect();
    }
}
