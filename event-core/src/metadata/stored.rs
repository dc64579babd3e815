//! Metadata as a row holds it: text, of which a map is made for whoever asks for one.

use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Metadata;

/// The metadata of an event that was read: to be used as a [`Metadata`].
///
/// It keeps the text of its row, from which a typed event is decoded at once; the map is made when it is first asked for.
///
/// ```
/// use event_core::StoredMetadata;
/// let metadata = StoredMetadata::from_text(r#"{"from": "open", "to": "done"}"#.to_owned())?;
/// assert_eq!(metadata["to"], "done");
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct StoredMetadata {
    /// Known to be an object of which a map can be made.
    text: Option<Box<str>>,
    map: OnceLock<Metadata>,
}

impl StoredMetadata {
    /// The metadata that this text holds.
    ///
    /// # Errors
    /// Text that is not one JSON object, or that has numbers or levels beyond what a [`Metadata`] can hold. serde_json's own words may quote
    /// what it read.
    pub fn from_text(text: String) -> Result<Self, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_str(&text);
        reader.deserialize_map(Checked)?;
        reader.end()?;
        Ok(Self { text: Some(text.into()), map: OnceLock::new() })
    }

    /// The text, where it was read as one.
    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

impl Deref for StoredMetadata {
    type Target = Metadata;

    fn deref(&self) -> &Metadata {
        // That it can be made was checked by the same parser; the default is never reached.
        self.map
            .get_or_init(|| self.text.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default())
    }
}

impl<'m> IntoIterator for &'m StoredMetadata {
    type Item = (&'m String, &'m Value);
    type IntoIter = serde_json::map::Iter<'m>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Metadata> for StoredMetadata {
    fn from(map: Metadata) -> Self {
        Self { text: None, map: map.into() }
    }
}

impl From<StoredMetadata> for Metadata {
    fn from(metadata: StoredMetadata) -> Self {
        metadata
            .map
            .into_inner()
            .unwrap_or_else(|| metadata.text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }
}

impl PartialEq for StoredMetadata {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl PartialEq<Metadata> for StoredMetadata {
    fn eq(&self, other: &Metadata) -> bool {
        **self == *other
    }
}

impl fmt::Debug for StoredMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl Serialize for StoredMetadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

/// Walks over what a map could be made of, without making it: the same parser, asked for any value at every place, fails where it would
/// fail for the map.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<StoredMetadata, serde_json::Error> {
        StoredMetadata::from_text(text.to_owned())
    }

    #[test]
    fn the_map_is_what_the_text_says() {
        let text = r#" {"a": [1, -1, 1.5, true, null, "\u00e9\n"], "b": {"c": {}}, "a": {"last": "wins"}} "#;
        let metadata = read(text).unwrap();
        let map: Metadata = serde_json::from_str(text).unwrap();
        assert_eq!(metadata, map);
        assert_eq!(metadata, StoredMetadata::from(map.clone()));
        assert!((&metadata).into_iter().eq(&map));
        assert_eq!(serde_json::to_value(&metadata).unwrap(), Value::Object(map.clone()));
        assert_eq!(metadata.clone().get("a"), Some(&json!({"last": "wins"})));
        assert_eq!(Metadata::from(read(text).unwrap()), map, "also where nobody had asked for it");
        assert_eq!(Metadata::from(metadata), map);
    }

    #[test]
    fn what_no_map_can_be_made_of_is_refused_as_the_map_would() {
        let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        let texts = [
            "",
            "7",
            "[]",
            "null",
            "\"a\"",
            "{",
            "{} {}",
            "{}}",
            r#"{"a"}"#,
            r#"{"a": 1,}"#,
            r#"{7: 1}"#,
            r#"{"a": 1e999}"#,
            r#"{"a": 18446744073709551616}"#,
            r#"{"a": "\ud800"}"#,
            "{\"a\": \"\n\"}",
            r#"{"a": nul}"#,
            r#"{"a": 01}"#,
        ];
        for text in texts.map(str::to_owned).into_iter().chain([deep(126), deep(127), deep(128), deep(4_000)]) {
            let (ours, map) = (read(&text), serde_json::from_str::<Metadata>(&text));
            match (ours, map) {
                (Ok(metadata), Ok(map)) => assert_eq!(metadata, map, "{text}"),
                (Err(ours), Err(map)) => assert_eq!(ours.to_string(), map.to_string(), "{text}"),
                (ours, map) => panic!("{text}: {ours:?}, and as a map {map:?}"),
            }
        }
        assert!(read(&deep(126)).is_ok() && read(&deep(128)).is_err(), "both sides of the limit were tried");
    }
}
