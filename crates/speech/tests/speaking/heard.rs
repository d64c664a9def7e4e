//! What came out of a channel, as a test wants to see it.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use speech::{Chunk, ProviderState, Speech, SpeechConfig, SpeechError};
use ssml::{Defaults, Document, Run, Segment};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// Builds the helper, which is another package's program, and gives the way to it.
pub(crate) fn helper() -> PathBuf {
    let path = speech::helper_beside("speech-espeak");
    let profile = path.parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "speech-espeak", "--target-dir"]);
    cargo.arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().unwrap().success(), "the helper does not build");
    path
}

pub(crate) async fn start(processes: usize) -> Speech {
    Speech::start(SpeechConfig::espeak(helper(), Some(processes))).await.unwrap()
}

/// The helpers of the first provider.
pub(crate) fn helpers(speech: &Speech) -> ProviderState {
    speech.state().providers.swap_remove(0)
}

/// The one run of a plain text.
pub(crate) fn plain(text: &str) -> Run {
    only_run(ssml::plain(text, &Default::default()))
}

/// The one run of the content of `speak`.
pub(crate) fn marked_up(content: &str) -> Run {
    let document = format!("<speak>{content}</speak>");
    only_run(ssml::parse(document.as_bytes(), &Defaults::default()).unwrap())
}

fn only_run(document: Document) -> Run {
    let mut runs = document.segments.into_iter().filter_map(|segment| match segment {
        Segment::Speech(run) => Some(run),
        Segment::Silence(_) | Segment::Mark(_) | Segment::Audio(_) => None,
    });
    let run = runs.next().unwrap();
    assert_eq!(runs.next(), None);
    run
}

/// Everything a run gave.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) samples: Vec<i16>,
    /// Points and the sample they stand at.
    pub(crate) points: Vec<(String, usize)>,
    pub(crate) error: Option<SpeechError>,
    pub(crate) first: Option<Duration>,
    /// Who spoke, and from which sample on.
    pub(crate) voices: Vec<(String, usize)>,
    /// Stretches that were spoken before, and kept.
    pub(crate) kept: usize,
}

impl Heard {
    pub(crate) async fn all(mut chunks: Receiver<Result<Chunk, SpeechError>>) -> Self {
        let begun = Instant::now();
        let mut heard = Self::default();
        while let Some(chunk) = timeout(Duration::from_secs(20), chunks.recv()).await.unwrap() {
            heard.take(chunk, begun);
        }
        heard
    }

    pub(crate) fn take(&mut self, chunk: Result<Chunk, SpeechError>, begun: Instant) {
        let at = self.samples.len();
        match chunk {
            Ok(Chunk::Samples(samples)) => {
                self.first.get_or_insert_with(|| begun.elapsed());
                self.samples.extend_from_slice(&samples);
            }
            Ok(Chunk::Mark(name)) => self.points.push((name, at)),
            Ok(Chunk::Word) => self.points.push(("|w".into(), at)),
            Ok(Chunk::Sentence) => self.points.push(("|s".into(), at)),
            Ok(Chunk::Paragraph) => self.points.push(("|p".into(), at)),
            Ok(Chunk::Voice { provider, voice }) => {
                self.voices.push((format!("{provider}/{voice}"), at));
            }
            Ok(Chunk::Kept) => self.kept += 1,
            Err(error) => self.error = Some(error),
        }
    }

    /// The points in order.
    pub(crate) fn order(&self) -> String {
        let names: Vec<&str> = self.points.iter().map(|(name, _)| name.as_str()).collect();
        names.join(" ")
    }

    pub(crate) fn count(&self, wanted: &str) -> usize {
        self.points.iter().filter(|(name, _)| name == wanted).count()
    }

    pub(crate) fn place(&self, wanted: &str) -> usize {
        self.points.iter().find(|(name, _)| name == wanted).unwrap().1
    }

    /// The length of speech in milliseconds.
    pub(crate) fn length_ms(&self) -> usize {
        self.samples.len() / 8
    }

    /// The root mean square of a stretch.
    pub(crate) fn level(&self, from: usize, to: usize) -> f64 {
        let stretch = &self.samples[from..to];
        let sum: f64 = stretch.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        (sum / f64::from(u32::try_from(stretch.len()).unwrap().max(1))).sqrt()
    }

    /// The length of what is no pause: without silences of 30 ms and more.
    pub(crate) fn voiced_ms(&self) -> usize {
        let loud = |sample: &i16| sample.unsigned_abs() > 100;
        let pauses = self.samples.split(loud).map(<[i16]>::len).filter(|pause| *pause >= 240);
        self.length_ms() - pauses.sum::<usize>() / 8
    }

    /// The longest silence in milliseconds.
    pub(crate) fn longest_pause_ms(&self) -> usize {
        let loud = |sample: &i16| sample.unsigned_abs() > 100;
        self.samples.split(loud).map(<[i16]>::len).max().unwrap_or(0) / 8
    }
}
