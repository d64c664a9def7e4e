//! The running server over loopback, filed by RFC section: raw sockets, exact bytes.
//!
//! Without more the server runs in the test's own process. `ENTRACTE_SUBJECT=host:sip-port:mrcp-port`
//! names another one (its SIP port for UDP and TCP alike) for the tests that need no settings of their
//! own; where it speaks MRCPv2 is taken from its answers.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "tests over real sockets: they may panic, and they look at the clock"
)]

mod call;
mod ear;
mod mrcp_line;
mod sip_line;
mod subject;

mod rfc4475;

mod rfc3261 {
    mod section_11;
    mod section_8_2;
    mod section_9;
}
mod rfc3264 {
    mod section_8;
}
mod rfc4240 {
    mod section_3;
}
mod rfc4733 {
    mod section_2;
}
mod rfc6787 {
    mod section_4_2;
    mod section_5;
    mod section_6;
    mod section_8;
}
mod played {
    mod bed;
    mod changes;
    mod files;
    mod providers;
    mod speech;
    mod web;
}
