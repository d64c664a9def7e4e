//! Runs the fuzz bodies over their corpora and over mutations of them, always the same ones.

use replay::replay;

#[test]
fn imap_commands_holds_over_its_corpus() {
    replay(env!("CARGO_MANIFEST_DIR"), "imap_commands", imap::fuzz::imap_commands);
}

#[test]
fn imap_responses_holds_over_its_corpus() {
    replay(env!("CARGO_MANIFEST_DIR"), "imap_responses", imap::fuzz::imap_responses);
}

#[test]
fn imap_structure_holds_over_its_corpus() {
    replay(env!("CARGO_MANIFEST_DIR"), "imap_structure", imap::fuzz::imap_structure);
}

#[test]
fn imap_url_holds_over_its_corpus() {
    replay(env!("CARGO_MANIFEST_DIR"), "imap_url", imap::fuzz::imap_url);
}
