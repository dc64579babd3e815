//! The file beside the program: what stored data would not survive, and what the file is to be.

use std::collections::{BTreeMap, BTreeSet};

use similar::TextDiff;

use super::file::{Locked, Name, Version};
use super::linked::{Action, Actions, Linked, Subject, called};
use super::problem::Problem;
use super::readable::{Obstacle, What, obstacles};

/// Everything that is in the file, and that the program can't read.
pub(super) fn problems(locked: &Locked, linked: &Linked) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (log, subjects) in &locked.events {
        for (subject, names) in subjects {
            let key = (log.clone(), subject.clone());
            match linked.subjects.get(&key) {
                _ if names.is_empty() => {}
                Some(actions) => of_subject(&key, names, actions, &mut problems),
                None => problems.push(Problem::SubjectGone {
                    log: log.clone(),
                    subject: subject.clone(),
                    nearest: nearest_subject(names, &key, locked, linked),
                }),
            }
        }
    }
    for name in locked.inboxes.iter().filter(|name| !linked.inboxes.contains_key(*name)) {
        let new = linked.inboxes.keys().filter(|new| !locked.inboxes.contains(*new));
        problems.push(Problem::InboxGone { name: name.clone(), nearest: nearest(name, new) });
    }
    problems
}

fn of_subject(at: &Subject, names: &BTreeMap<String, Name>, actions: &Actions, problems: &mut Vec<Problem>) {
    let (log, subject) = at;
    for (name, stored) in names {
        let Some((today, action)) = called(actions, name) else {
            let new = actions.keys().filter(|new| !names.contains_key(*new));
            let same: Vec<_> = new.clone().filter(|new| is_as_it_was(stored, &actions[*new])).collect();
            // Of those that are new, the ones with its very fields come first.
            let nearest = nearest(name, same.into_iter()).or_else(|| nearest(name, new));
            problems.push(Problem::ActionGone {
                log: log.clone(),
                subject: subject.clone(),
                name: name.clone(),
                nearest,
            });
            continue;
        };
        let newest = stored.versions.last().map_or(0, |version| version.version);
        if newest > action.version {
            problems.push(Problem::VersionLowered {
                log: log.clone(),
                subject: subject.clone(),
                name: name.clone(),
                stored: newest,
                version: action.version,
            });
        }
        for version in stored.versions.iter().filter(|version| version.version <= action.version) {
            let number = version.version;
            if action.upcasts.contains(&number) {
                continue;
            }
            if version.upcast {
                problems.push(Problem::UpcastGone {
                    log: log.clone(),
                    subject: subject.clone(),
                    name: name.clone(),
                    version: number,
                });
                continue;
            }
            let Some(schema) = &version.schema else { continue };
            let Some(read_as) = next_schema(number, stored, names.get(today), action) else { continue };
            problems.extend(obstacles(schema, read_as).into_iter().map(|obstacle| Problem::Metadata {
                log: log.clone(),
                subject: subject.clone(),
                name: name.clone(),
                version: number,
                change: obstacle.what.to_string(),
                mend: mend(&obstacle, number, action.version),
                path: obstacle.path,
            }));
        }
    }
}

/// Whether the new action reads what was stored last under the old name.
fn is_as_it_was(stored: &Name, new: &Action) -> bool {
    let newest = stored.versions.last().and_then(|version| version.schema.as_ref());
    newest.is_some_and(|schema| *schema == new.schema)
}

/// The schema that metadata of a version without an upcast is taken to have: of the next version that is known, up to the one
/// that the next upcast leads from. None where that one's is not known.
fn next_schema<'a>(
    version: u32,
    stored: &'a Name,
    today: Option<&'a Name>,
    action: &'a Action,
) -> Option<&'a serde_json::Value> {
    let until = action.upcasts.iter().copied().filter(|from| *from > version).min().unwrap_or(action.version);
    let between = |name: &'a Name| {
        name.versions.iter().find_map(|known| {
            let is_between = known.version > version && known.version <= until && known.version < action.version;
            known.schema.as_ref().filter(|_| is_between)
        })
    };
    let known = between(stored).or_else(|| today.and_then(between));
    known.or_else(|| (until == action.version).then_some(&action.schema))
}

