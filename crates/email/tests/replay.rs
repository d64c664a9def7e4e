//! Runs the fuzz bodies over their corpora and over mutations of them, always the same ones.

use replay::replay;

#[test]
fn email_message_holds_over_its_corpus() {
    replay(env!("CARGO_MANIFEST_DIR"), "email_message", email::fuzz::email_message);
}

#[test]
fn email_decoder_holds_over_its_corpus() {
    replay(env!("CARGO_MANIFEST_DIR"), "email_decoder", email::fuzz::email_decoder);
}
