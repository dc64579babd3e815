//! Snapshots of whole expansions. `INSTA_UPDATE=always cargo test -p event-derive` writes them anew: read their diff.

use quote::quote;

use super::derive;
use crate::testing::pretty;

#[test]
fn every_kind_of_variant() {
    let expansion = derive(quote! {
        #[event(subject(issue::Entity, label = title), actor(user::Entity, label = name), actor(ApiKey, name = "key"))]
        #[event(log = "issue_log")]
        #[serde(rename_all_fields = "camelCase")]
        pub(crate) enum IssueEvent {
            #[event(summary = "{actor} opened {subject}")]
            Created,
            #[event(version = 3, summary = "{actor} moved {subject} from {old_state.name} to {new_state} {{really}}")]
            #[event(alias = "moved", alias = "shifted", upcast(2 = upcasts::v2_to_v3, 1 = Self::v1_to_v2))]
            StateChanged {
                old_state: State,
                new_state: Option<State>,
                #[serde(default)]
                reasons: Vec<String>,
                #[serde(with = "as_text")]
                r#type: u8,
                #[serde(flatten)]
                more: More,
                #[serde(skip)]
                cache: Cache,
            },
            #[event(name = "labelled", allow(tense))]
            Label(Label),
        }
    });
    insta::assert_snapshot!(pretty(expansion));
}

#[test]
fn an_enum_full_of_errors_is_declared_all_the_same() {
    let expansion = derive(quote! {
        #[serde(tag = "type")]
        enum IssueEvent {
            Update { subject: i64 },
        }
    });
    insta::assert_snapshot!(pretty(expansion));
}

#[test]
fn what_is_no_enum_is_declared_all_the_same() {
    let expansion = derive(quote! {
        #[event(subject(Issue), crate = "::other::core")]
        struct IssueEvent;
    });
    insta::assert_snapshot!(pretty(expansion));
}

#[test]
fn a_generic_enum_is_only_refused() {
    let expansion = derive(quote! {
        #[event(subject(Issue))]
        enum IssueEvent<T> { Created(T) }
    });
    insta::assert_snapshot!(pretty(expansion));
}

#[test]
fn the_companion_is_as_exhaustive_as_the_enum() {
    let companion = |non_exhaustive: proc_macro2::TokenStream| {
        let expansion = derive(quote! {
            #[event(subject(Issue))]
            #non_exhaustive
            pub enum IssueEvent { Created }
        });
        pretty(expansion).contains("#[non_exhaustive]\npub enum IssueEventAction")
    };
    assert!(companion(quote!(#[non_exhaustive])));
    assert!(!companion(quote!()));
}

#[test]
fn names_that_give_no_identifier_are_no_panic() {
    for name in ["__", "_0", "Match", "Self_", "r#type", "\u{e9}", "\u{5909}\u{66f4}"] {
        let name: syn::Ident = syn::parse_str(name).unwrap_or_else(|_| panic!("{name}"));
        let expansion = derive(quote! {
            #[event(subject(issue::Entity, label = #name, except(#name)), actor(user::Entity, label = #name), table = "events_of")]
            enum #name { #name { #name: String } }
        });
        pretty(expansion);
    }
}
