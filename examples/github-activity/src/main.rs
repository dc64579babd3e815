//! Reads GitHub's webhook payloads, records them as typed events, runs the inboxes, and prints what came of it.

mod error;
mod events;
mod import;
mod inboxes;
mod mapping;
mod models;
mod payload;
mod reader;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use event_sea_orm::prelude::*;
use sea_orm::{ConnectOptions, Database, DatabaseConnection};

use crate::error::Error;
use crate::import::{Imported, import};
use crate::inboxes::Notifications;

/// Records GitHub's webhook payloads as typed events, runs the inboxes, and prints the feed, the counts per action, the issues
/// by label, the payloads that mean nothing here, and the dead letters.
///
/// FILE is a JSON list of webhooks, each with its `name` ("issues") and its `examples`, a list of payloads. What is recorded
/// already (the same payload, whenever) is not recorded again. The last line of the output is a JSON object with what this
/// run did: `recorded`, `already_recorded`, `skipped`, `handled`, `dead`.
#[derive(Debug, Parser)]
#[command(after_help = EXIT_CODES)]
struct Cli {
    /// The SQLite database; made if it is not there
    #[arg(long, value_name = "URL", default_value = "sqlite://github-activity.db?mode=rwc")]
    database: String,
    /// The payloads
    file: PathBuf,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  everything was read
  1  the report can't be written
  2  wrong usage, or FILE can't be read
  3  FILE is no JSON, cut off, of another form, or a payload in it lacks its subject. It is read up to there: what came
     before is recorded and reported
  4  the database can't be opened, read or written";

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("github-activity: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run(cli: &Cli) -> Result<(), Error> {
    let payloads = reader::read(&cli.file)?;
    let db = open(&cli.database).await?;
    migrate(&db).await?;
    models::create_tables(&db).await?;
    let notifications = Notifications::default();
    let dispatcher = Dispatcher::builder(&db).state(notifications.clone()).build()?;
    dispatcher.register().await?;

    let mut imported = Imported::default();
    let end = import(&db, &cli.file, payloads, &mut imported).await;
    if end.as_ref().is_err_and(|error| error.exit_code() == 4) {
        return end;
    }
    let delivered = dispatcher.drain().await?;
    if !delivered.held_elsewhere.is_empty() {
        let inboxes = delivered.held_elsewhere.join(", ");
        eprintln!(
            "github-activity: another process runs {inboxes}, or did until it was killed; run this again in a while"
        );
    }
    let mut out = std::io::stdout().lock();
    report::print(&mut out, &db, &dispatcher, &imported, &delivered, &notifications.lines()).await?;
    end
}

/// What is stored in databases out there stays readable: the events and inboxes of this program are compared with the committed
/// `events.lock`. After a change, `EVENTS_LOCK=update cargo test`.
#[test]
fn stored_events_stay_readable() -> Result<(), event_core::lock::LockError> {
    event_core::lock::check("events.lock")
}

async fn open(url: &str) -> Result<DatabaseConnection, Error> {
    if !url.starts_with("sqlite:") {
        return Err(Error::NoSqlite);
    }
    let mut options = ConnectOptions::new(url);
    options.sqlx_logging(false);
    Database::connect(options).await.map_err(Error::Open)
}
