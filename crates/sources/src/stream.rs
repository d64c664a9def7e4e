//! One source over HTTP: connect, listen, and after any trouble wait and connect again.

use std::sync::Arc;
use std::time::Duration;

use audio::Gain;
use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::backoff::Backoff;
use crate::board::Reporter;
use crate::config::Settings;
use crate::content::{self, Playlist, Route};
use crate::decode::{self, DecodeError, Decoding};
use crate::feed::feed;
use crate::fetch::{Body, FetchError, Fetcher};
use crate::ffmpeg::{Ffmpeg, Running, Use};
use crate::icy::{self, Demux};
use crate::intake::{Closed, Door, Flow, Inlet};
use crate::leveller::Leveller;
use crate::shoutcast::Shoutcast;
use crate::state::Trouble;

/// Bytes of a playlist; what is longer is no playlist.
const PLAYLIST_BYTES_MAX: usize = 64 * 1_024;
/// Playlists that may lead to playlists.
const PLAYLISTS_MAX: usize = 3;
/// How often a connection is asked whether audio came.
const LOOK: Duration = Duration::from_millis(100);
/// A connection that gave audio for this long starts the back-off anew.
const PROVEN: Duration = Duration::from_secs(5);

/// What drives one HTTP source. Dropping its task ends everything it started.
pub(crate) struct Stream {
    pub(crate) url: Url,
    pub(crate) gain: Gain,
    pub(crate) loudness_lufs: Option<f64>,
    pub(crate) fetcher: Fetcher,
    pub(crate) ffmpeg: Ffmpeg,
    pub(crate) settings: Arc<Settings>,
    pub(crate) intake: Door,
    pub(crate) board: Reporter,
}

/// Whose turn it is in a playlist.
#[derive(Debug)]
struct Turn {
    /// The entry, counted on beyond the end.
    at: usize,
    /// Entries of the playlist; one where there is none.
    of: usize,
    /// Entries that failed in a row.
    failed: usize,
}

/// An answer that holds audio.
struct Opened {
    body: AnyBody,
    route: Route,
    interval: Option<usize>,
    /// Its length is known: it is a download, not a broadcast.
    finite: bool,
}

enum AnyBody {
    Http(reqwest::Response),
    Shoutcast(Shoutcast),
}

/// What an address turned out to be.
enum Found {
    Audio(Opened),
    Hls(Url),
}

/// What the decoder's thread has to say.
enum Word {
    Started(Option<Arc<Running>>),
    Playing(String),
    Title(String),
    Done,
    Failed(DecodeError),
}

/// How a body ended.
#[derive(Clone, Copy)]
enum BodyEnd {
    /// A download, all of it.
    Whole,
    /// A broadcast, which should not end.
    Broken,
}

/// Ends the decoder's process with the connection, however that ends.
#[derive(Default)]
struct Held(Option<Arc<Running>>);

impl Drop for Held {
    fn drop(&mut self) {
        let Some(running) = self.0.take() else { return };
        match tokio::runtime::Handle::try_current() {
            // Waiting for a killed process is short, but not for a network task.
            Ok(runtime) => drop(runtime.spawn_blocking(move || running.end())),
            Err(_) => running.end(),
        }
    }
}

impl Stream {
    /// Runs for ever.
    pub(crate) async fn run(self) {
        let mut backoff = Backoff::new(self.settings.backoff_first, self.settings.backoff_most);
        let mut round = None;
        let mut turn = Turn { at: 0, of: 1, failed: 0 };
        loop {
            let begun = Instant::now();
            match self.connect_and_listen(&mut round, &mut turn).await {
                // A download that was heard to its end is begun again, or the next of its playlist.
                Ok(()) => {
                    turn.failed = 0;
                    backoff.succeeded();
                }
                Err(trouble) => {
                    round = None;
                    if begun.elapsed() > PROVEN {
                        turn.failed = 0;
                        backoff.succeeded();
                    }
                    self.board.away(&trouble);
                    turn.failed += 1;
                }
            }
            turn.at = turn.at.wrapping_add(1);
            // A playlist names others for the case that one is away: they are tried before the wait.
            if turn.failed > 0 && !turn.failed.is_multiple_of(turn.of) {
                sleep(LOOK).await;
            } else {
                sleep(backoff.failed()).await;
            }
        }
    }

