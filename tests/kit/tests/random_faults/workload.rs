//! Inboxes of every kind under one script, and the check of everything that the dispatcher promises about them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use event_core::storage::{DeadLetter, DeadLetterQuery, Storage, Wish};
use event_core::{
    AnyEvent, Event, EventRef, InboxError, InboxResult, LogName, Outcome, RecordOn, RetryExt, Start, State,
    StoredEvent, SubjectRef, handled, inbox, snoozed,
};

use kit_tests::faulty::{Effects, Faulty};
use kit_tests::model::{AccountEvent, IssueEvent};

/// What a handler does in an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Word {
    Yield,
    Sleep(u64),
    Fail,
    Panic,
    Snooze,
    Never,
}

type Delivered = (&'static str, EventRef);

#[derive(Debug, Default)]
struct Book {
    /// What the attempts to come do; none left is a success.
    words: HashMap<Delivered, Vec<Word>>,
    /// Handlers that came to their end, in that order.
    ended: Vec<(Delivered, SubjectRef)>,
}

/// What handlers are to do, and what they did. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<Mutex<Book>>);

impl Ledger {
    /// What the inbox's attempts at this event do, the first one first.
    pub(crate) fn script(&self, inbox: &'static str, event: &EventRef, words: impl IntoIterator<Item = Word>) {
        self.0.lock().unwrap().words.insert((inbox, event.clone()), words.into_iter().collect());
    }

    /// How often the inbox's handler came to its end with this event.
    pub(crate) fn ended(&self, inbox: &str, event: &EventRef) -> usize {
        self.0.lock().unwrap().ended.iter().filter(|((of, at), _)| *of == inbox && at == event).count()
    }

    fn next(&self, inbox: &'static str, event: &EventRef) -> Option<Word> {
        let mut book = self.0.lock().unwrap();
        let words = book.words.get_mut(&(inbox, event.clone()))?;
        // What never succeeds never runs out.
        if words.first() == Some(&Word::Never) || words.is_empty() {
            return words.first().copied();
        }
        Some(words.remove(0))
    }

    fn note(&self, inbox: &'static str, event: &StoredEvent) {
        self.0.lock().unwrap().ended.push(((inbox, event.at.clone()), event.subject.clone()));
    }
}

async fn act(inbox: &'static str, event: &StoredEvent, ledger: &Ledger, effects: Option<Effects<'_>>) -> InboxResult {
    if let Some(effects) = effects {
        effects.write(inbox, &event.at);
    }
    let outcome = perform(ledger.next(inbox, &event.at)).await?;
    if outcome == Outcome::Handled {
        ledger.note(inbox, event);
    }
    Ok(outcome)
}

async fn perform(word: Option<Word>) -> InboxResult {
    match word {
        Some(Word::Yield) => tokio::task::yield_now().await,
        Some(Word::Sleep(millis)) => tokio::time::sleep(Duration::from_millis(millis)).await,
        Some(Word::Fail) => return Err(InboxError::new("not today")),
        // A panic that writes no backtrace: there are thousands.
        Some(Word::Panic) => std::panic::resume_unwind(Box::new("out of cheese")),
        Some(Word::Snooze) => return snoozed(DateTime::<Utc>::MIN_UTC),
        Some(Word::Never) => Err(InboxError::new("not ever")).no_retry()?,
        None => {}
    }
    handled()
}

#[inbox(retry(jitter = 0.0), concurrency = 4, pause(after = 3))]
async fn plain(event: Event<IssueEvent>, State(ledger): State<Ledger>) -> InboxResult {
    act("plain", &event, &ledger, None).await
}

#[inbox(retry(jitter = 0.0), ordered, concurrency = 3)]
async fn plain_in_order(event: AnyEvent, State(ledger): State<Ledger>) -> InboxResult {
    act("plain_in_order", &event, &ledger, None).await
}

#[inbox(retry(jitter = 0.0))]
async fn exact(event: AnyEvent, effects: Effects<'_>, State(ledger): State<Ledger>) -> InboxResult {
    act("exact", &event, &ledger, Some(effects)).await
}

#[inbox(retry(jitter = 0.0), ordered, pause(after = 2))]
async fn exact_in_order(event: Event<IssueEvent>, effects: Effects<'_>, State(ledger): State<Ledger>) -> InboxResult {
    act("exact_in_order", &event, &ledger, Some(effects)).await
}

/// What each of them says, until one says something else than that it is handled.
async fn act_together(
    inbox: &'static str,
    events: &[AnyEvent],
    ledger: &Ledger,
    effects: Option<&Effects<'_>>,
) -> InboxResult {
    let mut handled_ones = Vec::new();
    for event in events {
        if let Some(effects) = effects {
            effects.write(inbox, &event.at);
        }
        match perform(ledger.next(inbox, &event.at)).await? {
            Outcome::Handled => handled_ones.push(event),
            other => return Ok(other),
        }
    }
    for event in handled_ones {
        ledger.note(inbox, event);
    }
    handled()
}

#[inbox(retry(jitter = 0.0), ordered, batch = 5)]
async fn together_in_order(events: Vec<AnyEvent>, State(ledger): State<Ledger>) -> InboxResult {
    act_together("together_in_order", &events, &ledger, None).await
}

#[inbox(retry(jitter = 0.0), pause(after = 3))]
async fn exact_together(events: Vec<AnyEvent>, effects: Effects<'_>, State(ledger): State<Ledger>) -> InboxResult {
    act_together("exact_together", &events, &ledger, Some(&effects)).await
}

/// An inbox of the workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// Its name.
    pub(crate) name: &'static str,
    transactional: bool,
    ordered: bool,
    both_logs: bool,
}

