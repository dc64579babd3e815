//! The rules of a state machine, each a small function with its own errors.

use std::collections::BTreeSet;

use heck::ToSnakeCase as _;
use syn::{Data, DeriveInput, Fields, Ident};

use super::ast::{Machine, Transition};
use super::attr::{MACHINE_EXAMPLE, TRANSITION_EXAMPLE};
use crate::errors::Errors;
use crate::suggest;

pub(super) fn check(input: &DeriveInput, machine: &Machine, errors: &mut Errors) {
    check_is_enum(input, errors);
    check_generics(input, errors);
    check_fieldless(input, errors);
    check_machine(machine, errors);
    check_initial(machine, errors);
    check_has_transitions(machine, errors);
    for (at, transition) in machine.transitions.iter().enumerate() {
        check_name(transition, &machine.transitions[..at], errors);
        check_from(machine, transition, errors);
        check_to(machine, transition, errors);
        check_event(machine, transition, errors);
    }
    check_reachable(machine, errors);
}

fn check_is_enum(input: &DeriveInput, errors: &mut Errors) {
    const HOW: &str = "a state machine is an enum, each variant a state: `enum Status { Open, Closed }`";
    match &input.data {
        Data::Struct(data) => errors.at(data.struct_token.span, HOW),
        Data::Union(data) => errors.at(data.union_token.span, HOW),
        Data::Enum(data) if data.variants.is_empty() => {
            errors.push(
                &input.ident,
                "a state machine has at least one state: add a variant such as `#[state(initial)] Open`",
            );
        }
        Data::Enum(_) => {}
    }
}

fn check_generics(input: &DeriveInput, errors: &mut Errors) {
    const WHY: &str = "a state machine can't be generic: its states are what one column holds";
    if !input.generics.params.is_empty() {
        errors.push(&input.generics, WHY);
    } else if let Some(clause) = &input.generics.where_clause {
        errors.push(clause, WHY);
    }
}

fn check_fieldless(input: &DeriveInput, errors: &mut Errors) {
    let Data::Enum(data) = &input.data else { return };
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            errors.push(
                &variant.fields,
                format!(
                    "a state has no fields, since a column holds it: write `{}` alone, and keep what comes with it in other columns",
                    variant.ident
                ),
            );
        }
    }
}

fn check_machine(machine: &Machine, errors: &mut Errors) {
    let attr = &machine.attr;
    if attr.span.is_none() {
        errors.push(&machine.ident, format!("whose states are these? write `{MACHINE_EXAMPLE}` on the enum"));
    } else if let (Some(entity), false) = (&attr.entity, attr.column_given) {
        let column = machine.ident.to_string().to_snake_case();
        errors.push(
            entity,
            format!("which column holds the state? add `column = {column}`, the name of the model's field"),
        );
    }
}

fn check_initial(machine: &Machine, errors: &mut Errors) {
    let mut initial = machine.states.iter().filter(|state| state.initial.is_some());
    match (initial.next(), machine.states.first()) {
        (None, Some(first)) => errors.push(
            &machine.ident,
            format!("which state does a new model have? write `#[state(initial)]` on one, such as `{}`", first.ident),
        ),
        (Some(first), _) => {
            for second in initial.filter_map(|state| state.initial.as_ref()) {
                errors.push(second, format!("`{}` is the initial state already; there is one", first.ident));
            }
        }
        (None, None) => {}
    }
}

fn check_has_transitions(machine: &Machine, errors: &mut Errors) {
    if machine.attr.span.is_some() && machine.transitions.is_empty() && !machine.states.is_empty() {
        errors.push(&machine.ident, format!("a state machine has at least one transition: add `{TRANSITION_EXAMPLE}`"));
    }
}

/// Methods that every model has: a transition of such a name would not be called, or call for a choice.
const TAKEN: &[&str] = &[
    "allowed",
    "can",
    "transition",
    "get",
    "set",
    "try_set",
    "delete",
    "find_related",
    "find_linked",
    "record",
    "feed",
    "into_active_model",
    "into_ex",
    "clone",
    "fmt",
    "eq",
    "ne",
    "cmp",
    "into",
    "try_into",
    "to_owned",
    "borrow",
    "type_id",
];

