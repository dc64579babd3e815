//! A storage that fails: an in-memory log whose calls can be refused, applied and then reported as failed, applied twice, or
//! held up, and whose transactions carry effects, so that a test can count what happened exactly once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use event_core::cursor::IdSet;
use event_core::memory::MemoryLog;
use event_core::storage::{
    Claimed, DeadLetter, DeadLetterQuery, DueFailure, FailureKey, LoadedCursor, Look, OpenFailure, Read, ReadPage,
    Save, Storage, StorageError, StorageErrorKind, WaitingEvents, Wish,
};
use event_core::{Delivery, EventRef, FromDelivery, InboxError, LogName, Needs, StoredEvent};
use tokio::sync::watch;

use crate::veil::{Proof, Veil};

/// The calls of a storage that may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the trait's own")]
pub enum Call {
    Check,
    Place,
    KnownInboxes,
    Claim,
    Renew,
    Release,
    Read,
    Look,
    Save,
    Begin,
    Savepoint,
    Keep,
    Undo,
    Rollback,
    SaveIn,
    Commit,
    Due,
    NextDue,
    OpenFailures,
    Waiting,
    Wake,
    BoundRetries,
    /// Asks for the newest id.
    Newest,
    /// Asks for the newest visible id of several logs.
    NewestVisible,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It was not applied.
    Refused,
    /// It was applied, and its acknowledgement got lost.
    Unacknowledged,
    /// It was applied, its acknowledgement got lost, and somebody below (a pooler, a driver that means well) sent it again.
    SentTwice,
    /// The storage panics, and with it the task that called it.
    Panics,
}

/// Which of the fences are left out, to show that the tests would find that.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wrong {
    /// Saves are fenced by the epoch alone.
    pub epoch_only: bool,
    /// A claim loads the cursors first and raises the epoch after.
    pub load_then_bump: bool,
}

/// What a transactional handler did: its inbox and the event.
pub type Effect = (String, EventRef);

/// Where a save stood, per inbox and log.
type Known = HashMap<(String, LogName), LoadedCursor>;

#[derive(Debug, Default)]
struct Common {
    effects: Mutex<Vec<Effect>>,
    /// What was last loaded or saved: for the wrong variants only.
    known: Mutex<Known>,
    wrong: Mutex<Wrong>,
    veil: OnceLock<Veil>,
    held: OnceLock<Mutex<Held>>,
}

/// The events that reads returned, and those of them that the worker still holds.
#[derive(Debug, Default)]
struct Held {
    events: Vec<(usize, Weak<StoredEvent>)>,
    measured: Measured,
}

/// What [`Faulty::measured`] found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// Events that reads returned, together.
    pub read: usize,
    /// The most events that the worker held at once, counted at each read.
    pub most: usize,
    /// The most bytes of texts in metadata that it held at once.
    pub most_bytes: usize,
}

#[derive(Debug, Default)]
struct Script {
    /// Faults of the calls to come: the n-th from now.
    planned: Vec<(Call, u64, Fault)>,
    /// Faults at random, and how likely.
    random: Option<(fastrand::Rng, f64)>,
}

#[derive(Debug)]
struct Own {
    script: Mutex<Script>,
    counts: Mutex<HashMap<Call, u64>>,
    /// Reads by log.
    reads: Mutex<HashMap<LogName, u64>>,
    faults: AtomicU64,
    /// Calls that the inner log refused as fenced.
    fenced: AtomicU64,
    /// The whole worker stands still while this is true.
    paused: watch::Sender<bool>,
    /// Pauses the worker when this call comes next.
    pause_at: Mutex<Option<Call>>,
    /// A claim by load-then-bump stops between the two while this is true.
    between: watch::Sender<bool>,
    is_between: AtomicBool,
}

/// One worker's connection to a log in memory, with faults. [`Faulty::another`] is another worker's.
#[derive(Clone, Debug)]
pub struct Faulty {
    inner: MemoryLog,
    common: Arc<Common>,
    own: Arc<Own>,
}