    /// `round` is where the last round of a download went: the next is heard right after it.
    async fn connect_and_listen(
        &self,
        round: &mut Option<Inlet>,
        turn: &mut Turn,
    ) -> Result<(), Trouble> {
        match self.find(turn).await? {
            Found::Audio(opened) => self.listen(opened, round).await,
            Found::Hls(url) => self.listen_hls(url).await,
        }
    }

    async fn find(&self, turn: &mut Turn) -> Result<Found, Trouble> {
        let mut url = self.url.clone();
        for _ in 0..PLAYLISTS_MAX {
            let mut opened = self.open(&url).await?;
            if opened.route != Route::Playlist {
                return Ok(Found::Audio(opened));
            }
            let list = timeout(self.settings.connect, playlist(&mut opened.body)).await;
            match list.map_err(|_| Trouble::Stalled(self.settings.connect))?? {
                Playlist::Hls => return Ok(Found::Hls(url)),
                Playlist::Empty => return Err(Trouble::NotAudio("an empty playlist".to_owned())),
                Playlist::Addresses(addresses) => {
                    turn.of = turn.of.max(addresses.len());
                    let address = addresses.get(turn.at % addresses.len());
                    let next = address.and_then(|address| url.join(address).ok());
                    url = next.ok_or(Trouble::Redirects)?;
                }
            }
        }
        Err(Trouble::Redirects)
    }

    async fn open(&self, url: &Url) -> Result<Opened, Trouble> {
        let mut headers = HeaderMap::new();
        headers.insert("icy-metadata", HeaderValue::from_static("1"));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let patience = self.settings.connect;
        let asked = timeout(patience, self.fetcher.get(url, &headers)).await;
        match asked.unwrap_or(Err(FetchError::Timeout)) {
            Ok(response) => opened(response),
            Err(FetchError::NotHttp(why)) if url.scheme() == "http" => {
                let agent = &self.settings.user_agent;
                let asked = Shoutcast::get(&self.fetcher, url, agent, patience).await;
                let old = asked.map_err(|error| match error {
                    // What HTTP said about it is nearer the truth.
                    FetchError::NotHttp(_) => Trouble::Unreachable(why),
                    error @ (FetchError::Redirects
                    | FetchError::Barred(_)
                    | FetchError::Unreachable(_)
                    | FetchError::Timeout) => trouble(error),
                })?;
                let route = content::route(old.header("content-type"), url.path())
                    .map_err(|kind| Trouble::WrongType(kind.to_owned()))?;
                let interval = old.header("icy-metaint").and_then(|value| value.parse().ok());
                Ok(Opened { body: AnyBody::Shoutcast(old), route, interval, finite: false })
            }
            Err(error) => Err(trouble(error)),
        }
    }

