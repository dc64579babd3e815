//! Inboxes of a crate that the program does nothing with but link it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use event_core::dispatch::BuildError;
use event_core::memory::MemoryLog;
use event_core::testing::TestKit;
use event_core::{Dispatcher, registry};
use linked_inboxes as _;

#[tokio::test]
async fn they_are_found_and_run() {
    let names: Vec<_> = registry::inboxes().iter().map(|inbox| inbox.name()).collect();
    assert_eq!(names, ["parcel_refunds", "parcel_tracker"]);
    let events: Vec<_> = registry::events().iter().map(|event| event.name()).collect();
    assert!(events.contains(&"ParcelEvent"), "{events:?}");
    let place = registry::inboxes()[1].location();
    assert!(place.file.ends_with("linked/src/lib.rs"), "{place}");
    let kit = TestKit::in_memory(|dispatcher| dispatcher.expect(["parcel_tracker", "parcel_refunds"])).await.unwrap();
    assert_eq!(kit.dispatcher().inboxes(), names);
    assert_eq!(kit.drain().await.unwrap().inboxes.len(), 2);
}

#[test]
fn one_that_is_not_linked_is_missed_by_name() {
    let builder = Dispatcher::<MemoryLog>::builder(MemoryLog::new());
    let errors = builder.expect(["parcel_tracker", "parcel_trakcer"]).build().unwrap_err();
    assert!(matches!(errors.iter().next(), Some(BuildError::NotLinked { name, .. }) if name == "parcel_trakcer"));
    assert_eq!(
        errors.to_string(),
        "the dispatcher can't be built:\n  - inbox `parcel_trakcer` is expected and not linked; linked are: \
         parcel_refunds, parcel_tracker. A crate that nobody refers to is not linked: write `use that_crate as _;` in the \
         program"
    );
}

#[test]
fn one_that_is_to_run_alone_has_to_be_linked_too() {
    let builder = Dispatcher::<MemoryLog>::builder(MemoryLog::new());
    let errors = builder.only(["parcel_trakcer"]).build().unwrap_err();
    let text = errors.to_string();
    assert!(text.contains("linked are: parcel_refunds, parcel_tracker."), "{text}");
    // What is left to other workers is linked all the same.
    let builder = Dispatcher::<MemoryLog>::builder(MemoryLog::new());
    let some = builder.only(["parcel_refunds"]).expect(["parcel_tracker"]).build().unwrap();
    assert_eq!(some.inboxes(), ["parcel_refunds"]);
}

#[test]
fn their_schemas_are_printed() {
    let schemas = registry::schemas();
    let parcel = &schemas["events"]["parcel"];
    assert_eq!(
        parcel["sent"],
        serde_json::json!({
            "event": "ParcelEvent",
            "version": 1,
            "schema": {
                "type": "object",
                "properties": { "weight": { "type": "integer", "format": "uint32", "minimum": 0 } },
                "required": ["weight"],
            },
        }),
        "{schemas:#}"
    );
    assert!(parcel["returned"].is_object(), "{schemas:#}");
}