/// An open transaction: the effects that are to commit with the save.
#[derive(Debug, Default)]
pub struct Transaction {
    save: Mutex<Option<Save>>,
    effects: Mutex<Vec<Effect>>,
    savepoints: Mutex<Vec<(&'static str, usize)>>,
}

impl Faulty {
    /// No faults yet.
    pub fn new(inner: MemoryLog) -> Self {
        Self { inner, common: Arc::default(), own: Arc::new(Own::new()) }
    }

    /// Another worker on the same log, with faults of its own.
    pub fn another(&self) -> Self {
        Self { own: Arc::new(Own::new()), ..self.clone() }
    }

    /// The log itself.
    pub fn log(&self) -> &MemoryLog {
        &self.inner
    }

    /// Hides what recorders drew that have not ended; once.
    pub fn hide(&self, veil: Veil) -> &Veil {
        self.common.veil.get_or_init(|| veil)
    }

    /// From now on counts what the worker holds of what reads return.
    pub fn measure(&self) {
        self.common.held.get_or_init(Mutex::default);
    }

    /// What was found since [`Self::measure`].
    pub fn measured(&self) -> Measured {
        self.common.held.get().expect("`measure` was called").lock().unwrap().measured
    }

    /// Gives the page events of its own, whose end can be seen, as those of a database are.
    fn hold(&self, page: &mut ReadPage) {
        let Some(held) = self.common.held.get() else { return };
        let mut held = held.lock().unwrap();
        held.measured.read += page.events.len();
        for event in page.events.iter_mut().filter_map(|event| event.as_mut().ok()) {
            *event = Arc::new(StoredEvent::clone(event));
            let texts = event.metadata.values().filter_map(|value| value.as_str());
            let bytes = texts.map(str::len).sum();
            held.events.push((bytes, Arc::downgrade(event)));
        }
        held.events.retain(|(_, event)| event.strong_count() > 0);
        let bytes = held.events.iter().map(|(bytes, _)| bytes).sum();
        held.measured.most = held.measured.most.max(held.events.len());
        held.measured.most_bytes = held.measured.most_bytes.max(bytes);
    }

    /// Leaves fences out.
    pub fn be_wrong(&self, wrong: Wrong) {
        *self.common.wrong.lock().unwrap() = wrong;
    }

    /// The n-th such call from now (from 1) fails so.
    pub fn fail(&self, call: Call, nth: u64, fault: Fault) {
        let so_far = self.count(call);
        self.own.script.lock().unwrap().planned.push((call, so_far + nth, fault));
    }

    /// Every call fails with this probability, by these dice.
    pub fn fail_at_random(&self, seed: u64, probability: f64) {
        self.own.script.lock().unwrap().random = Some((fastrand::Rng::with_seed(seed), probability));
    }

    /// No more faults.
    pub fn mend(&self) {
        *self.own.script.lock().unwrap() = Script::default();
    }

    /// How often it was called.
    pub fn count(&self, call: Call) -> u64 {
        self.own.counts.lock().unwrap().get(&call).copied().unwrap_or(0)
    }

    /// How often this log was read.
    pub fn reads_of(&self, log: &str) -> u64 {
        self.own.reads.lock().unwrap().get(&LogName::from(log.to_owned())).copied().unwrap_or(0)
    }

    /// How many faults there were.
    pub fn faults(&self) -> u64 {
        self.own.faults.load(Relaxed)
    }

    /// How many saves were refused by a fence.
    pub fn fenced(&self) -> u64 {
        self.own.fenced.load(Relaxed)
    }

    /// What transactional handlers did, in the order of the commits.
    pub fn effects(&self) -> Vec<Effect> {
        self.common.effects.lock().unwrap().clone()
    }

    /// How often this inbox had an effect for each event id of the log, by id.
    pub fn effects_of(&self, inbox: &str, log: &str) -> Vec<i64> {
        let mut ids: Vec<_> = self
            .effects()
            .into_iter()
            .filter(|(of, event)| of == inbox && event.log.as_str() == log)
            .map(|(_, event)| event.id)
            .collect();
        ids.sort_unstable();
        ids
    }

