//! Clips by URI: `file:` below the roots, `http:`, `https:` and `tone:`.

mod cache;
mod disk;
mod fault;
mod freshness;
mod kept;
mod web;

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use audio::{RATE_HZ, tone};
use bytes::Bytes;
use store::Flights;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

use crate::config::shown;
use crate::content::{self, Route};
use crate::decode::{self, DecodeError, Decoding, Source};
use crate::feed::feed;
use crate::fetch::Fetcher;
use crate::ffmpeg::{Ffmpeg, Use};
use crate::guard::{AddressGuard, Allowed};
use crate::sources::StartError;

use cache::{Cache, Stamp};
use disk::Roots;
pub use fault::{PromptError, PromptFault};
use kept::Kept;
use web::{Asked, Validators, Web};

/// A clip up to this long is given whole, and may be cached: one minute.
pub const WHOLE_SAMPLES_MAX: usize = 60 * RATE_HZ as usize;
/// A clip whose end has not come after this is given as a stream.
const WHOLE_WAIT: Duration = Duration::from_millis(800);
/// Samples of one piece of a stream: half a second.
const PIECE_SAMPLES: usize = RATE_HZ as usize / 2;
/// Pieces that wait to be played before the decoder must.
const PIECES_MAX: usize = 4;
/// Pieces from the disk that are decoded at the same time; further ones wait their turn.
pub const DISK_DECODES_MAX: usize = 32;
/// Pieces of downloads that are decoded, or waited for, at the same time.
pub const WEB_DECODES_MAX: usize = 256;

/// How prompts are opened.
#[derive(Clone, Debug)]
pub struct PromptConfig {
    /// Folders below which a `file:` URI may name files; anything else is refused.
    pub roots: Vec<PathBuf>,
    /// Inside hosts from which prompts may be fetched.
    pub allow: Vec<Allowed>,
    /// How the server calls itself towards HTTP servers.
    pub user_agent: String,
    /// The wait for the first audio when the request names none.
    pub patience: Duration,
    /// A download that gives no byte for this long is broken.
    pub idle: Duration,
    /// Bytes of a download.
    pub http_bytes_max: u64,
    /// How long a download is used without asking again, when its server does not say.
    pub fresh: Duration,
    /// Bytes of decoded audio that are kept.
    pub cache_bytes: usize,
    /// The ffmpeg program, for formats our own decoders lack.
    pub ffmpeg: PathBuf,
    /// Where downloads are kept over a restart; `None`: nowhere.
    pub disk: Option<Arc<store::Cache>>,
    /// Where downloads are written as WAV files, if files are kept for troubleshooting.
    pub temporary: Option<store::Temporary>,
}

impl Default for PromptConfig {
    fn default() -> Self {
        Self {
            roots: Vec::new(),
            allow: Vec::new(),
            user_agent: "entracte".to_owned(),
            patience: Duration::from_secs(10),
            idle: Duration::from_secs(10),
            http_bytes_max: 64 << 20,
            fresh: Duration::from_secs(60),
            cache_bytes: 64 << 20,
            ffmpeg: PathBuf::from("ffmpeg"),
            disk: None,
            temporary: None,
        }
    }
}

/// A clip, as telephone audio.
#[derive(Debug)]
pub enum Prompt {
    /// All of it.
    Whole(Arc<[i16]>),
    /// Its pieces in order, as they are decoded; it is over when there are no more. After an error
    /// nothing comes. Dropping it ends the work.
    Stream(mpsc::Receiver<Result<Arc<[i16]>, PromptError>>),
}

/// Opens prompts; clones share one cache.
#[derive(Clone, Debug)]
pub struct Prompts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    roots: Roots,
    web: Web,
    ffmpeg: Ffmpeg,
    patience: Duration,
    cache: Mutex<Cache>,
    kept: Option<Kept>,
    temporary: Option<store::Temporary>,
    disk_turns: Arc<Semaphore>,
    web_turns: Arc<Semaphore>,
    /// A hundred calls for one clip open it once.
    flights: Flights<String>,
}

/// What the decoder sends.
enum Piece {
    Samples(Vec<i16>),
    End,
    Fault(PromptFault),
}

