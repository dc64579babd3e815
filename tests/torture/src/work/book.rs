//! The book of the plain inboxes: a file each, to which every worker appends what it handled.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::INBOXES;

/// The files, by inbox. Clones are the same.
#[derive(Clone)]
pub(crate) struct Book(Arc<HashMap<&'static str, File>>);

/// Where an inbox's file is.
pub(crate) fn folder_of(folder: &Path, inbox: &str) -> PathBuf {
    folder.join(format!("handled-{inbox}"))
}

impl Book {
    pub(crate) fn open(folder: &Path) -> std::io::Result<Self> {
        let mut files = HashMap::new();
        for inbox in INBOXES.iter().filter(|inbox| !inbox.transactional) {
            let path = folder_of(folder, inbox.name);
            files.insert(inbox.name, OpenOptions::new().create(true).append(true).open(path)?);
        }
        Ok(Self(Arc::new(files)))
    }

    /// Notes that the inbox handled the event: by one short write to a file opened for appending, which is there whole or
    /// not at all, and in the order of the writes, whoever wrote.
    pub(crate) fn note(&self, inbox: &str, number: i64) -> std::io::Result<()> {
        let Some(mut file) = self.0.get(inbox) else {
            return Err(std::io::Error::other(format!("`{inbox}` has no file")));
        };
        file.write_all(format!("{number}\n").as_bytes())
    }
}