fn mend(obstacle: &Obstacle, version: u32, current: u32) -> String {
    let is_whole_field = !obstacle.path.contains(['.', '[']) && !obstacle.path.is_empty();
    let (keep, upcast) = match &obstacle.what {
        What::Removed if is_whole_field => (
            format!(
                "keep it as an `Option` (a field that was renamed: `#[serde(alias = \"{}\")]` on the new one)",
                obstacle.path
            ),
            "says what becomes of it",
        ),
        What::Removed => ("keep it as an `Option`".to_owned(), "says what becomes of it"),
        What::NewRequired => ("give it `#[serde(default)]`, or make it an `Option`".to_owned(), "fills it in"),
        What::NowRequired => ("keep it optional, or give it `#[serde(default)]`".to_owned(), "fills it in"),
        What::ValueGone(_) => ("keep that value".to_owned(), "puts another in its place"),
        What::Retyped { .. } | What::Narrowed { .. } => {
            ("keep a type that reads both".to_owned(), "converts what is stored")
        }
        What::Keyword(_) | What::TooLarge => ("keep the type as it was".to_owned(), "converts what is stored"),
    };
    if version == current {
        let next = u64::from(current) + 1;
        format!("{keep}, or raise it to `version = {next}` with an `upcast({current} = ...)` that {upcast}")
    } else {
        format!("{keep}, or add an `upcast({version} = ...)` that {upcast}")
    }
}

/// The new name that was probably meant: the only one, or the one that is most like it.
fn nearest<'a>(name: &str, new: impl Iterator<Item = &'a String>) -> Option<String> {
    let new: Vec<_> = new.collect();
    if let [only] = new[..] {
        return Some(only.clone());
    }
    let likeness = |new: &String| TextDiff::from_chars(name, new.as_str()).ratio();
    let best = new.into_iter().map(|new| (likeness(new), new)).max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(likeness, _)| *likeness > 0.5).map(|(_, new)| new.clone())
}

/// The new subject that has most of the old one's actions.
fn nearest_subject(
    names: &BTreeMap<String, Name>,
    (log, subject): &Subject,
    locked: &Locked,
    linked: &Linked,
) -> Option<Subject> {
    let is_new = |(log, subject): &Subject| locked.events.get(log).and_then(|log| log.get(subject)).is_none();
    let shared = |actions: &Actions| names.keys().filter(|name| called(actions, name).is_some()).count();
    let new = linked.subjects.iter().filter(|(key, _)| is_new(key)).map(|(key, actions)| (shared(actions), key));
    let likeness = |key: &Subject| (key.0 == *log) as u8 + (key.1 == *subject) as u8;
    let best = new.max_by_key(|(shared, key)| (*shared, likeness(key)));
    best.filter(|(shared, _)| *shared > 0).map(|(_, key)| key.clone())
}

/// The file without what the problems are about: as if that had never been stored.
pub(super) fn without(mut locked: Locked, problems: &[Problem]) -> Locked {
    for problem in problems {
        match problem {
            Problem::Metadata { log, subject, name, version, .. }
            | Problem::UpcastGone { log, subject, name, version } => {
                if let Some(name) = name_of(&mut locked, log, subject, name) {
                    name.versions.retain(|stored| stored.version != *version);
                }
            }
            Problem::VersionLowered { log, subject, name, version, .. } => {
                if let Some(name) = name_of(&mut locked, log, subject, name) {
                    name.versions.retain(|stored| stored.version <= *version);
                }
            }
            Problem::ActionGone { log, subject, name, .. } => {
                if let Some(names) = locked.events.get_mut(log).and_then(|log| log.get_mut(subject)) {
                    names.remove(name);
                }
            }
            Problem::SubjectGone { log, subject, .. } => {
                if let Some(log) = locked.events.get_mut(log) {
                    log.remove(subject);
                }
            }
            Problem::InboxGone { name, .. } => {
                locked.inboxes.remove(name);
            }
            Problem::TwoActions { .. } | Problem::TwoInboxes { .. } => {}
        }
    }
    locked
}

fn name_of<'a>(locked: &'a mut Locked, log: &str, subject: &str, name: &str) -> Option<&'a mut Name> {
    locked.events.get_mut(log)?.get_mut(subject)?.get_mut(name)
}

