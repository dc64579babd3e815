//! Whatever fails, and however often: transactional effects happen exactly once, everything else at least once, in order.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod workload;

use std::time::Duration;

use event_core::memory::MemoryLog;
use event_core::testing::TestKit;
use event_core::{Clock, Dispatcher};
use kit_tests::faulty::{Faulty, Wrong};
use tokio::sync::watch;
use tokio::task::JoinSet;
use workload::{KINDS, Ledger, check, record_by_dice};

/// How many seeds: these, or what `KIT_SEEDS` says.
fn seeds(usual: u64) -> u64 {
    std::env::var("KIT_SEEDS").map_or(usual, |seeds| seeds.parse().expect("KIT_SEEDS is a number"))
}

/// What a seed did.
#[derive(Debug, Default)]
struct Figures {
    events: usize,
    faults: u64,
    fenced: u64,
    failed_drains: usize,
    /// Inboxes that drains left paused.
    paused: usize,
    /// Dead letters that faults alone made.
    crashed: usize,
}

impl Figures {
    fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.faults += other.faults;
        self.fenced += other.fenced;
        self.failed_drains += other.failed_drains;
        self.paused += other.paused;
        self.crashed += other.crashed;
    }
}

async fn kit(faulty: &Faulty, ledger: &Ledger, dice: &mut fastrand::Rng) -> TestKit<Faulty> {
    let (page, batch) = (dice.u32(1..12), dice.usize(1..8));
    TestKit::new(faulty.clone(), |dispatcher| {
        let inboxes = KINDS.map(|kind| kind.name);
        dispatcher.state(ledger.clone()).only(inboxes).page(page).batch(batch, Duration::from_millis(100))
    })
    .await
    .unwrap()
}

/// Drains under faults, again and again, then without.
async fn drained(seed: u64, wrong: Wrong) -> Result<Figures, String> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let (faulty, ledger) = (Faulty::new(MemoryLog::new()), Ledger::default());
    let kit = kit(&faulty, &ledger, &mut dice).await;
    faulty.be_wrong(wrong);
    let probability = [0.002, 0.01, 0.03, 0.08][dice.usize(0..4)];
    faulty.fail_at_random(seed, probability);
    let mut figures = Figures::default();
    for _ in 0..dice.usize(6..14) {
        for _ in 0..dice.usize(0..12) {
            record_by_dice(&faulty, &ledger, &mut dice);
            figures.events += 1;
        }
        match kit.drain().await {
            Ok(report) => figures.paused += report.paused.len(),
            Err(_) => figures.failed_drains += 1,
        }
        kit.advance(Duration::from_millis(dice.u64(0..20_000)));
    }
    faulty.mend();
    let report = kit.run_to_end().await.map_err(|error| format!("without faults: {error}"))?;
    if !report.complete || !report.held_elsewhere.is_empty() {
        return Err(format!("not complete: {report:?}"));
    }
    figures.faults = faulty.faults();
    figures.fenced = faulty.fenced();
    figures.crashed = check(&faulty, &ledger).await?;
    Ok(figures)
}

#[tokio::test(start_paused = true)]
async fn drains_under_faults_keep_every_promise() {
    let mut sum = Figures::default();
    for seed in 0..seeds(600) {
        let figures = drained(seed, Wrong::default()).await;
        sum.add(&figures.unwrap_or_else(|broken| panic!("seed {seed}: {broken}")));
    }
    println!("{} seeds drained: {sum:?}", seeds(600));
    assert!(
        sum.faults > 1_000 && sum.fenced > 100 && sum.failed_drains > 500 && sum.paused > 50,
        "hardly a test: {sum:?}"
    );
    assert!(sum.crashed * 100 < sum.events, "faults kill hardly an event: {sum:?}");
}

#[tokio::test(start_paused = true)]
async fn a_fence_by_the_epoch_alone_is_found_out() {
    let wrong = Wrong { epoch_only: true, ..Wrong::default() };
    for seed in 0..600 {
        if let Err(broken) = drained(seed, wrong).await {
            println!("seed {seed}: {broken}");
            assert!(broken.contains("2 effects instead of 1"), "{broken}");
            return;
        }
    }
    panic!("600 seeds did not find it");
}

/// Two workers run under faults, each started anew whenever it gives up; then without, until all is done.
async fn ran(seed: u64, wrong: Wrong) -> Result<Figures, String> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
    let (faulty, ledger) = (Faulty::new(MemoryLog::new()), Ledger::default());
    faulty.be_wrong(wrong);
    let others = [faulty.another(), faulty.another()];
    let (stop, stopped) = watch::channel(false);
    let mut workers = JoinSet::new();
    let mut figures = Figures::default();
    let probability = [0.002, 0.01, 0.03, 0.08][dice.usize(0..4)];
    for (nth, other) in others.iter().enumerate() {
        let builder =
            Dispatcher::<Faulty>::builder(other.clone()).state(ledger.clone()).only(KINDS.map(|kind| kind.name));
        let (page, batch) = (dice.u32(1..12), dice.usize(1..8));
        let dispatcher = builder.clock(clock.clone()).page(page).batch(batch, Duration::from_millis(100));
        let dispatcher = dispatcher.build().unwrap();
        dispatcher.register().await.unwrap();
        other.fail_at_random(seed * 2 + nth as u64, probability);
        let stopped = stopped.clone();
        workers.spawn(async move {
            let told = || {
                let mut stopped = stopped.clone();
                async move { drop(stopped.wait_for(|&stop| stop).await) }
            };
            // A start that fails is told at once: its operator tries again.
            while dispatcher.run(told()).await.is_err() && !*stopped.borrow() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    for _ in 0..dice.usize(10..30) {
        for _ in 0..dice.usize(0..8) {
            record_by_dice(&faulty, &ledger, &mut dice);
            figures.events += 1;
        }
        tokio::time::sleep(Duration::from_millis(dice.u64(0..2_000))).await;
        clock.advance(Duration::from_millis(dice.u64(0..5_000)));
    }
    for other in &others {
        other.mend();
    }
    // The longest wait of the policy's first attempts, many times over, and longer than every lease and pause.
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        clock.advance(Duration::from_secs(3_600));
    }
    stop.send_replace(true);
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
    for other in &others {
        figures.faults += other.faults();
        figures.fenced += other.fenced();
    }
    figures.crashed = check(&faulty, &ledger).await?;
    Ok(figures)
}

#[tokio::test(start_paused = true)]
async fn running_workers_under_faults_keep_every_promise() {
    let mut sum = Figures::default();
    for seed in 0..seeds(150) {
        let figures = ran(seed, Wrong::default()).await;
        sum.add(&figures.unwrap_or_else(|broken| panic!("seed {seed}: {broken}")));
    }
    println!("{} seeds run by two workers: {sum:?}", seeds(150));
    assert!(sum.faults > 1_000 && sum.fenced > 50, "hardly a test: {sum:?}");
    assert!(sum.crashed * 100 < sum.events, "faults kill hardly an event: {sum:?}");
}
