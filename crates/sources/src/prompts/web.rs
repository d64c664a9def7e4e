use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{
    AGE, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED,
};
use reqwest::{Response, StatusCode, Url};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::fault::PromptFault;
use super::freshness::{FRESH_MAX, Freshness, freshness};
use crate::board::now;
use crate::content::{self, Route};
use crate::decode::Source;
use crate::feed::feed;
use crate::fetch::{Body, Fetcher};

/// Prompts over HTTP.
#[derive(Debug)]
pub(super) struct Web {
    pub(super) fetcher: Fetcher,
    pub(super) idle: Duration,
    pub(super) bytes_max: u64,
    pub(super) fresh: Duration,
}

/// What a server said of a clip, to be asked about again.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Validators {
    fresh_until: Instant,
    pub(super) etag: Option<HeaderValue>,
    pub(super) modified: Option<HeaderValue>,
}

/// A server's answer.
pub(super) enum Asked {
    /// The clip we have is still right.
    Unchanged(Validators),
    /// The bytes of a clip, on their way.
    Body {
        source: Source,
        route: Route,
        broke: Arc<Mutex<Option<PromptFault>>>,
        /// `None` when it must not be kept.
        keep: Option<Validators>,
    },
}

impl Validators {
    /// What was said, and for how long from now it is believed: a day at most.
    pub(super) fn new(
        fresh: Duration,
        etag: Option<HeaderValue>,
        modified: Option<HeaderValue>,
    ) -> Self {
        Self { fresh_until: now() + fresh.min(FRESH_MAX), etag, modified }
    }

    /// How long it is still believed.
    pub(super) fn fresh_for(&self) -> Duration {
        self.fresh_until.saturating_duration_since(now())
    }

    pub(super) fn is_fresh(&self) -> bool {
        now() < self.fresh_until
    }

    fn read(response: &Response, unsaid: Duration) -> Option<Self> {
        let header = |name: HeaderName| response.headers().get(name);
        let text = |name| header(name).and_then(|value| value.to_str().ok());
        let fresh = match freshness(text(CACHE_CONTROL), text(AGE), unsaid) {
            Freshness::NoStore => return None,
            Freshness::For(span) => span,
        };
        Some(Self::new(fresh, header(ETAG).cloned(), header(LAST_MODIFIED).cloned()))
    }

    fn questions(&self, headers: &mut HeaderMap) {
        if let Some(etag) = &self.etag {
            headers.insert(IF_NONE_MATCH, etag.clone());
        }
        if let Some(modified) = &self.modified {
            headers.insert(IF_MODIFIED_SINCE, modified.clone());
        }
    }
}

impl Web {
    /// Asks for `url`, and whether what is `known` of it is still right.
    pub(super) async fn ask(
        &self,
        url: &Url,
        known: Option<Validators>,
    ) -> Result<Asked, PromptFault> {
        let mut headers = HeaderMap::new();
        if let Some(known) = &known {
            known.questions(&mut headers);
        }
        let response = self.fetcher.get(url, &headers).await?;
        if let (StatusCode::NOT_MODIFIED, Some(known)) = (response.status(), known) {
            let said = Validators::read(&response, self.fresh);
            let fresh_until = said.map_or_else(now, |said| said.fresh_until);
            return Ok(Asked::Unchanged(Validators { fresh_until, ..known }));
        }
        if response.status() != StatusCode::OK {
            return Err(PromptFault::Status(response.status().as_u16()));
        }
        if response.content_length().is_some_and(|bytes| bytes > self.bytes_max) {
            return Err(PromptFault::TooLarge(self.bytes_max));
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let route = content::route(kind, response.url().path())
            .map_err(|kind| PromptFault::WrongType(kind.to_owned()))?;
        let keep = Validators::read(&response, self.fresh);
        let (bytes, feed) = feed();
        let broke: Arc<Mutex<Option<PromptFault>>> = Arc::default();
        let (idle, bytes_max, fault) = (self.idle, self.bytes_max, Arc::clone(&broke));
        tokio::spawn(async move {
            // The fault is written before the bytes end: so the decoder's thread finds it.
            if let Err(why) = pour(response, &bytes, idle, bytes_max).await {
                *fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
            }
            drop(bytes);
        });
        Ok(Asked::Body { source: Source::Download(feed), route, broke, keep })
    }
}

impl Web {
    /// The bytes of a document, whatever its type.
    pub(super) async fn document(&self, uri: &str, bytes_max: u64) -> Result<Vec<u8>, PromptFault> {
        let url = uri.parse().map_err(|why| PromptFault::Malformed(format!("not a URL: {why}")))?;
        let mut response = self.fetcher.get(&url, &HeaderMap::new()).await?;
        if response.status() != StatusCode::OK {
            return Err(PromptFault::Status(response.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(piece) = timeout(self.idle, response.piece())
            .await
            .map_err(|_| PromptFault::Timeout(self.idle))?
            .map_err(|why| PromptFault::Unreachable(format!("the download broke: {why}")))?
        {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > bytes_max {
                return Err(PromptFault::TooLarge(bytes_max));
            }
        }
        Ok(bytes)
    }
}

/// Until the body ends, breaks, or nobody wants it.
async fn pour(
    mut response: Response,
    bytes: &mpsc::Sender<Bytes>,
    idle: Duration,
    bytes_max: u64,
) -> Result<(), PromptFault> {
    let mut count = 0;
    loop {
        let piece = timeout(idle, response.piece()).await;
        let Some(piece) = piece
            .map_err(|_| PromptFault::Timeout(idle))?
            .map_err(|why| PromptFault::Unreachable(format!("the download broke: {why}")))?
        else {
            return Ok(());
        };
        count += piece.len() as u64;
        if count > bytes_max {
            return Err(PromptFault::TooLarge(bytes_max));
        }
        if bytes.send(piece).await.is_err() {
            return Ok(());
        }
    }
}