fn check_name(transition: &Transition, earlier: &[Transition], errors: &mut Errors) {
    let Transition { name, text, variant, .. } = transition;
    let snake = text.to_snake_case();
    if transition.is_keyword {
        errors.push(name, format!("`{text}` is a word of Rust's own; name the transition otherwise"));
    } else if *text != snake || !text.starts_with(|first: char| first.is_alphabetic()) {
        errors.push(name, format!("a transition is a method of the model: name it in snake case, such as `{snake}`"));
    } else if TAKEN.contains(&text.as_str()) {
        errors.push(
            name,
            format!("every model has a method `{text}` already; name the transition otherwise, such as `{text}_it`"),
        );
    } else if let Some(other) = earlier.iter().find(|other| other.text == *text) {
        errors.push(
            name,
            format!(
                "there is a transition `{}` already: a transition leads to one state; put the states that it goes from into one \
                 `from(...)`, or give it another name",
                other.text
            ),
        );
    } else if let Some(other) = earlier.iter().find(|other| other.variant == *variant) {
        errors.push(
            name,
            format!("`{text}` and `{}` are both `{variant}` in the enum of transitions; rename one", other.text),
        );
    } else if let Some(other) = earlier.iter().find(|other| other.can() == *text || transition.can() == other.text) {
        let (can, of) = if other.can() == *text { (text, &other.text) } else { (&other.text, text) };
        errors.push(name, format!("`{can}` is the method that asks whether `{of}` can be made; rename one"));
    }
}

fn check_from(machine: &Machine, transition: &Transition, errors: &mut Errors) {
    let attr = &transition.attr;
    if !attr.from_given {
        errors.push(
            &transition.name,
            format!("from which states does `{}` go? add `from(...)` with one or more of them", transition.text),
        );
    }
    for (at, state) in attr.from.iter().enumerate() {
        check_state(machine, state, errors);
        if attr.from[..at].contains(state) {
            errors.push(state, format!("`{state}` is named already; remove it"));
        }
    }
}

fn check_to(machine: &Machine, transition: &Transition, errors: &mut Errors) {
    let attr = &transition.attr;
    if !attr.to_given {
        errors.push(&transition.name, format!("to which state does `{}` lead? add `to = ...`", transition.text));
    }
    if let Some(state) = &attr.to {
        check_state(machine, state, errors);
    }
}

fn check_state(machine: &Machine, state: &Ident, errors: &mut Errors) {
    if machine.states.is_empty() || machine.state(state).is_some() {
        return;
    }
    let names: Vec<_> = machine.states.iter().map(|state| state.ident.to_string()).collect();
    let hint = suggest::did_you_mean(&state.to_string(), names.iter().map(String::as_str));
    errors.push(
        state,
        format!(
            "`{}` has no state `{state}`; {hint}there are {}",
            machine.ident,
            suggest::list(names.iter().map(String::as_str))
        ),
    );
}

fn check_event(machine: &Machine, transition: &Transition, errors: &mut Errors) {
    if machine.attr.span.is_some() && !transition.attr.event_given && !machine.attr.event_given {
        errors.push(
            &transition.name,
            format!(
                "which event does `{}` record? add `event = ...` to it, or for every transition to `#[state_machine(...)]`: \
                 `event = IssueEvent::StatusChanged {{ from, to }}`",
                transition.text
            ),
        );
    }
}

/// A state that no transition leads to is never that of a model, unless something else writes the column.
fn check_reachable(machine: &Machine, errors: &mut Errors) {
    let known = |state: &Ident| machine.state(state).is_some();
    let whole = |transition: &Transition| {
        !transition.attr.from.is_empty()
            && transition.attr.from.iter().all(known)
            && transition.attr.to.as_ref().is_some_and(known)
    };
    // Beside an error about what leads where it would be a second one about the same.
    if machine.transitions.is_empty() || !machine.transitions.iter().all(whole) {
        return;
    }
    let initial = machine.states.iter().filter(|state| state.initial.is_some()).map(|state| state.ident.to_string());
    let mut reached: BTreeSet<String> = initial.collect();
    if reached.is_empty() {
        return;
    }
    reached.extend(machine.states.iter().filter(|state| state.allow_unreachable).map(|state| state.ident.to_string()));
    loop {
        let before = reached.len();
        for Transition { attr, .. } in &machine.transitions {
            if attr.from.iter().any(|state| reached.contains(&state.to_string())) {
                reached.extend(attr.to.as_ref().map(ToString::to_string));
            }
        }
        if reached.len() == before {
            break;
        }
    }
    for state in machine.states.iter().filter(|state| !reached.contains(&state.ident.to_string())) {
        errors.push(
            &state.ident,
            format!(
                "no transition leads to `{0}` from the initial state: add one, or write `#[state(allow(unreachable))]` where rows get \
                 this state in another way",
                state.ident
            ),
        );
    }
}
