//! A recorder's process: writers that record in all the ways that recorders have, and write what they commit into the ledger.

mod gate;
mod locking;
mod plain;
mod raw;
mod slow;
mod two_phase;
mod undone;

use std::ops::Range;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use event_core::{Draft, RecordOn as _};
use event_sea_orm::RecordError;
use fastrand::Rng;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::events::{AuditEvent, TallyEvent, Trouble};
use crate::numbers::Numbers;
use crate::process::{RecordOrders, end_with_the_parent};
use crate::{Fallible, database, sql};
use gate::Gate;

/// What the writers of a process share.
struct Recorder {
    db: DatabaseConnection,
    numbers: Numbers,
    gate: Gate,
    orders: RecordOrders,
    /// When an event may be in grave trouble again, and whether the fatal one is still to be recorded.
    trouble: Mutex<(Instant, bool)>,
    stopping: watch::Sender<bool>,
}

/// Grave trouble comes by the clock and not by the number of events, or a fast machine would do nothing else.
const GRAVE_EVERY: Duration = Duration::from_secs(3);

/// How long writers have to end their transactions at an orderly stop.
const LAST_TRANSACTIONS: Duration = Duration::from_secs(15);

/// Records until it is told to stop.
pub(crate) async fn run(orders: &str) -> Fallible<ExitCode> {
    end_with_the_parent();
    let orders: RecordOrders = serde_json::from_str(orders)?;
    let mut stop = signal(SignalKind::terminate())?;
    let recorder = Arc::new(Recorder {
        db: database::connect_as(&orders.url, orders.connections, orders.unsafe_commits).await?,
        numbers: Numbers::new(orders.block),
        gate: Gate::new(orders.lag),
        trouble: Mutex::new((Instant::now() + GRAVE_EVERY / 4, orders.fatal)),
        stopping: watch::Sender::new(false),
        orders,
    });
    let mut seeds = Rng::with_seed(recorder.orders.seed);
    let mut writers = JoinSet::new();
    for nth in 0..recorder.orders.writers {
        let writer = Writer { recorder: recorder.clone(), rng: seeds.fork() };
        writers.spawn(writer.write(nth));
    }
    let watched = recorder.clone();
    let gate = tokio::spawn(async move { watched.gate.watch(&watched.db).await });
    stop.recv().await;
    recorder.stopping.send_replace(true);
    recorder.gate.open();
    gate.abort();
    let all = async { while writers.join_next().await.is_some() {} };
    // What hangs beyond that is a transaction that never commits: its connection ends with the process.
    let _ = tokio::time::timeout(LAST_TRANSACTIONS, all).await;
    Ok(ExitCode::SUCCESS)
}

impl Recorder {
    /// How bad the next event that is in trouble has it.
    fn trouble(&self) -> Trouble {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.0 > Instant::now() {
            return Trouble::Common;
        }
        trouble.0 = Instant::now() + GRAVE_EVERY;
        if std::mem::take(&mut trouble.1) { Trouble::Fatal } else { Trouble::Grave }
    }
}

/// One writer: one transaction at a time.
struct Writer {
    recorder: Arc<Recorder>,
    rng: Rng,
}

impl Writer {
    async fn write(mut self, nth: u32) {
        while !*self.recorder.stopping.borrow() {
            self.recorder.gate.passed().await;
            let played = match nth {
                0 => self.idle().await,
                1 => self.stranger().await,
                _ => self.any_scene().await,
            };
            if played.is_err() {
                // Refused, cut, locked, or undone on purpose: nothing was committed, or it stands in the ledger.
                self.pause(20).await;
            }
        }
    }

    async fn any_scene(&mut self) -> Result<(), RecordError> {
        match self.rng.u32(0..100) {
            0..40 => self.single().await,
            40..50 => self.batch().await,
            50..58 => self.both_logs().await,
            58..66 => self.rolled_back().await,
            66..72 => self.savepoint_rolled_back().await,
            72..74 => self.cut_off().await,
            74..84 => self.stepped().await,
            84..87 => self.knot().await,
            87..94 => self.raw().await,
            94..95 => self.idle().await,
            95..97 => self.isolated().await,
            _ if self.recorder.orders.two_phase => self.two_phases().await,
            _ => self.single().await,
        }
    }

    /// A while in milliseconds, or until the recorder ends.
    async fn idle_for(&mut self, milliseconds: Range<u64>) {
        let long = Duration::from_millis(self.rng.u64(milliseconds));
        let mut stopping = self.recorder.stopping.subscribe();
        // The sender is the recorder's.
        let _ = tokio::time::timeout(long, stopping.wait_for(|&stopping| stopping)).await;
    }

    /// A moment, at most so many milliseconds.
    async fn pause(&mut self, at_most: u64) {
        tokio::time::sleep(Duration::from_micros(self.rng.u64(0..at_most * 1_000))).await;
    }

    fn next_number(&self) -> i64 {
        self.recorder.numbers.next()
    }

    /// Some event with this number.
    fn event(&mut self, number: i64) -> Draft {
        let subject = self.rng.i64(1_000..1_100);
        let tally = match self.rng.u32(0..100) {
            0..78 => TallyEvent::Counted { number },
            78..84 => TallyEvent::Troubled { number, trouble: self.recorder.trouble() },
            84..90 => TallyEvent::Asked { number },
            _ => return AuditEvent::Noted { number }.on(subject).by_system().into(),
        };
        tally.on(subject).by_system().into()
    }

    /// Notes in the transaction that these numbers are committed with it.
    async fn ledger<C: ConnectionTrait>(&self, txn: &C, numbers: &[i64], late: bool) -> Result<(), DbErr> {
        let rows = vec!["(?, ?)"; numbers.len()].join(", ");
        let values = numbers.iter().flat_map(|&number| [number.into(), i32::from(late).into()]);
        sql::execute(txn, &format!("INSERT INTO ledger (number, late) VALUES {rows}"), values).await?;
        Ok(())
    }

    /// Now and then: whether the newcomer has its place already. If so, what the transaction records from here on is the
    /// newcomer's, too.
    async fn is_late<C: ConnectionTrait>(&mut self, txn: &C) -> Result<bool, DbErr> {
        if self.rng.u32(0..4) > 0 {
            return Ok(false);
        }
        let there = "SELECT count(*) FROM event_cursors WHERE inbox = 'newcomer'";
        Ok(sql::number(txn, there, []).await? > 0)
    }
}

/// The error that undoes a transaction on purpose.
fn undone() -> RecordError {
    RecordError::from(DbErr::Custom("undone on purpose".to_owned()))
}
