//! The torture: tries to break what the dispatcher promises, and counts what was lost or doubled.
//!
//! ```text
//! cargo run --release -p torture -- --database URL --seconds N --writers N --workers N --seed N
//! ```
//!
//! It makes a database of its own on the server of the URL (`sqlite:` makes a file in a temporary folder,
//! `sqlite://PATH` a file there), and drops it at the end unless `--keep` is given. Beside the parent there are:
//!
//! - *recorders*, two processes with half of the writers each (`record/`): single events, batches, raw SQL, transactions that
//!   are rolled back (wholly or to a savepoint), that idle, die or deadlock, or are prepared for two-phase commit, and long
//!   transactions that have nothing to do with events. What they commit they write into a ledger in the same transaction.
//! - *workers*, each a process with every inbox (`work/`): handlers that count, fail after they wrote, swallow errors and
//!   deadlocks, hang, panic, block their thread, abort the process, or record further events.
//! - a *proxy* between them and the server (`proxy.rs`) that cuts connections, at best just when a COMMIT is answered, and
//!   holds them silent. On SQLite a wrapper around the storage loses the acknowledgements (`work/storage.rs`).
//! - *chaos* (`parent/chaos.rs`): kills processes by `kill -9`, stops them past their lease and lets them go on, ends them
//!   orderly, cuts sessions on the server, retries dead letters; and, if told how, restarts or crashes the server.
//!
//! After `--seconds` the load ends, the workers have to arrive at the end of every log by themselves (else: stalled), and the
//! tables are judged (`parent/verdict.rs`). The last line of the output is one JSON object; the exit code is 0 if nothing was
//! lost or doubled and nothing else is wrong (`reasons` says what).
//!
//! | option | |
//! |---|---|
//! | `--seconds`, `--events`, `--kills` | the load lasts until all three are reached |
//! | `--writers` | transactions side by side; cut to what the server's `max_connections` leaves |
//! | `--workers` | dispatching processes |
//! | `--seed` | repeats the parent's choices, and the children's as far as processes allow |
//! | `--break` | a wrong variant: `bare-id`, `epoch-only`, `load-then-bump`, `sequence-cache`; has to end with exit code 1 |
//! | `--restart-server CMD`, `--crash-server CMD` | run by `sh -c` now and then; they return when the server is up again |
//! | `--keep` | leaves the database and the folder with the workers' logs |
//!
//! A crash may un-happen what was committed with `synchronous_commit = off`, together with its ledger row; what plain inboxes
//! had done for it is then reported as `unhappened`, and is no error.
//!
//! The long runs:
//!
//! ```text
//! cargo run --release -p torture -- --database postgres://postgres@127.0.0.1:5432/postgres --events 1000000 --kills 100 \
//!     --batch 400 --chaos-every 4000 --lag 50000
//! cargo run --release -p torture -- --database mysql://root@127.0.0.1:3306/test --events 200000 --kills 50 \
//!     --batch 200 --chaos-every 4000 --lag 20000
//! ```
//!
//! Servers that others use are neither restarted nor reconfigured. One's own, for 300 writers, prepared transactions, restarts
//! and crashes, where `CTL` is a script that stops it (`pg_ctl -m fast` or `-m immediate stop`; `kill` or `kill -9`) and
//! starts it again:
//!
//! ```text
//! initdb -D DIR -U postgres; echo "port = 55432
//! max_connections = 400
//! max_prepared_transactions = 20
//! wal_writer_delay = 10s
//! bgwriter_lru_maxpages = 0" >> DIR/postgresql.conf; pg_ctl -D DIR -w start
//! torture --database postgres://postgres@127.0.0.1:55432/postgres --seconds 300 --writers 300 \
//!     --restart-server "CTL fast" --crash-server "CTL immediate"
//! ```
//!
//! (The last two settings leave more for a crash to un-happen; with `--lag 200` workers are near enough to the end of the log
//! to have handled it.)

mod database;
mod events;
mod numbers;
mod options;
mod parent;
mod process;
mod proxy;
mod record;
mod schema;
mod sql;
mod work;

use std::process::ExitCode;

use clap::Parser as _;

use options::{Options, Role};

/// What a step of the program comes to; its errors are for people.
pub(crate) type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let ended = match (options.role, options.run) {
        (Some(Role::Record { orders }), _) => record::run(&orders).await,
        (Some(Role::Work { orders }), _) => work::run(&orders).await,
        (None, Some(run)) => parent::run(run).await,
        (None, None) => Err("no --database: see --help".into()),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("torture: {error}");
        ExitCode::from(2)
    })
}
