//! Numbers: the range of the old within that of the new.

use std::cmp::Ordering;

use serde_json::Value;

use super::expand::Flat;
use super::{What, may_vanish, others};

const UP: Ordering = Ordering::Greater;
const DOWN: Ordering = Ordering::Less;

const BOUNDS: &[&str] = &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];

pub(super) fn compare(old: &Flat, new: &Flat, add: &mut impl FnMut(What)) {
    let (from, to) = (Range::of(old), Range::of(new));
    let text = |bound: &Option<Bound>| bound.as_ref().map_or_else(|| "none".to_owned(), |bound| bound.shown.clone());
    // Without a bound it goes as far as there are numbers.
    if to.least.as_ref().is_some_and(|to| from.least.as_ref().is_none_or(|from| to.is_tighter(from, UP))) {
        add(What::Narrowed { keyword: "minimum", from: text(&from.least), to: text(&to.least) });
    }
    if to.most.as_ref().is_some_and(|to| from.most.as_ref().is_none_or(|from| to.is_tighter(from, DOWN))) {
        add(What::Narrowed { keyword: "maximum", from: text(&from.most), to: text(&to.most) });
    }
    let is_integer = new.kind() == Some("integer");
    match (format(old), format(new)) {
        (_, None) => {}
        // An integer's is its range.
        (_, Some(format)) if is_integer && of_format(format).is_some() => {}
        // Every integer is a number; of a large one the last digits may go.
        (_, Some("double" | "float")) if old.kind() == Some("integer") => {}
        (Some("float"), Some("double")) => {}
        (old, new) if old == new => {}
        (old, Some(new)) => {
            add(What::Narrowed { keyword: "format", from: old.unwrap_or("none").to_owned(), to: new.to_owned() })
        }
    }
    may_vanish(old, new, "multipleOf", add);
    others(&old.map, &new.map, &[BOUNDS, &["format", "multipleOf"]].concat(), add);
}

fn format(flat: &Flat) -> Option<&str> {
    flat.map.get("format").and_then(Value::as_str)
}

struct Range {
    least: Option<Bound>,
    most: Option<Bound>,
}

/// A bound and whether it is itself outside. Integers are exact; of others the nearest `f64`.
struct Bound {
    whole: Option<i128>,
    real: f64,
    is_outside: bool,
    shown: String,
}

impl Range {
    fn of(flat: &Flat) -> Self {
        let bound = |keyword: &str, is_outside| Bound::of(flat.map.get(keyword)?, is_outside);
        let (mut least, mut most) = match format(flat).filter(|_| flat.kind() == Some("integer")).and_then(of_format) {
            Some((least, most)) => (Some(Bound::whole(least)), most.map(Bound::whole)),
            None => (None, None),
        };
        if let Some(value) = flat.value.as_ref() {
            (least, most) = (Bound::of(value, false), Bound::of(value, false));
        }
        for given in [bound("minimum", false), bound("exclusiveMinimum", true)].into_iter().flatten() {
            if least.as_ref().is_none_or(|least| given.is_tighter(least, UP)) {
                least = Some(given);
            }
        }
        for given in [bound("maximum", false), bound("exclusiveMaximum", true)].into_iter().flatten() {
            if most.as_ref().is_none_or(|most| given.is_tighter(most, DOWN)) {
                most = Some(given);
            }
        }
        Self { least, most }
    }
}

impl Bound {
    fn of(value: &Value, is_outside: bool) -> Option<Self> {
        let whole = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
        Some(Self { whole, real: value.as_f64()?, is_outside, shown: value.to_string() })
    }

    #[allow(clippy::cast_precision_loss, reason = "used only beside numbers that are no integers")]
    fn whole(value: i128) -> Self {
        Self { whole: Some(value), real: value as f64, is_outside: false, shown: value.to_string() }
    }

    /// Whether it leaves less: further up as a least, further down as a most, or the same and outside itself.
    fn is_tighter(&self, other: &Self, way: Ordering) -> bool {
        let order = match (self.whole, other.whole) {
            (Some(one), Some(two)) => one.cmp(&two),
            _ => self.real.total_cmp(&other.real),
        };
        match order {
            Ordering::Equal => self.is_outside && !other.is_outside,
            order => order == way,
        }
    }
}

/// From where to where an integer of that format goes; no most where it is beyond every JSON number.
fn of_format(format: &str) -> Option<(i128, Option<i128>)> {
    Some(match format {
        "int8" => (i8::MIN.into(), Some(i8::MAX.into())),
        "int16" => (i16::MIN.into(), Some(i16::MAX.into())),
        "int32" => (i32::MIN.into(), Some(i32::MAX.into())),
        "int64" | "int" => (i64::MIN.into(), Some(i64::MAX.into())),
        "int128" => (i128::MIN, Some(i128::MAX)),
        "uint8" => (0, Some(u8::MAX.into())),
        "uint16" => (0, Some(u16::MAX.into())),
        "uint32" => (0, Some(u32::MAX.into())),
        "uint64" | "uint" => (0, Some(u64::MAX.into())),
        "uint128" => (0, None),
        _ => return None,
    })
}
