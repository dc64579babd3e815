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

/// Where an attachment's bytes lie: named by the id alone, because a file's name may be anything, and spread by the id's last letters,
/// which are random. `None` for an id that storing can't have returned: it may be a path out of the store.
pub(super) fn path_of(id: &AttachmentId) -> Option<Path> {
    id.is_valid().then(|| {
        let id = id.as_str();
        Path::from(format!("{ROOT}/{}/{id}", &id[id.len() - 2..]))
    })
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

    /// Before an object is written: its directory, in which others than this program's account may read nothing.
    pub(super) async fn prepare(&self, id: &AttachmentId, path: &Path) -> Result<(), AttachmentError> {
        let Some(local) = &self.local else { return Ok(()) };
        let file = local.path_to_filesystem(path).map_err(|error| failed("store", id, &error))?;
        let Some(directory) = file.parent().map(FilePath::to_owned) else { return Ok(()) };
        blocking("store", id, move || {
            make_directory(&directory)?;
            refuse_links(&file)
        })
        .await
    }

    /// Before an object is read: neither it nor its directory is a symbolic link out of the store.
    pub(super) async fn refuse_links(&self, id: &AttachmentId, path: &Path) -> Result<(), AttachmentError> {
        let Some(local) = &self.local else { return Ok(()) };
        let file = local.path_to_filesystem(path).map_err(|error| failed("read", id, &error))?;
        blocking("read", id, move || refuse_links(&file)).await
    }

    /// After an object was written: others than this program's account may not read it.
    pub(super) async fn protect(&self, id: &AttachmentId, path: &Path) -> Result<(), AttachmentError> {
        let Some(local) = &self.local else { return Ok(()) };
        let file = local.path_to_filesystem(path).map_err(|error| failed("store", id, &error))?;
        blocking("store", id, move || make_private(&file)).await
    }

    /// Deletes an object, also one that is gone already, and what an upload that was killed left beside it. An id that is none of ours
    /// has no object.
    pub(super) async fn delete(&self, id: &AttachmentId) -> Result<(), AttachmentError> {
        let Some(path) = path_of(id) else { return Ok(()) };
        let failed = |reason| AttachmentError::Store { what: format!("delete the attachment {id}"), reason };
        self.refuse_links(id, &path).await?;
        match self.store.delete(&path).await {
            Ok(()) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(failed(words(&error))),
        }
        let Some(local) = &self.local else { return Ok(()) };
        let file = local.path_to_filesystem(&path).map_err(|error| failed(words(&error)))?;
        blocking("delete", id, move || clean_up(&file)).await
    }
}

/// Work on the file system, on a thread that may wait for it.
async fn blocking(
    what: &str,
    id: &AttachmentId,
    work: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<(), AttachmentError> {
    let failed = |reason| AttachmentError::Store { what: format!("{what} the attachment {id}"), reason };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(error) => Err(failed(error.to_string())),
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

/// Makes the directory, for this program's account alone, and has the directories around it keep it. One that is there stays as it is.
fn make_directory(directory: &FilePath) -> std::io::Result<()> {
    let missing: Vec<PathBuf> = directory
        .ancestors()
        .filter(|path| !path.as_os_str().is_empty())
        .take_while(|path| !path.exists())
        .map(FilePath::to_owned)
        .collect();
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)?;
    for made in missing {
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_directory(parent.unwrap_or(FilePath::new(".")))?;
    }
    Ok(())
}

/// An object and its directory are made by us, so that a symbolic link in their place leads out of the store. The directories above
/// may be links: a store that was moved to another disk.
fn refuse_links(file: &FilePath) -> std::io::Result<()> {
    for path in file.parent().into_iter().chain([file]) {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_symlink() => {
                return Err(std::io::Error::other("a symbolic link stands in its place, and is not followed"));
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// object_store knows no modes, and the process's umask is not ours to change.
#[cfg(unix)]
fn make_private(file: &FilePath) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    match std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)) {
        Ok(()) => std::fs::File::open(file)?.sync_all(),
        // A sweep took it: the UPDATE that finishes the upload finds no row.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// There files have no modes.
#[cfg(not(unix))]
fn make_private(_: &FilePath) -> std::io::Result<()> {
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
        assert_eq!(path_of(&id).unwrap().as_ref(), "attachments/ab/01997d3e-0000-7000-8000-0000000000ab");
    }

    #[test]
    fn what_is_no_id_has_no_path() {
        let (uuid, wide) = ("01997d3e-0000-7000-8000-0000000000ab", "é".repeat(18));
        let upper = uuid.to_uppercase();
        let nul = uuid.replace('b', "\0");
        let slash = uuid.replace("-0000-", "/../0/");
        for id in ["", "ab", "..", "../../etc/passwd", &uuid[1..], &format!("{uuid}#1"), &upper, &nul, &slash, &wide] {
            assert_eq!(path_of(&AttachmentId::from(id)), None, "{id}");
        }
    }
}
