//! Runs the fuzz bodies over their corpora and over mutations of them, always the same ones.

use replay::replay;

#[test]
fn mrcp_stream_holds_over_its_corpus() {
    replay(env!("CARGO_MANIFEST_DIR"), "mrcp_stream", mrcp::fuzz::mrcp_stream);
}

#[test]
fn mrcp_message_holds_over_its_corpus() {
    replay(env!("CARGO_MANIFEST_DIR"), "mrcp_message", mrcp::fuzz::mrcp_message);
}