    async fn listen(&self, mut opened: Opened, round: &mut Option<Inlet>) -> Result<(), Trouble> {
        let again = round.take().filter(|_| opened.finite);
        let goes_on = again.is_some();
        let flow = if opened.finite { Flow::Paced } else { Flow::Arriving };
        let inlet = match again {
            Some(inlet) => inlet,
            None => self.intake.begin(flow).map_err(|Closed| Trouble::Closed)?,
        };
        inlet.go_on();
        if opened.finite {
            *round = Some(inlet.clone());
        }
        let (bytes, feed) = feed();
        let (route, ffmpeg) = (opened.route, self.ffmpeg.clone());
        let source =
            if opened.finite { decode::Source::Download(feed) } else { decode::Source::Live(feed) };
        let open = move || decode::open_source(source, route, &ffmpeg, Use::Live);
        let words = self.decoder(inlet.clone(), open)?;
        let mut demux = opened.interval.and_then(Demux::new);
        let mut watch = Watch::new(self, inlet, words);
        watch.goes_on = goes_on;
        let mut waiting: Option<Bytes> = None;
        let mut bytes = Some(bytes);
        loop {
            let room = async {
                match (&bytes, &waiting) {
                    (Some(bytes), Some(piece)) => bytes.send(piece.clone()).await.is_ok(),
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                word = watch.next() => if let Some(end) = word? { return end },
                taken = room => {
                    waiting = None;
                    if !taken {
                        // The decoder is gone; its last word says why.
                        bytes = None;
                    }
                }
                piece = opened.body.piece(), if waiting.is_none() && bytes.is_some() => {
                    match piece {
                        Ok(Some(piece)) => waiting = self.sift(&mut demux, piece),
                        Ok(None) if opened.finite => {
                            watch.body_ended(BodyEnd::Whole);
                            bytes = None;
                        }
                        broken => {
                            tracing::debug!(?broken, "a source's connection ended");
                            watch.body_ended(BodyEnd::Broken);
                            bytes = None;
                        }
                    }
                }
            }
        }
    }

    /// Takes the titles out of the bytes.
    fn sift(&self, demux: &mut Option<Demux>, piece: Bytes) -> Option<Bytes> {
        let Some(demux) = demux else { return Some(piece) };
        let mut audio = Vec::with_capacity(piece.len());
        if let Some(title) = demux.push(&piece, &mut audio) {
            self.board.title(&title);
        }
        (!audio.is_empty()).then(|| audio.into())
    }

    /// ffmpeg follows the playlist; its pipe is what paces it.
    async fn listen_hls(&self, url: Url) -> Result<(), Trouble> {
        let inlet = self.intake.begin(Flow::Paced).map_err(|Closed| Trouble::Closed)?;
        let (ffmpeg, agent) = (self.ffmpeg.clone(), self.settings.user_agent.clone());
        let words =
            self.decoder(inlet.clone(), move || decode::open_hls(url.into(), agent, &ffmpeg))?;
        let mut watch = Watch::new(self, inlet, words);
        watch.body_ended(BodyEnd::Whole);
        loop {
            if let Some(end) = watch.next().await? {
                return end;
            }
        }
    }

    fn decoder(
        &self,
        inlet: Inlet,
        open: impl FnOnce() -> Result<Decoding, DecodeError> + Send + 'static,
    ) -> Result<mpsc::Receiver<Word>, Trouble> {
        let (words, heard) = mpsc::channel(8);
        let level = Leveller::live(self.gain, self.loudness_lufs).counting(self.board.limited());
        let work = move || {
            let last = match decode(&inlet, level, open, &words) {
                Ok(()) => Word::Done,
                Err(why) => Word::Failed(why),
            };
            inlet.end();
            // Nobody listens when the connection was given up first.
            let _ = words.blocking_send(last);
        };
        let spawned = std::thread::Builder::new().name("source-decoder".to_owned()).spawn(work);
        spawned.map_err(|why| Trouble::NotAudio(format!("no thread to decode it: {why}")))?;
        Ok(heard)
    }
}

/// Watches one connection's decoder: its words, and whether audio keeps coming.
struct Watch<'a> {
    stream: &'a Stream,
    inlet: Inlet,
    words: mpsc::Receiver<Word>,
    look: tokio::time::Interval,
    pushed: u64,
    audio_at: Instant,
    /// It is a further round of the same download.
    goes_on: bool,
    /// How the body ended, once it did.
    ended: Option<Result<(), Trouble>>,
    held: Held,
}

