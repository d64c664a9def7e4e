//! A helper program and the asking side of its pipe, for the tests of all helpers.
//! They take this file in with `#[path]`, so that no crate carries it.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub(crate) struct Helper {
    child: Child,
    pub(crate) input: Option<ChildStdin>,
    output: ChildStdout,
}

/// What came back for one request.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) samples: Vec<i16>,
    /// Blocks of sound.
    pub(crate) blocks: usize,
    /// "word", "sentence" or a mark's name; the sample; the position.
    pub(crate) points: Vec<(String, u64, u32)>,
    /// Samples in all; whether it was cancelled.
    pub(crate) end: Option<(u64, bool)>,
    pub(crate) error: Option<String>,
}

impl Helper {
    /// Starts the program and reads its greeting.
    pub(crate) fn start(program: &str, rate_hz: u32) -> Self {
        let mut child =
            Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        let mut helper = Self { child, input, output };
        let hello = helper.frame();
        assert_eq!(hello, [&b"H"[..], &1_u16.to_le_bytes(), &rate_hz.to_le_bytes()].concat());
        helper
    }

    pub(crate) fn send(&mut self, frame: &[u8]) {
        let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
        self.input.as_mut().unwrap().write_all(&[&length[..], frame].concat()).unwrap();
    }

    pub(crate) fn speak(&mut self, id: u32, voice: &str, rate: u16, text: &str) {
        self.speak_so(id, voice, [rate, 1_000, 1_000, 1_000], text);
    }

    /// Asks with all four factors: rate, pitch, range, volume. A text that begins with `<` is SSML.
    pub(crate) fn speak_so(&mut self, id: u32, voice: &str, factors: [u16; 4], text: &str) {
        let mut frame = vec![b'S'];
        frame.extend(id.to_le_bytes());
        for factor in factors {
            frame.extend(factor.to_le_bytes());
        }
        frame.push(u8::from(text.starts_with('<')));
        frame.extend(u16::try_from(voice.len()).unwrap().to_le_bytes());
        frame.extend(voice.as_bytes());
        frame.extend(text.as_bytes());
        self.send(&frame);
    }

    pub(crate) fn frame(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.output.read_exact(&mut length).unwrap();
        let mut frame = vec![0; usize::try_from(u32::from_le_bytes(length)).unwrap()];
        self.output.read_exact(&mut frame).unwrap();
        frame
    }

    /// Everything up to the end of the request.
    pub(crate) fn hear(&mut self, id: u32) -> Heard {
        let mut heard = Heard::default();
        while heard.end.is_none() && heard.error.is_none() {
            let frame = self.frame();
            let (kind, rest) = (frame[0], &frame[5..]);
            assert_eq!(frame[1..5], id.to_le_bytes());
            let sample = || u64::from_le_bytes(rest[..8].try_into().unwrap());
            let number = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
            match kind {
                b'A' => {
                    heard.blocks += 1;
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

    pub(crate) fn end(mut self) -> i32 {
        drop(self.input.take());
        let mut rest = Vec::new();
        self.output.read_to_end(&mut rest).unwrap();
        self.child.wait().unwrap().code().unwrap()
    }
}

pub(crate) fn loud(samples: &[i16]) -> bool {
    samples.iter().any(|sample| sample.unsigned_abs() > 500)
}
