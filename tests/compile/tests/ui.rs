//! What the macros refuse, and in which words; and what they accept without a warning.
//!
//! `TRYBUILD=overwrite cargo test -p compile-tests --test ui` writes the `.stderr` files anew: read their diff.

#[test]
fn refused() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("fail/event/*.rs");
    cases.compile_fail("fail/inbox/*.rs");
    cases.compile_fail("fail/state_machine/*.rs");
}

#[test]
fn accepted() {
    trybuild::TestCases::new().pass("pass/*.rs");
}
