//! The demo: the real server on loopback, a radio station of its own, and seven calls that are
//! checked by what is received.

pub mod hearing;
pub mod radio;
mod scenes;
mod stage;
mod voice_mail;

pub use scenes::{SCENES, Scene, run};
pub use stage::{Controlled, Stage, StageError};
