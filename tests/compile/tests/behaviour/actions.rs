//! The companion enum and the descriptor.

use std::any::TypeId;

use event_core::{Action, ActorOf, DomainEvent};

use crate::model::{ApiKey, IssueEvent, IssueEventAction, ProjectEvent, issue, user};

#[test]
fn actions_are_named_after_their_variants() {
    let names: Vec<_> = IssueEventAction::ALL.iter().map(|action| action.name()).collect();
    assert_eq!(names, ["created", "assigned", "status_changed", "labelled", "wrapped", "measured", "heartbeat"]);
    for action in IssueEventAction::ALL {
        assert_eq!(IssueEventAction::from_name(action.name()), Some(*action));
        assert_eq!(action.descriptor().name(), action.name());
        assert_eq!(format!("{action:>14}").trim_start(), action.name());
    }
    assert_eq!(IssueEventAction::from_name("label_added"), None);
}

#[test]
fn an_event_knows_its_action() {
    let event = IssueEvent::Assigned { assignee_id: 7 };
    assert_eq!(event.action(), IssueEventAction::Assigned);
    assert_eq!(IssueEventAction::from(&event), IssueEventAction::Assigned);
    assert!(IssueEventAction::Created < IssueEventAction::Assigned, "ordered as the variants are");
}

#[test]
fn the_descriptor_says_what_the_attributes_say() {
    let event = IssueEvent::descriptor();
    assert_eq!((event.name(), event.log(), event.subject()), ("IssueEvent", "events", "issue"));
    assert_eq!(event.label(), Some("title"));
    let actors: Vec<_> = event.actors().iter().map(|actor| (actor.name(), actor.label())).collect();
    assert_eq!(actors, [("user", Some("name")), ("api_key", None)]);
    let changed = IssueEventAction::StatusChanged.descriptor();
    assert_eq!((changed.variant(), changed.version()), ("StatusChanged", 2));
    assert_eq!(IssueEventAction::Assigned.descriptor().version(), 1);
    assert_eq!(IssueEventAction::Assigned.descriptor().summary(), None);

    let event = ProjectEvent::descriptor();
    assert_eq!((event.log(), event.subject(), event.label()), ("other_events", "workspace", None));
}

#[test]
fn the_descriptor_knows_the_place_in_the_source() {
    let location = IssueEvent::descriptor().location();
    assert!(location.file.ends_with("model.rs"), "{location}");
    let text = include_str!("model.rs");
    let line = text.lines().nth(location.line as usize - 1).unwrap();
    assert_eq!(line, "pub(crate) enum IssueEvent {");
}

#[test]
fn the_models_are_named_by_type() {
    fn same<A: 'static, B: 'static>() -> bool {
        TypeId::of::<A>() == TypeId::of::<B>()
    }
    assert!(same::<<IssueEvent as DomainEvent>::Subject, issue::Entity>());
    assert!(same::<<IssueEvent as DomainEvent>::Actors, (user::Entity, ApiKey)>());
    assert!(same::<<ProjectEvent as DomainEvent>::Actors, ()>());
    assert_eq!(<user::Entity as ActorOf<IssueEvent>>::NAME, "user");
    assert_eq!(<user::Entity as ActorOf<IssueEvent>>::LABEL, Some("name"));
    assert_eq!(<ApiKey as ActorOf<IssueEvent>>::LABEL, None);
}
