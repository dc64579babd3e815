//! A crate that is a dependency, and that nobody refers to, is not linked: what its inboxes would do is missed by name.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use event_core::memory::MemoryLog;
use event_core::{Dispatcher, registry};

#[tokio::test]
async fn a_dependency_that_nobody_refers_to_is_missed() {
    assert_eq!(registry::inboxes().len(), 0);
    let errors = Dispatcher::<MemoryLog>::builder(MemoryLog::new()).expect(["parcel_tracker"]).build().unwrap_err();
    assert_eq!(
        errors.to_string(),
        "the dispatcher can't be built:\n  - inbox `parcel_tracker` is expected and not linked; linked are: none. A crate \
         that nobody refers to is not linked: write `use that_crate as _;` in the program"
    );
    // Without the expectation it is a dispatcher that has nothing to do.
    let idle = Dispatcher::<MemoryLog>::builder(MemoryLog::new()).build().unwrap();
    assert_eq!(idle.inboxes().len(), 0);
    assert!(idle.drain().await.unwrap().complete);
}
