//! The one trait that databases implement, and the words it is spoken in.
//!
//! The dispatcher is written once, over this trait; what differs between databases (how a missing id is proved dead, whose
//! clock a lease goes by, how rows are locked) is below it.

mod error;
mod failure;
mod heard;
mod page;
mod pause;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::cursor::{IdSet, SavedCursor};
use crate::inbox::{Start, States};
use crate::names::LogName;
use crate::recorded::StoredEvent;

pub use error::{StorageError, StorageErrorKind};
pub(crate) use failure::stored_text;
pub use failure::{
    DeadLetter, DeadLetterQuery, DueFailure, ERROR_MAX, Failure, FailureChange, FailureKey, FailureState, OpenFailure,
    WaitingEvents,
};
pub(crate) use heard::Heard;
pub use heard::{Ears, Hearing};
pub use page::{PageBuilder, ReadPage};
pub use pause::{Pause, PauseChange};

/// An inbox that a worker would like to own.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The inbox's stored name.
    pub inbox: &'static str,
    /// The logs it takes events from.
    pub logs: Vec<LogName>,
    /// Where its cursor starts in a log that it has none in.
    pub start: Start,
}

/// An inbox that a worker owns from now on.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The inbox's stored name.
    pub inbox: String,
    /// The fence of this ownership: every save says it, and a save of an older epoch is refused.
    pub epoch: i64,
    /// Its cursors, as they were loaded after the epoch was raised.
    pub cursors: Vec<LoadedCursor>,
    /// Its pause, if it stands paused.
    pub pause: Option<Pause>,
}

/// A cursor as loaded.
#[derive(Clone, Debug)]
pub struct LoadedCursor {
    /// The log.
    pub log: LogName,
    /// How often it was saved: the second half of the fence.
    pub saves: i64,
    /// The cursor.
    pub cursor: SavedCursor,
}

/// One read of a log: one statement, one snapshot, sorted by id.
#[derive(Clone, Debug)]
pub struct Read<'a> {
    /// The log.
    pub log: &'a LogName,
    /// Ids above this one; `None` to read only `also`.
    pub after: Option<i64>,
    /// And these, wherever they are visible.
    pub also: &'a IdSet,
    /// The most events that it returns, those of `also` counted; at least one.
    pub limit: u64,
    /// About how many bytes of memory they may take, as [`PageBuilder`] counts them; the read ends with the event that reaches it.
    pub max_bytes: usize,
}

/// An event as read, or the reason why its row can't be read at all.
pub type ReadEvent = Result<Arc<StoredEvent>, UnreadableEvent>;

/// A row of a log that can't be read as an event (its JSON is broken, say). Its id and subject are known all the same, so
/// that it goes to the dead letters of those who wanted it and holds up nobody.
#[derive(Clone, Debug)]
pub struct UnreadableEvent {
    /// What could be read: the metadata is empty.
    pub event: Arc<StoredEvent>,
    /// What is wrong with the row; names no value.
    pub reason: String,
}

/// A save: cursors and failure rows, one transaction, fenced.
#[derive(Clone, Debug)]
pub struct Save {
    /// The inbox.
    pub inbox: &'static str,
    /// The ownership's fence.
    pub epoch: i64,
    /// The cursors to write; at least one, since each carries the other half of the fence.
    pub cursors: Vec<CursorSave>,
    /// The failure rows to change.
    pub failures: Vec<FailureChange>,
    /// What becomes of the inbox's pause.
    pub pause: PauseChange,
}

/// One cursor in a save.
#[derive(Clone, Debug)]
pub struct CursorSave {
    /// The log.
    pub log: LogName,
    /// The counter as loaded or last saved; the save raises it by one, and is refused if it differs.
    pub saves: i64,
    /// The highest id read.
    pub high: i64,
    /// Ids up to here may have been started.
    pub ceiling: i64,
    /// The missing ids; `None` where they are as they were loaded or last saved, since they may be many.
    pub missing: Option<IdSet>,
    /// The ids in flight; `None` likewise.
    pub in_flight: Option<IdSet>,
}

impl CursorSave {
    /// Writes it over the stored cursor.
    pub fn apply(&self, stored: &mut SavedCursor) {
        stored.high = self.high;
        stored.ceiling = self.ceiling;
        if let Some(missing) = &self.missing {
            stored.missing = missing.clone();
        }
        if let Some(in_flight) = &self.in_flight {
            stored.in_flight = in_flight.clone();
        }
    }
}

