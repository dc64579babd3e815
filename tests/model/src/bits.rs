//! A set of small numbers: ids of events, or what recorders hold.

use std::fmt;

use event_core::cursor::IdSet;

/// A set of numbers below 16.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Bits(u16);

impl Bits {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// All numbers from `low` to `high`.
    pub fn range(low: i64, high: i64) -> Self {
        (low..=high).collect()
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many are in it.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether the number is in it.
    pub fn contains(self, number: i64) -> bool {
        self.0 & (1 << number) != 0
    }

    /// Whether all of the other's are in it.
    pub fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Adds one.
    pub fn insert(&mut self, number: i64) {
        self.0 |= 1 << number;
    }

    /// Takes the lowest out.
    pub fn pop_first(&mut self) -> Option<i64> {
        let first = self.iter().next()?;
        self.0 &= !(1 << first);
        Some(first)
    }

    /// What is in either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is not in the other.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is above the number.
    #[must_use]
    pub fn above(self, number: i64) -> Self {
        self.minus(Self::range(0, number))
    }

    /// Its lowest ones, so many at most.
    #[must_use]
    pub fn lowest(self, most: usize) -> Self {
        self.iter().take(most).collect()
    }

    /// From low to high.
    pub fn iter(self) -> impl Iterator<Item = i64> {
        (0..16).filter(move |&number| self.contains(number))
    }

    /// Each of its subsets.
    pub fn subsets(self) -> impl Iterator<Item = Self> {
        (0..=self.0).map(Self).filter(move |&subset| self.covers(subset))
    }

    /// The same as the cursor has it.
    pub fn to_ids(self) -> IdSet {
        self.iter().collect()
    }
}

impl From<&IdSet> for Bits {
    fn from(ids: &IdSet) -> Self {
        ids.ranges().cloned().flatten().collect()
    }
}

impl FromIterator<i64> for Bits {
    fn from_iter<I: IntoIterator<Item = i64>>(numbers: I) -> Self {
        let mut set = Self::NONE;
        for number in numbers {
            set.insert(number);
        }
        set
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
