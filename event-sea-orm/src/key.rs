//! Primary keys as text: what a subject's or an actor's id is stored as, and the way back.

use event_core::KeyText;
use sea_orm::sea_query::ValueType;
use sea_orm::{EntityTrait, Iterable, ModelTrait, PrimaryKeyToColumn, PrimaryKeyTrait, TryGetable, Value};
use uuid::Uuid;

/// The type of an entity's primary key.
pub type KeyOf<En> = <<En as EntityTrait>::PrimaryKey as PrimaryKeyTrait>::ValueType;

/// A single-column primary key that can be written as text and read back.
///
/// Implemented for integers, `String` and `Uuid`. A newtype key (SeaORM's `DeriveValueType`) needs these few lines:
///
/// ```
/// use event_sea_orm::TextKey;
/// use sea_orm::DeriveValueType;
///
/// #[derive(Clone, Debug, PartialEq, DeriveValueType)]
/// struct IssueId(i64);
///
/// impl TextKey for IssueId {
///     fn to_text(&self) -> String {
///         self.0.to_string()
///     }
///     fn from_text(text: &str) -> Option<Self> {
///         text.parse().ok().map(Self)
///     }
/// }
/// assert_eq!(IssueId::from_text("7").unwrap().to_text(), "7");
/// ```
///
/// A composite key has no one column for an event to name, and does not compile:
///
/// ```compile_fail,E0277
/// # use event_sea_orm::TextKey;
/// fn wants_a_key<K: TextKey>() {}
/// wants_a_key::<(i64, String)>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the key of an event's subject or actor",
    label = "this model's primary key is no single column that can be written as text",
    note = "events name their subject by one column: composite keys are refused; give the model a single-column key",
    note = "for a newtype key, implement `event_sea_orm::TextKey` for it"
)]
pub trait TextKey: ValueType + Into<Value> + TryGetable + Send + Sync {
    /// The key as it is stored with an event.
    fn to_text(&self) -> String;

    /// The key that was stored as this text; `None` if it is no such key.
    fn from_text(text: &str) -> Option<Self>;
}

macro_rules! text_keys {
    ($($key:ty)*) => {$(
        impl TextKey for $key {
            fn to_text(&self) -> String {
                self.to_string()
            }

            fn from_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )*};
}
text_keys!(i8 i16 i32 i64 u8 u16 u32 u64 String Uuid);

/// The key of a loaded model as text.
///
/// A value that is not of the key's type, which SeaORM's derive makes impossible, gives the empty text: recording refuses it.
pub(crate) fn key_of<M>(model: &M) -> KeyText
where
    M: ModelTrait,
    KeyOf<M::Entity>: TextKey,
{
    let column = <M::Entity as EntityTrait>::PrimaryKey::iter().next().map(PrimaryKeyToColumn::into_column);
    let value = column.map(|column| model.get(column));
    let key = value.and_then(|value| <KeyOf<M::Entity> as ValueType>::try_from(value).ok());
    KeyText::from(key.map(|key| key.to_text()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back<K: TextKey + PartialEq>(key: K) -> bool {
        K::from_text(&key.to_text()) == Some(key)
    }

    #[test]
    fn keys_go_there_and_back() {
        assert!(there_and_back(i64::MIN) && there_and_back(u32::MAX) && there_and_back(-3_i16));
        assert!(there_and_back("ÄB c".to_owned()) && there_and_back(Uuid::from_u128(7)));
        assert_eq!(i32::from_text("x"), None);
        assert_eq!(i32::from_text("99999999999"), None);
    }
}