/// What a look at a log's recorders says about missing ids.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Those that a read started after this look decides: visible there, or never.
    pub ripe: IdSet,
    /// Those that this look knows nothing of from a look before. A storage that can't tell names none, and says that nothing is
    /// `still`.
    pub fresh: IdSet,
    /// Whether no missing id but the fresh ones was visible to any read that ended before this look: their recorders are all
    /// still at it. Where it is false the next read of new events has to look for the missing ones in the same statement, or a
    /// subject's events could be seen in the wrong order.
    pub still: bool,
    /// Whoever drew an id up to this one was listed in this look, or had ended before it. Of such an id that a read misses which is
    /// begun after the look, the next look knows what it would know had it been missing already. 0 where the storage can't tell.
    pub upto: i64,
    /// Whether `upto` is that of the look before, and none of those listed for it has left since: what it tells holds for reads
    /// begun after *that* look already.
    pub unchanged: bool,
    /// Who holds the oldest missing id open, where the storage can tell.
    pub holder: Option<String>,
}

impl Look {
    /// Whether no missing id was visible to any read that ended before this look.
    #[must_use]
    pub fn is_still(&self) -> bool {
        self.still && self.fresh.is_empty()
    }
}

/// What databases do for the dispatcher.
///
/// The order of a transactional batch is `begin`, `savepoint`, handlers, `keep`, `save_in`, `commit`. Whatever fails in
/// between, the caller calls `rollback`; a transaction that is dropped must roll back too.
pub trait Storage: Send + Sync + 'static {
    /// An open transaction. Dropped, it rolls back.
    type Transaction: Send + Sync + 'static;
    /// What a proof that missing ids are dead remembers between two looks.
    type Proof: Default + Send + Sync + 'static;

    /// Gives handlers what the storage has to give them: its connection, say. Called once, when the dispatcher is built.
    fn provide(&self, states: &mut States) {
        let _ = states;
    }

    /// Checks that the tables are there and the log's preconditions hold.
    fn check(&self, logs: &[LogName]) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Makes the cursors that the wished-for inboxes lack; owns nothing.
    fn place(&self, wishes: &[Wish]) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Takes those inboxes that nobody holds a lease on (or that `owner` holds itself) for `lease`: raises the epoch first,
    /// then loads the cursors. Failure rows whose attempt was under way become due at `now`. Refuses ([`StorageErrorKind::Reset`]) when a cursor stands beyond what its log ever gave out.
    fn claim(
        &self,
        owner: &str,
        lease: Duration,
        wishes: &[Wish],
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Vec<Claimed>, StorageError>> + Send;

    /// Prolongs the leases by `lease` from now, by the database's clock; gives the names of those still held.
    fn renew(
        &self,
        owner: &str,
        lease: Duration,
        held: &[(String, i64)],
    ) -> impl Future<Output = Result<Vec<String>, StorageError>> + Send;

    /// Gives the inbox up, so that another worker takes it at once.
    fn release(&self, owner: &str, inbox: &str, epoch: i64) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Names every inbox that has a cursor.
    fn known_inboxes(&self) -> impl Future<Output = Result<Vec<String>, StorageError>> + Send;

    /// Reads a log in the order of ids, within the bounds of `read`. A storage must not hold more in memory than these allow, but
    /// for what its driver buffers.
    fn read(&self, read: Read<'_>) -> impl Future<Output = Result<ReadPage, StorageError>> + Send;

    /// The highest id that the log ever gave out; 0 if none.
    fn newest(&self, log: &LogName) -> impl Future<Output = Result<i64, StorageError>> + Send;

    /// The lowest id in the log that the log did not give out: an event that was inserted with an id of its own, above all ids that
    /// are known. [`read`](Self::read) does not return such an event. `None` if there is none, or where there can be none.
    fn foreign_id(&self, log: &LogName) -> impl Future<Output = Result<Option<i64>, StorageError>> + Send {
        let _ = log;
        async { Ok(None) }
    }

    /// The highest *visible* id of each of these logs, in their order; 0 of one without events. `None` if the storage can't tell at
    /// less cost than a read of each: then polling reads each of them.
    ///
    /// By it a dispatcher of several logs knows by one question which of them have something new.
    fn newest_visible(&self, logs: &[LogName]) -> impl Future<Output = Result<Option<Vec<i64>>, StorageError>> + Send {
        let _ = logs;
        std::future::ready(Ok(None))
    }

    /// Looks at who records, to prove missing ids dead; never a guess by age. `proof` is that of one cursor.
    ///
    /// `later` are those of the missing ids that are not above the last look's [`Look::upto`], and first missed by a read which was begun
    /// when that look had ended, or the one that it is [`Look::unchanged`] to.
    fn look(
        &self,
        log: &LogName,
        missing: &IdSet,
        later: &IdSet,
        proof: &mut Self::Proof,
    ) -> impl Future<Output = Result<Look, StorageError>> + Send;

    /// Listens, for as long as a worker runs, to what other processes record, where the database can tell; polling lies
    /// underneath. To have every commit tell would have commits wait for each other, so that recorders tell only while some
    /// worker says that it is idle. A storage that has nothing to listen to waits for ever.
    fn listen(&self, owner: &str, logs: &[LogName], ears: Ears) -> impl Future<Output = ()> + Send {
        let _ = (owner, logs, ears);
        std::future::pending()
    }

    /// Saves in a transaction of its own.
    fn save(&self, save: &Save) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Begins a transaction that may write.
    fn begin(&self) -> impl Future<Output = Result<Self::Transaction, StorageError>> + Send;

    /// Begins a savepoint of this name within the transaction.
    fn savepoint(
        &self,
        transaction: &Self::Transaction,
        name: &'static str,
    ) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Ends the savepoint, keeping what was written since. Fails if the transaction was ended inside it.
    fn keep(
        &self,
        transaction: &Self::Transaction,
        name: &'static str,
    ) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Undoes what was written since the savepoint, and ends it. Fails if the transaction was ended inside it.
    fn undo(
        &self,
        transaction: &Self::Transaction,
        name: &'static str,
    ) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Whether a statement of a handler's failed in the transaction since this was asked last: a failure that the handler
    /// swallowed may have ended the transaction, and what is written next would stand alone.
    fn is_doubtful(&self, transaction: &Self::Transaction) -> bool;

    /// Undoes the transaction, also one that was ended inside a savepoint.
    fn rollback(&self, transaction: Self::Transaction) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Saves in the open transaction, as its last write.
    fn save_in(
        &self,
        transaction: &Self::Transaction,
        save: &Save,
    ) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Commits.
    fn commit(&self, transaction: Self::Transaction) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// The failure rows of an inbox that are due by `now`, the longest due first, with their events.
    fn due(
        &self,
        inbox: &str,
        now: DateTime<Utc>,
        limit: u64,
    ) -> impl Future<Output = Result<Vec<DueFailure>, StorageError>> + Send;

    /// Bounds when the retries are due that a worker whose clock is ahead of `now` wrote (their last failure is later than `now`):
    /// `latest` gives the latest time, by the attempts begun so far. Other rows stay as they are.
    fn bound_retries(
        &self,
        inbox: &str,
        now: DateTime<Utc>,
        latest: &(dyn Fn(u32) -> DateTime<Utc> + Sync),
    ) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// When each inbox's next failure row is due; inboxes without one are left out.
    fn next_due(
        &self,
        inboxes: &[String],
    ) -> impl Future<Output = Result<Vec<(String, DateTime<Utc>)>, StorageError>> + Send;

    /// The failure rows that stand open (not dead): what an ordered inbox parks events behind.
    fn open_failures(&self, inbox: &str) -> impl Future<Output = Result<Vec<OpenFailure>, StorageError>> + Send;

    /// The waiting rows of an inbox, by action.
    fn waiting(&self, inbox: &str) -> impl Future<Output = Result<Vec<WaitingEvents>, StorageError>> + Send;

    /// Makes the waiting rows of one action due at `now`. They stay waiting rows, so that a worker that does not know the event lets
    /// them wait again.
    fn wake(
        &self,
        inbox: &str,
        waiting: &WaitingEvents,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Lists dead letters, the newest failure first.
    fn dead_letters(
        &self,
        query: &DeadLetterQuery,
    ) -> impl Future<Output = Result<Vec<DeadLetter>, StorageError>> + Send;

    /// Makes a dead letter due at `now` with its attempts begun anew, if it still is one with these attempts; whether it was.
    fn retry_dead(
        &self,
        key: &FailureKey,
        attempts: u32,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<bool, StorageError>> + Send;

    /// Removes a dead letter, if it still is one with these attempts; whether it was. The event itself stays.
    fn discard_dead(&self, key: &FailureKey, attempts: u32) -> impl Future<Output = Result<bool, StorageError>> + Send;
}
