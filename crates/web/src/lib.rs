//! What the server tells over HTTP: for programs as JSON, for Prometheus as metrics.
//!
//! - [`View`]: what there is to tell; the server implements it.
//! - [`router`]: the addresses at which it is told.
//!
//! It changes no setting and no call. `/api/v1/devices` listens to each device for a moment, one request at
//! a time; all else is a reading. Start with [`router`], then `metrics`.

mod metrics;
mod routes;
mod view;

pub use routes::{CONNECTIONS_MAX, router, serve};
pub use view::{
    Alarm, Cache, Capabilities, Device, Happening, Heard, Provider, Skipped, Source, SourceState,
    Speech, Standing, View, Waits,
};
