//! The file: its form, how it is read, and how it is written whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::problem::LockError;

/// The form that is written. A file of a later one was written by a later event-core.
const FORMAT: u32 = 1;

const ABOUT: &str = "Everything that this program stores by name: the actions of its events with the JSON Schema of their \
                     metadata in every version so far, and its inboxes. `event_core::lock::check` compares the program with \
                     it and fails where stored data would not survive. Commit this file; to bring it up to date, run the \
                     check with EVENTS_LOCK=update.";

/// What was stored so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Locked {
    /// Log, subject, stored name.
    pub(super) events: BTreeMap<String, BTreeMap<String, BTreeMap<String, Name>>>,
    pub(super) inboxes: BTreeSet<String>,
}

/// A name that an action was stored under.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Name {
    /// The action that it is read as today, where that has another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) alias_of: Option<String>,
    /// Sorted.
    pub(super) versions: Vec<Version>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Version {
    pub(super) version: u32,
    /// Whether an upcast leads from it to the next.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) upcast: bool,
    /// None for one that was no more when the file was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) schema: Option<Value>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// The file's text, with its parts in this order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    about: String,
    format: u32,
    events: BTreeMap<String, BTreeMap<String, BTreeMap<String, Name>>>,
    inboxes: BTreeSet<String>,
}

impl Locked {
    /// The file's content; none if there is no file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, LockError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(LockError::Io { path: path.to_owned(), what: "can't be read", reason: error.to_string() })
            }
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self, LockError> {
        let corrupt = |reason: String| LockError::Corrupt { path: path.to_owned(), reason };
        let value: Value = serde_json::from_str(text).map_err(|error| corrupt(error.to_string()))?;
        // First of all: a later form may hold anything.
        if let Some(found) = value.get("format").and_then(Value::as_u64)
            && found > u64::from(FORMAT)
        {
            return Err(LockError::Newer { path: path.to_owned(), found, known: FORMAT });
        }
        let mut text: Text = serde_path_to_error::deserialize(value).map_err(|error| corrupt(error.to_string()))?;
        if text.format != FORMAT {
            return Err(corrupt(format!("`format` is {} and has to be {FORMAT}", text.format)));
        }
        for (name, stored) in text.events.values_mut().flat_map(BTreeMap::values_mut).flatten() {
            stored.versions.sort_by_key(|version| version.version);
            if let Some([first, _]) =
                stored.versions.array_windows().find(|[first, second]| first.version == second.version)
            {
                return Err(corrupt(format!("`{name}` has version {} twice", first.version)));
            }
            if stored.versions.iter().any(|version| version.version == 0) {
                return Err(corrupt(format!("`{name}` has a version 0, and versions begin with 1")));
            }
        }
        Ok(Self { events: text.events, inboxes: text.inboxes })
    }

    fn text(&self) -> Result<String, serde_json::Error> {
        let text = Text {
            about: ABOUT.to_owned(),
            format: FORMAT,
            events: self.events.clone(),
            inboxes: self.inboxes.clone(),
        };
        serde_json::to_string_pretty(&text).map(|text| text + "\n")
    }

    /// Writes the file anew: beside it first, so that it is whole at any moment.
    pub(super) fn write(&self, path: &Path) -> Result<(), LockError> {
        let failed = |reason: String| LockError::Io { path: path.to_owned(), what: "can't be written", reason };
        let text = self.text().map_err(|error| failed(error.to_string()))?;
        replace(path, text.as_bytes()).map_err(|error| failed(error.to_string()))
    }
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    // A link to the file stays one.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = beside(&path, folder);
    let written = write_synced(&beside, content).and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        drop(fs::remove_file(&beside));
    }
    written?;
    // The rename itself. Not every system lets a folder be opened; there it is as lasting as the system makes it.
    if let Ok(folder) = File::open(folder) {
        drop(folder.sync_all());
    }
    Ok(())
}

/// A name that no other process and no other test of this one uses.
fn beside(path: &Path, folder: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    folder.join(format!(".{name}.{}.{:x}.tmp", std::process::id(), fastrand::u64(..)))
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}
