//! The real program over its pipe, as README.md promises it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail by panicking, its helpers too"
)]

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

struct Helper {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
}

#[derive(Debug, Default)]
struct Heard {
    samples: Vec<i16>,
    points: Vec<(String, u64, u32)>,
    end: Option<(u64, bool)>,
    error: Option<String>,
}

impl Helper {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_speech-espeak"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        let mut helper = Self { child, input, output };
        let hello = helper.frame();
        assert_eq!(hello, [&b"H"[..], &1_u16.to_le_bytes(), &22_050_u32.to_le_bytes()].concat());
        helper
    }

    fn send(&mut self, frame: &[u8]) {
        let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
        self.input.as_mut().unwrap().write_all(&[&length[..], frame].concat()).unwrap();
    }

    fn speak(&mut self, id: u32, voice: &str, rate: u16, text: &str) {
        let mut frame = vec![b'S'];
        frame.extend(id.to_le_bytes());
        for factor in [rate, 1_000, 1_000, 1_000] {
            frame.extend(factor.to_le_bytes());
        }
        frame.push(u8::from(text.starts_with('<')));
        frame.extend(u16::try_from(voice.len()).unwrap().to_le_bytes());
        frame.extend(voice.as_bytes());
        frame.extend(text.as_bytes());
        self.send(&frame);
    }

    fn frame(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.output.read_exact(&mut length).unwrap();
        let mut frame = vec![0; usize::try_from(u32::from_le_bytes(length)).unwrap()];
        self.output.read_exact(&mut frame).unwrap();
        frame
    }

    /// Everything up to the end of the request.
    fn hear(&mut self, id: u32) -> Heard {
        let mut heard = Heard::default();
        while heard.end.is_none() && heard.error.is_none() {
            let frame = self.frame();
            let (kind, rest) = (frame[0], &frame[5..]);
            assert_eq!(frame[1..5], id.to_le_bytes());
            let sample = || u64::from_le_bytes(rest[..8].try_into().unwrap());
            let number = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
            match kind {
                b'A' => {
                    let pairs = rest.chunks_exact(2);
                    heard.samples.extend(pairs.map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
                }
                b'M' => {
                    let name = String::from_utf8(rest[8..].to_vec()).unwrap();
                    heard.points.push((name, sample(), 0));
                }
                b'W' => heard.points.push(("word".into(), sample(), number(8))),
                b'N' => heard.points.push(("sentence".into(), sample(), number(8))),
                b'E' => heard.end = Some((sample(), rest[8] == 1)),
                b'X' => heard.error = Some(String::from_utf8(rest.to_vec()).unwrap()),
                other => panic!("a frame of kind {other}"),
            }
        }
        heard
    }

    fn end(mut self) -> i32 {
        drop(self.input.take());
        let mut rest = Vec::new();
        self.output.read_to_end(&mut rest).unwrap();
        self.child.wait().unwrap().code().unwrap()
    }
}

fn loud(samples: &[i16]) -> bool {
    samples.iter().any(|sample| sample.unsigned_abs() > 500)
}

#[test]
fn text_is_heard_and_its_words_are_told_where_they_stand() {
    let mut helper = Helper::start();
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
    let mut helper = Helper::start();
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
    let mut helper = Helper::start();
    helper.speak(1, "tlh", 1_000, "nuqneH");
    assert!(helper.hear(1).error.unwrap().contains("tlh"));
    helper.speak(2, "en-us", 1_000, "Hello.");
    assert!(loud(&helper.hear(2).samples));
}

#[test]
fn a_rate_is_a_factor() {
    let mut helper = Helper::start();
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
    let mut helper = Helper::start();
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
    let mut helper = Helper::start();
    helper.input.as_mut().unwrap().write_all(&[0xff; 8]).unwrap();
    assert_eq!(helper.end(), 1);
}

#[test]
fn voices_and_variants_are_listed() {
    let mut helper = Helper::start();
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
