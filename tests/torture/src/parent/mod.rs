//! The parent: makes the ground, starts everything, has chaos reign while the load lasts, waits for the workers to arrive,
//! and judges.

mod chaos;
mod report;
mod server;
mod settle;
mod troop;
mod verdict;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fastrand::Rng;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend};

use crate::database::{Ground, connect};
use crate::options::{RunOptions, Wrong};
use crate::proxy::Proxy;
use crate::work::{self, INBOXES, NEWCOMER};
use crate::{Fallible, schema, sql};
use chaos::Chaos;
use report::Report;
use server::ServerActs;
use troop::{Recruiting, Troop};

/// How often the parent looks after its children.
const TICK: Duration = Duration::from_millis(50);
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Children that ended by themselves before anything was committed: something is wrong with the torture itself.
const HOPELESS: u64 = 30;
/// How often it looks whether the load was enough.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs all of it.
pub(crate) async fn run(options: RunOptions) -> Fallible<ExitCode> {
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let mut folder = tempfile::Builder::new().prefix("torture-").tempdir()?;
    folder.disable_cleanup(options.keep);
    let ground = Ground::make(&options.database, folder.path()).await?;
    eprintln!("torture: seed {seed}, database {}, folder {}", ground.url, folder.path().display());
    let keep = options.keep;
    let report = tokio::select! {
        report = torture(options, seed, &ground, folder.path()) => report,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    // Whatever came of it, nothing is left behind. The children have ended with the troop.
    if !keep {
        ground.drop().await?;
    }
    let report = report?;
    println!("{}", report.to_json());
    Ok(if report.is_fine() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn torture(options: RunOptions, seed: u64, ground: &Ground, folder: &Path) -> Fallible<Report> {
    let mut rng = Rng::with_seed(seed);
    let db = connect(&ground.url, 4).await?;
    event_sea_orm::migrate(&db).await?;
    schema::create(&db).await?;
    break_sequence(&options, &db).await?;
    let proxy = match ground.address() {
        Some(server) => Some(Proxy::start(server, rng.fork(), Duration::from_millis(options.silence)).await?),
        None => None,
    };
    let writers = affordable_writers(&options, ground, &db).await?;
    let recruiting = Recruiting {
        url: ground.url.clone(),
        proxied: match &proxy {
            Some(proxy) => ground.url_through(proxy.port)?,
            None => ground.url.clone(),
        },
        folder: folder.to_owned(),
        options: options.clone(),
        writers,
        two_phase: ground.takes_two_phases(&db).await?,
    };
    let mut troop = Troop::recruit(recruiting, rng.fork())?;
    let mut report = Report::new(&options, seed, ground, writers);

    let begun = Instant::now();
    load(&options, &db, &mut troop, rng.fork(), &mut report).await?;
    report.load_seconds = begun.elapsed().as_secs_f64();

    let ended = Instant::now();
    let tell = |what: &str| eprintln!("torture: {what}, {:.1} s after the load", ended.elapsed().as_secs_f64());

    // Peace: whoever was stopped goes on, the recorders end, and the workers have to arrive by themselves.
    if let Some(proxy) = &proxy {
        proxy.calm();
    }
    troop.make_peace().await?;
    tell("the recorders have ended");
    settle::finish_prepared(&db, &mut rng).await?;
    if let Err(stalled) = settle::settle(&options, &db, &mut troop).await? {
        report.reasons.push(format!("stalled: {stalled}"));
    }
    tell("the workers have arrived, or not");
    let hung = if options.wrong.is_some() { troop.kill_all()? } else { troop.dismiss().await? };
    tell("the workers have ended");
    if hung > 0 {
        report.reasons.push(format!("{hung} workers did not end orderly when told to"));
    }
    if troop.fatal > 0 && options.wrong.is_none() {
        report.reasons.push(format!("{} workers gave up for good; see their logs (--keep)", troop.fatal));
    }
    report.proxy = proxy.map(|proxy| proxy.deeds()).unwrap_or_default();
    report.troop = troop.deeds;
    verdict::judge(&db, folder, &options, &mut report).await?;
    Ok(report)
}

/// Has chaos reign until there were seconds, events and kills enough.
async fn load(
    options: &RunOptions,
    db: &DatabaseConnection,
    troop: &mut Troop,
    mut rng: Rng,
    report: &mut Report,
) -> Fallible<()> {
    let begun = Instant::now();
    let mut chaos = Chaos::new(options, db.clone(), rng.fork());
    let mut server = ServerActs::new(options, db.clone(), rng.fork());
    let (mut looked, mut told, mut committed) = (Instant::now(), Instant::now(), 0);
    let mut progressed = Instant::now();
    loop {
        tokio::time::sleep(TICK).await;
        troop.tend()?;
        chaos.act(troop).await;
        server.act().await;
        if begun.elapsed().as_secs() * 2 >= options.seconds {
            troop.admit_newcomer();
        }
        let over = begun.elapsed().as_secs() >= options.seconds;
        if looked.elapsed() >= if over { LOOK_EVERY } else { TELL_EVERY } {
            looked = Instant::now();
            // A server that is away just now is asked again.
            let now = sql::number(db, "SELECT count(*) FROM ledger", []).await.unwrap_or(committed);
            if now > committed {
                (committed, progressed) = (now, Instant::now());
            }
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                let behind = settle::furthest_behind(db).await.unwrap_or_default();
                let seconds = begun.elapsed().as_secs();
                eprintln!("torture: {seconds:4} s, {committed} committed{behind}, {}", troop.deeds);
            }
            if committed == 0 && troop.deeds.exits > HOPELESS {
                return Err("the children end as soon as they are started: see their logs (--keep)".into());
            }
            let enough = committed as u64 >= options.events && troop.deeds.kills >= options.kills;
            if over && enough && newcomer_has_its_place(db).await {
                break;
            }
            if progressed.elapsed().as_secs() > 2 * options.patience {
                report.reasons.push(format!("nothing was committed for {} s", progressed.elapsed().as_secs()));
                break;
            }
        }
    }
    report.server_acts = server.finish().await;
    report.retried_dead = chaos.retried_dead;
    Ok(())
}

async fn newcomer_has_its_place(db: &DatabaseConnection) -> bool {
    let text = "SELECT count(*) FROM event_cursors WHERE inbox = ?";
    sql::number(db, text, [NEWCOMER.into()]).await.is_ok_and(|rows| rows > 0)
}

/// As many writers as asked for, or as the server has connections for.
async fn affordable_writers(options: &RunOptions, ground: &Ground, db: &DatabaseConnection) -> Fallible<u32> {
    let of_workers = options.workers * work::ALL_CONNECTIONS;
    // Sessions of killed processes live on for a moment, beside those of the next ones.
    let spare = of_workers + of_workers / 2 + 8;
    let Some(free) = ground.free_connections(db, spare).await? else { return Ok(options.writers) };
    if free < options.writers {
        eprintln!("torture: the server's connections are enough for {free} writers of {}", options.writers);
    }
    match options.writers.min(free) {
        0 => Err("the server has too few connections left".into()),
        writers => Ok(writers),
    }
}

async fn break_sequence(options: &RunOptions, db: &DatabaseConnection) -> Fallible<()> {
    if options.wrong != Some(Wrong::SequenceCache) {
        return Ok(());
    }
    if db.get_database_backend() != DbBackend::Postgres {
        return Err("there is no sequence whose cache could be wrong but on PostgreSQL".into());
    }
    for log in crate::events::LOGS {
        db.execute_unprepared(&format!("ALTER TABLE {log} ALTER COLUMN id SET CACHE 20")).await?;
    }
    Ok(())
}

/// Every inbox that has a place by the end of the load.
fn inboxes() -> impl Iterator<Item = &'static str> {
    INBOXES.iter().map(|inbox| inbox.name)
}