/// Bytes on their way, and where the audio in them will be kept.
struct Opened {
    source: Source,
    route: Route,
    /// Set when the bytes end before their end.
    broke: Arc<Mutex<Option<PromptFault>>>,
    keep: Option<(String, Stamp)>,
}

impl Prompts {
    /// Prepares to open prompts; fetches nothing.
    pub fn new(config: PromptConfig) -> Result<Self, StartError> {
        let guard = AddressGuard::new(config.allow);
        let fetcher = Fetcher::new(guard, &config.user_agent, config.patience);
        let web = Web {
            fetcher: fetcher.map_err(StartError::Tls)?,
            idle: config.idle,
            bytes_max: config.http_bytes_max,
            fresh: config.fresh,
        };
        Ok(Self(Arc::new(Inner {
            roots: Roots::new(config.roots),
            web,
            ffmpeg: Ffmpeg::new(&config.ffmpeg),
            patience: config.patience,
            cache: Mutex::new(Cache::new(config.cache_bytes)),
            kept: config.disk.map(Kept),
            temporary: config.temporary.filter(store::Temporary::keeps),
            disk_turns: Arc::new(Semaphore::new(DISK_DECODES_MAX)),
            web_turns: Arc::new(Semaphore::new(WEB_DECODES_MAX)),
            flights: Flights::default(),
        })))
    }

    /// Opens `uri`. Waits for the first audio no longer than `fetch_timeout` or, without one, as long
    /// as is configured; short clips come whole. Must be called within a tokio runtime.
    pub async fn open(
        &self,
        uri: &str,
        fetch_timeout: Option<Duration>,
    ) -> Result<Prompt, PromptError> {
        let patience = fetch_timeout.unwrap_or(self.0.patience);
        let opened = timeout(patience, self.open_patiently(uri)).await;
        opened
            .unwrap_or(Err(PromptFault::Timeout(patience)))
            .map_err(|why| PromptError { uri: uri.to_owned(), why })
    }

    /// The bytes of a document, such as a pronunciation lexicon, from where prompts may come from too.
    /// It is neither decoded nor kept.
    ///
    /// # Errors
    /// It cannot be had, not in time, or is longer than `bytes_max`.
    pub async fn document(
        &self,
        uri: &str,
        fetch_timeout: Option<Duration>,
        bytes_max: u64,
    ) -> Result<Vec<u8>, PromptError> {
        let patience = fetch_timeout.unwrap_or(self.0.patience);
        let read = timeout(patience, self.read_document(uri.trim(), bytes_max)).await;
        read.unwrap_or(Err(PromptFault::Timeout(patience)))
            .map_err(|why| PromptError { uri: uri.to_owned(), why })
    }

    /// Audio whose bytes come from elsewhere, decoded as they come: `pour` sends them, and says at the end what is wrong, if
    /// anything is. `media_type` and `file_name` are what is said of them; the bytes are believed first. Nothing is kept. Waits
    /// for the first audio as [`Self::open`] does.
    ///
    /// # Errors
    /// It is no audio, or none comes in time; `uri` names it.
    pub async fn open_pieces<P>(
        &self,
        uri: &str,
        (media_type, file_name): (&str, &str),
        fetch_timeout: Option<Duration>,
        pour: impl FnOnce(mpsc::Sender<Bytes>) -> P,
    ) -> Result<Prompt, PromptError>
    where
        P: Future<Output = Result<(), PromptFault>> + Send + 'static,
    {
        let patience = fetch_timeout.unwrap_or(self.0.patience);
        let (bytes, feed) = feed();
        let broke: Arc<Mutex<Option<PromptFault>>> = Arc::default();
        let fault = Arc::clone(&broke);
        let (last, poured) = (bytes.clone(), pour(bytes));
        tokio::spawn(async move {
            // The fault is written before the bytes end: so the decoder's thread finds it.
            if let Err(why) = poured.await {
                *fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
            }
            drop(last);
        });
        // What a mail program has called the type is often wrong; the bytes say.
        let route = content::route(Some(media_type), file_name)
            .unwrap_or_else(|_| content::by_extension(file_name));
        let opened = Opened { source: Source::Download(feed), route, broke, keep: None };
        let opened = timeout(patience, self.decode(uri, opened)).await;
        opened
            .unwrap_or(Err(PromptFault::Timeout(patience)))
            .map_err(|why| PromptError { uri: uri.to_owned(), why })
    }

