//! A worker's process: a dispatcher with every inbox, over a storage that loses acknowledgements or is wrong on purpose.

mod answering;
mod book;
mod catalog;
mod counting;
mod effects;
mod faults;
mod nasty;
mod ordered;
mod storage;
mod stumbling;
mod swallowing;

use std::process::ExitCode;
use std::time::Duration;

use event_core::Dispatcher;
use event_core::storage::StorageError;
use event_sea_orm::SeaStorage;
use tokio::signal::unix::{SignalKind, signal};

use crate::process::{WorkOrders, end_with_the_parent};
use crate::{Fallible, database};
pub(crate) use book::{Book, folder_of};
pub(crate) use catalog::{INBOXES, InboxFacts, NEWCOMER};
pub(crate) use effects::TOTALLED;
use faults::Faults;
use storage::Tortured;
use swallowing::Partner;

/// A worker that ends so met what waiting can't mend, which no chaos of ours may bring about.
pub(crate) const FATAL: u8 = 3;

/// What a worker gives to its dispatcher. On SQLite there is one writer, and readers beside it.
const CONNECTIONS: u32 = 6;
/// A handler's own pool.
const PARTNER_CONNECTIONS: u32 = 2;
/// What the dispatcher makes for itself on a server.
const OWN_CONNECTIONS: u32 = 5;

/// How many connections a worker has in all.
pub(crate) const ALL_CONNECTIONS: u32 = CONNECTIONS + PARTNER_CONNECTIONS + OWN_CONNECTIONS;

/// Works until it is told to stop.
pub(crate) async fn run(orders: &str) -> Fallible<ExitCode> {
    end_with_the_parent();
    let orders: WorkOrders = serde_json::from_str(orders)?;
    // To standard error, which the parent has made a file of.
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_max_level(tracing::Level::INFO).init();
    let mut stop = signal(SignalKind::terminate())?;
    let stopped = async move {
        stop.recv().await;
    };
    match work(&orders, stopped).await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            let fatal = error.downcast_ref::<StorageError>().is_some_and(|error| error.kind().is_fatal());
            tracing::error!(worker = orders.name, fatal, "{error}: {:?}", error.source());
            Ok(ExitCode::from(if fatal { FATAL } else { 1 }))
        }
    }
}

async fn work(orders: &WorkOrders, stop: impl Future<Output = ()>) -> Fallible<()> {
    let db = database::connect_as(&orders.url, CONNECTIONS, orders.unsafe_commits).await?;
    let partner = Partner::new(&orders.url).await?;
    let faults = Faults::new(orders.seed, orders.faults, Duration::from_millis(orders.lease_ms), orders.wrong);
    let mut dice = fastrand::Rng::with_seed(orders.seed);
    // Pages, batches and ceilings of many sizes: each makes other moments for a kill.
    let (page, batch) = (dice.u32(10..300), dice.usize(1..64));
    let inboxes = INBOXES.iter().map(|inbox| inbox.name).filter(|&name| orders.newcomer || name != NEWCOMER);
    let dispatcher = Dispatcher::<Tortured>::builder(Tortured::new(SeaStorage::from(db), faults))
        .only(inboxes)
        .state(Book::open(&orders.folder)?)
        .state(partner)
        .lease(Duration::from_millis(orders.lease_ms))
        .poll(Duration::from_millis(5), Duration::from_millis(500))
        .page(page)
        .batch(batch, Duration::from_millis(dice.u64(5..250)))
        .shutdown_timeout(Duration::from_secs(5))
        .build()?;
    dispatcher.run(stop).await?;
    Ok(())
}
