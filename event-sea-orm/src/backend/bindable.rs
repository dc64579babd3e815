//! The last net before a driver: what it can't bind never reaches it.
//!
//! A driver that refuses a value may have queued half of a statement by then; sqlx's MySQL driver waits for its answer for ever, and
//! the pool is one connection short. PostgreSQL refuses U+0000 in texts, and ends the transaction. What is recorded is refused before,
//! with an error that says where it is wrong; what is asked for (a filter, an id or a page token from a URL) matches nothing.

use chrono::{DateTime, Datelike as _, Utc};
use sea_orm::Value;

/// The value, or the nearest one that every database can bind: a text in which U+FFFD takes the place of U+0000, or the first or
/// last time of the years 1 to 9999.
pub(super) fn bindable(value: Value) -> Value {
    match value {
        Value::String(Some(text)) if text.contains('\0') => Value::String(Some(without_nul(&text))),
        Value::ChronoDateTimeUtc(Some(time)) => Value::ChronoDateTimeUtc(Some(time_within_range(time))),
        value => value,
    }
}

pub(super) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// Whether every database can store the time.
pub(crate) fn is_time_bindable(time: DateTime<Utc>) -> bool {
    (1..=9999).contains(&time.year())
}

fn time_within_range(time: DateTime<Utc>) -> DateTime<Utc> {
    let (first, last) = (-62_135_596_800, 253_402_300_799);
    match time.year() {
        ..=0 => DateTime::from_timestamp(first, 0).unwrap_or_default(),
        1..=9999 => time,
        _ => DateTime::from_timestamp(last, 999_999_000).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_bound_stays_as_it_is() {
        let time = DateTime::from_timestamp(1_700_000_000, 1_000).unwrap();
        for value in [Value::from("text"), Value::from(time), Value::from(i64::MIN), Value::String(None)] {
            assert_eq!(bindable(value.clone()), value);
        }
    }

    #[test]
    fn what_can_not_be_bound_becomes_the_nearest_that_can() {
        assert_eq!(bindable("a\0b".into()), Value::from("a\u{FFFD}b"));
        for (time, year) in [(DateTime::<Utc>::MIN_UTC, 1), (DateTime::<Utc>::MAX_UTC, 9999)] {
            assert!(!is_time_bindable(time));
            let Value::ChronoDateTimeUtc(Some(bound)) = bindable(time.into()) else { panic!("a time stays one") };
            assert_eq!(bound.year(), year);
        }
    }
}
