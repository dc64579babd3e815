//! What happens: one enum for each model, and the small types that their metadata share.

mod comment;
mod issue;
mod label;
mod member;
mod milestone;
mod repository;
mod star;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use comment::CommentEvent;
pub use issue::IssueEvent;
pub use label::LabelEvent;
pub use member::MemberEvent;
pub use milestone::MilestoneEvent;
pub use repository::RepositoryEvent;
pub use star::StarEvent;

/// What a changed text was before; GitHub sends the new one with the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Was {
    pub from: Option<String>,
}

/// An account as an event remembers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    pub id: i64,
    pub login: String,
}

/// An issue as an event remembers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AboutIssue {
    pub id: i64,
    pub number: i64,
    pub title: String,
}

/// A repository as an event remembers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AboutRepository {
    pub id: i64,
    pub full_name: String,
}
