//! Column values as JSON: the one form that changes, snapshots and transitions keep, from which each value can be read back exactly.
//!
//! SeaORM's own `sea_value_to_json_value` is for showing values: it rounds decimals to `f64`, panics on bytes that are no UTF-8, and
//! puts times into the quotes of an SQL literal.

use chrono::SecondsFormat;
use sea_orm::Value;
use sea_orm::sea_query::{OptionEnum, QueryBuilder as _, SqliteQueryBuilder};
use serde_json::{Number, Value as Json};

/// The value in its exact form; `docs/recording.md` has the table.
pub(crate) fn json(value: &Value) -> Json {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::TinyInt(value) => (*value).into(),
        Value::SmallInt(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::BigInt(value) => (*value).into(),
        Value::TinyUnsigned(value) => (*value).into(),
        Value::SmallUnsigned(value) => (*value).into(),
        Value::Unsigned(value) => (*value).into(),
        Value::BigUnsigned(value) => (*value).into(),
        Value::Float(value) => value.map_or(Json::Null, |value| float(shortest(value))),
        Value::Double(value) => value.map_or(Json::Null, float),
        Value::String(value) => value.clone().into(),
        Value::Char(value) => value.map(String::from).into(),
        Value::Enum(OptionEnum::Some(value)) => value.value.as_ref().into(),
        Value::Enum(OptionEnum::None(_)) => Json::Null,
        Value::Bytes(value) => value.as_deref().map(hex).into(),
        Value::Json(value) => value.as_deref().cloned().unwrap_or(Json::Null),
        Value::Uuid(value) => value.map(|value| value.to_string()).into(),
        // The forms of chrono's serde, so that the same time reads the same in metadata.
        Value::ChronoDate(value) => value.map(|value| format!("{value:?}")).into(),
        Value::ChronoTime(value) => value.map(|value| format!("{value:?}")).into(),
        Value::ChronoDateTime(value) => value.map(|value| format!("{value:?}")).into(),
        Value::ChronoDateTimeUtc(value) => value.map(|value| value.to_rfc3339_opts(FRACTION, true)).into(),
        Value::ChronoDateTimeLocal(value) => value.map(|value| value.to_rfc3339_opts(FRACTION, true)).into(),
        Value::ChronoDateTimeWithTimeZone(value) => value.map(|value| value.to_rfc3339_opts(FRACTION, true)).into(),
        #[cfg(feature = "postgres")]
        Value::Array(_, value) => value.as_ref().map_or(Json::Null, |items| items.iter().map(json).collect()),
        #[allow(
            unreachable_patterns,
            reason = "which types there are more is up to the features that the program has SeaORM built with"
        )]
        other => optional(other),
    }
}

const FRACTION: SecondsFormat = SecondsFormat::AutoSi;

/// The number whose digits are those that tell this one from every other `f32`: 0.1, and not 0.10000000149011612.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}

/// JSON has no number for what is not finite, and PostgreSQL's none for -0.
fn float(value: f64) -> Json {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.into()
    } else {
        Number::from_f64(value + 0.0).map_or(Json::Null, Json::Number)
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)]));
    bytes.iter().flat_map(digits).collect()
}

/// A value of a type that SeaORM has only with one of its own features (`with-rust_decimal`, `with-time`), which are the program's to
/// choose: this crate can't name the variant, and goes by its text.
///
/// The text of its SQL literal, without quotes, is exact for all of them but the times of the crate `time`, which it cuts at the
/// microsecond: those are read from their `Debug` text.
fn optional(value: &Value) -> Json {
    let literal = SqliteQueryBuilder.value_to_string(value);
    if literal == "NULL" {
        return Json::Null;
    }
    let text = literal.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).unwrap_or(&literal);
    let debug = format!("{value:?}");
    let variant = debug.split_once('(').map_or("", |(variant, _)| variant);
    match variant {
        "Vector" => serde_json::from_str::<Vec<f64>>(text).map_or_else(|_| text.into(), Json::from),
        "TimeTime" | "TimeDateTime" | "TimeDateTimeWithTimeZone" => {
            let inner = debug[variant.len()..].strip_prefix("(Some(").and_then(|inner| inner.strip_suffix("))"));
            inner.and_then(time_of_day).unwrap_or_else(|| text.to_owned()).into()
        }
        _ => text.into(),
    }
}

/// `2026-03-01 9:05:00.5 +02:00:00`, as `time` shows it, in the form of chrono's times: `2026-03-01T09:05:00.500+02:00`.
fn time_of_day(shown: &str) -> Option<String> {
    let mut words = shown.split(' ').rev().peekable();
    let offset = words.next_if(|word| word.starts_with(['+', '-']));
    let (time, date) = (words.next()?, words.next());
    let (hour, rest) = time.split_once(':')?;
    let (minutes, fraction) = rest.split_once('.')?;
    let date = date.map(|date| format!("{date}T")).unwrap_or_default();
    let fraction = fraction.trim_end_matches('0');
    let fraction = if fraction.is_empty() {
        String::new()
    } else {
        format!(".{fraction:0<width$}", width = fraction.len().next_multiple_of(3))
    };
    let offset = match offset {
        Some("+00:00:00") => "Z",
        Some(offset) => offset.strip_suffix(":00").unwrap_or(offset),
        None => "",
    };
    Some(format!("{date}{hour:0>2}:{minutes}{fraction}{offset}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_other_crate_are_written_as_chronos() {
        for (shown, written) in [
            ("0:00:00.0", "00:00:00"),
            ("9:05:00.5", "09:05:00.500"),
            ("2026-03-01 10:15:30.123456789", "2026-03-01T10:15:30.123456789"),
            ("2026-03-01 9:05:00.0001 +02:00:00", "2026-03-01T09:05:00.000100+02:00"),
            ("2026-03-01 9:05:00.0 +00:00:00", "2026-03-01T09:05:00Z"),
            ("2026-03-01 9:05:00.0 -00:30:15", "2026-03-01T09:05:00-00:30:15"),
        ] {
            assert_eq!(time_of_day(shown).as_deref(), Some(written));
        }
    }
}
