//! Durations in attributes: `"30s"`.

use std::time::Duration;

/// The units, in milliseconds.
const UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// The duration, or what to write instead.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let wrong = || {
        format!("`{text}` is no duration; write a whole number and one of `ms`, `s`, `m`, `h`, `d`, as in `\"30s\"`")
    };
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    if digits == 0 {
        return Err(wrong());
    }
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(*unit)) {
        Some(0) => Err("a duration is longer than nothing".to_owned()),
        Some(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        None => Err(format!("`{text}` is too long a duration")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit() {
        for (text, milliseconds) in
            [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("1d", 86_400_000)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in
            ["", "30", "s", "0s", "-1s", "1.5s", "30 s", "1w", "1m30s", "99999999999999999999s", "999999999999999999d"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
