//! Reading the file: payload by payload as they are parsed, so that those before a cut are not lost.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::error::Error;
use crate::payload::Payload;

/// Opens the file, and reads it on a thread of its own. The first error is the last thing that comes.
pub fn read(path: &Path) -> Result<Receiver<Result<Payload, Error>>, Error> {
    let file = File::open(path).map_err(|source| Error::File { file: path.to_owned(), source })?;
    let (sink, payloads) = mpsc::channel(64);
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = parse(file, &sink) {
            // Nobody listens any more when the recording has failed.
            let _ = sink.blocking_send(Err(Error::of_json(path, error)));
        }
    });
    Ok(payloads)
}

type Sink = Sender<Result<Payload, Error>>;

fn parse(file: File, sink: &Sink) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(file));
    json.deserialize_seq(Webhooks { sink })?;
    json.end()
}

/// `[{"name": ..., "examples": [...]}, ...]`
struct Webhooks<'s> {
    sink: &'s Sink,
}

impl<'de> Visitor<'de> for Webhooks<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of webhooks")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut index = 0;
        while list.next_element_seed(Webhook { index, sink: self.sink })?.is_some() {
            index += 1;
        }
        Ok(())
    }
}

/// `{"name": "issues", "examples": [...], ...}`
struct Webhook<'s> {
    index: usize,
    sink: &'s Sink,
}

impl<'de> DeserializeSeed<'de> for Webhook<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Webhook<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a webhook with `name` and `examples`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut name: Option<String> = None;
        // Payloads that come before the name they belong to.
        let mut nameless = Vec::new();
        let mut has_examples = false;
        while let Some(key) = fields.next_key::<String>()? {
            match key.as_str() {
                "name" => name = Some(fields.next_value()?),
                "examples" => {
                    has_examples = true;
                    let name = name.as_deref();
                    fields.next_value_seed(Examples { of: &self, name, nameless: &mut nameless })?;
                }
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        let name = name.ok_or_else(|| A::Error::missing_field("name"))?;
        if !has_examples {
            return Err(A::Error::missing_field("examples"));
        }
        nameless.into_iter().try_for_each(|payload| send(self.sink, Payload { event: name.clone(), ..payload }))
    }
}

/// `[{"action": ..., "issue": ...}, ...]`
struct Examples<'a, 's> {
    of: &'a Webhook<'s>,
    name: Option<&'a str>,
    nameless: &'a mut Vec<Payload>,
}

impl<'de> DeserializeSeed<'de> for Examples<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Examples<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of payloads")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(body) = list.next_element()? {
            let place = format!("[{}].examples[{index}]", self.of.index);
            let payload = Payload { event: self.name.unwrap_or_default().to_owned(), place, body };
            match self.name {
                Some(_) => send(self.of.sink, payload)?,
                None => self.nameless.push(payload),
            }
            index += 1;
        }
        Ok(())
    }
}

fn send<E: serde::de::Error>(sink: &Sink, payload: Payload) -> Result<(), E> {
    sink.blocking_send(Ok(payload)).map_err(|_| E::custom("nobody takes the payloads any more"))
}
