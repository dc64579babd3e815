//! The end of the load: the workers have to arrive at the end of every log, with no hole and no failure row left.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use event_core::cursor::{IdSet, SavedCursor};
use fastrand::Rng;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr};

use super::troop::Troop;
use super::{TICK, inboxes};
use crate::events::LOGS;
use crate::options::RunOptions;
use crate::{Fallible, sql};

/// The cursors of all inboxes, by inbox and log.
pub(super) type Cursors = BTreeMap<(String, String), SavedCursor>;

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What there is still to do.
#[derive(Default)]
struct Remaining {
    amount: u64,
    /// Of whom, and what.
    whats: Vec<String>,
}

/// Waits until nothing remains; an error says what does, when nothing has come of it for too long.
pub(super) async fn settle(
    options: &RunOptions,
    db: &DatabaseConnection,
    troop: &mut Troop,
) -> Fallible<Result<(), String>> {
    let (mut least, mut progressed) = (u64::MAX, Instant::now());
    let (begun, mut looked) = (Instant::now(), Instant::now());
    loop {
        tokio::time::sleep(TICK).await;
        troop.tend()?;
        if looked.elapsed() < LOOK_EVERY {
            continue;
        }
        looked = Instant::now();
        let whats = match remaining(db).await {
            Ok(remaining) if remaining.amount == 0 => return Ok(Ok(())),
            Ok(remaining) => {
                if remaining.amount < least {
                    (least, progressed) = (remaining.amount, Instant::now());
                }
                remaining.whats
            }
            Err(error) => vec![error.to_string()],
        };
        // A wrong variant is judged by what is there: it need not arrive.
        let wrong_for_long = options.wrong.is_some() && begun.elapsed().as_secs() >= options.patience;
        if progressed.elapsed().as_secs() >= options.patience || wrong_for_long {
            return Ok(Err(whats.join("; ")));
        }
    }
}

/// Which inbox is furthest behind, for people.
pub(super) async fn furthest_behind(db: &DatabaseConnection) -> Fallible<String> {
    let newest = newest(db).await?;
    let cursors = cursors(db).await?.into_iter();
    let behind = cursors.map(|((inbox, log), cursor)| (newest.get(&log).copied().unwrap_or(0) - cursor.high, inbox));
    Ok(behind.max().map(|(behind, inbox)| format!(", {inbox} {behind} behind")).unwrap_or_default())
}

async fn newest(db: &DatabaseConnection) -> Result<BTreeMap<String, i64>, DbErr> {
    let mut newest = BTreeMap::new();
    for log in LOGS {
        newest.insert(log.to_owned(), sql::number(db, &format!("SELECT max(id) FROM {log}"), []).await?);
    }
    Ok(newest)
}

async fn remaining(db: &DatabaseConnection) -> Fallible<Remaining> {
    let mut remaining = Remaining::default();
    let newest = newest(db).await?;
    let cursors = cursors(db).await?;
    for inbox in inboxes().filter(|inbox| !cursors.keys().any(|(of, _)| of == inbox)) {
        remaining.add(1, format!("{inbox} has no cursor"));
    }
    for ((inbox, log), cursor) in cursors {
        let behind = u64::try_from(newest.get(&log).copied().unwrap_or(0) - cursor.high).unwrap_or(0);
        let holes = cursor.missing.count() + cursor.in_flight.count();
        if behind + holes > 0 {
            let what = format!(
                "{inbox} in {log}: {behind} behind, missing {}, in flight {}",
                short(&cursor.missing),
                short(&cursor.in_flight)
            );
            remaining.add(behind + holes, what);
        }
    }
    let open =
        "SELECT inbox, state, count(*) AS rows_left FROM event_failures WHERE state <> 'dead' GROUP BY inbox, state";
    for row in sql::query(db, open, []).await? {
        let (inbox, state): (String, String) = (row.try_get("", "inbox")?, row.try_get("", "state")?);
        let rows: i64 = row.try_get("", "rows_left")?;
        remaining.add(rows.unsigned_abs(), format!("{inbox}: {rows} rows {state}"));
    }
    Ok(remaining)
}

impl Remaining {
    fn add(&mut self, amount: u64, what: String) {
        self.amount += amount;
        self.whats.push(what);
    }
}

fn short(ids: &IdSet) -> String {
    let text = ids.to_string();
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}... ({} ids)", &text[..at], ids.count()),
        None => text,
    }
}

/// The cursors as they stand in the tables.
pub(super) async fn cursors(db: &DatabaseConnection) -> Fallible<Cursors> {
    let text = "SELECT inbox, log, high, ceiling, missing, in_flight FROM event_cursors";
    let mut cursors = Cursors::new();
    for row in sql::query(db, text, []).await? {
        let cursor = SavedCursor {
            high: row.try_get("", "high")?,
            ceiling: row.try_get("", "ceiling")?,
            missing: row.try_get::<String>("", "missing")?.parse()?,
            in_flight: row.try_get::<String>("", "in_flight")?.parse()?,
        };
        cursors.insert((row.try_get("", "inbox")?, row.try_get("", "log")?), cursor);
    }
    Ok(cursors)
}

/// Ends the transactions that recorders prepared and left: some are committed, some rolled back.
pub(super) async fn finish_prepared(db: &DatabaseConnection, rng: &mut Rng) -> Result<(), DbErr> {
    for name in prepared(db).await? {
        let word = if rng.bool() { "COMMIT" } else { "ROLLBACK" };
        db.execute_unprepared(&format!("{word} PREPARED '{name}'")).await?;
    }
    Ok(())
}

/// The names of the transactions that are prepared.
pub(super) async fn prepared(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(Vec::new());
    }
    let rows = sql::query(db, "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()", []).await?;
    rows.iter().map(|row| row.try_get("", "gid")).collect()
}
