//! The verdict: what was committed, beside what each inbox did.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use sea_orm::{DatabaseConnection, DbBackend};

use super::report::{Outcome, Report};
use super::settle::{Cursors, cursors};
use crate::events::LOGS;
use crate::numbers::{ECHOED, RELAYED};
use crate::options::RunOptions;
use crate::work::{INBOXES, InboxFacts, NEWCOMER, TOTALLED, folder_of};
use crate::{Fallible, sql};

/// Rows that are read at a time.
const CHUNK: i64 = 50_000;

/// An event as it stands in its log.
struct Stored {
    log: &'static str,
    id: i64,
    action: String,
    subject: String,
}

/// Everything that the tables and files say.
struct Evidence {
    /// By number.
    events: HashMap<i64, Stored>,
    /// What writers committed while the newcomer had its place already.
    late: HashSet<i64>,
    cursors: Cursors,
    /// The failure rows by inbox, log and id; true for the dead letters.
    failures: HashMap<(String, String, i64), bool>,
}

/// Fills in the report.
pub(super) async fn judge(
    db: &DatabaseConnection,
    folder: &Path,
    options: &RunOptions,
    report: &mut Report,
) -> Fallible<()> {
    let (events, twice) = logs(db).await?;
    let (ledger, late) = ledger(db).await?;
    let mut effects = effects(db).await?;
    report.committed = events.len() as u64;
    if twice > 0 {
        report.reasons.push(format!("{twice} events are in a log twice"));
    }
    let echoed = effects.get("echo").map(Vec::as_slice).unwrap_or_default();
    check_committed(&events, &ledger, echoed, report);
    let evidence = Evidence { events, late, cursors: cursors(db).await?, failures: failures(db).await? };
    for inbox in &INBOXES {
        let handled = match inbox.transactional {
            true => effects.remove(inbox.name).unwrap_or_default(),
            false => book(folder, inbox.name)?,
        };
        if TOTALLED.contains(&inbox.name) {
            check_total(db, inbox, handled.len(), report).await?;
        }
        let outcome = evidence.weigh(inbox, &handled, options, report);
        report.inboxes.insert(inbox.name, outcome);
    }
    Ok(())
}

impl Evidence {
    fn weigh(&self, inbox: &InboxFacts, handled: &[i64], options: &RunOptions, report: &mut Report) -> Outcome {
        let mut times: HashMap<i64, u64> = HashMap::with_capacity(handled.len());
        for &number in handled {
            *times.entry(number).or_default() += 1;
        }
        let mut outcome = Outcome::default();
        let (mut torn, mut lost, mut doubled) = (Vec::new(), Vec::new(), Vec::new());
        for (&number, event) in self.events.iter().filter(|(_, event)| (inbox.takes)(&event.action)) {
            let times = times.remove(&number).unwrap_or(0);
            let row = self.failures.get(&(inbox.name.to_owned(), event.log.to_owned(), event.id));
            let is_dead = row == Some(&true);
            outcome.handled += u64::from(times > 0);
            outcome.dead += u64::from(is_dead);
            if times > 1 {
                doubled.push((number, event));
                let count = if inbox.transactional { &mut outcome.doubled } else { &mut outcome.repeated };
                *count.get_or_insert_default() += times - 1;
            }
            if is_dead && times > 0 && inbox.transactional {
                torn.push(number);
            }
            if times == 0 && !is_dead && (inbox.name != NEWCOMER || self.late.contains(&number)) {
                match row.is_some() || self.is_to_come(inbox.name, event) {
                    true => outcome.pending += 1,
                    false => lost.push((number, event)),
                }
            }
        }
        outcome.lost = lost.len() as u64;
        outcome.unhappened = times.len() as u64;
        // Counted even where there are none.
        let count = if inbox.transactional { &mut outcome.doubled } else { &mut outcome.repeated };
        count.get_or_insert_default();

        let name = inbox.name;
        let some = |what: &[(i64, &Stored)]| {
            let mut ids: Vec<_> = what.iter().map(|(number, event)| (event.log, event.id, *number)).collect();
            ids.sort_unstable();
            let ids = ids.iter().take(5).map(|(log, id, number)| format!("{log}/{id} (number {number})"));
            ids.collect::<Vec<_>>().join(", ")
        };
        if !lost.is_empty() {
            eprintln!("torture: {name} lost {}: {} ...", lost.len(), some(&lost));
        }
        if !doubled.is_empty() && inbox.transactional {
            eprintln!("torture: {name} doubled {}: {} ...", doubled.len(), some(&doubled));
        }
        // A crash takes back what was committed and done in the database, but not what was done outside of it.
        let may_unhappen = options.crash_server.is_some() && !inbox.transactional;
        if !times.is_empty() && !may_unhappen {
            let some: Vec<_> = times.keys().take(5).collect();
            report
                .reasons
                .push(format!("{name} handled {} events that were never committed: {some:?} ...", times.len()));
        }
        if !torn.is_empty() {
            report.reasons.push(format!(
                "{name} has effects of {} dead letters: {:?} ...",
                torn.len(),
                &torn[..torn.len().min(5)]
            ));
        }
        if outcome.dead > 0 && !inbox.has_dead {
            report.reasons.push(format!("{name} has {} dead letters that nothing explains", outcome.dead));
        }
        if inbox.ordered {
            let out_of_order = self.out_of_order(handled);
            if out_of_order > 0 {
                report
                    .reasons
                    .push(format!("{name} handled {out_of_order} events before an earlier one of their subject"));
            }
        }
        outcome
    }

    /// Whether the cursor says that the event is still to come: above what was read, or a hole.
    fn is_to_come(&self, inbox: &str, event: &Stored) -> bool {
        let Some(cursor) = self.cursors.get(&(inbox.to_owned(), event.log.to_owned())) else { return true };
        event.id > cursor.high || cursor.missing.contains(event.id) || cursor.in_flight.contains(event.id)
    }

