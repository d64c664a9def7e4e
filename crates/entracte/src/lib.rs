//! The server as a program: it reads the settings, wires the crates together and runs them.
//!
//! It decides nothing about calls or audio; the pure crates do. Start reading at [`cli`], which is
//! what a person types, and at [`config::Plan`], which is what every other module is given.
//!
//! - [`config`]: settings from file, environment and command line to one checked [`config::Plan`].
//! - [`cli`]: the verbs, their arguments and the exit status.

pub mod cli;
pub mod config;
