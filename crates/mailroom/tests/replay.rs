//! Runs the fuzz bodies over their corpora and over mutations of them, always the same ones.

use replay::replay;

#[test]
fn lmtp_holds_over_its_corpus() {
    replay(env!("CARGO_MANIFEST_DIR"), "lmtp", mailroom::fuzz::lmtp);
}
