//! Running the checker.

use std::collections::HashMap;
use std::time::Instant;

use model::bits::Bits;
use model::bounds::Bounds;
use model::state::State;
use model::{Flaw, Protocol};
use stateright::{Checker, HasDiscoveries, Model};

/// Whether the bounds are to be wide.
pub(crate) fn large() -> bool {
    std::env::var_os("MODEL_LARGE").is_some()
}

/// One event kills whoever starts it. As many owners as that takes: one that starts it like any other, one for each attempt,
/// and one that gives it up.
pub(crate) fn deadly() -> Bounds {
    let max_attempts = 2;
    let claims = max_attempts + 2;
    Bounds { ids: 3, deadly: Bits::range(1, 1), max_attempts, claims, ..Bounds::default() }
}

/// Visits every state of the protocol as it is: every property holds, and what ought to be possible is.
pub(crate) fn holds(name: &str, bounds: &Bounds) {
    let begun = Instant::now();
    let checker = Protocol { bounds: bounds.clone(), flaw: None }.checker().spawn_dfs().join();
    let (unique, all) = (checker.unique_state_count(), checker.state_count());
    println!("{name}: {unique} states ({all} steps, depth {}) in {:.1?}", checker.max_depth(), begun.elapsed());
    checker.assert_properties();
}

/// The wrong variant breaks the property, within bounds where the right one does not.
pub(crate) fn finds(flaw: Flaw, broken: &'static str, bounds: &Bounds) {
    holds(&format!("without {flaw:?}"), bounds);
    let begun = Instant::now();
    let until = HasDiscoveries::AllOf([broken].into());
    let checker = Protocol { bounds: bounds.clone(), flaw: Some(flaw) }.checker().finish_when(until).spawn_bfs().join();
    let path = checker.discovery(broken).unwrap_or_else(|| panic!("{flaw:?} does not break `{broken}`"));
    println!("{flaw:?} breaks `{broken}` after {} states ({:.1?}), by", checker.unique_state_count(), begun.elapsed());
    // The checker may have gone on a little beyond the first state that is wrong.
    let right = checker.model().property(broken).condition;
    for (_, step) in path.into_vec().into_iter().take_while(|(state, _)| right(checker.model(), state)) {
        println!("    {}", step.map_or_else(|| "nothing more".to_owned(), |step| format!("{step:?}")));
    }
}

/// No run goes round in circles: with the property that a run ends well where it ends, every run ends well.
pub(crate) fn every_run_ends(bounds: &Bounds) {
    let protocol = Protocol { bounds: bounds.clone(), flaw: None };
    // Whether a state is on the path that is being followed; if it is known and is not, all behind it is known.
    let mut on_path: HashMap<State, bool> = HashMap::new();
    let mut path: Vec<(State, Vec<State>)> = Vec::new();
    let mut next = protocol.init_states();
    while let Some(state) = next.pop() {
        on_path.insert(state.clone(), true);
        path.push((state.clone(), protocol.next_states(&state)));
        while let Some((state, following)) = path.last_mut() {
            match following.pop() {
                None => {
                    on_path.insert(state.clone(), false);
                    path.pop();
                }
                Some(state) => match on_path.get(&state) {
                    None => {
                        next.push(state);
                        break;
                    }
                    Some(false) => {}
                    Some(true) => panic!("a run comes back to {state:?}"),
                },
            }
        }
    }
    println!("no circle among {} states", on_path.len());
}
