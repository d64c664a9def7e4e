//! What is said of many measurements.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

/// How measurements spread.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Spread {
    /// How many there are.
    pub count: usize,
    /// Half are not above it.
    pub p50: Duration,
    /// 90 of 100 are not above it.
    pub p90: Duration,
    /// 99 of 100 are not above it.
    pub p99: Duration,
    /// 999 of 1,000 are not above it.
    pub p999: Duration,
    /// The greatest.
    pub max: Duration,
}

impl Spread {
    /// Of these; all zero where there are none.
    pub fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let at = |permille: usize| {
            let rank = (all.len() * permille).div_ceil(1_000).max(1);
            all.get(rank - 1).copied().unwrap_or_default()
        };
        Self {
            count: all.len(),
            p50: at(500),
            p90: at(900),
            p99: at(990),
            p999: at(999),
            max: at(1_000),
        }
    }

    /// Milliseconds, for a program to read.
    pub fn to_json(self) -> Value {
        json!({
            "count": self.count,
            "p50_ms": millis(self.p50),
            "p90_ms": millis(self.p90),
            "p99_ms": millis(self.p99),
            "p999_ms": millis(self.p999),
            "max_ms": millis(self.max),
        })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50 {:.2}  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2} ms",
            millis(self.p50),
            millis(self.p90),
            millis(self.p99),
            millis(self.p999),
            millis(self.max)
        )
    }
}

/// A span in milliseconds.
pub fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// `part` of `whole`, 0 where there is no whole.
#[expect(clippy::cast_precision_loss, reason = "a share is read to a few digits")]
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_names_the_ranks_and_nothing_between() {
        let spread = Spread::of((1..=1_000).rev().map(Duration::from_millis).collect());
        let ranks = [spread.p50, spread.p90, spread.p99, spread.p999, spread.max];
        assert_eq!(ranks.map(|span| span.as_millis()), [500, 900, 990, 999, 1_000]);
        assert_eq!(Spread::of(Vec::new()), Spread::default());
        assert_eq!(Spread::of(vec![Duration::from_secs(3)]).p50, Duration::from_secs(3));
    }
}
