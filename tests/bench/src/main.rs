//! This project's speed beside what a user would take instead, in one run, on the same server and the same events.
//!
//! ```text
//! cargo run --release -p bench -- [ROW...] --json FILE
//! ```
//!
//! Every figure is the median of several runs, taken in turns with those of what stands beside it; absolute figures say little
//! on a shared machine, ratios hold. What is compared, and what is not fair to whom: docs/benchmarks.md.

mod child;
mod ground;
mod hand;
mod models;
mod options;
mod payload;
#[cfg(feature = "peers")]
mod peers;
mod report;
mod rows;
mod sample;

use std::process::ExitCode;

use clap::Parser;

use options::{Options, Role};

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let ran = match &options.role {
        Some(Role::Child { orders }) => child::run(orders).await.map(|()| true),
        None => rows::run(&options).await,
    };
    match ran {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}
