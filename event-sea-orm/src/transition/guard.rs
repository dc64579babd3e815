//! What the derive's output asks of a user's own functions and columns, with the words for where they don't fit.

use std::fmt::Display;

/// What a guard gives: `bool`, or a `Result` whose error says why not.
#[diagnostic::on_unimplemented(
    message = "a guard can't give a `{Self}`",
    label = "this function's result is no guard's",
    note = "a guard is `fn(&Model) -> bool`, or `fn(&Model) -> Result<(), E>` where `E` says why not, as `&'static str` does"
)]
pub trait GuardAnswer {
    /// `Err` where it refuses, with the reason if it gives one.
    fn answer(self) -> Result<(), Option<String>>;
}

impl GuardAnswer for bool {
    fn answer(self) -> Result<(), Option<String>> {
        if self { Ok(()) } else { Err(None) }
    }
}

impl<E: Display> GuardAnswer for Result<(), E> {
    fn answer(self) -> Result<(), Option<String>> {
        self.map_err(|reason| Some(reason.to_string()))
    }
}

/// The type of a column that holds states of `S`: `S` itself.
#[diagnostic::on_unimplemented(
    message = "a column of type `{Self}` can't hold the states of `{S}`",
    label = "this column is no `{S}`",
    note = "a state machine's column has the type of the enum: an optional one is not supported, since a model is always in a state; \
            make it NOT NULL, with the initial state as default"
)]
pub trait StateColumn<S> {
    /// The state.
    fn state(self) -> S;
}

impl<S> StateColumn<S> for S {
    fn state(self) -> S {
        self
    }
}
