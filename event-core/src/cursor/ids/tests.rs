//! The set of ids against a plain set.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Change {
    Insert(i64),
    InsertRange(RangeInclusive<i64>),
    Remove(i64),
    RemoveRange(RangeInclusive<i64>),
    Extend(BTreeSet<i64>),
    RemoveAll(BTreeSet<i64>),
    KeepOnly(BTreeSet<i64>),
}

/// Few ids, so that ranges meet often.
const IDS: RangeInclusive<i64> = 1..=40;

fn change(ids: RangeInclusive<i64>) -> impl Strategy<Value = Change> {
    // A range may be empty.
    let range = (ids.clone(), ids.clone()).prop_map(|(low, high)| low..=high);
    let set = prop::collection::btree_set(ids.clone(), 0..12);
    prop_oneof![
        ids.clone().prop_map(Change::Insert),
        range.clone().prop_map(Change::InsertRange),
        ids.prop_map(Change::Remove),
        range.prop_map(Change::RemoveRange),
        set.clone().prop_map(Change::Extend),
        set.clone().prop_map(Change::RemoveAll),
        set.prop_map(Change::KeepOnly),
    ]
}

fn ids(plain: &BTreeSet<i64>) -> IdSet {
    plain.iter().copied().collect()
}

/// Makes the same change on both.
fn make(change: Change, set: &mut IdSet, plain: &mut BTreeSet<i64>) -> Result<(), TestCaseError> {
    match change {
        Change::Insert(id) => {
            set.insert(id);
            plain.insert(id);
        }
        Change::InsertRange(range) => {
            set.insert_range(range.clone());
            plain.extend(range);
        }
        Change::Remove(id) => prop_assert_eq!(set.remove(id), plain.remove(&id), "whether {} was there", id),
        Change::RemoveRange(range) => {
            set.remove_range(range.clone());
            plain.retain(|id| !range.contains(id));
        }
        Change::Extend(other) => {
            set.extend(&ids(&other));
            plain.extend(other);
        }
        Change::RemoveAll(other) => {
            set.remove_all(&ids(&other));
            plain.retain(|id| !other.contains(id));
        }
        Change::KeepOnly(other) => {
            set.keep_only(&ids(&other));
            plain.retain(|id| other.contains(id));
        }
    }
    Ok(())
}

/// Both say the same, whatever they are asked.
fn agree(set: &IdSet, plain: &BTreeSet<i64>, within: RangeInclusive<i64>) -> Result<(), TestCaseError> {
    prop_assert_eq!(set.ranges().cloned().flatten().collect::<Vec<_>>(), plain.iter().copied().collect::<Vec<_>>());
    prop_assert!(within.into_iter().all(|id| set.contains(id) == plain.contains(&id)));
    prop_assert_eq!(set.first(), plain.first().copied());
    prop_assert_eq!(set.count(), plain.len() as u64);
    prop_assert_eq!(set.is_empty(), plain.is_empty());
    let ranges: Vec<_> = set.ranges().collect();
    let apart = ranges.windows(2).all(|pair| pair[0].end() + 1 < *pair[1].start());
    prop_assert!(apart, "ranges that touch are one: {}", set);
    prop_assert_eq!(set, &ids(plain), "equal sets are equal, however they came about");
    prop_assert_eq!(&set.to_string().parse::<IdSet>().unwrap(), set, "stored and read back");
    Ok(())
}

proptest! {
    #[test]
    fn it_is_a_set(changes in prop::collection::vec(change(IDS), 1..40)) {
        let (mut set, mut plain) = (IdSet::new(), BTreeSet::new());
        for change in changes {
            make(change, &mut set, &mut plain)?;
            agree(&set, &plain, 0..=41)?;
        }
    }

    /// Whoever counts one beyond the highest id there can be overflows.
    #[test]
    fn it_is_a_set_up_to_the_highest_id(changes in prop::collection::vec(change(i64::MAX - 9..=i64::MAX), 1..20)) {
        let (mut set, mut plain) = (IdSet::new(), BTreeSet::new());
        for change in changes {
            make(change, &mut set, &mut plain)?;
            agree(&set, &plain, i64::MAX - 10..=i64::MAX)?;
        }
    }

    #[test]
    fn it_covers_another_if_it_has_each_of_its_ids(
        one in prop::collection::btree_set(1..=12_i64, 0..12),
        other in prop::collection::btree_set(1..=12_i64, 0..6),
    ) {
        prop_assert_eq!(ids(&one).covers(&ids(&other)), one.is_superset(&other));
        prop_assert!(ids(&one).covers(&ids(&one)) && ids(&one).covers(&IdSet::new()));
    }

    #[test]
    fn its_lowest_ids_are_the_first_of_them(all in prop::collection::btree_set(-9..=12_i64, 0..12), count in 0_usize..14) {
        let lowest: BTreeSet<i64> = all.iter().copied().take(count).collect();
        prop_assert_eq!(ids(&all).lowest(count as u64), ids(&lowest));
    }

    /// Ranges that overlap, touch or come in any order are read as well; by hand, somebody may have written them.
    #[test]
    fn any_list_of_ranges_is_read(ranges in prop::collection::vec((IDS, 0_i64..9), 0..9)) {
        let ranges: Vec<_> = ranges.into_iter().map(|(low, length)| low..=low + length).collect();
        let text: Vec<_> = ranges.iter().map(|range| format!("{}-{}", range.start(), range.end())).collect();
        let plain: BTreeSet<i64> = ranges.into_iter().flatten().collect();
        prop_assert_eq!(text.join(",").parse::<IdSet>().unwrap(), ids(&plain));
    }
}

#[test]
fn a_million_ids_in_a_row_are_one_range() {
    let mut set = IdSet::new();
    set.insert_range(1..=1_000_000);
    assert_eq!((set.count(), set.ranges().count(), set.to_string().as_str()), (1_000_000, 1, "1-1000000"));
    set.remove(500_000);
    assert_eq!((set.count(), set.ranges().count()), (999_999, 2));
    assert_eq!(set.lowest(500_001).to_string(), "1-499999,500001-500002");
    set.remove_range(2..=i64::MAX);
    assert_eq!(set.to_string(), "1");
    set.insert_range(i64::MIN..=i64::MAX);
    assert_eq!((set.lowest(u64::MAX).last(), set.lowest(1).last()), (Some(i64::MAX - 1), Some(i64::MIN)));
}
