//! Real payloads: the webhooks of `../shared/data`, which a user's clone does not have.

use std::path::Path;

use crate::Fallible;
use crate::models::IssueEvent;

/// Kilobytes of JSON each; none where the file is absent.
pub(crate) fn webhooks() -> Fallible<Option<Vec<serde_json::Value>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/github-webhooks.json");
    if !path.exists() {
        return Ok(None);
    }
    let hooks: Vec<Hook> = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    Ok(Some(hooks.into_iter().flat_map(|hook| hook.examples).collect()))
}

#[derive(serde::Deserialize)]
struct Hook {
    examples: Vec<serde_json::Value>,
}

/// An event with one of them, the `n`th.
pub(crate) fn large(payloads: &[serde_json::Value], n: i64) -> IssueEvent {
    let payload = payloads[usize::try_from(n).unwrap_or_default() % payloads.len()].clone();
    IssueEvent::Delivered { payload }
}
