//! Snapshots of whole expansions. `INSTA_UPDATE=always cargo test -p event-derive` writes them anew: read their diff.

use quote::quote;

use super::inbox;
use crate::testing::pretty;

#[test]
fn a_function() {
    let expansion = inbox(
        quote! {
            on(Created, IssueEvent::Closed), when(is_urgent, filters::open), concurrency = 2, timeout = "30s",
            retry(max_attempts = 8, backoff = exponential, base = "1s", max_wait = "1h", jitter = 0.2),
            start = beginning, ordered, pause(after = 3)
        },
        quote! {
            /// Mails.
            #[cfg(feature = "mail")]
            #[cfg_attr(test, cfg(unix), tracing::instrument)]
            #[cfg_attr(test, tracing::instrument)]
            pub async fn notify(event: Event<IssueEvent>, State(mailer): State<Mailer>, txn: Txn<'_>) -> InboxResult {
                handled()
            }
        },
    );
    insta::assert_snapshot!(pretty(expansion));
}

#[test]
fn an_impl_block() {
    let expansion = inbox(
        quote!(when = Self::wanted, name = "hooks", retry(never), pause(never)),
        quote! {
            impl hooks::Webhooks {
                async fn handle(event: AnyEvent, own: Own<Self>) -> InboxResult {
                    handled()
                }

                fn wanted(event: &AnyEvent) -> bool {
                    true
                }
            }
        },
    );
    insta::assert_snapshot!(pretty(expansion));
}

#[test]
fn a_batch() {
    let expansion = inbox(
        quote!(on(Created), when = is_urgent, batch = 500),
        quote! {
            async fn index(events: Vec<Event<IssueEvent>>) -> InboxResult {
                handled()
            }
        },
    );
    insta::assert_snapshot!(pretty(expansion));
}

#[test]
fn an_inbox_full_of_errors_is_declared_all_the_same() {
    let expansion = inbox(
        quote!(on(), timeout = "soon"),
        quote!(
            fn notify<T>() {}
        ),
    );
    insta::assert_snapshot!(pretty(expansion));
}
