//! A text by a provider that gives nothing but sound: read from the cache or fetched, kept, brought to
//! its rate, and with its words told where they probably are.

use std::sync::Arc;
use std::time::Duration;

use audio::RATE_HZ;
use audio::stretch::Stretcher;
use store::{Cache, Flights, Key};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::pool::Reply;
use crate::wire::Point;

/// Samples that are given on at a time where all are there at once: 100 ms.
const BLOCK_SAMPLES: usize = 800;
/// How long one letter is heard, in samples: fourteen a second, which is how fast most voices speak
/// most languages. Only the places of words rest on it.
pub(crate) const LETTER_SAMPLES: u64 = RATE_HZ as u64 / 14;

/// Why a provider did not give a text's sound, or not all of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Broken {
    pub(crate) why: String,
    /// How long it wants to be left alone.
    pub(crate) rest: Option<Duration>,
}

impl Broken {
    pub(crate) const fn of(why: String) -> Self {
        Self { why, rest: None }
    }
}

/// What a text is spoken as.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// Where its words begin, in characters.
    pub(crate) words: Vec<u32>,
    /// How fast: the sound is stretched by us, so that every provider is as fast as was asked for.
    pub(crate) rate: f32,
    /// How many letters it has.
    pub(crate) letters: usize,
    /// How long somebody else who fetches the same is waited for.
    pub(crate) patience: Duration,
}

impl Reading {
    /// The longest sound that can be this text: two seconds a letter, and ten on top.
    fn samples_max(&self) -> usize {
        self.letters.saturating_mul(2).saturating_add(10).saturating_mul(RATE_HZ as usize)
    }
}

/// The sounds that are kept, and the texts that are being fetched, so that a hundred calls for one text
/// fetch it once.
#[derive(Debug)]
pub(crate) struct Kept {
    cache: Arc<Cache>,
    flights: Flights<Key>,
}

impl Kept {
    pub(crate) fn new(cache: Arc<Cache>) -> Self {
        Self { cache, flights: Flights::default() }
    }

    pub(crate) fn flight(&self, key: Key) -> Arc<tokio::sync::Mutex<()>> {
        self.flights.of(key)
    }

    pub(crate) async fn get(&self, key: Key) -> Option<Vec<u8>> {
        let cache = Arc::clone(&self.cache);
        let read = tokio::task::spawn_blocking(move || cache.get(key)).await;
        read.ok().flatten()
    }

    pub(crate) async fn put(&self, key: Key, bytes: Vec<u8>) {
        let cache = Arc::clone(&self.cache);
        let put = tokio::task::spawn_blocking(move || cache.put(key, &bytes)).await;
        if let Ok(Err(error)) = put {
            tracing::warn!(%error, "rendered speech is not kept");
        }
    }
}

/// Gives what `fetch` brings, or what is kept of it, to `replies`, until its end or until nobody
/// listens.
pub(crate) async fn read_out(
    reading: Reading,
    kept: Option<(Arc<Kept>, Key)>,
    fetch: impl FnOnce() -> mpsc::Receiver<Result<Vec<i16>, Broken>>,
    replies: mpsc::Sender<Reply>,
) {
    let mut giving = Giving::new(reading, replies);
    let Some((kept, key)) = kept else {
        giving.fetched(fetch()).await;
        return;
    };
    let flight = kept.flight(key);
    // Whoever fetches it slowly is not waited for: it would be this call's own delay.
    let alone = timeout(giving.reading.patience, flight.lock()).await.ok();
    // Whoever was before us may have fetched it just now.
    if let Some(bytes) = kept.get(key).await {
        drop(alone);
        giving.whole(&samples_of(&bytes)).await;
        return;
    }
    let fetched = giving.fetched(fetch()).await;
    // The listener has its sound; those who wait for theirs read it from the disk.
    if let Some(samples) = fetched.filter(|samples| is_sound(samples)) {
        kept.put(key, bytes_of(&samples)).await;
    }
    drop(alone);
}

