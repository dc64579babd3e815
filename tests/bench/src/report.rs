//! What was measured: a table for people, JSON for programs.

use serde::Serialize;

/// One row.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) row: String,
    pub(crate) ours: Option<f64>,
    pub(crate) beside: Option<f64>,
    pub(crate) ratio: Option<f64>,
    pub(crate) goal: String,
    pub(crate) holds: bool,
    pub(crate) unit: &'static str,
    pub(crate) notes: Vec<String>,
}

impl Row {
    /// Times: ours may be so many times the other's.
    pub(crate) fn time(row: &str, unit: &'static str, ours: f64, beside: f64, at_most: f64) -> Self {
        let goal = format!("at most {at_most:.2} x the time");
        Self::compared(row, unit, ours, beside, goal, |ratio| ratio <= at_most)
    }

    /// Rates: ours has to be so many times the other's.
    pub(crate) fn rate(row: &str, unit: &'static str, ours: f64, beside: f64, at_least: f64) -> Self {
        let goal = format!("at least {at_least:.2} x the rate");
        Self::compared(row, unit, ours, beside, goal, |ratio| ratio >= at_least)
    }

    fn compared(
        row: &str,
        unit: &'static str,
        ours: f64,
        beside: f64,
        goal: String,
        holds: impl FnOnce(f64) -> bool,
    ) -> Self {
        let ratio = ours / beside;
        Self {
            row: row.to_owned(),
            ours: Some(ours),
            beside: Some(beside),
            ratio: Some(ratio),
            goal,
            holds: holds(ratio),
            unit,
            notes: Vec::new(),
        }
    }

    /// One figure, with nothing beside.
    pub(crate) fn alone(row: &str, unit: &'static str, ours: f64, goal: String, holds: bool) -> Self {
        let row = row.to_owned();
        Self { row, ours: Some(ours), beside: None, ratio: None, goal, holds, unit, notes: Vec::new() }
    }

    /// A row that could not be measured here.
    pub(crate) fn left_out(row: &str, why: &str) -> Self {
        Self {
            row: row.to_owned(),
            ours: None,
            beside: None,
            ratio: None,
            goal: String::new(),
            holds: false,
            unit: "",
            notes: vec![format!("left out: {why}")],
        }
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// A second goal, on the figure itself.
    pub(crate) fn and(mut self, goal: &str, holds: bool) -> Self {
        self.goal = format!("{}, {goal}", self.goal);
        self.holds &= holds;
        self
    }

    pub(crate) fn is_left_out(&self) -> bool {
        self.ours.is_none()
    }

    pub(crate) fn print(&self) {
        let figure = |figure: Option<f64>| figure.map_or_else(String::new, short);
        println!(
            "| {:<24} | {:>12} | {:>12} | {:>7} | {:<8} | {:<44} | {} |",
            self.row,
            figure(self.ours),
            figure(self.beside),
            self.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            self.unit,
            self.goal,
            if self.is_left_out() {
                "-"
            } else if self.holds {
                "yes"
            } else {
                "NO"
            },
        );
        for note in &self.notes {
            println!("|   {note}");
        }
    }
}

pub(crate) fn print_head() {
    println!(
        "| {:<24} | {:>12} | {:>12} | {:>7} | {:<8} | {:<44} | holds |",
        "row", "ours", "beside", "ratio", "unit", "goal"
    );
}

/// Four digits or so.
fn short(figure: f64) -> String {
    match figure.abs() {
        1_000.0.. => {
            let digits = format!("{figure:.0}");
            let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
            groups.join(",")
        }
        10.0.. => format!("{figure:.1}"),
        _ => format!("{figure:.3}"),
    }
}
