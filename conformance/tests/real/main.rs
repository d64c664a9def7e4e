//! The running server against the programs of others, against peers that mean it no good, and
//! against peers that die.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests of real programs: whatever is not as it should be shall fail them"
)]

mod command_line;
mod complaints;
mod dissector;
mod doctor;
mod hostile;
mod killed;
mod mail_faults;
mod mail_in_calls;
mod mail_in_two_places;
mod mail_obeys;
mod mail_over_tls;
mod mail_programs;
mod mail_servers;
mod mailbox_commands;
mod mailboxes;
mod onlookers;
mod operation;
mod settings;
mod sipp;
mod softphone;
mod upgrade;
mod vanishing;