/// Samples as they are kept.
pub(crate) fn bytes_of(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

pub(crate) fn samples_of(bytes: &[u8]) -> Vec<i16> {
    bytes.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
}

/// How many of these samples count as heard: where `first`, from the first that is audible.
pub(crate) fn sounding(samples: &[i16], first: bool) -> u64 {
    let audible = |sample: &i16| sample.unsigned_abs() > crate::shape::SILENCE;
    let silent = if first { samples.iter().position(audible).unwrap_or(samples.len()) } else { 0 };
    u64::try_from(samples.len() - silent).unwrap_or(0)
}

/// Whether anything can be heard of these samples.
pub(crate) fn is_sound(samples: &[i16]) -> bool {
    samples.iter().any(|sample| sample.unsigned_abs() > crate::shape::SILENCE)
}

struct Giving {
    reading: Reading,
    stretcher: Option<Stretcher>,
    replies: mpsc::Sender<Reply>,
    given: u64,
    next_word: usize,
}

impl Giving {
    fn new(reading: Reading, replies: mpsc::Sender<Reply>) -> Self {
        let other = (reading.rate - 1.0).abs() > 0.001;
        let stretcher = other.then(|| Stretcher::new(reading.rate));
        Self { reading, stretcher, replies, given: 0, next_word: 0 }
    }

    /// All of it, unless it broke or nobody listened to its end.
    async fn fetched(
        &mut self,
        mut blocks: mpsc::Receiver<Result<Vec<i16>, Broken>>,
    ) -> Option<Vec<i16>> {
        let mut all = Vec::new();
        loop {
            let block = tokio::select! {
                block = blocks.recv() => block,
                () = self.replies.closed() => return None,
            };
            match block {
                Some(Ok(samples)) => {
                    all.extend_from_slice(&samples);
                    self.give(&samples).await?;
                    if all.len() > self.reading.samples_max() {
                        let seconds = all.len() / RATE_HZ as usize;
                        let letters = self.reading.letters;
                        let why = format!("it speaks {seconds} s for {letters} letters");
                        // As below.
                        let _ = self.replies.send(Reply::Broke(Broken::of(why))).await;
                        return None;
                    }
                }
                Some(Err(broken)) => {
                    // Nobody listening is no fault.
                    let _ = self.replies.send(Reply::Broke(broken)).await;
                    return None;
                }
                None => break,
            }
        }
        self.end().await?;
        Some(all)
    }

    async fn whole(&mut self, samples: &[i16]) -> Option<()> {
        self.replies.send(Reply::Kept).await.ok()?;
        for block in samples.chunks(BLOCK_SAMPLES) {
            self.give(block).await?;
        }
        self.end().await
    }

    async fn give(&mut self, samples: &[i16]) -> Option<()> {
        let mut stretched = Vec::new();
        match &mut self.stretcher {
            Some(stretcher) => stretcher.process(samples, &mut stretched),
            None => stretched.extend_from_slice(samples),
        }
        self.send(stretched).await
    }

    async fn end(&mut self) -> Option<()> {
        let mut rest = Vec::new();
        if let Some(stretcher) = &mut self.stretcher {
            stretcher.finish(&mut rest);
        }
        self.send(rest).await?;
        self.replies.send(Reply::End).await.ok()
    }

    async fn send(&mut self, samples: Vec<i16>) -> Option<()> {
        if samples.is_empty() {
            return Some(());
        }
        let end = self.given + u64::try_from(samples.len()).unwrap_or(0);
        while let Some(position) = self.reading.words.get(self.next_word).copied() {
            let sample = self.place(position);
            if sample >= end {
                break;
            }
            self.next_word += 1;
            let point = Point::Word(position);
            self.replies.send(Reply::Point { sample, point }).await.ok()?;
        }
        self.given = end;
        self.replies.send(Reply::Audio(samples)).await.ok()
    }

    /// Where the word at this character probably begins.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a text has fewer characters than a float tells apart, and rates are positive"
    )]
    fn place(&self, position: u32) -> u64 {
        let samples = u64::from(position) * LETTER_SAMPLES;
        (samples as f64 / f64::from(self.reading.rate.max(0.1))) as u64
    }
}
