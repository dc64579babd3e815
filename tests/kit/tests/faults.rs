//! One fault at a time: what each call's failure means for the inbox that met it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use event_core::memory::MemoryLog;
use event_core::storage::StorageErrorKind;
use event_core::testing::TestKit;
use event_core::{
    AnyEvent, Attempt, Clock, Dispatcher, Event, InboxError, InboxResult, RecordOn, State, handled, inbox,
};
use kit_tests::faulty::{Call, Effects, Fault, Faulty, Wrong};
use kit_tests::model::{AccountEvent, IssueEvent};
use kit_tests::seen::Seen;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

#[inbox]
async fn plain(event: Event<IssueEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(format!("plain {}", event.id()));
    handled()
}

#[inbox(retry(max_attempts = 3, jitter = 0.0))]
async fn exact(event: AnyEvent, effects: Effects<'_>, State(seen): State<Seen>, attempt: Attempt) -> InboxResult {
    effects.write("exact", &event.at);
    seen.note(format!("exact {} #{}", event.at, attempt.number));
    // One that fails at first: its effect must not stay.
    if event.action == "created" && attempt.number == 1 {
        return Err(InboxError::new("not today"));
    }
    handled()
}

struct Worker {
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<(), event_core::storage::StorageError>>,
}

impl Worker {
    fn start(dispatcher: Dispatcher<Faulty>) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        Self { stop, run: tokio::spawn(async move { dispatcher.run(async { drop(stopped.await) }).await }) }
    }

    async fn stop(self) -> Result<(), event_core::storage::StorageError> {
        drop(self.stop);
        self.run.await.unwrap()
    }
}

async fn kit(faulty: &Faulty, inbox: &str) -> (TestKit<Faulty>, Seen) {
    let seen = Seen::default();
    let kit = TestKit::new(faulty.clone(), |dispatcher| dispatcher.state(seen.clone()).only([inbox])).await.unwrap();
    (kit, seen)
}

async fn worker(faulty: &Faulty, inbox: &str) -> (Worker, Seen) {
    let seen = Seen::default();
    let builder = Dispatcher::<Faulty>::builder(faulty.clone()).state(seen.clone()).only([inbox]);
    let dispatcher = builder.lease(Duration::from_secs(3)).build().unwrap();
    dispatcher.register().await.unwrap();
    (Worker::start(dispatcher), seen)
}

fn record(faulty: &Faulty, events: usize) {
    for _ in 0..events {
        faulty.log().record(IssueEvent::Closed.on(1).by_system()).unwrap();
    }
}

#[tokio::test]
async fn after_an_error_the_worker_does_not_keep_asking() {
    let faulty = Faulty::new(MemoryLog::new());
    faulty.fail(Call::Read, 2, Fault::Refused);
    let (worker, seen) = worker(&faulty, "plain").await;
    record(&faulty, 1);
    seen.wait_for(1).await;
    // Time for the pause after the error to end, and for the inbox to be claimed again.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(faulty.faults(), 1);
    let before = faulty.count(Call::Renew);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let asked = faulty.count(Call::Renew) - before;
    assert!(asked <= 2, "leases of 3 s were renewed {asked} times in half a second");
    worker.stop().await.unwrap();
}

