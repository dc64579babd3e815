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

#[test]
fn names_that_give_no_identifier_are_no_panic() {
    for name in ["__", "_0", "Match", "Self_", "r#type", "\u{e9}", "\u{5909}\u{66f4}"] {
        let name: syn::Ident = syn::parse_str(name).unwrap_or_else(|_| panic!("{name}"));
        let expansion = derive(quote! {
            #[state_machine(issue::Entity, column = #name, event = IssueEvent::#name { #name })]
            #[transition(#name, from(#name), to = #name, guard = #name)]
            enum #name { #[state(initial)] #name }
        });
        pretty(expansion);
    }
    let expansion = derive(quote! {
        #[state_machine(issue::Entity, column = __, event = IssueEvent::Moved)]
        #[transition(close, from(Open), to = Closed)]
        enum Status { #[state(initial)] Open, Closed }
    });
    assert!(pretty(expansion).contains("a column is named as the model's field"));
}
