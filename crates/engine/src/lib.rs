//! The media plane: one thread per engine that sends every stream's next packet, each millisecond
//! those whose turn it is. In a tick nothing is allocated, locked, logged or waited for.
//!
//! Start at [`Engines`]: reserve [`Ports`], `add` a stream with its [`StreamConfig`], `play` it a
//! [`Program`] of [`Piece`]s, and hear by [`Report`] what became of it. [`Engine`] is what one
//! thread runs; it reads no clock, so tests give it the time.
//!
//! Not here: what is played (`sources`, `speech`, `control`), packet formats (`rtp`), codecs
//! (`audio`).

pub mod clock;
mod config;
mod desk;
mod engines;
mod load;
mod playing;
mod ports;
mod program;
mod pump;
mod receiving;
mod report;
mod shares;
mod socket;
mod startup;
mod stats;
mod stream;
mod tap;
mod tick;
mod wheel;

pub use clock::Mono;
pub use config::{ENGINES_MAX, EngineConfig, Marks, Receive, STREAMS_MAX, StreamConfig};
pub use engines::{CommandError, Engines, Refused};
pub use load::EngineLoad;
pub use ports::{Ports, ReserveError};
pub use program::{Piece, Program, ProgramId};
pub use pump::Pump;
pub use report::{Report, StopReason, StreamKey};
pub use startup::Note;
pub use stats::StreamStats;
pub use tap::{Kind, TAPPED_BYTES_MAX, Tap, Tapped, Way};
pub use tick::Engine;