    /// The worker stops at the next such call, before it is applied, and with it everything else it asks of the storage.
    pub fn pause_at(&self, call: Call) {
        *self.own.pause_at.lock().unwrap() = Some(call);
    }

    /// The worker goes on.
    pub fn resume(&self) {
        self.own.paused.send_replace(false);
    }

    /// Waits until the worker stands still.
    pub async fn until_paused(&self) {
        self.own.paused.subscribe().wait_for(|&paused| paused).await.unwrap();
    }

    /// A claim by load-then-bump stops after the load.
    pub fn stop_between(&self, stop: bool) {
        self.own.between.send_replace(stop);
    }

    /// Whether a claim stands between load and bump.
    pub fn is_between(&self) -> bool {
        self.own.is_between.load(Relaxed)
    }

    async fn enter(&self, call: Call) -> Result<Option<Fault>, StorageError> {
        let count = {
            let mut counts = self.own.counts.lock().unwrap();
            let count = counts.entry(call).or_default();
            *count += 1;
            *count
        };
        if self.own.pause_at.lock().unwrap().take_if(|at| *at == call).is_some() {
            self.own.paused.send_replace(true);
        }
        self.own.paused.subscribe().wait_for(|&paused| !paused).await.unwrap();
        let fault = self.own.script.lock().unwrap().next(call, count);
        if fault.is_some() {
            self.own.faults.fetch_add(1, Relaxed);
        }
        match fault {
            Some(Fault::Refused) => Err(broken(call, "not applied")),
            Some(Fault::Panics) => std::panic::resume_unwind(Box::new("broke")),
            fault => Ok(fault),
        }
    }

    /// Notes a refusal by a fence.
    fn seen<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if result.as_ref().is_err_and(|error| error.kind() == StorageErrorKind::Fenced) {
            self.own.fenced.fetch_add(1, Relaxed);
        }
        result
    }

    fn wrong(&self) -> Wrong {
        *self.common.wrong.lock().unwrap()
    }

    /// The save as it goes to the log: in the epoch-only variant it says whatever counter stands there.
    fn disguised(&self, save: &Save) -> Save {
        let mut save = save.clone();
        if self.wrong().epoch_only {
            let known = self.common.known.lock().unwrap();
            for cursor in &mut save.cursors {
                if let Some(known) = known.get(&(save.inbox.to_owned(), cursor.log.clone())) {
                    cursor.saves = known.saves;
                }
            }
        }
        save
    }

    fn learn_saved(&self, save: &Save) {
        let mut known = self.common.known.lock().unwrap();
        for saved in &save.cursors {
            if let Some(loaded) = known.get_mut(&(save.inbox.to_owned(), saved.log.clone())) {
                loaded.saves = saved.saves + 1;
                saved.apply(&mut loaded.cursor);
            }
        }
    }

    fn learn_claimed(&self, claimed: &[Claimed]) {
        let mut known = self.common.known.lock().unwrap();
        for claimed in claimed {
            for cursor in &claimed.cursors {
                known.insert((claimed.inbox.clone(), cursor.log.clone()), cursor.clone());
            }
        }
    }

    async fn save_once(&self, save: &Save) -> Result<(), StorageError> {
        let save = self.disguised(save);
        self.seen(self.inner.save(&save).await)?;
        self.learn_saved(&save);
        Ok(())
    }

    async fn commit_once(&self, save: &Option<Save>, effects: &[Effect]) -> Result<(), StorageError> {
        // Nothing is awaited between the two that could be dropped: the log is in memory and answers at once.
        if let Some(save) = save {
            let save = self.disguised(save);
            let transaction = self.inner.begin().await?;
            self.inner.save_in(&transaction, &save).await?;
            self.seen(self.inner.commit(transaction).await)?;
            self.learn_saved(&save);
        }
        self.common.effects.lock().unwrap().extend_from_slice(effects);
        Ok(())
    }
}

