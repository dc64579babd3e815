//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Measures this project beside what a user would take instead. Without rows, all of them.
#[derive(Debug, Parser)]
#[command(subcommand_negates_reqs = true)]
pub(crate) struct Options {
    /// Rows to measure; a name stands for its variants too (`scan` for `scan-mariadb`).
    #[arg(value_name = "ROW")]
    pub(crate) rows: Vec<String>,
    /// Where the rows go as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// The PostgreSQL server, on which databases are made and dropped.
    #[arg(long, value_name = "URL", env = "EVENTS_TEST_POSTGRES_URL", hide_env_values = true)]
    pub(crate) postgres: Option<String>,
    /// The MariaDB server, likewise.
    #[arg(long, value_name = "URL", env = "EVENTS_TEST_MYSQL_URL", hide_env_values = true)]
    pub(crate) mysql: Option<String>,
    /// Runs of each side.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Events of the backlog in fan-out and scan.
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    pub(crate) backlog: u64,
    /// Events of the long log in growth and memory.
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    pub(crate) long: u64,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What the program starts itself as.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    #[command(hide = true, name = "child-process")]
    Child { orders: String },
}

impl Options {
    /// Whether a row was asked for, by its name or the name of the row that it varies.
    pub(crate) fn wants(&self, row: &str) -> bool {
        let varies = |asked: &str| row.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        self.rows.is_empty() || self.rows.iter().any(|asked| asked == row || varies(asked))
    }
}
