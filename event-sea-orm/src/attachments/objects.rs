//! The object store: where an attachment's bytes lie, and what its errors may say.

use std::borrow::Cow;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use event_core::AttachmentId;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _};

use super::AttachmentError;

/// Beneath it lie all objects.
pub(super) const ROOT: &str = "attachments";

/// Where an attachment's bytes lie: named by the id alone, for a file's name may be anything, and spread by the id's last letters,
/// which are random.
pub(super) fn path_of(id: &AttachmentId) -> String {
    let id = id.as_str();
    format!("{ROOT}/{}/{id}", id.get(id.len().saturating_sub(2)..).unwrap_or_default())
}

#[derive(Clone)]
pub(super) struct Objects {
    pub(super) store: Arc<dyn ObjectStore>,
    /// The same store, where it is a directory.
    local: Option<LocalFileSystem>,
}

impl Objects {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, local: None }
    }

    pub(super) fn in_directory(directory: &FilePath) -> Result<Self, AttachmentError> {
        let failed = |source| AttachmentError::Directory { path: directory.to_owned(), source };
        make_directory(directory).map_err(failed)?;
        let local = LocalFileSystem::new_with_prefix(directory).map_err(|error| failed(error.into()))?;
        // The database keeps its row through a power cut, so the file has to be kept too.
        let local = local.with_fsync(true);
        Ok(Self { store: Arc::new(local.clone()), local: Some(local) })
    }

    /// Deletes an object, also one that is gone already, and what an upload that was killed left beside it.
    pub(super) async fn delete(&self, id: &AttachmentId, path: &str) -> Result<(), AttachmentError> {
        let failed = |reason| AttachmentError::Store { what: format!("delete the attachment {id}"), reason };
        let path = Path::parse(path).map_err(|error| failed(error.to_string()))?;
        match self.store.delete(&path).await {
            Ok(()) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(failed(words(&error))),
        }
        let Some(local) = &self.local else { return Ok(()) };
        let file = local.path_to_filesystem(&path).map_err(|error| failed(words(&error)))?;
        let cleaned = tokio::task::spawn_blocking(move || clean_up(&file)).await;
        match cleaned {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

/// A store's error about this attachment.
pub(super) fn failed(what: &str, id: &AttachmentId, error: &Error) -> AttachmentError {
    match error {
        Error::NotFound { .. } => AttachmentError::Missing { id: id.clone() },
        error => AttachmentError::Store { what: format!("{what} the attachment {id}"), reason: words(error) },
    }
}

/// What a store's error says, without what may be secret in it: a URL's user, password and query (signatures, tokens).
pub(super) fn words(error: &Error) -> String {
    let text = error.to_string();
    let words = text.split_whitespace().map(|word| {
        let word = match word.split_once(['?', '#']) {
            Some((before, query)) if before.contains("://") || query.contains('=') => before,
            _ => word,
        };
        let Some((before, address)) = word.split_once("://") else { return Cow::Borrowed(word) };
        let end = address.find('/').unwrap_or(address.len());
        let (place, path) = address.split_at(end);
        let place = place.rsplit('@').next().unwrap_or_default();
        Cow::Owned(format!("{before}://{place}{path}"))
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Makes the directory, and has the directories around it keep it.
fn make_directory(directory: &FilePath) -> std::io::Result<()> {
    let missing: Vec<PathBuf> = directory
        .ancestors()
        .filter(|path| !path.as_os_str().is_empty())
        .take_while(|path| !path.exists())
        .map(FilePath::to_owned)
        .collect();
    std::fs::create_dir_all(directory)?;
    for made in missing {
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_directory(parent.unwrap_or(FilePath::new(".")))?;
    }
    Ok(())
}

/// object_store writes to `FILE#1` and renames it when it is whole; neither lists nor deletes what has such a name.
/// Its own deletion is not synced either, and an undone one would leave a file without a row.
fn clean_up(file: &FilePath) -> std::io::Result<()> {
    for upload in 1.. {
        let mut staged = file.as_os_str().to_owned();
        staged.push(format!("#{upload}"));
        match std::fs::remove_file(staged) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    match file.parent().map(sync_directory) {
        Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn sync_directory(directory: &FilePath) -> std::io::Result<()> {
    std::fs::File::open(directory)?.sync_all()
}

/// There directories can't be opened as files.
#[cfg(not(unix))]
fn sync_directory(_: &FilePath) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_an_address_is_told() {
        let source = "Error performing GET https://key:secret@host:9000/bucket/object?X-Sig=secret#secret in 3s, after 2 retries";
        let error = Error::Generic { store: "S3", source: source.into() };
        let told = words(&error);
        assert!(!told.contains("secret") && !told.contains("key"), "{told}");
        assert!(told.contains("GET https://host:9000/bucket/object in 3s, after 2 retries"), "{told}");
        let error = Error::Generic { store: "S3", source: "(https://key:secret@host?sig=secret)".into() };
        assert!(!words(&error).contains("secret"));
        let error =
            Error::Generic { store: "Azure", source: "GET /container/blob?sv=1&sig=secret\nrefused: why? #1".into() };
        assert_eq!(words(&error), "Generic Azure error: GET /container/blob refused: why? #1");
    }

    #[test]
    fn a_path_is_made_of_the_id() {
        let id = AttachmentId::from("01997d3e-0000-7000-8000-0000000000ab");
        assert_eq!(path_of(&id), "attachments/ab/01997d3e-0000-7000-8000-0000000000ab");
    }
}
