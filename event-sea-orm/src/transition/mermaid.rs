//! A machine as a Mermaid diagram: <https://mermaid.js.org/syntax/stateDiagram.html>.

use std::fmt::Write as _;

use super::{StateMachine, StateTransition};

/// The machine as `stateDiagram-v2`.
pub(super) fn diagram<S: StateMachine>() -> String {
    let machine = S::machine();
    let id = |state| identifier(machine.name(state));
    let mut lines = String::from("stateDiagram-v2\n");
    for (state, name) in machine.parts.states {
        if id(*state) != *name {
            // Writing to a text can't fail.
            let _ = writeln!(lines, "    state \"{name}\" as {}", id(*state));
        }
    }
    let _ = writeln!(lines, "    [*] --> {}", id(S::initial()));
    for &transition in S::Transition::ALL {
        let guards: Vec<_> = transition.guards().collect();
        let guards = if guards.is_empty() { String::new() } else { format!(" [{}]", guards.join(", ")) };
        for &from in transition.from() {
            let _ = writeln!(lines, "    {} --> {}: {}{guards}", id(from), id(transition.to()), transition.name());
        }
    }
    for state in S::states().filter(|state| state.allowed().is_empty()) {
        let _ = writeln!(lines, "    {} --> [*]", id(state));
    }
    lines
}

/// Words of the diagram's own, in whatever case (mermaid 11's parser refuses a state of such a name).
const WORDS: &[&str] = &[
    "accdescr",
    "acctitle",
    "class",
    "classdef",
    "click",
    "default",
    "direction",
    "end",
    "hide",
    "href",
    "note",
    "scale",
    "state",
    "statediagram",
    "style",
];

/// A state's name, or another one where Mermaid would take it for a word of its own.
fn identifier(name: &str) -> String {
    if WORDS.contains(&name.to_lowercase().as_str()) { format!("{name}_") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_mermaids_own_is_no_state() {
        assert_eq!(identifier("Note"), "Note_");
        assert_eq!(identifier("ClassDef"), "ClassDef_");
        assert_eq!(identifier("Noted"), "Noted");
    }
}