    async fn read_document(&self, uri: &str, bytes_max: u64) -> Result<Vec<u8>, PromptFault> {
        let scheme = uri.split(':').next().unwrap_or_default().to_ascii_lowercase();
        match scheme.as_str() {
            "file" => {
                let path = crate::file_uri::path(uri).map_err(PromptFault::File)?;
                let inner = Arc::clone(&self.0);
                let read = tokio::task::spawn_blocking(move || {
                    let file = inner.roots.open(&path)?.file;
                    let mut bytes = Vec::new();
                    let read = file.take(bytes_max + 1).read_to_end(&mut bytes);
                    read.map_err(|why| PromptFault::Unreadable(why.to_string()))?;
                    Ok::<_, PromptFault>(bytes)
                });
                let bytes = read.await.map_err(|_| PromptFault::Died)??;
                if bytes.len() as u64 > bytes_max {
                    return Err(PromptFault::TooLarge(bytes_max));
                }
                Ok(bytes)
            }
            "http" | "https" => self.0.web.document(uri, bytes_max).await,
            _ => Err(PromptFault::Scheme(scheme)),
        }
    }

    async fn open_patiently(&self, uri: &str) -> Result<Prompt, PromptFault> {
        let uri = uri.trim();
        let scheme = uri.split(':').next().unwrap_or_default().to_ascii_lowercase();
        match scheme.as_str() {
            "tone" => render_tone(uri.get(5..).unwrap_or_default()),
            "file" => {
                let flight = self.0.flights.of(uri.to_owned());
                let _alone = flight.lock().await;
                self.open_file(uri).await
            }
            "http" | "https" => {
                let flight = self.0.flights.of(uri.to_owned());
                let _alone = flight.lock().await;
                self.open_web(uri).await
            }
            _ => Err(PromptFault::Scheme(scheme)),
        }
    }

    async fn open_file(&self, uri: &str) -> Result<Prompt, PromptFault> {
        let path = crate::file_uri::path(uri).map_err(PromptFault::File)?;
        let inner = Arc::clone(&self.0);
        let opened = tokio::task::spawn_blocking(move || inner.roots.open(&path)).await;
        let file = opened.map_err(|_| PromptFault::Died)??;
        if let Some(clip) = self.0.cached(&file.key, |stamp| *stamp == file.stamp) {
            return Ok(Prompt::Whole(clip));
        }
        let opened = Opened {
            source: Source::File(file.file),
            route: content::by_extension(&file.key),
            broke: Arc::default(),
            keep: Some((file.key, file.stamp)),
        };
        self.decode(uri, opened).await
    }

    async fn open_web(&self, uri: &str) -> Result<Prompt, PromptFault> {
        let mut url: reqwest::Url =
            uri.parse().map_err(|why| PromptFault::Malformed(format!("not a URL: {why}")))?;
        url.set_fragment(None);
        let key = url.to_string();
        let mut known = self.0.validators(&key);
        if known.is_none() {
            known = Inner::recall(&self.0, &key).await;
        }
        if known.as_ref().is_some_and(Validators::is_fresh)
            && let Some(clip) = self.0.cached(&key, |_| true)
        {
            return Ok(Prompt::Whole(clip));
        }
        match self.0.web.ask(&url, known).await? {
            Asked::Unchanged(validators) => {
                let clip = self.0.renewed(&key, &validators);
                // It may have been pushed out while its server was asked.
                clip.map(Prompt::Whole).ok_or(PromptFault::Died)
            }
            Asked::Body { source, route, broke, keep } => {
                let keep = keep.map(|validators| (key, Stamp::Web(validators)));
                self.decode(&shown(&url), Opened { source, route, broke, keep }).await
            }
        }
    }