impl<'a> Watch<'a> {
    fn new(stream: &'a Stream, inlet: Inlet, words: mpsc::Receiver<Word>) -> Self {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            stream,
            inlet,
            words,
            look,
            pushed: 0,
            audio_at: Instant::now(),
            goes_on: false,
            ended: None,
            held: Held::default(),
        }
    }

    /// The body is over; what is still being decoded is waited for.
    fn body_ended(&mut self, how: BodyEnd) {
        self.ended = Some(match how {
            BodyEnd::Whole => Ok(()),
            BodyEnd::Broken => Err(Trouble::Closed),
        });
    }

    /// Waits for something to happen; gives the connection's end when it was that.
    async fn next(&mut self) -> Result<Option<Result<(), Trouble>>, Trouble> {
        tokio::select! {
            word = self.words.recv() => Ok(self.word(word)),
            _ = self.look.tick() => self.look().map(|()| None),
        }
    }

    fn word(&mut self, word: Option<Word>) -> Option<Result<(), Trouble>> {
        match word {
            Some(Word::Started(running)) => {
                self.held.0 = running;
                None
            }
            Some(Word::Playing(codec)) => {
                if self.goes_on {
                    self.stream.board.codec(&codec);
                } else {
                    self.stream.board.playing(&codec);
                }
                None
            }
            Some(Word::Title(title)) => {
                self.stream.board.title(&title);
                None
            }
            Some(Word::Failed(why)) if self.pushed == 0 || self.ended.is_none() => {
                Some(Err(decode_trouble(why)))
            }
            // A broken last frame of a stream that ended is no news.
            Some(Word::Done | Word::Failed(_)) | None => {
                Some(self.ended.take().unwrap_or(Err(Trouble::Closed)))
            }
        }
    }

    fn look(&mut self) -> Result<(), Trouble> {
        let (pushed, held_back) = self.inlet.progress();
        if pushed != self.pushed || held_back {
            self.pushed = pushed;
            self.audio_at = Instant::now();
        }
        let stall = self.stream.settings.stall;
        if self.audio_at.elapsed() >= stall { Err(Trouble::Stalled(stall)) } else { Ok(()) }
    }
}

impl Body for AnyBody {
    async fn piece(&mut self) -> Result<Option<Bytes>, String> {
        match self {
            Self::Http(response) => response.piece().await,
            Self::Shoutcast(old) => old.piece().await,
        }
    }
}

fn opened(response: reqwest::Response) -> Result<Opened, Trouble> {
    if !response.status().is_success() {
        return Err(Trouble::Status(response.status().as_u16()));
    }
    let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let route = content::route(text(CONTENT_TYPE.as_str()), response.url().path())
        .map_err(|kind| Trouble::WrongType(kind.to_owned()))?;
    let interval = text("icy-metaint").and_then(|value| value.trim().parse().ok());
    let finite = response.content_length().is_some();
    Ok(Opened { body: AnyBody::Http(response), route, interval, finite })
}

async fn playlist(body: &mut AnyBody) -> Result<Playlist, Trouble> {
    let mut bytes = Vec::new();
    while let Ok(Some(piece)) = body.piece().await {
        bytes.extend_from_slice(&piece);
        if bytes.len() > PLAYLIST_BYTES_MAX {
            return Err(Trouble::NotAudio("a playlist without end".to_owned()));
        }
    }
    Ok(content::playlist(&bytes))
}

/// The decoder's thread: until the bytes end, or nobody wants the audio.
fn decode(
    inlet: &Inlet,
    mut leveller: Leveller,
    open: impl FnOnce() -> Result<Decoding, DecodeError>,
    words: &mpsc::Sender<Word>,
) -> Result<(), DecodeError> {
    let mut decoding = open()?;
    let mut samples = Vec::new();
    let mut codec = String::new();
    // A word that nobody takes is followed by a push that nobody takes.
    let say = |word| drop(words.blocking_send(word));
    say(Word::Started(decoding.running()));
    loop {
        let more = decoding.next(&mut samples)?;
        if !samples.is_empty() && codec.is_empty() {
            codec = decoding.codec();
            say(Word::Playing(codec.clone()));
        }
        if let Some(title) = decoding.title() {
            say(Word::Title(icy::clean_title(title.as_bytes())));
        }
        leveller.apply(&mut samples);
        if inlet.push(&samples).is_err() || !more {
            return Ok(());
        }
        samples.clear();
    }
}

fn trouble(error: FetchError) -> Trouble {
    match error {
        FetchError::Redirects => Trouble::Redirects,
        FetchError::Barred(barred) => Trouble::Barred(barred),
        FetchError::Unreachable(why) | FetchError::NotHttp(why) => Trouble::Unreachable(why),
        FetchError::Timeout => Trouble::Unreachable("no answer in time".to_owned()),
    }
}

pub(crate) fn decode_trouble(error: DecodeError) -> Trouble {
    match error {
        DecodeError::NotAudio(why) => Trouble::NotAudio(why),
        DecodeError::NoFfmpeg(why) => Trouble::NoFfmpeg(why),
        DecodeError::Unreadable(why) => Trouble::Unreadable(why),
    }
}
