//! What the output of the macros names, and nothing else may: no part of the public face.

/// Version 1 of the contract.
pub mod v1 {
    pub use sea_orm;

    pub use crate::own_table::{ColumnOf, KeyColumn, OwnKey, OwnTable, Refers, RowParts, event, key_text};
    pub use crate::record::column_names;
    pub use crate::transition::{
        Guard, GuardAnswer, Machine, MachineParts, ModelOf, StateColumn, TransitionParts, allowed, can, transition,
        transitioning,
    };
}
