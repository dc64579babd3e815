//! Attachments: files that belong to events. Their bytes are in an object store, what they are in `event_attachments`.
//!
//! The order of writes is what keeps anything from leaking. A row stands before its object is written and goes after it is
//! deleted, so that whatever a crash leaves is named by a row; and whether a row is to stay or to go is decided by one UPDATE of
//! that row, in the recorder's transaction (`record/attach.rs`) or in a sweep's (`sweep.rs`), of which the second sees the first.

mod content;
mod error;
mod objects;
mod read;
mod row;
mod store;
mod strays;
mod sweep;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use sea_orm::DatabaseConnection;

pub use error::AttachmentError;
pub use row::Attachment;
pub use strays::Stray;
pub use sweep::Swept;

use objects::Objects;

/// The files of events: stored before an event is recorded, attached as it is, read back, and swept away if nobody attached them.
///
/// ```
/// # use std::time::Duration;
/// # use event_sea_orm::prelude::*;
/// # async fn example<E: DomainEvent>(db: &sea_orm::DatabaseConnection, commented: E) -> Result<(), Box<dyn std::error::Error>> {
/// let attachments = Attachments::in_directory(db, "storage")?;
/// let log = attachments.store("build.log", "text/plain", "all is well").await?;
/// let saved = commented.on(7).by_system().attach(log).save(db).await?;
/// if let Some(event) = saved.event() {
///     for attachment in attachments.of(event).await? {
///         println!("{}: {} bytes", attachment.name, attachments.read(&attachment).await?.len());
///     }
/// }
/// attachments.sweep(Duration::from_secs(24 * 60 * 60)).await?;
/// # Ok(())
/// # }
/// ```
///
/// Clones share everything.
#[derive(Clone)]
pub struct Attachments {
    db: DatabaseConnection,
    objects: Objects,
    /// The most bytes of a file.
    at_most: Option<u64>,
}

/// Names neither the database nor the store: their own words may hold secrets.
impl fmt::Debug for Attachments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachments").finish_non_exhaustive()
    }
}

impl Attachments {
    /// In this directory of the local file system, which is made if it is not there. What is stored there survives a power cut.
    ///
    /// On Unix only this program's account may read what is stored: files have the mode 0600, directories that are made 0700. A directory
    /// that is there keeps its mode.
    ///
    /// # Errors
    /// The directory can't be made, or is none.
    pub fn in_directory(db: &DatabaseConnection, directory: impl AsRef<Path>) -> Result<Self, AttachmentError> {
        Ok(Self { db: db.clone(), objects: Objects::in_directory(directory.as_ref())?, at_most: None })
    }

    /// In any object store: S3, Google's, Azure's, by the features of the crate `object_store`, whose version has to be the one
    /// that [`event_sea_orm::object_store`](object_store) is. All is written beneath `attachments/`;
    /// `object_store::prefix::PrefixStore` puts that beneath a prefix of your own.
    ///
    /// ```
    /// # use event_sea_orm::prelude::*;
    /// # async fn example(db: &sea_orm::DatabaseConnection) {
    /// use event_sea_orm::object_store::memory::InMemory;
    /// let attachments = Attachments::new(db, std::sync::Arc::new(InMemory::new()));
    /// # let _ = attachments;
    /// # }
    /// ```
    pub fn new(db: &DatabaseConnection, store: Arc<dyn ObjectStore>) -> Self {
        Self { db: db.clone(), objects: Objects::new(store), at_most: None }
    }

    /// The same attachments with a limit: storing a file of more bytes is [`AttachmentError::TooLarge`]. Content that comes bit by bit is
    /// read no further than the limit, and nothing of it is kept. Files that are stored already can be read whatever their size.
    ///
    /// Without it there is no limit but the store's. Clones that were made before keep theirs.
    ///
    /// ```
    /// # use event_sea_orm::prelude::*;
    /// # async fn example(attachments: &Attachments) {
    /// let avatars = attachments.clone().at_most(512 * 1024);
    /// # let _ = avatars;
    /// # }
    /// ```
    #[must_use]
    pub fn at_most(mut self, bytes: u64) -> Self {
        self.at_most = Some(bytes);
        self
    }
}
