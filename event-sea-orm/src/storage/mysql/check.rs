//! MySQL and MariaDB: the check of what exactness rests on.

use event_core::LogName;
use event_core::storage::StorageError;

use crate::storage::SeaStorage;

pub(in crate::storage) async fn check(_: &SeaStorage, _: &[LogName]) -> Result<(), StorageError> {
    Ok(())
}
