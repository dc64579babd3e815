//! An event that was read and waits for its deliveries.

use std::any::TypeId;
use std::sync::{Arc, OnceLock};

use super::outcome::{ErrorKind, InboxError};
use crate::event::{Decoded, DomainEvent};
use crate::metadata::DecodeError;
use crate::recorded::{Recorded, StoredEvent};
use crate::storage::ReadEvent;

/// An event that was read, decoded at most once per enum however many inboxes take it.
pub(crate) struct LoadedEvent {
    stored: Arc<StoredEvent>,
    /// The enum that a log's subject and action belong to is unique (checked when the dispatcher is built), so one cell is
    /// enough. Empty until an inbox asks for the type.
    typed: OnceLock<(TypeId, Decoded)>,
    /// Why the row can't be read at all.
    unreadable: Option<String>,
}

impl LoadedEvent {
    pub(crate) fn new(stored: Arc<StoredEvent>) -> Self {
        Self { stored, typed: OnceLock::new(), unreadable: None }
    }

    pub(crate) fn from_read(read: ReadEvent) -> Self {
        match read {
            Ok(stored) => Self::new(stored),
            Err(broken) => Self { unreadable: Some(broken.reason), ..Self::new(broken.event) },
        }
    }

    /// Fails if the row can't be read, whatever type is asked for.
    pub(crate) fn readable(&self) -> Result<(), InboxError> {
        match &self.unreadable {
            None => Ok(()),
            Some(reason) => {
                Err(InboxError::of_kind(ErrorKind::Decode, format!("the event's row can't be read: {reason}")))
            }
        }
    }

    pub(crate) fn stored(&self) -> &Arc<StoredEvent> {
        &self.stored
    }

    pub(super) fn typed<E: DomainEvent>(&self) -> Result<Arc<Recorded<E>>, DecodeError> {
        let event = E::descriptor();
        let (type_id, decoded) = self.typed.get_or_init(|| (event.type_id(), event.decode(&self.stored)));
        if *type_id == TypeId::of::<E>()
            && let Ok(typed) = decoded
            && let Ok(typed) = typed.clone().downcast::<Recorded<E>>()
        {
            return Ok(typed);
        }
        if *type_id == TypeId::of::<E>()
            && let Err(error) = decoded
        {
            return Err(error.clone());
        }
        // Another enum took the cell (an unknown action may be asked for by two): decode for this one alone.
        Recorded::from_stored(self.stored.clone()).map(Arc::new)
    }
}