/// What the file is to be: all that was stored so far, and all that the program stores today. There are no problems.
pub(super) fn merged(locked: &Locked, linked: &Linked) -> Locked {
    let mut merged = Locked { inboxes: linked.inboxes.keys().cloned().collect(), ..Locked::default() };
    for ((log, subject), actions) in &linked.subjects {
        let stored = locked.events.get(log).and_then(|log| log.get(subject));
        let was = |name: &String| stored.and_then(|names| names.get(name)).cloned().unwrap_or_default();
        let names = merged.events.entry(log.clone()).or_default().entry(subject.clone()).or_default();
        for (name, action) in actions {
            names.insert(name.clone(), of_today(was(name), action));
            for alias in &action.aliases {
                let versions = with_upcasts(was(alias).versions, action);
                names.insert(alias.clone(), Name { alias_of: Some(name.clone()), versions });
            }
        }
    }
    merged
}

/// A name that is recorded under today.
fn of_today(was: Name, action: &Action) -> Name {
    let mut versions: BTreeMap<_, _> = was.versions.into_iter().map(|version| (version.version, version)).collect();
    // What an upcast leads from was stored once, also if nobody knows any more how it looked.
    for &version in &action.upcasts {
        versions.entry(version).or_insert(Version { version, upcast: true, schema: None });
    }
    let version = action.version;
    versions.insert(version, Version { version, upcast: false, schema: Some(action.schema.clone()) });
    Name { alias_of: None, versions: with_upcasts(versions.into_values().collect(), action) }
}

fn with_upcasts(mut versions: Vec<Version>, action: &Action) -> Vec<Version> {
    for version in &mut versions {
        version.upcast = action.upcasts.contains(&version.version);
    }
    versions
}

/// What is in the one and not in the other, in words.
pub(super) fn changes(old: &Locked, new: &Locked) -> Vec<String> {
    let mut changes = Vec::new();
    let flat = |locked: &Locked| -> BTreeMap<(String, String, String), Name> {
        let mut flat = BTreeMap::new();
        for (log, subjects) in &locked.events {
            for (subject, names) in subjects {
                for (name, stored) in names {
                    flat.insert((log.clone(), subject.clone(), name.clone()), stored.clone());
                }
            }
        }
        flat
    };
    let (old_names, new_names) = (flat(old), flat(new));
    for ((log, subject, name), now) in &new_names {
        let at = format!("`{name}` of `{subject}` in log `{log}`");
        match old_names.get(&(log.clone(), subject.clone(), name.clone())) {
            None => changes.push(match &now.alias_of {
                Some(action) => format!("{at} is a new alias of `{action}`"),
                None => format!("{at} is a new action"),
            }),
            Some(was) => of_name(&at, was, now, &mut changes),
        }
    }
    for (log, subject, name) in old_names.keys().filter(|key| !new_names.contains_key(*key)) {
        changes.push(format!("`{name}` of `{subject}` in log `{log}` is gone"));
    }
    let sides: [(&BTreeSet<_>, &BTreeSet<_>, _); 2] =
        [(&old.inboxes, &new.inboxes, "is new"), (&new.inboxes, &old.inboxes, "is gone")];
    for (one, other, what) in sides {
        changes.extend(other.difference(one).map(|name| format!("inbox `{name}` {what}")));
    }
    if changes.is_empty() && old != new {
        changes.push("names without an action are in the file".to_owned());
    }
    changes
}

fn of_name(at: &str, was: &Name, now: &Name, changes: &mut Vec<String>) {
    if was.alias_of != now.alias_of {
        changes.push(match &now.alias_of {
            Some(action) => format!("{at} is an alias of `{action}` now"),
            None => format!("{at} is an action of its own now"),
        });
    }
    for version in &now.versions {
        let number = version.version;
        match was.versions.iter().find(|known| known.version == number) {
            None if version.schema.is_some() => changes.push(format!("{at} has a new version {number}")),
            None => changes.push(format!("{at} has an upcast from version {number}, which was before this file")),
            Some(known) => {
                if known.upcast != version.upcast {
                    changes.push(format!("{at} has an upcast from version {number}"));
                }
                if known.schema != version.schema {
                    changes.push(format!("{at}, version {number}: its metadata has changed"));
                }
            }
        }
    }
    for gone in was.versions.iter().filter(|known| now.versions.iter().all(|now| now.version != known.version)) {
        changes.push(format!("{at} has no version {} any more", gone.version));
    }
}
