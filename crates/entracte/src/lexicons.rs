//! Pronunciation lexicons: fetched where they are named by URI, read once, and laid over what is spoken.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use control::Failure;
use mrcp::lexicon::{LEXICON_BYTES_MAX, Lexicon as Kept, LexiconRef};
use mrcp::synthesizer::LexiconFailure;
use mrcp::{MediaType, lexicon};
use ssml::lexicon::{Lexicon, pronounce};
use tokio::time::Instant;

/// How long a lexicon is used without being fetched again.
const FRESH: Duration = Duration::from_secs(60);
/// Lexicons that are kept read; past it the oldest go.
const READ_MAX: usize = 64;

/// The lexicons that were read, by their URI or, for those that came in a request, by their bytes.
#[derive(Debug, Default)]
pub struct Lexicons(Mutex<BTreeMap<store::Key, (Instant, Arc<Lexicon>)>>);

impl Lexicons {
    /// The run as it is pronounced.
    ///
    /// # Errors
    /// [`Failure::Lexicon`] when one cannot be had or read.
    pub async fn apply(
        &self,
        prompts: &sources::Prompts,
        run: ssml::Run,
        lexicons: &[LexiconRef],
        timeout: Option<Duration>,
    ) -> Result<ssml::Run, Failure> {
        if lexicons.is_empty() {
            return Ok(run);
        }
        let mut read = Vec::new();
        for lexicon in lexicons {
            read.push(match lexicon {
                LexiconRef::Kept(kept) => self.kept(kept).await?,
                LexiconRef::Uri(uri) => self.fetched(prompts, uri, timeout).await?,
            });
        }
        Ok(pronounce(&run, &read))
    }

    async fn kept(&self, kept: &Kept) -> Result<Arc<Lexicon>, Failure> {
        let key = store::Key::of(&[b"bytes", &kept.bytes]);
        if let Some(lexicon) = self.known(key, Duration::MAX) {
            return Ok(lexicon);
        }
        let charset = kept.media_type.parameter("charset").map(str::to_owned);
        self.read(key, &kept.uri, Arc::clone(&kept.bytes), charset).await
    }

    async fn fetched(
        &self,
        prompts: &sources::Prompts,
        uri: &str,
        timeout: Option<Duration>,
    ) -> Result<Arc<Lexicon>, Failure> {
        let key = store::Key::of(&[b"uri", uri.as_bytes()]);
        if let Some(lexicon) = self.known(key, FRESH) {
            return Ok(lexicon);
        }
        let bytes = prompts
            .document(uri, timeout, bytes_max())
            .await
            .map_err(|error| Failure::Lexicon { uri: error.uri, why: error.why.to_string() })?;
        self.read(key, uri, bytes.into(), None).await
    }

    fn known(&self, key: store::Key, fresh: Duration) -> Option<Arc<Lexicon>> {
        let read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, lexicon) = read.get(&key)?;
        (since.elapsed() < fresh).then(|| Arc::clone(lexicon))
    }

    async fn read(
        &self,
        key: store::Key,
        uri: &str,
        bytes: Arc<[u8]>,
        charset: Option<String>,
    ) -> Result<Arc<Lexicon>, Failure> {
        let failure = |why: String| Failure::Lexicon { uri: uri.to_owned(), why };
        let lexicon = Arc::new(parsed(bytes, charset).await.map_err(failure)?);
        let mut read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        read.insert(key, (Instant::now(), Arc::clone(&lexicon)));
        while read.len() > READ_MAX {
            let oldest = read.iter().min_by_key(|(_, (since, _))| *since).map(|(key, _)| *key);
            let Some(oldest) = oldest else { break };
            read.remove(&oldest);
        }
        Ok(lexicon)
    }
}

/// Fetches what a DEFINE-LEXICON names, and looks whether it can be read. RFC 6787 §8.14.
///
/// # Errors
/// The first that cannot be had or read.
pub async fn fetch(
    prompts: &sources::Prompts,
    uris: Vec<String>,
    timeout: Option<Duration>,
) -> Result<Vec<Kept>, LexiconFailure> {
    let mut fetched = Vec::new();
    for uri in uris {
        let failure = |cause: String, why: String| LexiconFailure { uri: uri.clone(), cause, why };
        let bytes = prompts
            .document(&uri, timeout, bytes_max())
            .await
            .map_err(|error| failure(error.why.cause(), error.why.to_string()))?;
        let bytes: Arc<[u8]> = bytes.into();
        parsed(Arc::clone(&bytes), None)
            .await
            .map_err(|why| failure("parse-failure".to_owned(), why))?;
        let media_type = MediaType::parse(lexicon::PLS)
            .ok_or_else(|| failure("error".to_owned(), "no such media type".to_owned()))?;
        fetched.push(Kept { uri, media_type, bytes });
    }
    Ok(fetched)
}

/// Reads a lexicon where that may take a while.
async fn parsed(bytes: Arc<[u8]>, charset: Option<String>) -> Result<Lexicon, String> {
    let read = tokio::task::spawn_blocking(move || Lexicon::parse(&bytes, charset.as_deref()));
    read.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

fn bytes_max() -> u64 {
    u64::try_from(LEXICON_BYTES_MAX).unwrap_or(u64::MAX)
}