/// Every id from 1 once.
fn once(ids: impl IntoIterator<Item = i64>) -> Vec<i64> {
    ids.into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_acknowledgement_is_lost_is_not_repeated() {
    for (fault, at_once) in [(Fault::Unacknowledged, 5), (Fault::SentTwice, 5), (Fault::Refused, 0)] {
        let faulty = Faulty::new(MemoryLog::new());
        let (kit, seen) = kit(&faulty, "exact").await;
        record(&faulty, 5);
        faulty.fail(Call::Commit, 1, fault);
        let error = kit.drain().await.unwrap_err();
        let kind = if fault == Fault::SentTwice { StorageErrorKind::Fenced } else { StorageErrorKind::Unreachable };
        assert_eq!(error.kind(), kind);
        assert_eq!(faulty.effects_of("exact", "events"), once(1..=at_once), "{fault:?}");
        let report = kit.run_to_end().await.unwrap();
        assert_eq!(faulty.effects_of("exact", "events"), once(1..=5), "{fault:?}");
        // What was committed is not even tried again; what was not, is.
        assert_eq!((report.total().handled, seen.lines().len()), (5 - at_once as u64, 10 - at_once as usize));
    }
}

#[tokio::test(start_paused = true)]
async fn a_save_that_fails_either_way_loses_nothing() {
    // The first save raises the ceiling, before anything starts; the second is that of what was done.
    for (nth, fault, again) in [
        (1, Fault::Refused, 0),
        (1, Fault::Unacknowledged, 0),
        (1, Fault::SentTwice, 0),
        (2, Fault::Refused, 3),
        (2, Fault::Unacknowledged, 0),
        (2, Fault::SentTwice, 0),
    ] {
        let faulty = Faulty::new(MemoryLog::new());
        let (kit, seen) = kit(&faulty, "plain").await;
        record(&faulty, 3);
        faulty.fail(Call::Save, nth, fault);
        assert!(kit.drain().await.is_err());
        assert!(kit.run_to_end().await.unwrap().complete);
        let mut lines = seen.lines();
        assert_eq!(lines.len(), 3 + again, "save {nth} {fault:?}: at least once, and no oftener than needed");
        lines.sort();
        lines.dedup();
        assert_eq!(lines, ["plain 1", "plain 2", "plain 3"]);
    }
}

/// The calls that an inbox's life has, each of which may fail.
const CALLS: [Call; 14] = [
    Call::Claim,
    Call::Renew,
    Call::Release,
    Call::Read,
    Call::Save,
    Call::Begin,
    Call::Savepoint,
    Call::Keep,
    Call::Undo,
    Call::Rollback,
    Call::SaveIn,
    Call::Commit,
    Call::Due,
    Call::NextDue,
];
const FAULTS: [Fault; 3] = [Fault::Refused, Fault::Unacknowledged, Fault::SentTwice];

/// Two events that are handled at once, one that fails at first, one of another log.
fn record_mixed(faulty: &Faulty) {
    record(faulty, 1);
    faulty.log().record(IssueEvent::Created.on(1).by_system()).unwrap();
    record(faulty, 1);
    faulty.log().record(AccountEvent::SignedIn.on(1).by_system()).unwrap();
}

async fn assert_mixed(faulty: &Faulty, what: &str) {
    assert_eq!(faulty.effects_of("exact", "events"), once(1..=3), "{what}");
    assert_eq!(faulty.effects_of("exact", "audit_events"), once(1..=1), "{what}");
    let rows = event_core::storage::Storage::open_failures(faulty.log(), "exact").await.unwrap();
    assert_eq!(rows, [], "{what}");
}

#[tokio::test(start_paused = true)]
async fn any_call_of_a_drain_may_fail() {
    let mut met = 0;
    for call in CALLS.into_iter().filter(|&call| call != Call::Renew) {
        for fault in FAULTS {
            for nth in 1..=3 {
                let faulty = Faulty::new(MemoryLog::new());
                let (kit, _) = kit(&faulty, "exact").await;
                record_mixed(&faulty);
                faulty.fail(call, nth, fault);
                for _ in 0..6 {
                    let _ = kit.drain().await;
                    kit.advance(Duration::from_secs(20));
                }
                met += faulty.faults();
                faulty.mend();
                kit.run_to_end().await.unwrap();
                assert_mixed(&faulty, &format!("{call:?} {nth} {fault:?}")).await;
            }
        }
    }
    assert!(met >= 13 * 3 * 2, "only {met} faults were met");
}

#[tokio::test(start_paused = true)]
async fn any_call_of_a_running_worker_may_fail() {
    let mut met = 0;
    for call in CALLS {
        for fault in FAULTS {
            // The very first claim is not tried again: whoever starts the worker is told.
            let first = if call == Call::Claim { 2 } else { 1 };
            for nth in first..=3 {
                let what = format!("{call:?} {nth} {fault:?}");
                let faulty = Faulty::new(MemoryLog::new());
                let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
                let builder = Dispatcher::<Faulty>::builder(faulty.clone()).state(Seen::default()).only(["exact"]);
                let dispatcher = builder.clock(clock.clone()).build().unwrap();
                faulty.fail(call, nth, fault);
                let worker = Worker::start(dispatcher);
                tokio::time::sleep(Duration::from_millis(50)).await;
                record_mixed(&faulty);
                for _ in 0..20 {
                    tokio::time::sleep(Duration::from_secs(2)).await;
                    clock.advance(Duration::from_secs(20));
                }
                assert_mixed(&faulty, &what).await;
                met += faulty.faults();
                faulty.mend();
                worker.stop().await.unwrap();
            }
        }
    }
    assert!(met >= 80, "only {met} faults were met");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stood_still_past_its_lease_is_fenced_off() {
    for call in [Call::Save, Call::Read, Call::Begin, Call::Keep, Call::SaveIn, Call::Commit] {
        // Either it finds out by itself that the lease is gone, or its writes do.
        for renews in [true, false] {
            let first = Faulty::new(MemoryLog::new());
            let second = first.another();
            let (old, _) = worker(&first, "exact").await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            if !renews {
                (1..1_000).for_each(|nth| first.fail(Call::Renew, nth, Fault::Refused));
            }
            first.pause_at(call);
            record(&first, 5);
            first.until_paused().await;
            assert_eq!(first.effects().len(), 0);
            let (new, seen) = worker(&second, "exact").await;
            seen.wait_for(5).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(first.effects_of("exact", "events"), once(1..=5), "taken over: {call:?}");
            first.resume();
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert!(renews || call == Call::Read || first.fenced() >= 1, "{call:?}");
            record(&first, 2);
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert_eq!(first.effects_of("exact", "events"), once(1..=7), "{call:?}");
            assert_eq!(seen.lines().len(), 7, "all of it by the second worker");
            new.stop().await.unwrap();
            old.stop().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_stood_still_past_its_lease_is_fenced_off() {
    let first = Faulty::new(MemoryLog::new());
    let (kit, _) = kit(&first, "exact").await;
    record(&first, 5);
    first.pause_at(Call::Commit);
    let drain = tokio::spawn(async move { kit.drain().await });
    first.until_paused().await;
    let (new, seen) = worker(&first.another(), "exact").await;
    seen.wait_for(5).await;
    first.resume();
    assert_eq!(drain.await.unwrap().unwrap_err().kind(), StorageErrorKind::Fenced);
    new.stop().await.unwrap();
    assert_eq!(first.effects_of("exact", "events"), once(1..=5));
}

/// A commit that is sent twice by somebody below.
async fn commit_sent_twice(wrong: Wrong) -> Vec<i64> {
    let faulty = Faulty::new(MemoryLog::new());
    let (kit, _) = kit(&faulty, "exact").await;
    faulty.be_wrong(wrong);
    record(&faulty, 3);
    faulty.fail(Call::Commit, 1, Fault::SentTwice);
    let _ = kit.drain().await;
    kit.run_to_end().await.unwrap();
    faulty.effects_of("exact", "events")
}

#[tokio::test(start_paused = true)]
async fn without_the_counter_of_saves_effects_would_double() {
    assert_eq!(commit_sent_twice(Wrong::default()).await, [1, 2, 3]);
    let wrong = Wrong { epoch_only: true, ..Wrong::default() };
    assert_eq!(commit_sent_twice(wrong).await, [1, 1, 2, 2, 3, 3]);
}

/// The old owner's last commit arrives while the new owner claims; gives the effects, and how many of the new owner's saves
/// were refused.
async fn commit_during_a_claim(wrong: Wrong) -> (Vec<i64>, u64) {
    let first = Faulty::new(MemoryLog::new());
    first.be_wrong(wrong);
    let second = first.another();
    let (old, _) = worker(&first, "exact").await;
    // It is not heard of again but for that commit.
    (1..1_000).for_each(|nth| first.fail(Call::Renew, nth, Fault::Refused));
    tokio::time::sleep(Duration::from_millis(100)).await;
    first.pause_at(Call::Commit);
    record(&first, 3);
    first.until_paused().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    second.stop_between(true);
    let (new, _) = worker(&second, "exact").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(second.is_between(), wrong.load_then_bump);
    first.resume();
    tokio::time::sleep(Duration::from_millis(10)).await;
    second.stop_between(false);
    tokio::time::sleep(Duration::from_secs(5)).await;
    new.stop().await.unwrap();
    let _ = old.stop().await;
    (first.effects_of("exact", "events"), second.fenced())
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_loads_before_it_raises_the_epoch_is_found_out() {
    assert_eq!(commit_during_a_claim(Wrong::default()).await, (vec![1, 2, 3], 0));
    // The counter of saves still holds, and refuses what the stale cursor would do.
    let load_then_bump = Wrong { load_then_bump: true, ..Wrong::default() };
    let (effects, refused) = commit_during_a_claim(load_then_bump).await;
    assert_eq!(effects, [1, 2, 3]);
    assert!(refused >= 1);
    // Nothing but the epoch: done twice.
    let (effects, _) = commit_during_a_claim(Wrong { epoch_only: true, ..load_then_bump }).await;
    assert_eq!(effects, [1, 1, 2, 2, 3, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_panics_is_started_anew() {
    let faulty = Faulty::new(MemoryLog::new());
    let (worker, _) = worker(&faulty, "exact").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    faulty.fail(Call::SaveIn, 1, Fault::Panics);
    record(&faulty, 2);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(faulty.faults(), 1);
    worker.stop().await.unwrap();
    assert_eq!(faulty.effects_of("exact", "events"), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_whose_lane_panics_says_so() {
    let faulty = Faulty::new(MemoryLog::new());
    let (kit, _) = kit(&faulty, "exact").await;
    faulty.fail(Call::SaveIn, 1, Fault::Panics);
    record(&faulty, 2);
    let error = kit.drain().await.unwrap_err();
    assert!(error.to_string().contains("ended without an answer"), "{error}");
    kit.run_to_end().await.unwrap();
    assert_eq!(faulty.effects_of("exact", "events"), [1, 2]);
    assert_eq!(kit.dead_letters().await.unwrap(), []);
}
