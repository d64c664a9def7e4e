//! A helper process that speaks: requests on standard input, sound and points on standard output.
//! `README.md` has the protocol. GPL-3.0-or-later, because it links libespeak-ng; it shares no code
//! with the rest of the repository.
//!
//! One thread reads requests so that a cancel is seen at once; the main thread owns the library and
//! the output. A slow reader of the output makes it wait, never grow.

mod espeak;
mod ffi;
mod protocol;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use espeak::{Espeak, Listener, Point, Then};
use protocol::{Answer, Request, Speak, flush, read_request, write_answer};

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

fn main() -> ExitCode {
    let listing = std::env::args().skip(1).any(|option| option == "--list-voices");
    let ended = Espeak::start()
        .map_err(io::Error::other)
        .and_then(|espeak| if listing { print_voices(&espeak) } else { serve(espeak) });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is this program's log; nobody else writes there.
            let _ = writeln!(io::stderr(), "speech-espeak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print_voices(espeak: &Espeak) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for voice in espeak.voices() {
        let languages: Vec<_> = voice.languages.into_iter().map(|(_, tag)| tag).collect();
        let gender = ["-", "male", "female"].get(usize::from(voice.gender)).unwrap_or(&"-");
        let id = if voice.variant { format!("+{}", voice.id) } else { voice.id };
        writeln!(out, "{id}\t{}\t{gender}\t{}", languages.join(","), voice.name)?;
    }
    Ok(())
}

fn serve(mut espeak: Espeak) -> io::Result<()> {
    let signals = Signals::default();
    let (sender, requests) = sync_channel(QUEUE_MAX);
    let reader_signals = Arc::clone(&signals);
    let reader = thread::Builder::new()
        .name("requests".into())
        .spawn(move || read_all(&sender, &reader_signals))?;
    answer_all(&mut espeak, &requests, &signals)?;
    // The queue ends only when the reader does.
    reader.join().unwrap_or_else(|_| Err(io::Error::other("the reading thread panicked")))
}

/// Until the input ends: requests into the queue, cancels past it.
fn read_all(sender: &SyncSender<Request>, signals: &Signals) -> io::Result<()> {
    let mut input = io::stdin().lock();
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
    espeak: &mut Espeak,
    requests: &Receiver<Request>,
    signals: &Signals,
) -> io::Result<()> {
    let mut output = io::stdout().lock();
    let mut frames = Vec::new();
    write_answer(&mut frames, &Answer::Hello { samples_per_second: espeak.rate_hz() });
    flush(&mut output, &mut frames)?;
    for request in requests {
        match request {
            Request::Speak(speak) => speak_one(espeak, &speak, signals, &mut output)?,
            Request::Voices => {
                for voice in espeak.voices() {
                    write_answer(&mut frames, &Answer::Voice(&voice));
                }
                write_answer(&mut frames, &Answer::VoicesEnd);
                flush(&mut output, &mut frames)?;
            }
            // The reader keeps those to itself.
            Request::Cancel(_) => {}
        }
    }
    Ok(())
}

fn speak_one(
    espeak: &mut Espeak,
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
        espeak.speak(speak, &mut sending)
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