impl Own {
    fn new() -> Self {
        Self {
            script: Mutex::default(),
            counts: Mutex::default(),
            reads: Mutex::default(),
            faults: AtomicU64::new(0),
            fenced: AtomicU64::new(0),
            paused: watch::Sender::new(false),
            pause_at: Mutex::default(),
            between: watch::Sender::new(false),
            is_between: AtomicBool::new(false),
        }
    }
}

impl Script {
    fn next(&mut self, call: Call, count: u64) -> Option<Fault> {
        if let Some(at) = self.planned.iter().position(|&(planned, nth, _)| planned == call && nth == count) {
            return Some(self.planned.swap_remove(at).2);
        }
        let (dice, probability) = self.random.as_mut()?;
        if dice.f64() >= *probability {
            return None;
        }
        Some(match dice.u8(0..5) {
            0 | 1 => Fault::Refused,
            2 | 3 => Fault::Unacknowledged,
            _ => Fault::SentTwice,
        })
    }
}

fn broken(call: Call, how: &str) -> StorageError {
    StorageError::new(StorageErrorKind::Unreachable, format!("{call:?}: connection lost; {how}"))
}

/// The result of a call that was applied: lost, if it is to be.
fn acknowledge<T>(call: Call, fault: Option<Fault>, result: Result<T, StorageError>) -> Result<T, StorageError> {
    match fault {
        None => result,
        Some(_) => Err(broken(call, "applied")),
    }
}

impl Storage for Faulty {
    type Transaction = Transaction;
    type Proof = Proof;

    async fn check(&self, logs: &[LogName]) -> Result<(), StorageError> {
        let fault = self.enter(Call::Check).await?;
        acknowledge(Call::Check, fault, self.inner.check(logs).await)
    }

    async fn place(&self, wishes: &[Wish]) -> Result<(), StorageError> {
        let fault = self.enter(Call::Place).await?;
        acknowledge(Call::Place, fault, self.inner.place(wishes).await)
    }

    async fn claim(
        &self,
        owner: &str,
        lease: Duration,
        wishes: &[Wish],
        now: DateTime<Utc>,
    ) -> Result<Vec<Claimed>, StorageError> {
        let fault = self.enter(Call::Claim).await?;
        let loaded = self.wrong().load_then_bump.then(|| self.common.known.lock().unwrap().clone());
        if loaded.is_some() && *self.own.between.borrow() {
            self.own.is_between.store(true, Relaxed);
            self.own.between.subscribe().wait_for(|&stop| !stop).await.unwrap();
        }
        if fault == Some(Fault::SentTwice) {
            self.inner.claim(owner, lease, wishes, now).await?;
        }
        let mut claimed = self.inner.claim(owner, lease, wishes, now).await;
        if let Ok(claimed) = &mut claimed {
            self.learn_claimed(claimed);
            for claimed in claimed.iter_mut().filter(|_| loaded.is_some()) {
                for cursor in &mut claimed.cursors {
                    let key = (claimed.inbox.clone(), cursor.log.clone());
                    if let Some(before) = loaded.as_ref().and_then(|loaded| loaded.get(&key)) {
                        *cursor = before.clone();
                    }
                }
            }
        }
        acknowledge(Call::Claim, fault, claimed)
    }

    async fn renew(&self, owner: &str, lease: Duration, held: &[(String, i64)]) -> Result<Vec<String>, StorageError> {
        let fault = self.enter(Call::Renew).await?;
        acknowledge(Call::Renew, fault, self.inner.renew(owner, lease, held).await)
    }

    async fn release(&self, owner: &str, inbox: &str, epoch: i64) -> Result<(), StorageError> {
        let fault = self.enter(Call::Release).await?;
        acknowledge(Call::Release, fault, self.inner.release(owner, inbox, epoch).await)
    }

    async fn known_inboxes(&self) -> Result<Vec<String>, StorageError> {
        let fault = self.enter(Call::KnownInboxes).await?;
        acknowledge(Call::KnownInboxes, fault, self.inner.known_inboxes().await)
    }

