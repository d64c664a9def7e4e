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

use asker::{Heard, Helper, loud};

const VOICES: [&str; 4] = ["slt", "rms", "awb", "kal16"];
const CALL: &str = "Your call is important to us, please hold the line.";

/// Without libflite the program does not start, and no test passes.
fn start() -> Helper {
    Helper::start(env!("CARGO_BIN_EXE_speech-flite"), 16_000)
}

fn samples(heard: &Heard) -> u64 {
    u64::try_from(heard.samples.len()).unwrap()
}

/// The places of the points called so.
fn places(heard: &Heard, name: &str) -> Vec<u32> {
    heard.points.iter().filter(|point| point.0 == name).map(|point| point.2).collect()
}

/// Points come in order, and none after the end.
fn in_order(heard: &Heard) {
    assert!(heard.points.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{:?}", heard.points);
    assert!(heard.points.iter().all(|point| point.1 <= samples(heard)), "{:?}", heard.points);
}

/// The usual period of the voice, in samples: the middle of what fits best in each loud stretch.
fn period(heard: &Heard) -> usize {
    let stretches = heard.samples.chunks_exact(1_600).filter(|stretch| loud(stretch));
    let best = |stretch: &[i16]| {
        let fit = |lag: &usize| -> i64 {
            let pairs = stretch.iter().zip(&stretch[*lag..]).take(1_200);
            pairs.map(|(a, b)| i64::from(*a) * i64::from(*b)).sum()
        };
        (50..300).max_by_key(fit).unwrap()
    };
    let mut periods: Vec<usize> = stretches.map(best).collect();
    periods.sort_unstable();
    periods[periods.len() / 2]
}

#[test]
fn text_is_heard_and_its_words_are_told_where_they_stand() {
    let mut helper = start();
    for (id, voice) in (1..).zip(VOICES) {
        helper.speak(id, voice, 1_000, "Hello \"wide\" world. And you?");
        let heard = helper.hear(id);
        let total = samples(&heard);
        assert_eq!(heard.end, Some((total, false)), "{voice}");
        assert!(loud(&heard.samples) && (24_000..64_000).contains(&total), "{voice}: {total}");
        assert_eq!(places(&heard, "word"), [0, 7, 13, 20, 24], "{voice}");
        assert_eq!(places(&heard, "sentence"), [0, 20], "{voice}");
        in_order(&heard);
        // It begins at once, and the words are well apart.
        assert!(loud(&heard.samples[..3_200]), "{voice}");
        let words: Vec<u64> =
            heard.points.iter().filter(|point| point.0 == "word").map(|point| point.1).collect();
        assert!(
            words[0] < 800 && words.windows(2).all(|pair| pair[0] + 800 < pair[1]),
            "{words:?}"
        );
    }
    assert_eq!(helper.end(), 0);
}

#[test]
fn ssml_marks_stand_before_their_words() {
    let mut helper = start();
    let text = "<speak><p>One <mark name=\"a\"/>two &amp; <emphasis level=\"strong\">three,\
                </emphasis> <mark name=\"b&amp;\"/><s>four.</s></p><mark name=\"z\"/></speak>";
    helper.speak(1, "slt", 1_000, text);
    let heard = helper.hear(1);
    in_order(&heard);
    let at = |name: &str| heard.points.iter().find(|point| point.0 == name).unwrap().1;
    let word = |word: &str| {
        let position = u32::try_from(text.find(word).unwrap()).unwrap();
        let told = heard.points.iter().find(|point| point.0 == "word" && point.2 == position);
        told.unwrap_or_else(|| panic!("{word}: {:?}", heard.points)).1
    };
    assert!(word("One") + 1_600 < at("a"));
    assert_eq!(at("a"), word("two"));
    assert!(word("three") + 1_600 < at("b&amp;"));
    assert_eq!(at("b&amp;"), word("four"));
    assert_eq!(at("z"), samples(&heard));
    assert_eq!(places(&heard, "word").len(), 5);
}

#[test]
fn an_unknown_voice_is_an_error_and_the_next_request_is_served() {
    let mut helper = start();
    helper.speak(1, "tlh", 1_000, "nuqneH");
    assert!(helper.hear(1).error.unwrap().contains("tlh"));
    helper.speak(2, "awb", 1_000, "Hello.");
    let awb = helper.hear(2);
    assert!(loud(&awb.samples));
    // Empty is the voice before.
    helper.speak(3, "", 1_000, "Hello.");
    assert_eq!(helper.hear(3).samples.len(), awb.samples.len());
}

#[test]
fn a_rate_is_a_factor() {
    let mut helper = start();
    for voice in VOICES {
        let mut length = |rate: u16| {
            helper.speak(u32::from(rate), voice, rate, CALL);
            helper.hear(u32::from(rate)).samples.len()
        };
        let usual = length(1_000) * 1_000;
        for rate in [500, 750, 1_250, 1_500, 2_000] {
            let (factor, wanted) = (usual / length(rate), usize::from(rate));
            assert!(factor.abs_diff(wanted) < wanted / 20, "{voice} at {rate} gave {factor}");
        }
    }
}

#[test]
fn pitch_and_volume_change_the_sound_and_not_its_length() {
    let mut helper = start();
    for voice in VOICES {
        let mut so = |pitch: u16, volume: u16| {
            helper.speak_so(1, voice, [1_000, pitch, 1_000, volume], CALL);
            helper.hear(1)
        };
        let (usual, quiet) = (so(1_000, 1_000), so(1_000, 250));
        let (high, low) = (so(1_400, 1_000), so(800, 1_000));
        assert!(high.samples.len().abs_diff(usual.samples.len()) < 800, "{voice}");
        let factor = period(&low) * 1_000 / period(&high);
        assert!(factor.abs_diff(1_400_000 / 800) < 200, "{voice}: {factor}");
        let peak = |heard: &Heard| heard.samples.iter().map(|sample| sample.abs()).max().unwrap();
        assert!((peak(&usual) / 4).abs_diff(peak(&quiet)) < 2_000, "{voice}");
    }
}

#[test]
fn a_cancel_ends_the_request_early_and_a_closed_input_ends_the_program() {
    let mut helper = start();
    let long = "This goes on and on and on. ".repeat(2_000);
    helper.speak(1, "slt", 1_000, &long);
    helper.speak(2, "slt", 1_000, &long);
    // The first block proves it speaks; nobody reads on, so it must wait for the cancel.
    assert!(helper.frame().len() > 1);
    helper.send(&[&b"C"[..], &1_u32.to_le_bytes()].concat());
    helper.send(&[&b"C"[..], &2_u32.to_le_bytes()].concat());
    let first = helper.hear(1);
    assert!(first.end.unwrap().1, "it was cancelled");
    assert!(first.samples.len() < 16_000 * 300, "{} samples", first.samples.len());
    let second = helper.hear(2);
    assert_eq!((second.samples.len(), second.end), (0, Some((0, true))));
    helper.speak(3, "kal16", 1_000, &long);
    assert_eq!(helper.end(), 0);
}

#[test]
fn sound_comes_in_small_blocks_as_it_is_made() {
    let mut helper = start();
    for (id, voice) in (1..).zip(VOICES) {
        // One sentence, spoken as a whole.
        helper.speak(id, voice, 1_000, CALL);
        let heard = helper.hear(id);
        assert!(heard.blocks > 30, "{voice}: {} blocks", heard.blocks);
        assert_eq!(heard.blocks, heard.samples.len().div_ceil(960), "{voice}");
    }
    // The first block is here, and one that asks for a mile of text can still turn back.
    let mile = "word ".repeat(20_000);
    helper.speak(9, "slt", 1_000, &mile);
    assert!(helper.frame().len() > 1);
    helper.send(&[&b"C"[..], &9_u32.to_le_bytes()].concat());
    let heard = helper.hear(9);
    assert!(heard.end.unwrap().1 && heard.blocks < 5_000, "{} blocks", heard.blocks);
}

#[test]
fn what_has_nothing_to_say_ends_without_sound() {
    let mut helper = start();
    let nothing = ["", "  ", "... -- ?!", "<speak></speak>", "\u{8a9e}\u{8a9e}", "<", "<s>***</s>"];
    for (id, text) in (1..).zip(nothing) {
        helper.speak(id, "slt", 1_000, text);
        let heard = helper.hear(id);
        assert_eq!((heard.samples.len(), heard.end), (0, Some((0, false))), "{text}");
        assert_eq!(heard.points, [], "{text}");
    }
}

#[test]
fn any_text_is_borne() {
    // A fixed row of numbers that look random.
    let mut state = 1_u32;
    let mut next = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    const PARTS: [&str; 24] = [
        "$1,000.50",
        "XIV",
        "12:30pm",
        "St.",
        "a.b.c",
        "555-1234",
        "1998-1999",
        "&amp;",
        "<s>",
        "</p>",
        "<mark name=\"x\"/>",
        "007",
        "99999999999999999999999",
        "x@y.z",
        "5%",
        "\u{8a9e}",
        "don\u{2019}t",
        "e\u{301}",
        "<",
        "--",
        "...",
        "IV",
        "-5",
        "#",
    ];
    let mut helper = start();
    for id in 1..=200 {
        let mut text = String::from(if id % 2 == 0 { "<speak>" } else { "" });
        for _ in 0..next(20) {
            match next(3) {
                0 => text.push_str(PARTS[usize::try_from(next(24)).unwrap()]),
                1 => text.push(char::from(u8::try_from(32 + next(95)).unwrap())),
                _ => text.push(' '),
            }
        }
        helper.speak(id, "kal16", 2_000, &text);
        let heard = helper.hear(id);
        assert_eq!(heard.end, Some((samples(&heard), false)), "{text}");
        in_order(&heard);
    }
}

#[test]
fn a_broken_frame_ends_it_with_a_word_on_standard_error() {
    let mut helper = start();
    helper.input.as_mut().unwrap().write_all(&[0xff; 8]).unwrap();
    assert_eq!(helper.end(), 1);
}

#[test]
fn four_voices_are_listed_and_all_speak_english() {
    let mut helper = start();
    helper.send(b"V");
    let mut voices = Vec::new();
    loop {
        let frame = helper.frame();
        if frame[0] == b'L' {
            break;
        }
        let (gender, length) = (frame[1], usize::from(frame[4]));
        assert_eq!(frame[frame.len() - 5..], [frame[frame.len() - 5], 2, 0, b'e', b'n']);
        voices.push((String::from_utf8(frame[6..6 + length].to_vec()).unwrap(), gender));
    }
    let voices: Vec<_> = voices.iter().map(|(id, gender)| (id.as_str(), *gender)).collect();
    assert_eq!(voices, [("slt", 2), ("rms", 1), ("awb", 1), ("kal16", 1)]);
}
