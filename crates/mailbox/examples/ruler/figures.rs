//! Figures of several runs.

/// The middle, the least and the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    pub(crate) fn of(all: &[f64]) -> Self {
        let mut all = all.to_vec();
        all.sort_by(f64::total_cmp);
        let median = part(&all, 50);
        Self {
            median,
            least: all.first().copied().unwrap_or(f64::NAN),
            most: all.last().copied().unwrap_or(f64::NAN),
        }
    }

    pub(crate) fn shown(&self, digits: usize) -> String {
        let Self { median, least, most } = self;
        format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
    }
}

/// The figure that so many percent are not above. They must be sorted.
pub(crate) fn part(sorted: &[f64], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// Processor time of a process in ms, from `/proc/<process>/stat`; with that of its children that have ended.
pub(crate) fn processor_ms(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let Some((_, fields)) = stat.rsplit_once(") ") else { return 0.0 };
    // Fields 14 to 17, in hundredths of a second.
    let ticks = fields.split(' ').skip(11).take(4).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() * 10.0
}
