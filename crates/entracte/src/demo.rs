//! The demo: the real server on loopback, a radio station of its own, and six calls that are
//! checked by what is received.

pub mod hearing;
pub mod radio;
mod scenes;
mod stage;

pub use scenes::{SCENES, Scene, run};
pub use stage::{Controlled, Stage, StageError};