    async fn read(&self, read: Read<'_>) -> Result<ReadPage, StorageError> {
        let fault = self.enter(Call::Read).await?;
        *self.own.reads.lock().unwrap().entry(read.log.clone()).or_default() += 1;
        let Some(veil) = self.common.veil.get() else {
            let mut page = self.inner.read(read).await?;
            self.hold(&mut page);
            return acknowledge(Call::Read, fault, Ok(page));
        };
        veil.pass().await;
        let all = self.inner.read(Read { limit: u64::MAX, max_bytes: usize::MAX, ..read.clone() }).await;
        let mut visible = veil.visible(all?.events, &read);
        self.hold(&mut visible);
        veil.pass().await;
        acknowledge(Call::Read, fault, Ok(visible))
    }

    async fn look(
        &self,
        log: &LogName,
        missing: &IdSet,
        later: &IdSet,
        proof: &mut Proof,
    ) -> Result<Look, StorageError> {
        let fault = self.enter(Call::Look).await?;
        let Some(veil) = self.common.veil.get() else {
            return acknowledge(Call::Look, fault, self.inner.look(log, missing, later, &mut ()).await);
        };
        veil.pass().await;
        let look = veil.look(missing, later, proof);
        veil.pass().await;
        acknowledge(Call::Look, fault, Ok(look))
    }

    async fn save(&self, save: &Save) -> Result<(), StorageError> {
        let fault = self.enter(Call::Save).await?;
        self.save_once(save).await?;
        if fault == Some(Fault::SentTwice) {
            return self.save_once(save).await;
        }
        acknowledge(Call::Save, fault, Ok(()))
    }

    async fn begin(&self) -> Result<Transaction, StorageError> {
        let fault = self.enter(Call::Begin).await?;
        acknowledge(Call::Begin, fault, Ok(Transaction::default()))
    }

    async fn savepoint(&self, transaction: &Transaction, name: &'static str) -> Result<(), StorageError> {
        let fault = self.enter(Call::Savepoint).await?;
        let effects = transaction.effects.lock().unwrap().len();
        transaction.savepoints.lock().unwrap().push((name, effects));
        acknowledge(Call::Savepoint, fault, Ok(()))
    }

    async fn keep(&self, transaction: &Transaction, name: &'static str) -> Result<(), StorageError> {
        let fault = self.enter(Call::Keep).await?;
        assert_eq!(transaction.savepoints.lock().unwrap().pop().map(|(name, _)| name), Some(name));
        acknowledge(Call::Keep, fault, Ok(()))
    }

    async fn undo(&self, transaction: &Transaction, name: &'static str) -> Result<(), StorageError> {
        let fault = self.enter(Call::Undo).await?;
        let (begun, effects) = transaction.savepoints.lock().unwrap().pop().unwrap();
        assert_eq!(begun, name);
        transaction.effects.lock().unwrap().truncate(effects);
        acknowledge(Call::Undo, fault, Ok(()))
    }

    fn is_doubtful(&self, _transaction: &Transaction) -> bool {
        false
    }

    async fn rollback(&self, _transaction: Transaction) -> Result<(), StorageError> {
        let fault = self.enter(Call::Rollback).await?;
        acknowledge(Call::Rollback, fault, Ok(()))
    }

    async fn save_in(&self, transaction: &Transaction, save: &Save) -> Result<(), StorageError> {
        let fault = self.enter(Call::SaveIn).await?;
        *transaction.save.lock().unwrap() = Some(save.clone());
        acknowledge(Call::SaveIn, fault, Ok(()))
    }

    async fn commit(&self, transaction: Transaction) -> Result<(), StorageError> {
        let fault = self.enter(Call::Commit).await?;
        assert!(transaction.savepoints.lock().unwrap().is_empty(), "every savepoint has ended before the commit");
        let (save, effects) = (transaction.save.into_inner().unwrap(), transaction.effects.into_inner().unwrap());
        self.commit_once(&save, &effects).await?;
        if fault == Some(Fault::SentTwice) {
            return self.commit_once(&save, &effects).await;
        }
        acknowledge(Call::Commit, fault, Ok(()))
    }