/// Every inbox of the workload.
pub(crate) const KINDS: [Kind; 6] = [
    Kind { name: "plain", transactional: false, ordered: false, both_logs: false },
    Kind { name: "plain_in_order", transactional: false, ordered: true, both_logs: true },
    Kind { name: "exact", transactional: true, ordered: false, both_logs: true },
    Kind { name: "exact_in_order", transactional: true, ordered: true, both_logs: false },
    Kind { name: "together_in_order", transactional: false, ordered: true, both_logs: true },
    Kind { name: "exact_together", transactional: true, ordered: false, both_logs: true },
];

/// Records an event, and scripts what becomes of it in each inbox: mostly a success, at times after failures, seldom none.
pub(crate) fn record_by_dice(faulty: &Faulty, ledger: &Ledger, dice: &mut fastrand::Rng) {
    let subject = dice.i64(1..=4);
    let saved = if dice.u8(0..4) == 0 {
        faulty.log().record(AccountEvent::SignedIn.on(subject).by_system())
    } else {
        faulty.log().record(IssueEvent::Closed.on(subject).by_system())
    };
    for kind in KINDS {
        let words = match dice.u8(0..20) {
            0 | 1 => vec![Word::Fail; dice.usize(1..3)],
            2 => vec![Word::Panic],
            3 => vec![Word::Snooze],
            4 => vec![Word::Never],
            5 => vec![Word::Fail, Word::Snooze, Word::Panic],
            6..9 => vec![Word::Yield],
            9..11 => vec![Word::Sleep(dice.u64(1..150))],
            _ => Vec::new(),
        };
        ledger.script(kind.name, saved.as_ref().unwrap().event().unwrap(), words);
    }
}

/// The dead letters of an inbox, by event.
async fn dead(faulty: &Faulty, inbox: &str) -> BTreeMap<EventRef, DeadLetter> {
    let query = DeadLetterQuery { inbox: Some(inbox.to_owned()), limit: 100_000, ..DeadLetterQuery::default() };
    let letters = faulty.log().dead_letters(&query).await.unwrap();
    letters.into_iter().map(|letter| (letter.key.event.clone(), letter)).collect()
}

/// Whether every promise was kept, once all is done: else which one was not. Takes the inboxes over to look at their cursors,
/// so no dispatcher may hold them. Gives the number of dead letters that nobody scripted: attempts used up by faults.
///
/// # Errors
/// The first broken promise.
pub(crate) async fn check(faulty: &Faulty, ledger: &Ledger) -> Result<usize, String> {
    let mut crashed = 0;
    for kind in KINDS {
        let name = kind.name;
        let mut events = faulty.log().events("events");
        if kind.both_logs {
            events.extend(faulty.log().events("audit_events"));
        }
        let dead = dead(faulty, name).await;
        crashed += dead.values().filter(|letter| letter.kind == "crash").count();
        for event in &events {
            check_event(faulty, ledger, kind, event, dead.get(&event.at))?;
        }
        if kind.ordered {
            let gone = dead.keys().cloned().collect();
            check_order(faulty, ledger, kind, &gone)?;
        }
        check_rest(faulty, kind).await?;
    }
    Ok(crashed)
}

