//! The rows, one file for what is measured in the same way.

mod build;
mod deliver;
mod growth;
mod holes;
mod latency;
mod peers;
mod record;
mod transactional;

use crate::Fallible;
use crate::ground::Kind;
use crate::options::Options;
use crate::report::{self, Row};

/// Measures what was asked for; whether every goal was reached.
pub(crate) async fn run(options: &Options) -> Fallible<bool> {
    let mut rows = Rows { options, rows: Vec::new() };
    report::print_head();
    record::run(&mut rows).await?;
    deliver::run(&mut rows).await?;
    transactional::run(&mut rows).await?;
    latency::run(&mut rows).await?;
    holes::run(&mut rows).await?;
    growth::run(&mut rows).await?;
    build::run(&mut rows).await?;
    if rows.rows.is_empty() {
        return Err("there is no such row".into());
    }
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_string_pretty(&rows.rows)?)?;
    }
    Ok(rows.rows.iter().all(|row| row.holds || row.is_left_out()))
}

/// The rows so far.
struct Rows<'o> {
    options: &'o Options,
    rows: Vec<Row>,
}

impl Rows<'_> {
    fn wants(&self, row: &str) -> bool {
        self.options.wants(row)
    }

    fn add(&mut self, row: Row) {
        row.print();
        self.rows.push(row);
    }

    /// Says that there is no server for these rows.
    fn no_server(&mut self, kind: Kind, rows: &[&str]) {
        let variable = if kind == Kind::Postgres { "EVENTS_TEST_POSTGRES_URL" } else { "EVENTS_TEST_MYSQL_URL" };
        for row in rows {
            let row = format!("{row}{}", kind.suffix());
            if self.wants(&row) {
                self.add(Row::left_out(&row, &format!("{variable} is not set")));
            }
        }
    }
}