    /// How many events were first handled after a later one of their subject.
    fn out_of_order(&self, handled: &[i64]) -> usize {
        let mut newest: HashMap<&str, i64> = HashMap::new();
        let mut seen = HashSet::new();
        let mut wrong = 0;
        for number in handled.iter().filter(|&&number| seen.insert(number)) {
            let Some(event) = self.events.get(number) else { continue };
            let newest = newest.entry(&event.subject).or_default();
            wrong += usize::from(event.id < *newest);
            *newest = event.id.max(*newest);
        }
        wrong
    }
}

/// What stands in the logs is what recorders committed, and what handlers answered: no more and no less.
fn check_committed(events: &HashMap<i64, Stored>, ledger: &HashSet<i64>, echoed: &[i64], report: &mut Report) {
    let mut expected = ledger.clone();
    expected.extend(echoed.iter().map(|number| ECHOED + number));
    let missing = expected.iter().filter(|number| !events.contains_key(number)).count();
    let stray = events.keys().filter(|&&number| number < RELAYED && !expected.contains(&number)).count();
    let unasked = events.keys().filter(|&&number| number >= RELAYED && !ledger.contains(&(number - RELAYED))).count();
    if missing + stray + unasked > 0 {
        report.reasons.push(format!(
            "the logs are not what was committed: {missing} missing, {stray} that nobody committed, {unasked} answers without a question"
        ));
    }
}

/// The sum that the handlers kept agrees with their rows.
async fn check_total(db: &DatabaseConnection, inbox: &InboxFacts, rows: usize, report: &mut Report) -> Fallible<()> {
    let total = sql::number(db, "SELECT effects FROM totals WHERE inbox = ?", [inbox.name.into()]).await?;
    if total != rows as i64 {
        report.reasons.push(format!("{} has {rows} effects, and {total} in its total", inbox.name));
    }
    Ok(())
}

/// The events by number, and how many numbers came twice.
async fn logs(db: &DatabaseConnection) -> Fallible<(HashMap<i64, Stored>, u64)> {
    let number = match db.get_database_backend() {
        DbBackend::Postgres => "CAST(metadata->>'number' AS bigint)",
        DbBackend::MySql => "CAST(JSON_VALUE(metadata, '$.number') AS SIGNED)",
        _ => "json_extract(metadata, '$.number')",
    };
    let (mut events, mut twice) = (HashMap::new(), 0);
    for log in LOGS {
        let text = format!(
            "SELECT id, {number} AS number, action, subject_id FROM {log} WHERE id > ? ORDER BY id LIMIT {CHUNK}"
        );
        let mut after: i64 = 0;
        loop {
            let rows = sql::query(db, &text, [after.into()]).await?;
            let Some(last) = rows.last() else { break };
            after = last.try_get("", "id")?;
            for row in rows {
                let (id, number) = (row.try_get("", "id")?, row.try_get("", "number")?);
                let stored =
                    Stored { log, id, action: row.try_get("", "action")?, subject: row.try_get("", "subject_id")? };
                twice += u64::from(events.insert(number, stored).is_some());
            }
        }
    }
    Ok((events, twice))
}

/// The numbers that recorders committed, and those of them that are the newcomer's for sure.
async fn ledger(db: &DatabaseConnection) -> Fallible<(HashSet<i64>, HashSet<i64>)> {
    let text = format!(
        "SELECT number, CAST(late AS {}) AS late FROM ledger WHERE number > ? ORDER BY number LIMIT {CHUNK}",
        integer(db)
    );
    let (mut all, mut late) = (HashSet::new(), HashSet::new());
    let mut after: i64 = 0;
    loop {
        let rows = sql::query(db, &text, [after.into()]).await?;
        let Some(last) = rows.last() else { return Ok((all, late)) };
        after = last.try_get("", "number")?;
        for row in rows {
            let number = row.try_get("", "number")?;
            all.insert(number);
            if row.try_get::<i64>("", "late")? > 0 {
                late.insert(number);
            }
        }
    }
}

/// The numbers of each inbox's effects, in their order.
async fn effects(db: &DatabaseConnection) -> Fallible<BTreeMap<String, Vec<i64>>> {
    let text = format!("SELECT seq, inbox, number FROM effects WHERE seq > ? ORDER BY seq LIMIT {CHUNK}");
    let mut effects: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut after: i64 = 0;
    loop {
        let rows = sql::query(db, &text, [after.into()]).await?;
        let Some(last) = rows.last() else { return Ok(effects) };
        after = last.try_get("", "seq")?;
        for row in rows {
            effects.entry(row.try_get("", "inbox")?).or_default().push(row.try_get("", "number")?);
        }
    }
}

/// The numbers in a plain inbox's file, in their order.
fn book(folder: &Path, inbox: &str) -> Fallible<Vec<i64>> {
    let text = std::fs::read_to_string(folder_of(folder, inbox))?;
    Ok(text.lines().map(str::parse).collect::<Result<_, _>>()?)
}

async fn failures(db: &DatabaseConnection) -> Fallible<HashMap<(String, String, i64), bool>> {
    let mut failures = HashMap::new();
    for row in sql::query(db, "SELECT inbox, log, event_id, state FROM event_failures", []).await? {
        let key = (row.try_get("", "inbox")?, row.try_get("", "log")?, row.try_get("", "event_id")?);
        failures.insert(key, row.try_get::<String>("", "state")? == "dead");
    }
    Ok(failures)
}

fn integer(db: &DatabaseConnection) -> &'static str {
    match db.get_database_backend() {
        DbBackend::MySql => "SIGNED",
        _ => "bigint",
    }
}