    async fn due(&self, inbox: &str, now: DateTime<Utc>, limit: u64) -> Result<Vec<DueFailure>, StorageError> {
        let fault = self.enter(Call::Due).await?;
        acknowledge(Call::Due, fault, self.inner.due(inbox, now, limit).await)
    }

    async fn bound_retries(
        &self,
        inbox: &str,
        now: DateTime<Utc>,
        latest: &(dyn Fn(u32) -> DateTime<Utc> + Sync),
    ) -> Result<(), StorageError> {
        let fault = self.enter(Call::BoundRetries).await?;
        acknowledge(Call::BoundRetries, fault, self.inner.bound_retries(inbox, now, latest).await)
    }

    async fn next_due(&self, inboxes: &[String]) -> Result<Vec<(String, DateTime<Utc>)>, StorageError> {
        let fault = self.enter(Call::NextDue).await?;
        acknowledge(Call::NextDue, fault, self.inner.next_due(inboxes).await)
    }

    async fn newest(&self, log: &LogName) -> Result<i64, StorageError> {
        let fault = self.enter(Call::Newest).await?;
        acknowledge(Call::Newest, fault, self.inner.newest(log).await)
    }

    async fn newest_visible(&self, logs: &[LogName]) -> Result<Option<Vec<i64>>, StorageError> {
        let fault = self.enter(Call::NewestVisible).await?;
        let Some(veil) = self.common.veil.get() else {
            return acknowledge(Call::NewestVisible, fault, self.inner.newest_visible(logs).await);
        };
        veil.pass().await;
        let newest = logs.iter().map(|log| veil.newest(&self.inner.events(log.clone()))).collect();
        veil.pass().await;
        acknowledge(Call::NewestVisible, fault, Ok(Some(newest)))
    }

    async fn open_failures(&self, inbox: &str) -> Result<Vec<OpenFailure>, StorageError> {
        let fault = self.enter(Call::OpenFailures).await?;
        acknowledge(Call::OpenFailures, fault, self.inner.open_failures(inbox).await)
    }

    async fn waiting(&self, inbox: &str) -> Result<Vec<WaitingEvents>, StorageError> {
        let fault = self.enter(Call::Waiting).await?;
        acknowledge(Call::Waiting, fault, self.inner.waiting(inbox).await)
    }

    async fn wake(&self, inbox: &str, waiting: &WaitingEvents, now: DateTime<Utc>) -> Result<(), StorageError> {
        let fault = self.enter(Call::Wake).await?;
        acknowledge(Call::Wake, fault, self.inner.wake(inbox, waiting, now).await)
    }

    async fn dead_letters(&self, query: &DeadLetterQuery) -> Result<Vec<DeadLetter>, StorageError> {
        self.inner.dead_letters(query).await
    }

    async fn retry_dead(&self, key: &FailureKey, attempts: u32, now: DateTime<Utc>) -> Result<bool, StorageError> {
        self.inner.retry_dead(key, attempts, now).await
    }

    async fn discard_dead(&self, key: &FailureKey, attempts: u32) -> Result<bool, StorageError> {
        self.inner.discard_dead(key, attempts).await
    }
}

/// The transaction, as a handler's argument: what is written through it happens with the save, or not at all.
#[derive(Clone, Copy, Debug)]
pub struct Effects<'a>(&'a Transaction);

impl Effects<'_> {
    /// One effect of this inbox for this event.
    pub fn write(self, inbox: &str, event: &EventRef) {
        self.0.effects.lock().unwrap().push((inbox.to_owned(), event.clone()));
    }
}

impl<'a> FromDelivery<'a> for Effects<'a> {
    async fn from_delivery(delivery: &'a Delivery<'a>) -> Result<Self, InboxError> {
        delivery.transaction().map(Self).ok_or_else(|| InboxError::new("no transaction of `Faulty`"))
    }

    fn declare(needs: &mut Needs) {
        needs.transaction();
    }
}
