//! Stores in several processes, on a real disk and in real time. The other processes are this binary again; they end
//! when the test does, however it ends.
//!
//! Each test has a small form that always runs. The long forms: `ENTRACTE_KILLS=500`, `ENTRACTE_STOPPED=1`,
//! `ENTRACTE_LISTINGS=100000`, `ENTRACTE_LARGE=100000`, each with `cargo test --release -p mailbox --test processes`.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail where it stands"
)]
#![expect(clippy::print_stdout, reason = "processes speak with each other over it")]

mod bed;
mod deeds;
mod disks;
mod kills;
mod large;
mod listings;
mod model;
mod together;
