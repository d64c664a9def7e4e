//! Pronunciation lexicons that a session keeps. RFC 6787 §8.5.2, §8.14.

use std::fmt;
use std::sync::Arc;

use crate::media_type::MediaType;

/// The media type of a pronunciation lexicon. RFC 4267.
pub const PLS: &str = "application/pls+xml";
/// Lexicons that one channel may keep.
pub const LEXICONS_MAX: usize = 32;
/// Bytes that all lexicons of one channel may have together.
pub const LEXICON_BYTES_MAX: usize = 1024 * 1024;

/// One lexicon's bytes and how it is called.
#[derive(Clone, Eq, PartialEq)]
pub struct Lexicon {
    /// `session:` and the Content-ID for an inline one, else where it was fetched from.
    pub uri: String,
    /// What the bytes are.
    pub media_type: MediaType,
    /// The bytes.
    pub bytes: Arc<[u8]>,
}

/// One lexicon that an utterance shall use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LexiconRef {
    /// One that the session keeps.
    Kept(Lexicon),
    /// One that must be fetched first.
    Uri(String),
}

impl fmt::Debug for Lexicon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lexicon {} {} +{} bytes", self.uri, self.media_type, self.bytes.len())
    }
}

/// The lexicons of one channel in the order in which they were loaded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf(Vec<Lexicon>);

/// The shelf has no room; it keeps what it had.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShelfFull;

impl Shelf {
    /// Adds lexicons, each in the place of one with the same URI. All or none.
    pub(crate) fn load(&mut self, lexicons: Vec<Lexicon>) -> Result<(), ShelfFull> {
        let mut next = self.clone();
        for lexicon in lexicons {
            next.unload(&lexicon.uri);
            next.0.push(lexicon);
        }
        let bytes: usize = next.0.iter().map(|lexicon| lexicon.bytes.len()).sum();
        if next.0.len() > LEXICONS_MAX || bytes > LEXICON_BYTES_MAX {
            return Err(ShelfFull);
        }
        *self = next;
        Ok(())
    }

    pub(crate) fn unload(&mut self, uri: &str) {
        self.0.retain(|kept| kept.uri != uri);
    }

    /// What an utterance with that search order uses: those named, or all there are if it names
    /// none. The `session:` lexicon that is not there, if one is named.
    pub(crate) fn active(&self, order: &[String]) -> Result<Vec<LexiconRef>, String> {
        if order.is_empty() {
            return Ok(self.0.iter().cloned().map(LexiconRef::Kept).collect());
        }
        order
            .iter()
            .map(|uri| match self.0.iter().find(|kept| kept.uri == *uri) {
                Some(kept) => Ok(LexiconRef::Kept(kept.clone())),
                None if uri.starts_with("session:") => Err(uri.clone()),
                None => Ok(LexiconRef::Uri(uri.clone())),
            })
            .collect()
    }
}