    /// Begins to decode; gives the clip whole if its end comes soon.
    async fn decode(&self, uri: &str, opened: Opened) -> Result<Prompt, PromptFault> {
        let (out, mut pieces) = mpsc::channel(PIECES_MAX);
        let Opened { source, route, broke, keep } = opened;
        let turns = match source {
            Source::File(_) => &self.0.disk_turns,
            Source::Live(_) | Source::Download(_) => &self.0.web_turns,
        };
        let turns = Arc::clone(turns);
        let work = Work::Closed { source, route, ffmpeg: self.0.ffmpeg.clone() };
        tokio::spawn(produce(work, turns, broke, out));
        let mut clip = Vec::new();
        let mut until = None;
        loop {
            let end = until.unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600));
            let piece = tokio::select! {
                piece = pieces.recv() => piece.unwrap_or(Piece::Fault(PromptFault::Died)),
                () = sleep_until(end) => break,
            };
            match piece {
                Piece::Samples(samples) => clip.extend_from_slice(&samples),
                Piece::End if clip.is_empty() => {
                    return Err(PromptFault::NotAudio("no audio in it".to_owned()));
                }
                Piece::End => return Ok(Prompt::Whole(self.0.keep(clip.into(), keep))),
                Piece::Fault(fault) if clip.is_empty() => return Err(fault),
                // What came before the fault is played, and then the fault is told.
                Piece::Fault(fault) => return Ok(broken(clip, uri, fault)),
            }
            if clip.len() > WHOLE_SAMPLES_MAX {
                break;
            }
            until.get_or_insert_with(|| Instant::now() + WHOLE_WAIT);
        }
        let (out, stream) = mpsc::channel(PIECES_MAX);
        let forward = Forward { inner: Arc::clone(&self.0), uri: uri.to_owned(), keep, out };
        tokio::spawn(forward.run(clip, pieces));
        Ok(Prompt::Stream(stream))
    }
}

/// Hands a long clip on, piece by piece, and keeps it if it turns out to be short after all.
struct Forward {
    inner: Arc<Inner>,
    uri: String,
    keep: Option<(String, Stamp)>,
    out: mpsc::Sender<Result<Arc<[i16]>, PromptError>>,
}

impl Forward {
    async fn run(self, begun: Vec<i16>, mut pieces: mpsc::Receiver<Piece>) {
        let mut clip = begun.clone();
        let mut next = Piece::Samples(begun);
        loop {
            let out = match next {
                Piece::Samples(samples) => Ok(samples.into()),
                Piece::End => {
                    if clip.len() <= WHOLE_SAMPLES_MAX {
                        self.inner.keep(clip.into(), self.keep);
                    }
                    return;
                }
                Piece::Fault(why) => Err(PromptError { uri: self.uri.clone(), why }),
            };
            let over = out.is_err();
            if self.out.send(out).await.is_err() || over {
                return;
            }
            next = pieces.recv().await.unwrap_or(Piece::Fault(PromptFault::Died));
            if let Piece::Samples(samples) = &next
                && clip.len() <= WHOLE_SAMPLES_MAX
            {
                clip.extend_from_slice(samples);
            }
        }
    }
}

impl Inner {
    fn cached(&self, key: &str, fits: impl FnOnce(&Stamp) -> bool) -> Option<Arc<[i16]>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(key, fits)
    }

    fn validators(&self, key: &str) -> Option<Validators> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        match cache.stamp(key)? {
            Stamp::Web(validators) => Some(validators.clone()),
            Stamp::File { .. } => None,
        }
    }

    /// Brings what the disk has of a URI into memory.
    async fn recall(inner: &Arc<Self>, key: &str) -> Option<Validators> {
        let kept = inner.kept.clone()?;
        let uri = key.to_owned();
        let read = tokio::task::spawn_blocking(move || kept.get(&uri)).await;
        let (validators, clip) = read.ok().flatten()?;
        let mut cache = inner.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.put(key, Stamp::Web(validators.clone()), clip);
        // It is of no use if memory has no room for it.
        cache.stamp(key).map(|_| validators)
    }

    /// Writes a download to the disk; with `temporary` as a WAV file for troubleshooting too.
    fn write(
        &self,
        uri: &str,
        validators: &Validators,
        clip: &Arc<[i16]>,
        temporary: Option<store::Temporary>,
    ) {
        if self.kept.is_none() && temporary.is_none() {
            return;
        }
        let kept = self.kept.clone();
        let (uri, validators) = (uri.to_owned(), validators.clone());
        let clip = Arc::clone(clip);
        tokio::task::spawn_blocking(move || {
            if let Some(kept) = kept {
                kept.put(&uri, &validators, &clip);
            }
            if let Some(temporary) = temporary {
                let wav = audio::wav::to_bytes(audio::wav::Format::TELEPHONE, &clip);
                if let Err(error) = temporary.keep("fetched", "wav", &wav) {
                    tracing::warn!(%error, "a download is not kept for troubleshooting");
                }
            }
        });
    }

    fn renewed(&self, key: &str, validators: &Validators) -> Option<Arc<[i16]>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let clip = cache.get(key, |_| true)?;
        cache.put(key, Stamp::Web(validators.clone()), Arc::clone(&clip));
        drop(cache);
        self.write(key, validators, &clip, None);
        Some(clip)
    }

    fn keep(&self, clip: Arc<[i16]>, keep: Option<(String, Stamp)>) -> Arc<[i16]> {
        if let Some((key, stamp)) = keep {
            if let Stamp::Web(validators) = &stamp {
                self.write(&key, validators, &clip, self.temporary.clone());
            }
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.put(&key, stamp, Arc::clone(&clip));
        }
        clip
    }
}

