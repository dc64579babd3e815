//! Snapshots of whole expansions. `INSTA_UPDATE=always cargo test -p event-derive` writes them anew: read their diff.

use quote::quote;

use super::derive;
use crate::testing::pretty;

#[test]
fn states_and_transitions() {
    let expansion = derive(quote! {
        #[state_machine(issue::Entity, column = status, event = IssueEvent::StatusChanged { from, to })]
        #[transition(start, from(Open, Reopened), to = InProgress)]
        #[transition(close, from = InProgress, to = Closed, guard(may_close, checks::is_done), event = IssueEvent::Closed)]
        #[transition(r#move, from(Closed), to = Reopened)]
        pub(crate) enum Status {
            #[state(initial)]
            Open,
            InProgress,
            Closed,
            Reopened,
        }
    });
    insta::assert_snapshot!(pretty(expansion));
}

#[test]
fn a_machine_full_of_errors_is_declared_all_the_same() {
    let expansion = derive(quote! {
        #[state_machine(issue::Entity, column = status, event = IssueEvent::Moved)]
        #[transition(start, from(Opn), guard = may_start)]
        #[transition(start, from(Open), to = Closed)]
        enum Status {
            Open,
            Closed,
        }
    });
    insta::assert_snapshot!(pretty(expansion));
}

#[test]
fn without_its_model_only_the_transitions_are_declared() {
    let expansion = derive(quote! {
        #[transition(close, from(Open), to = Closed)]
        enum Status {
            #[state(initial)]
            Open,
            Closed,
        }
    });
    insta::assert_snapshot!(pretty(expansion));
}
