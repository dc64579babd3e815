//! Runs in turns, and what is made of their figures.

use crate::Fallible;

/// The figures of both sides.
pub(crate) struct Sides {
    pub(crate) ours: Vec<f64>,
    pub(crate) beside: Vec<f64>,
}

impl Sides {
    pub(crate) fn medians(&self) -> (f64, f64) {
        (median(&self.ours), median(&self.beside))
    }

    /// How far apart the runs of each side were.
    pub(crate) fn spread(&self) -> String {
        format!("runs: ours {}, beside {}", range(&self.ours), range(&self.beside))
    }
}

/// One run of each to warm up, not counted; then `rounds` of each, in turns, each going first in every second one.
pub(crate) async fn in_turns(
    rounds: usize,
    mut ours: impl AsyncFnMut() -> Fallible<f64>,
    mut beside: impl AsyncFnMut() -> Fallible<f64>,
) -> Fallible<Sides> {
    ours().await?;
    beside().await?;
    let mut sides = Sides { ours: Vec::new(), beside: Vec::new() };
    for round in 0..rounds {
        if round % 2 == 0 {
            sides.ours.push(ours().await?);
        }
        sides.beside.push(beside().await?);
        if round % 2 == 1 {
            sides.ours.push(ours().await?);
        }
    }
    Ok(sides)
}

pub(crate) fn median(figures: &[f64]) -> f64 {
    quantile(figures, 0.5)
}

/// The figure that so large a part of them does not exceed; 0 of none.
pub(crate) fn quantile(figures: &[f64], part: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or_default()
}

pub(crate) fn range(figures: &[f64]) -> String {
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figures.iter().copied().fold(0.0, f64::max);
    let digits = if most < 10.0 { 3 } else { 0 };
    format!("{least:.digits$}..{most:.digits$}")
}
