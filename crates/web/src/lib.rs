//! What the server tells over HTTP: for programs as JSON, for Prometheus as metrics.
//!
//! - [`View`]: what there is to tell; the server implements it.
//! - [`router`]: the addresses at which it is told.
//!
//! It changes nothing: every answer is a reading. Start with [`router`], then `metrics`.

mod metrics;
mod routes;
mod view;

pub use routes::{router, serve};
pub use view::{Capabilities, Device, Heard, Skipped, Source, SourceState, Standing, View};
