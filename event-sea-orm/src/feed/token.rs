//! Where a page ended, as text.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use event_core::{LogName, NAME_MAX, StoredEvent};
use serde::{Deserialize, Serialize};

use crate::backend::bindable::is_time_bindable;

/// Where a page ended: give it to `.after(...)` for the next one. Opaque text, safe in a URL.
///
/// ```
/// use event_sea_orm::{BadToken, PageToken};
/// assert_eq!("nonsense".parse::<PageToken>(), Err(BadToken));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PageToken {
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) log: LogName,
    pub(super) id: i64,
}

/// The text is no page token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no page token: pass on `page.next` as it was given, or none for the first page")]
pub struct BadToken;

impl PageToken {
    pub(super) fn at(event: &StoredEvent) -> Self {
        Self { occurred_at: event.occurred_at, log: event.at.log.clone(), id: event.at.id }
    }
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1~{}~{}~{}", self.occurred_at.timestamp_micros(), self.id, self.log)
    }
}

impl FromStr for PageToken {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let mut parts = text.splitn(4, '~');
        let mut part = || parts.next().ok_or(BadToken);
        if part()? != "1" {
            return Err(BadToken);
        }
        let micros = part()?.parse().map_err(|_| BadToken)?;
        let occurred_at =
            DateTime::from_timestamp_micros(micros).filter(|time| is_time_bindable(*time)).ok_or(BadToken)?;
        let id = part()?.parse().map_err(|_| BadToken)?;
        let log = part()?;
        if id < 1 || log.is_empty() || log.len() > NAME_MAX || log.contains('\0') {
            return Err(BadToken);
        }
        Ok(Self { occurred_at, log: log.to_owned().into(), id })
    }
}

impl TryFrom<String> for PageToken {
    type Error = BadToken;

    fn try_from(text: String) -> Result<Self, BadToken> {
        text.parse()
    }
}

impl From<PageToken> for String {
    fn from(token: PageToken) -> Self {
        token.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_there_and_back_and_nonsense_is_refused() {
        let token = PageToken {
            occurred_at: DateTime::from_timestamp_micros(-1_234_567).unwrap(),
            log: "audit_events".into(),
            id: 7,
        };
        assert_eq!(token.to_string().parse(), Ok(token.clone()));
        let json = serde_json::to_string(&token).unwrap();
        assert_eq!(serde_json::from_str::<PageToken>(&json).unwrap(), token);
        for bad in [
            "",
            "1",
            "1~2~3",
            "1~2~3~",
            "2~2~3~events",
            "1~x~3~events",
            "1~2~0~events",
            "1~9223372036854775807~3~e",
            // The years 255,499 and -5,000.
            "1~8000000000000000000~5~events",
            "1~-219951936000000000~1~events",
        ] {
            assert_eq!(bad.parse::<PageToken>(), Err(BadToken), "{bad}");
        }
        assert!(serde_json::from_str::<PageToken>("\"x\"").is_err());
    }
}
