//! The real program over its pipe, as the page of speech-helper promises it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail by panicking, its helpers too"
)]

#[path = "../../speech-helper/testing/asker.rs"]
mod asker;

use std::io::Write;

use asker::{Helper, loud};

fn start() -> Helper {
    Helper::start(env!("CARGO_BIN_EXE_speech-espeak"), 22_050)
}

#[test]
fn text_is_heard_and_its_words_are_told_where_they_stand() {
    let mut helper = start();
    helper.speak(7, "en-us", 1_000, "Hello world.");
    let heard = helper.hear(7);
    let total = u64::try_from(heard.samples.len()).unwrap();
    assert_eq!(heard.end, Some((total, false)));
    assert!(loud(&heard.samples) && total > 11_000, "{total} samples");
    let words: Vec<_> = heard.points.iter().filter(|point| point.0 == "word").collect();
    assert_eq!(words.iter().map(|word| word.2).collect::<Vec<_>>(), [0, 6]);
    assert!(words[0].1 < words[1].1);
    assert_eq!(helper.end(), 0);
}

#[test]
fn ssml_marks_come_in_order_and_between_their_words() {
    let mut helper = start();
    let text = "<speak>One <mark name=\"a\"/>two, <mark name=\"b&amp;\"/>three.</speak>";
    helper.speak(1, "en-us+f3", 1_000, text);
    let heard = helper.hear(1);
    let names: Vec<&str> = heard.points.iter().map(|point| point.0.as_str()).collect();
    let marks: Vec<_> = names.iter().filter(|name| !["word", "sentence"].contains(name)).collect();
    assert_eq!(marks, [&"a", &"b&amp;"]);
    assert!(heard.points.windows(2).all(|pair| pair[0].1 <= pair[1].1));
}

#[test]
fn an_unknown_voice_is_an_error_and_the_next_request_is_served() {
    let mut helper = start();
    helper.speak(1, "tlh", 1_000, "nuqneH");
    assert!(helper.hear(1).error.unwrap().contains("tlh"));
    helper.speak(2, "en-us", 1_000, "Hello.");
    assert!(loud(&helper.hear(2).samples));
}

#[test]
fn a_rate_is_a_factor() {
    let mut helper = start();
    let text = "Your call is important to us and will be answered by the next available agent";
    let mut length = |rate: u16| {
        helper.speak(u32::from(rate), "en-us", rate, text);
        helper.hear(u32::from(rate)).samples.len()
    };
    let usual = length(1_000) * 1_000;
    for rate in [500, 750, 1_250, 1_500, 2_000] {
        let factor = usual / length(rate);
        let wanted = usize::from(rate);
        assert!(factor.abs_diff(wanted) < wanted / 20, "{rate} gave {factor}");
    }
}

#[test]
fn a_cancel_ends_the_request_early_and_a_closed_input_ends_the_program() {
    let mut helper = start();
    let long = "This goes on and on and on. ".repeat(2_000);
    helper.speak(1, "en-us", 1_000, &long);
    helper.speak(2, "en-us", 1_000, &long);
    // The first block proves it speaks; nobody reads on, so it must wait for the cancel.
    assert!(helper.frame().len() > 1);
    helper.send(&[&b"C"[..], &1_u32.to_le_bytes()].concat());
    helper.send(&[&b"C"[..], &2_u32.to_le_bytes()].concat());
    let first = helper.hear(1);
    assert!(first.end.unwrap().1, "it was cancelled");
    assert!(first.samples.len() < 22_050 * 300, "{} samples", first.samples.len());
    let second = helper.hear(2);
    assert_eq!((second.samples.len(), second.end), (0, Some((0, true))));
    helper.speak(3, "en-us", 1_000, &long);
    assert_eq!(helper.end(), 0);
}

#[test]
fn a_broken_frame_ends_it_with_a_word_on_standard_error() {
    let mut helper = start();
    helper.input.as_mut().unwrap().write_all(&[0xff; 8]).unwrap();
    assert_eq!(helper.end(), 1);
}

#[test]
fn voices_and_variants_are_listed() {
    let mut helper = start();
    helper.send(b"V");
    let (mut voices, mut variants) = (0, 0);
    loop {
        let frame = helper.frame();
        match frame[0] {
            b'v' if frame[3] == 1 => variants += 1,
            b'v' => voices += 1,
            _ => break,
        }
    }
    assert!(voices > 50 && variants > 10, "{voices} voices, {variants} variants");
}