/// A clip being decoded: moved to a blocking thread for each piece, so that no thread waits while a
/// long clip is being played.
enum Work {
    Closed { source: Source, route: Route, ffmpeg: Ffmpeg },
    Open(Decoding),
}

impl Work {
    /// Decodes one piece; says whether there are more.
    fn step(self, samples: &mut Vec<i16>) -> (Option<Decoding>, Result<bool, DecodeError>) {
        let mut decoding = match self {
            Self::Open(decoding) => decoding,
            Self::Closed { source, route, ffmpeg } => {
                match decode::open_source(source, route, &ffmpeg, Use::Prompt) {
                    Ok(decoding) => decoding,
                    Err(why) => return (None, Err(why)),
                }
            }
        };
        loop {
            let more = decoding.next(samples);
            if !matches!(more, Ok(true)) {
                // Ending a process takes a moment, which belongs on this thread.
                return (None, more);
            }
            if samples.len() >= PIECE_SAMPLES {
                return (Some(decoding), more);
            }
        }
    }
}

async fn produce(
    mut work: Work,
    turns: Arc<Semaphore>,
    broke: Arc<Mutex<Option<PromptFault>>>,
    out: mpsc::Sender<Piece>,
) {
    let last = loop {
        let Ok(turn) = turns.acquire().await else { break Piece::Fault(PromptFault::Died) };
        let step = tokio::task::spawn_blocking(move || {
            let mut samples = Vec::with_capacity(PIECE_SAMPLES * 2);
            let (decoding, more) = work.step(&mut samples);
            (samples, decoding, more)
        });
        let Ok((samples, decoding, more)) = step.await else {
            break Piece::Fault(PromptFault::Died);
        };
        drop(turn);
        if !samples.is_empty() && out.send(Piece::Samples(samples)).await.is_err() {
            drop(tokio::task::spawn_blocking(|| drop(decoding)));
            return;
        }
        match (more, decoding) {
            (Ok(true), Some(decoding)) => work = Work::Open(decoding),
            (more, _) => {
                let broke = broke.lock().unwrap_or_else(PoisonError::into_inner).take();
                break match (broke, more) {
                    (Some(fault), _) => Piece::Fault(fault),
                    (None, Err(fault)) => Piece::Fault(fault.into()),
                    (None, Ok(_)) => Piece::End,
                };
            }
        }
    };
    // Nobody listens when the prompt was dropped.
    let _ = out.send(last).await;
}

/// A clip that is played as far as it came.
fn broken(clip: Vec<i16>, uri: &str, why: PromptFault) -> Prompt {
    let (out, stream) = mpsc::channel(2);
    // Both have room.
    let _ = out.try_send(Ok(clip.into()));
    let _ = out.try_send(Err(PromptError { uri: uri.to_owned(), why }));
    Prompt::Stream(stream)
}

/// `tone:440`, `tone:350+440?ms=2000&dbfs=-20`; the audio crate's own `;ms=` and `;db=` do as well.
fn render_tone(text: &str) -> Result<Prompt, PromptFault> {
    let text = text.replace(['?', '&'], ";").replace(";dbfs=", ";db=");
    let (mut tone, samples) =
        tone::parse(&text).map_err(|why| PromptFault::Malformed(why.to_string()))?;
    let mut clip = vec![0; usize::try_from(samples).unwrap_or(0)];
    tone.fill(&mut clip);
    Ok(Prompt::Whole(clip.into()))
}
