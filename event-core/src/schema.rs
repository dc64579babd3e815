//! The pieces that the derive builds an action's JSON Schema from.
//!
//! A field whose type has no `JsonSchema` still gets a schema: an open one. Rust chooses between the two by method lookup
//! ("autoref specialisation"): `(&Probe::<T>::new()).schema(...)` finds [`TypedSchema`] at the first step where `T` has a
//! `JsonSchema`, and [`OpenSchema`], one reference further, otherwise.

use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Asks for the schema of `T`, if it has one.
#[doc(hidden)]
pub struct Probe<T: ?Sized>(PhantomData<fn() -> PhantomData<T>>);

impl<T: ?Sized> Probe<T> {
    #[doc(hidden)]
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// The schema of a type that has one.
#[doc(hidden)]
pub trait TypedSchema {
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;
}

impl<T: ?Sized + JsonSchema> TypedSchema for Probe<T> {
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// The open schema (everything is valid) of a type that has none.
#[doc(hidden)]
pub trait OpenSchema {
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;
}

impl<T: ?Sized> OpenSchema for &Probe<T> {
    fn schema(&self, _generator: &mut SchemaGenerator) -> Schema {
        Schema::default()
    }
}

/// The schema of an `Option` of what `inner` describes.
#[doc(hidden)]
pub fn optional(inner: Schema) -> Schema {
    json_schema!({ "anyOf": [inner, { "type": "null" }] })
}

/// The schema of a `Vec` of what `inner` describes.
#[doc(hidden)]
pub fn list(inner: Schema) -> Schema {
    json_schema!({ "type": "array", "items": inner })
}

/// The schema of a struct variant, field by field.
#[doc(hidden)]
#[derive(Default)]
pub struct ObjectSchema {
    properties: serde_json::Map<String, serde_json::Value>,
    required: Vec<serde_json::Value>,
    all_of: Vec<serde_json::Value>,
    aliases: serde_json::Map<String, serde_json::Value>,
}

impl ObjectSchema {
    #[doc(hidden)]
    pub fn new() -> Self {
        Self::default()
    }

    /// A field under its stored name.
    #[doc(hidden)]
    pub fn field(mut self, name: &str, required: bool, schema: Schema) -> Self {
        if required {
            self.required.push(name.into());
        }
        self.properties.insert(name.to_owned(), schema.to_value());
        self
    }

    /// The further names that a field is read from (`#[serde(alias = "...")]`). JSON Schema has no word for them; those that
    /// begin with `x-` are free.
    #[doc(hidden)]
    pub fn aliases(mut self, name: &str, aliases: &[&str]) -> Self {
        self.aliases.insert(name.to_owned(), aliases.into());
        self
    }

    /// A flattened field.
    #[doc(hidden)]
    pub fn flatten(mut self, schema: Schema) -> Self {
        self.all_of.push(schema.to_value());
        self
    }

    /// The whole object's schema.
    #[doc(hidden)]
    pub fn finish(self) -> Schema {
        let mut schema = json_schema!({ "type": "object" });
        if !self.properties.is_empty() {
            schema.insert("properties".to_owned(), self.properties.into());
        }
        if !self.required.is_empty() {
            schema.insert("required".to_owned(), self.required.into());
        }
        if !self.all_of.is_empty() {
            schema.insert("allOf".to_owned(), self.all_of.into());
        }
        if !self.aliases.is_empty() {
            schema.insert("x-aliases".to_owned(), self.aliases.into());
        }
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Opaque;

    #[test]
    #[allow(clippy::needless_borrow, reason = "as the derive writes it: one reference decides between the two")]
    fn the_probe_finds_the_schema_where_there_is_one() {
        let mut generator = SchemaGenerator::default();
        let typed = (&Probe::<u8>::new()).schema(&mut generator);
        assert_eq!(typed.get("type"), Some(&"integer".into()));
        let open = (&Probe::<Opaque>::new()).schema(&mut generator);
        assert_eq!(open, Schema::default());
    }
}
