//! The server as a program: it reads the settings, wires the crates together and runs them.
//!
//! It decides nothing about calls or audio; the pure crates do. Start reading at [`cli`], which is
//! what a person types, and at [`config::Plan`], which is what every other module is given.
//!
//! - [`serve`]: starts everything from a plan, and ends it.
//! - [`wiring`]: the one loop of the control plane; it alone sees all crates.
//! - [`net`]: sockets of SIP and MRCPv2. [`services`], [`feeder`]: where audio comes from, and how it
//!   gets to an engine. [`clock`]: the clocks of the edge.
//! - [`voices`], [`lexicons`], [`first_audio`]: who speaks, how words are pronounced, how soon a call
//!   heard it. [`journal`]: what happened to the sources lately.
//! - [`client`]: a SIP, MRCPv2 and RTP client over real sockets, for demo, load and tests.
//! - [`demo`]: seven calls to itself, judged by what is heard.
//! - [`bench`]: measures a server from outside.
//! - [`config`]: settings from file, environment and command line to one checked [`config::Plan`].
//! - [`settings`]: the settings while the server runs: changed, kept, put to use. [`audit`]: who did what.
//!   [`certificates`]: what pages are served with. [`view`]: all of these and all else for `web`. [`logging`]: the log.
//! - [`doctor`]: what is wrong with a host, and what to do.
//! - [`cdr`]: a record of each call that is over. [`wire`]: what passes by, counted, [`captures`] of it in files that
//!   Wireshark opens ([`pcap`]), and copies for a HEP collector ([`hep`]).
//! - [`announce`]: what happened, for [`webhooks`] and the API. [`traces`]: the same of calls, for OpenTelemetry.
//!   [`watching`] starts all who look on or are told.
//! - [`supervision`]: what systemd is told.
//! - [`trial`]: one source, tried by itself.
//! - [`recite`]: what a call would hear, into memory.
//! - [`cli`]: the verbs, their arguments and the exit status.

pub mod announce;
pub mod audit;
pub mod bench;
pub mod captures;
pub mod cdr;
pub mod certificates;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod feeder;
pub mod first_audio;
pub mod hep;
pub mod journal;
pub mod lexicons;
pub mod logging;
pub mod mail;
pub mod messages;
pub mod net;
pub mod pcap;
pub mod recite;
pub mod serve;
pub mod services;
pub mod settings;
pub mod supervision;
pub mod traces;
pub mod trial;
pub mod view;
pub mod voices;
pub mod watching;
pub mod webhooks;
pub mod wire;
pub mod wiring;
