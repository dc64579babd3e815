//! A set of event ids as ranges: a million ids in a row cost as much as one. Copies share what they hold until one is changed.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use rangemap::RangeInclusiveSet;

/// A set of event ids, kept as disjoint ranges. Its text form, as cursors store it, is `3-9,12`.
///
/// ```
/// use event_core::cursor::IdSet;
/// let mut ids: IdSet = "3-9,12".parse().unwrap();
/// ids.remove_range(5..=9);
/// ids.insert(13);
/// assert_eq!(ids.to_string(), "3-4,12-13");
/// ```
///
/// A clone costs nothing until one of the two is changed: a lane's cursor, its looks and its saves hold the same set over many
/// pages, while a recorder that idles in its transaction keeps thousands of holes open. Two that share it are equal without a
/// comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct IdSet(Arc<RangeInclusiveSet<i64>>);

impl IdSet {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether no id is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the id is in it.
    pub fn contains(&self, id: i64) -> bool {
        self.0.contains(&id)
    }

    /// Adds one id.
    pub fn insert(&mut self, id: i64) {
        self.changed().insert(id..=id);
    }

    /// Adds a range; an empty one adds nothing.
    pub fn insert_range(&mut self, range: RangeInclusive<i64>) {
        if !range.is_empty() {
            self.changed().insert(range);
        }
    }

    /// Adds every id of another set.
    pub fn extend(&mut self, other: &Self) {
        if self.is_empty() {
            return self.clone_from(other);
        }
        for range in other.ranges() {
            self.changed().insert(range.clone());
        }
    }

    /// Takes one id out; whether it was there.
    pub fn remove(&mut self, id: i64) -> bool {
        let there = self.contains(id);
        if there {
            self.changed().remove(id..=id);
        }
        there
    }

    /// Takes a range out.
    pub fn remove_range(&mut self, range: RangeInclusive<i64>) {
        if !range.is_empty() {
            self.changed().remove(range);
        }
    }

    /// Takes every id of another set out.
    pub fn remove_all(&mut self, other: &Self) {
        // Compared in one walk, where thousands of ranges would be searched for one by one.
        if other.covers(self) {
            *self = Self::new();
        }
        if self.is_empty() {
            return;
        }
        for range in other.ranges() {
            self.changed().remove(range.clone());
        }
    }

    /// Leaves in only what is also in another set.
    pub fn keep_only(&mut self, other: &Self) {
        if self == other {
            // One copy of the two is enough.
            return self.clone_from(other);
        }
        if other.covers(self) {
            return;
        }
        let mut gone = self.clone();
        gone.remove_all(other);
        self.remove_all(&gone);
    }

    /// Whether every id of another set is in it.
    pub fn covers(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        let mut ranges = self.ranges();
        let mut at = ranges.next();
        other.ranges().all(|wanted| {
            while at.is_some_and(|range| range.end() < wanted.end()) {
                at = ranges.next();
            }
            at.is_some_and(|range| range.start() <= wanted.start())
        })
    }

    /// The ranges, from low to high.
    pub fn ranges(&self) -> impl Iterator<Item = &RangeInclusive<i64>> {
        self.0.iter()
    }

    /// The lowest id.
    pub fn first(&self) -> Option<i64> {
        self.0.first().map(|range| *range.start())
    }

    /// The highest id.
    pub fn last(&self) -> Option<i64> {
        self.0.last().map(|range| *range.end())
    }

    /// The lowest ids, this many of them, or all if there are fewer.
    #[must_use]
    pub fn lowest(&self, count: u64) -> Self {
        let mut lowest = Self::new();
        let mut left = count;
        for range in self.ranges() {
            let length = range.end().abs_diff(*range.start()).saturating_add(1);
            if length >= left {
                if left > 0 {
                    // Less than the range's length, which is one of ids.
                    let last = range.start().saturating_add_unsigned(left - 1);
                    lowest.insert_range(*range.start()..=last);
                }
                return lowest;
            }
            lowest.insert_range(range.clone());
            left -= length;
        }
        self.clone()
    }

    fn changed(&mut self) -> &mut RangeInclusiveSet<i64> {
        Arc::make_mut(&mut self.0)
    }

    /// How many ids are in it.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|range| range.end().abs_diff(*range.start()) + 1).sum()
    }
}

impl FromIterator<i64> for IdSet {
    fn from_iter<I: IntoIterator<Item = i64>>(ids: I) -> Self {
        let mut set = Self::new();
        for id in ids {
            set.insert(id);
        }
        set
    }
}

impl fmt::Display for IdSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, range) in self.ranges().enumerate() {
            if nth > 0 {
                f.write_str(",")?;
            }
            if range.start() == range.end() {
                write!(f, "{}", range.start())?;
            } else {
                write!(f, "{}-{}", range.start(), range.end())?;
            }
        }
        Ok(())
    }
}

/// A stored set of ids that can't be read: the cursor's row was changed by hand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no set of event ids (such as `3-9,12`)")]
pub struct BadIdSet {
    text: String,
}

impl FromStr for IdSet {
    type Err = BadIdSet;

    fn from_str(text: &str) -> Result<Self, BadIdSet> {
        let bad = || BadIdSet { text: text.chars().take(80).collect() };
        let mut set = Self::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            let low: i64 = low.parse().map_err(|_| bad())?;
            let high: i64 = high.parse().map_err(|_| bad())?;
            if low < 1 || high < low {
                return Err(bad());
            }
            set.insert_range(low..=high);
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests;
