//! How large an event may be is the program's to say; the only test of its process, since it is said for all of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use event_core::memory::{MemoryError, MemoryLog};
use event_core::{EVENT_BYTES_DEFAULT, RecordOn, RecordingError, event_bytes_max, set_event_bytes_max};
use kit_tests::model::AccountEvent;

#[test]
fn the_program_says_how_large_an_event_may_be() {
    assert_eq!(event_bytes_max(), EVENT_BYTES_DEFAULT);
    let log = MemoryLog::new();
    // `{"to":"..."}`
    let renamed = |bytes: usize| AccountEvent::Renamed { to: "x".repeat(bytes - 9) }.on(1).by_system();
    let refused = |bytes: usize, most: usize| {
        let error = log.record(renamed(bytes)).unwrap_err();
        let MemoryError::Invalid(RecordingError::TooLarge { event, action, bytes: found, most: limit }) = error else {
            panic!("{error:?}")
        };
        assert_eq!((event, action, found, limit), ("AccountEvent", "renamed", bytes, most));
    };
    assert!(log.record(renamed(EVENT_BYTES_DEFAULT)).is_ok());
    refused(EVENT_BYTES_DEFAULT + 1, EVENT_BYTES_DEFAULT);
    set_event_bytes_max(2 * EVENT_BYTES_DEFAULT);
    assert!(log.record(renamed(EVENT_BYTES_DEFAULT + 1)).is_ok());
    set_event_bytes_max(100);
    refused(101, 100);
    assert!(log.record(renamed(100)).is_ok());
}