fn check_event(
    faulty: &Faulty,
    ledger: &Ledger,
    kind: Kind,
    event: &StoredEvent,
    dead: Option<&DeadLetter>,
) -> Result<(), String> {
    let (name, at) = (kind.name, &event.at);
    let ended = ledger.ended(name, at);
    let hopeless = ledger.0.lock().unwrap().words.get(&(name, at.clone())).is_some_and(|left| !left.is_empty());
    if let Some(letter) = dead.filter(|letter| !hopeless && letter.kind != "crash") {
        return Err(format!("{name}: {at} is dead without reason: {letter:?}"));
    }
    if kind.transactional {
        let effects = faulty.effects().iter().filter(|(of, event)| of == name && event == at).count();
        let wanted = usize::from(dead.is_none());
        if effects != wanted {
            return Err(format!("{name}: {at} had {effects} effects instead of {wanted}, dead: {dead:?}"));
        }
    } else if ended == 0 && dead.is_none() {
        return Err(format!("{name}: {at} was lost"));
    } else if hopeless && (ended > 0 || dead.is_none()) {
        return Err(format!("{name}: {at} can't have succeeded"));
    }
    Ok(())
}

/// The first success of each event, per subject, is in the order of the ids.
fn check_order(faulty: &Faulty, ledger: &Ledger, kind: Kind, dead: &BTreeSet<EventRef>) -> Result<(), String> {
    let name = kind.name;
    let subjects: HashMap<EventRef, SubjectRef> = ["events", "audit_events"]
        .into_iter()
        .flat_map(|log| faulty.log().events(log))
        .map(|event| (event.at.clone(), event.subject.clone()))
        .collect();
    let ended: Vec<EventRef> = if kind.transactional {
        faulty.effects().into_iter().filter(|(of, _)| of == name).map(|(_, event)| event).collect()
    } else {
        let book = ledger.0.lock().unwrap();
        book.ended.iter().filter(|((of, _), _)| *of == name).map(|((_, event), _)| event.clone()).collect()
    };
    let mut seen = BTreeSet::new();
    let mut newest: BTreeMap<(LogName, SubjectRef), i64> = BTreeMap::new();
    for event in ended {
        if dead.contains(&event) || !seen.insert(event.clone()) {
            continue;
        }
        let newest = newest.entry((event.log.clone(), subjects[&event].clone())).or_default();
        if event.id < *newest {
            return Err(format!("{name}: {event} of {} came after {newest}", subjects[&event]));
        }
        *newest = event.id;
    }
    Ok(())
}

/// Nothing is left but dead letters, and the cursor stands at the end without a hole.
async fn check_rest(faulty: &Faulty, kind: Kind) -> Result<(), String> {
    let name = kind.name;
    let open = faulty.log().open_failures(name).await.unwrap();
    if !open.is_empty() {
        return Err(format!("{name}: failure rows are left: {open:?}"));
    }
    let mut logs = vec![LogName::from("events")];
    if kind.both_logs {
        logs.insert(0, LogName::from("audit_events"));
    }
    let wish = Wish { inbox: name, logs, start: Start::Now };
    let claimed = faulty.log().claim("checker", Duration::ZERO, &[wish], Utc::now()).await.unwrap();
    let Some(claimed) = claimed.first() else { return Err(format!("{name}: still held")) };
    for loaded in &claimed.cursors {
        let newest = faulty.log().events(loaded.log.clone()).last().map_or(0, |event| event.id());
        let cursor = &loaded.cursor;
        if cursor.high != newest || !cursor.missing.is_empty() || !cursor.in_flight.is_empty() {
            return Err(format!(
                "{name}: its cursor in {} stands at {cursor:?}, the log's end is {newest}",
                loaded.log
            ));
        }
    }
    Ok(())
}
