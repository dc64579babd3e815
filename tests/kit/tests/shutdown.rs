//! A shutdown ends in time, whatever the database is asked when it begins and does not answer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use event_core::memory::MemoryLog;
use event_core::{AnyEvent, Clock, Dispatcher, InboxResult, RecordOn, handled, inbox};
use kit_tests::faulty::{Call, Faulty};
use kit_tests::model::IssueEvent;
use tokio::sync::oneshot;
use tokio::time::Instant;

#[inbox]
async fn plain(_event: AnyEvent) -> InboxResult {
    handled()
}

/// Still at work when the shutdown begins.
#[inbox]
async fn slow(_event: AnyEvent) -> InboxResult {
    tokio::time::sleep(Duration::from_secs(20)).await;
    handled()
}

const TIMEOUT: Duration = Duration::from_secs(1);

/// How long a shutdown takes by tokio's clock, which runs by itself here, with a database that stops answering at `call`.
async fn shutdown_takes(call: Call) -> Duration {
    let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
    let faulty = Faulty::new(MemoryLog::with_clock(clock.clone()));
    let builder = Dispatcher::<Faulty>::builder(faulty.clone()).clock(clock);
    let dispatcher = builder.lease(Duration::from_secs(30)).shutdown_timeout(TIMEOUT).build().unwrap();
    let at_start = matches!(call, Call::Check | Call::Place | Call::KnownInboxes | Call::Claim);
    if at_start {
        faulty.pause_at(call);
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let running = dispatcher.clone();
    let run = tokio::spawn(async move { running.run(async { drop(stopped.await) }).await });
    if !at_start {
        tokio::time::sleep(Duration::from_secs(2)).await;
        // What a worker asks at a shutdown alone is asked after it began.
        if call != Call::Release {
            faulty.pause_at(call);
        }
        faulty.log().record(IssueEvent::Closed.on(1).by_system()).unwrap();
    }
    if call == Call::Release {
        tokio::time::sleep(Duration::from_secs(1)).await;
        faulty.pause_at(call);
    } else {
        faulty.until_paused().await;
    }
    let asked = Instant::now();
    drop(stop);
    tokio::time::timeout(Duration::from_secs(60), run).await.expect("it never ended").unwrap().unwrap();
    asked.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_silent_database_holds_up_no_shutdown() {
    let calls = [
        Call::Check,
        Call::Place,
        Call::KnownInboxes,
        Call::Claim,
        Call::Renew,
        Call::Newest,
        Call::NextDue,
        Call::Read,
        Call::Save,
        Call::Release,
    ];
    for call in calls {
        let takes = shutdown_takes(call).await;
        // The time-out, as long again for last saves, and half a second for what was asked before.
        assert!(takes <= 2 * TIMEOUT + Duration::from_millis(600), "{call:?}: {takes:?}");
    }
}
