//! A lane: what a worker has in memory about the inbox.

use event_core::LogName;
use event_core::cursor::{Cursor, SavedCursor};
use event_core::storage::CursorSave;

use super::{Change, Row, RowState, Save, Stored};
use crate::bits::Bits;

/// A worker's lane. Whatever is in it is lost with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    /// As raised by its claim; `None` only where the cursor is loaded before that.
    pub epoch: Option<u8>,
    /// The save counter as loaded or last saved.
    pub saves: i64,
    /// The cursor as it stands in the database, as far as the lane knows.
    pub stored: SavedCursor,
    /// The very cursor of event-core.
    pub cursor: Cursor,
    /// The missing ids that the last look knew, each with those that might have drawn it and have not left.
    pub proof: Vec<(i64, Bits)>,
    /// Where it is between two reads.
    pub reading: Reading,
    /// Read and not taken yet.
    pub page: Bits,
    /// Taken, and next in turn.
    pub ready: Bits,
    /// Started.
    pub running: Vec<Running>,
    /// Whether what runs does so alone: a retry, or a suspect.
    pub alone: bool,
    /// Changes of failure rows, not saved yet.
    pub changes: Vec<Change>,
    /// Whether the cursor differs from the stored one.
    pub dirty: bool,
}

/// Where a lane is between two reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reading {
    /// Nowhere: the page at hand is all there is.
    #[default]
    No,
    /// This page was read without the missing ids; a look decides whether it is as good.
    Peeked(Bits),
    /// These ids are ripe: the next read decides.
    Looked(Bits),
}

/// An attempt under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Running {
    /// The event.
    pub id: i64,
    /// The attempts of its failure row, if it has one.
    pub counted: Option<u8>,
}

impl Lane {
    /// A lane that begins with what is stored.
    pub fn load(stored: &Stored, epoch: Option<u8>) -> Self {
        Self {
            epoch,
            saves: stored.saves,
            stored: stored.cursor.clone(),
            cursor: Cursor::load(stored.cursor.clone()),
            proof: Vec::new(),
            reading: Reading::No,
            page: Bits::NONE,
            ready: Bits::NONE,
            running: Vec::new(),
            alone: false,
            changes: Vec::new(),
            dirty: false,
        }
    }

    /// Whether a save has something to write.
    pub fn is_dirty(&self) -> bool {
        self.dirty || !self.changes.is_empty()
    }

    /// The missing ids.
    pub fn missing(&self) -> Bits {
        self.cursor.missing().into()
    }

    /// Whether the last look knew exactly the missing ids, and a read that looked for them came after it.
    pub fn knows_missing(&self) -> bool {
        let known: Bits = self.proof.iter().map(|(id, _)| *id).collect();
        self.cursor.recovering().is_empty() && known == self.missing()
    }

    /// An attempt ends: done, or a failure row stands.
    pub fn finish(&mut self, attempt: Running, well: bool, max_attempts: u8) {
        let id = attempt.id;
        let attempts = attempt.counted.unwrap_or(1);
        let state = if attempts >= max_attempts { RowState::Dead } else { RowState::Waiting };
        let row = Row { attempts, state };
        match attempt.counted {
            None => {
                if !well {
                    self.changes.push(Change::Insert(id, row));
                }
                self.close(id);
            }
            Some(_) if well => self.changes.push(Change::Remove(id, attempts)),
            Some(_) => self.changes.push(Change::Update(id, row, attempts)),
        }
    }

    /// The event's hole is closed by the next save.
    pub fn close(&mut self, id: i64) {
        self.cursor.finish(id);
        self.dirty = true;
    }

    /// What a save has to write now.
    pub fn to_save(&self) -> Save {
        let SavedCursor { high, ceiling, missing, in_flight } = self.cursor.save();
        let cursor = CursorSave {
            log: LogName::from_static("events"),
            saves: self.saves,
            high,
            ceiling,
            missing: (missing != self.stored.missing).then_some(missing),
            in_flight: (in_flight != self.stored.in_flight).then_some(in_flight),
        };
        Save { epoch: self.epoch, cursor, changes: self.changes.clone() }
    }

    /// The save was applied.
    pub fn saved(&mut self, save: &Save) {
        self.saves += 1;
        save.cursor.apply(&mut self.stored);
        self.dirty = false;
        self.changes.clear();
    }
}
