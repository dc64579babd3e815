//! What is found at link time.

use event_core::registry;

#[test]
fn every_enum_is_found_and_sorted() {
    let events: Vec<_> = registry::events().iter().map(|event| (event.log(), event.subject(), event.name())).collect();
    assert_eq!(events, [("events", "issue", "IssueEvent"), ("other_events", "workspace", "ProjectEvent")]);
}

#[test]
fn all_schemas_can_be_printed() {
    let schemas = registry::schemas();
    let changed = &schemas["events"]["issue"]["status_changed"];
    assert_eq!((changed["event"].as_str(), changed["version"].as_u64()), (Some("IssueEvent"), Some(2)));
    assert_eq!(schemas["other_events"]["workspace"]["owner_changed"]["schema"]["required"][0], "NEW-OWNER");
}
