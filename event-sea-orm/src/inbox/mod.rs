//! What handlers take from the database: a connection, the transaction, the event's subject and actor.

mod db;
mod model;
mod part;
mod refused;
mod tokens;
mod txn;

pub use db::Db;
pub use model::{Actor, Subject};
pub use part::TxnPart;
pub use txn::Txn;
