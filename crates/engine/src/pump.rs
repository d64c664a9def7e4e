use std::fmt;
use std::sync::Arc;

use crate::engines::Lane;
use crate::report::{Report, Retired};

/// Takes what the engines tell to the sink, and frees what they are done with.
pub struct Pump {
    sources: Vec<Source>,
    lanes: Arc<[Lane]>,
    sink: Box<dyn Fn(Report) + Send>,
}

/// One engine's way out.
#[derive(Debug)]
pub(crate) struct Source {
    reports: rtrb::Consumer<Report>,
    retired: rtrb::Consumer<Retired>,
}

impl Source {
    pub(crate) fn new(reports: rtrb::Consumer<Report>, retired: rtrb::Consumer<Retired>) -> Self {
        Self { reports, retired }
    }
}

impl fmt::Debug for Pump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump").field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl Pump {
    pub(crate) fn new(
        sources: Vec<Source>,
        lanes: Arc<[Lane]>,
        sink: Box<dyn Fn(Report) + Send>,
    ) -> Self {
        Self { sources, lanes, sink }
    }

    /// Hands over all reports that wait.
    pub fn drain(&mut self) {
        for (source, lane) in self.sources.iter_mut().zip(self.lanes.iter()) {
            while let Ok(report) = source.reports.pop() {
                (self.sink)(report);
            }
            while let Ok(retired) = source.retired.pop() {
                let Retired::Stream(stream) = retired else { continue };
                // All that was told of it came before it was let go.
                while let Ok(report) = source.reports.pop() {
                    (self.sink)(report);
                }
                let key = stream.key();
                let stats = lane.forget(key);
                // Closes the sockets and frees the ports, before anybody hears that they are.
                drop(stream);
                (self.sink)(Report::Gone { stream: key, stats });
            }
        }
    }
}
