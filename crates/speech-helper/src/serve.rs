//! The program around a synthesizer: the reading thread, the queue, and one request after another.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::frames::{Answer, Request, flush, read_request, write_answer};
use crate::synthesizer::{Listener, Point, Speak, Synthesizer, Then};

/// Requests that wait; past it the input is not read on until one is done.
const QUEUE_MAX: usize = 64;
/// Cancels that are remembered for requests still waiting.
const CANCELS_MAX: usize = 256;

/// What the reading thread tells the speaking one while it speaks.
#[derive(Debug, Default)]
struct Shared {
    cancelled: VecDeque<u32>,
    closed: bool,
}

type Signals = Arc<Mutex<Shared>>;

/// Runs the helper `name`: starts its synthesizer and serves until standard input ends, or prints the
/// voices if `--list-voices` was asked for. What goes wrong is told on standard error.
pub fn main<S: Synthesizer>(name: &str, start: impl FnOnce() -> Result<S, String>) -> ExitCode {
    let listing = std::env::args().skip(1).any(|option| option == "--list-voices");
    let ended = start().map_err(io::Error::other).and_then(|mut synthesizer| {
        if listing {
            print_voices(&synthesizer)
        } else {
            serve(&mut synthesizer, io::stdin(), &mut io::stdout().lock())
        }
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is this program's log; nobody else writes there.
            let _ = writeln!(io::stderr(), "{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print_voices(synthesizer: &impl Synthesizer) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for voice in synthesizer.voices() {
        let languages: Vec<_> = voice.languages.into_iter().map(|(_, tag)| tag).collect();
        let gender = ["-", "male", "female"].get(usize::from(voice.gender)).unwrap_or(&"-");
        let id = if voice.variant { format!("+{}", voice.id) } else { voice.id };
        writeln!(out, "{id}\t{}\t{gender}\t{}", languages.join(","), voice.name)?;
    }
    Ok(())
}

fn serve(
    synthesizer: &mut impl Synthesizer,
    input: impl Read + Send + 'static,
    output: &mut impl Write,
) -> io::Result<()> {
    let signals = Signals::default();
    let (sender, requests) = sync_channel(QUEUE_MAX);
    let reader_signals = Arc::clone(&signals);
    let reader = thread::Builder::new()
        .name("requests".into())
        .spawn(move || read_all(input, &sender, &reader_signals))?;
    answer_all(synthesizer, &requests, &signals, output)?;
    // The queue ends only when the reader does.
    reader.join().unwrap_or_else(|_| Err(io::Error::other("the reading thread panicked")))
}

/// Until the input ends: requests into the queue, cancels past it.
fn read_all(
    mut input: impl Read,
    sender: &SyncSender<Request>,
    signals: &Signals,
) -> io::Result<()> {
    let ended = loop {
        match read_request(&mut input) {
            Ok(Some(Request::Cancel(id))) => {
                let mut shared = signals.lock().unwrap_or_else(PoisonError::into_inner);
                if shared.cancelled.len() == CANCELS_MAX {
                    shared.cancelled.pop_front();
                }
                shared.cancelled.push_back(id);
            }
            Ok(Some(request @ (Request::Speak(_) | Request::Voices))) => {
                if sender.send(request).is_err() {
                    break Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    signals.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    ended
}

fn answer_all(
    synthesizer: &mut impl Synthesizer,
    requests: &Receiver<Request>,
    signals: &Signals,
    output: &mut impl Write,
) -> io::Result<()> {
    let mut frames = Vec::new();
    write_answer(&mut frames, &Answer::Hello { samples_per_second: synthesizer.rate_hz() });
    flush(output, &mut frames)?;
    for request in requests {
        match request {
            Request::Speak(speak) => speak_one(synthesizer, &speak, signals, output)?,
            Request::Voices => {
                for voice in synthesizer.voices() {
                    write_answer(&mut frames, &Answer::Voice(&voice));
                }
                write_answer(&mut frames, &Answer::VoicesEnd);
                flush(output, &mut frames)?;
            }
            // The reader keeps those to itself.
            Request::Cancel(_) => {}
        }
    }
    Ok(())
}

fn speak_one(
    synthesizer: &mut impl Synthesizer,
    speak: &Speak,
    signals: &Signals,
    output: &mut impl Write,
) -> io::Result<()> {
    let id = speak.id;
    let mut sending =
        Sending { id, samples: 0, output, frames: Vec::new(), signals, stopped: None };
    let spoken = if sending.told_to_stop() {
        sending.stopped = Some(Ok(()));
        Ok(())
    } else {
        synthesizer.speak(speak, &mut sending)
    };
    let (samples, stopped) = (sending.samples, sending.stopped.take());
    let cancelled = stopped.is_some();
    if let Some(Err(error)) = stopped {
        return Err(error);
    }
    let mut frames = Vec::new();
    match spoken {
        Err(why) if !cancelled => write_answer(&mut frames, &Answer::Error { id, why: &why }),
        Ok(()) | Err(_) => {
            write_answer(&mut frames, &Answer::End { id, samples, cancelled });
        }
    }
    let mut shared = signals.lock().unwrap_or_else(PoisonError::into_inner);
    shared.cancelled.retain(|other| *other != id);
    drop(shared);
    flush(output, &mut frames)
}

/// Sends the blocks of one request on.
struct Sending<'s, W> {
    id: u32,
    samples: u64,
    output: &'s mut W,
    frames: Vec<u8>,
    signals: &'s Signals,
    /// Set once it was told to stop, or could not write.
    stopped: Option<io::Result<()>>,
}

impl<W> Sending<'_, W> {
    fn told_to_stop(&self) -> bool {
        let shared = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
        shared.closed || shared.cancelled.contains(&self.id)
    }
}

impl<W: Write> Listener for Sending<'_, W> {
    fn block(&mut self, points: Vec<Point>, samples: &[i16]) -> Then {
        if self.stopped.is_some() {
            return Then::Stop;
        }
        if self.told_to_stop() {
            self.stopped = Some(Ok(()));
            return Then::Stop;
        }
        let id = self.id;
        for point in points {
            let answer = match &point {
                Point::Mark { sample, name } => Answer::Mark { id, sample: *sample, name },
                Point::Word { sample, position, length } => {
                    Answer::Word { id, sample: *sample, position: *position, length: *length }
                }
                Point::Sentence { sample, position } => {
                    Answer::Sentence { id, sample: *sample, position: *position, length: 0 }
                }
            };
            write_answer(&mut self.frames, &answer);
        }
        if !samples.is_empty() {
            write_answer(&mut self.frames, &Answer::Audio { id, samples });
            self.samples += u64::try_from(samples.len()).unwrap_or(0);
        }
        match flush(self.output, &mut self.frames) {
            Ok(()) => Then::Continue,
            Err(error) => {
                self.stopped = Some(Err(error));
                Then::Stop
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthesizer::Voice;

    /// Says one sample for each letter, and refuses the voice "none".
    struct Letters;

    impl Synthesizer for Letters {
        fn rate_hz(&self) -> u32 {
            8_000
        }

        fn voices(&self) -> Vec<Voice> {
            let (id, name) = ("a".to_owned(), "A".to_owned());
            vec![Voice { id, name, languages: Vec::new(), gender: 0, age: 0, variant: false }]
        }

        fn speak(&mut self, speak: &Speak, listener: &mut dyn Listener) -> Result<(), String> {
            if speak.voice == "none" {
                return Err("no voice".into());
            }
            for (sample, _) in (0..).zip(speak.text.chars()) {
                let points = vec![Point::Word { sample, position: 0, length: 1 }];
                if listener.block(points, &[7]) == Then::Stop {
                    break;
                }
            }
            Ok(())
        }
    }

    fn speak(id: u8, voice: &str, text: &str) -> Vec<u8> {
        let head = [&[b'S', id, 0, 0, 0][..], &[0; 9]].concat();
        let voice_bytes = u8::try_from(voice.len()).unwrap();
        frame(&[&head, &[voice_bytes, 0][..], voice.as_bytes(), text.as_bytes()].concat())
    }

    fn frame(rest: &[u8]) -> Vec<u8> {
        [&u32::try_from(rest.len()).unwrap().to_le_bytes()[..], rest].concat()
    }

    /// The kinds of the answers to these frames. The input stays open until the last answer.
    fn check(requests: &[Vec<u8>], answers: &str) {
        let (reading, mut writing) = io::pipe().unwrap();
        writing.write_all(&requests.concat()).unwrap();
        let mut output = Kinds { open: Some(writing), kinds: String::new(), until: answers.len() };
        serve(&mut Letters, reading, &mut output).unwrap();
        assert_eq!(output.kinds, answers);
    }

    /// Notes the kind of each frame; closes the input once enough have come.
    struct Kinds {
        open: Option<io::PipeWriter>,
        kinds: String,
        until: usize,
    }

    impl Write for Kinds {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut rest = bytes;
            while let Some((length, more)) = rest.split_first_chunk() {
                let length = usize::try_from(u32::from_le_bytes(*length)).unwrap();
                self.kinds.push(char::from(more[0]));
                rest = &more[length..];
            }
            if self.kinds.len() >= self.until {
                self.open = None;
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_request_has_its_answers_in_order() {
        check(&[frame(b"V"), speak(1, "", "ab"), speak(2, "none", "ab")], "HvLWAWAEX");
    }

    #[test]
    fn an_empty_text_only_ends() {
        check(&[speak(1, "", "")], "HE");
    }
}
