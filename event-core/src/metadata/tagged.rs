//! An event's action and metadata, as serde's derived `Deserialize` of an enum wants them.

use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

/// Presents metadata as an externally tagged enum whose variant is given by index: serde's derived `Deserialize` takes an
/// index as well as a name, so no rename of a variant can be missed.
pub(super) struct TaggedByIndex<D> {
    pub(super) index: u32,
    /// Where the object is read from.
    pub(super) metadata: D,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for TaggedByIndex<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de, D: Deserializer<'de>> de::EnumAccess<'de> for TaggedByIndex<D> {
    type Error = D::Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), Self::Error> {
        let index: de::value::U32Deserializer<Self::Error> = self.index.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de, D: Deserializer<'de>> de::VariantAccess<'de> for TaggedByIndex<D> {
    type Error = D::Error;

    /// A unit variant stores `{}`; fields that a newer version added are no reason to refuse the event.
    fn unit_variant(self) -> Result<(), Self::Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Self::Error> {
        seed.deserialize(self.metadata)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Self::Error> {
        self.metadata.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.metadata.deserialize_any(visitor)
    }
}
