//! What the macros' output names, and nothing else may: no part of the public face, changed with the macros.

/// Version 1 of the macros' contract.
pub mod v1 {
    pub use std::any::{Any, TypeId};
    pub use std::boxed::Box;
    pub use std::concat;
    pub use std::future::Future;
    pub use std::pin::Pin;
    pub use std::sync::Arc;
    pub use std::vec::Vec;

    pub use inventory;
    pub use schemars;

    pub use crate::event::{EventParts, Except};
    pub use crate::inbox::InboxParts;
    pub use crate::inbox::outcome::ErrorText;
    pub use crate::metadata::Metadata;
    pub use crate::names::Location;
    pub use crate::registry::{EventRegistration, InboxRegistration};
    pub use crate::schema::{ObjectSchema, OpenSchema, Probe, TypedSchema, list, optional};
    pub use crate::upcast::{Upcast, Upcasted};

    use crate::event::{Action, DomainEvent};
    use crate::metadata::{DecodeError, EncodeError, StoredMetadata};
    use crate::recorded::{Recorded, StoredEvent};

    /// Says that the enum named in an inbox's `on(...)` is the one that its event argument takes.
    #[diagnostic::on_unimplemented(
        message = "this inbox takes events of `{E}`, and this action is one of `{Self}`",
        label = "an action of another enum",
        note = "name actions of `{E}` only, or take `AnyEvent` as the argument"
    )]
    pub trait SameEvent<E> {
        /// Something to name.
        fn check() {}
    }

    impl<E> SameEvent<E> for E {}

    /// Encodes through the enum's own `Serialize`.
    pub fn encode<E: DomainEvent + serde::Serialize>(event: &E) -> Result<Metadata, EncodeError> {
        let variant = event.action().descriptor().variant();
        crate::metadata::encode(event, E::descriptor().name(), variant)
    }

    /// Decodes through the enum's own `Deserialize`, having checked the action and the version.
    pub fn decode<E>(action: &str, version: u32, metadata: &StoredMetadata) -> Result<E, DecodeError>
    where
        E: DomainEvent + serde::de::DeserializeOwned,
    {
        let event = E::descriptor();
        let unknown = || DecodeError::UnknownAction {
            event: event.name(),
            action: action.to_owned(),
            known: event.actions().iter().map(|action| action.name()).collect::<Vec<_>>().join(", "),
        };
        let index = event.actions().iter().position(|known| known.is_called(action)).ok_or_else(unknown)?;
        let known = &event.actions()[index];
        if version > known.version() {
            return Err(DecodeError::FutureVersion {
                event: event.name(),
                action: action.to_owned(),
                version,
                known: known.version(),
            });
        }
        let index = u32::try_from(index).map_err(|_| unknown())?;
        if known.is_current(version) {
            return crate::metadata::decode(event.name(), action, index, metadata);
        }
        let metadata = known.upcast(event.name(), version, metadata)?.into_owned();
        crate::metadata::decode(event.name(), action, index, &metadata.into())
    }

    /// One step of an upcast.
    pub fn upcast<R: Upcasted>(step: impl FnOnce(Metadata) -> R, metadata: Metadata) -> Result<Metadata, String> {
        step(metadata).into_result()
    }

    /// The decoder without its type, for the dispatcher.
    pub fn decode_erased<E: DomainEvent>(stored: &Arc<StoredEvent>) -> Result<Arc<dyn Any + Send + Sync>, DecodeError> {
        Ok(Arc::new(Recorded::<E>::from_stored(stored.clone())?))
    }

    /// The metadata as `E` would store it today.
    pub fn rewrite<E: DomainEvent>(stored: &StoredEvent) -> Option<Metadata> {
        stored.decode::<E>().ok()?.encode().ok()
    }
}
