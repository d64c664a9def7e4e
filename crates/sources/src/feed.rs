use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

/// Pieces of a body between the network's task and the decoder's thread.
pub(crate) const FEED_PIECES_MAX: usize = 16;
/// Bytes kept for a second decoder while the first makes up its mind.
const KEPT_BYTES_MAX: usize = 2 << 20;

/// The bytes of a body as they come, for a decoder that reads and waits. Ends when the sender is
/// dropped. A clone is another hand on the same bytes: when one decoder could make nothing of them,
/// [`Feed::rewind`] gives them to the next.
#[derive(Clone, Debug)]
pub(crate) struct Feed(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    pieces: mpsc::Receiver<Bytes>,
    /// Bytes that are to be read before new pieces are.
    ahead: VecDeque<Bytes>,
    /// What was read so far, while that may be wanted again.
    kept: Option<VecDeque<Bytes>>,
    kept_bytes: usize,
}

/// A feed and the end to fill it from.
pub(crate) fn feed() -> (mpsc::Sender<Bytes>, Feed) {
    let (sender, pieces) = mpsc::channel(FEED_PIECES_MAX);
    let inner =
        Inner { pieces, ahead: VecDeque::new(), kept: Some(VecDeque::new()), kept_bytes: 0 };
    (sender, Feed(Arc::new(Mutex::new(inner))))
}

impl Feed {
    /// Starts again with the first byte; false when it is no longer there.
    pub(crate) fn rewind(&self) -> bool {
        let mut inner = self.lock();
        let Some(mut kept) = inner.kept.take() else { return false };
        kept.append(&mut inner.ahead);
        inner.ahead = kept;
        true
    }

    /// The first byte will not be wanted again.
    pub(crate) fn settle(&self) {
        self.lock().kept = None;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn keep(&mut self, piece: Bytes) {
        self.kept_bytes += piece.len();
        if self.kept_bytes > KEPT_BYTES_MAX {
            self.kept = None;
        }
        if let Some(kept) = &mut self.kept {
            kept.push_back(piece);
        }
    }
}

impl Read for Feed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.lock();
        let mut piece = loop {
            let next = inner.ahead.pop_front().or_else(|| inner.pieces.blocking_recv());
            match next {
                Some(piece) if piece.is_empty() => {}
                Some(piece) => break piece,
                None => return Ok(0),
            }
        };
        let now = piece.split_to(piece.len().min(into.len()));
        if !piece.is_empty() {
            inner.ahead.push_front(piece);
        }
        let (place, _) = into.split_at_mut(now.len());
        now.clone().copy_to_slice(place);
        inner.keep(now);
        Ok(place.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_decoder_reads_from_the_first_byte() {
        let (sender, mut feed) = feed();
        for piece in ["abc", "", "defgh", "ij"] {
            sender.try_send(Bytes::from(piece)).unwrap();
        }
        drop(sender);
        let mut some = [0; 5];
        feed.read_exact(&mut some).unwrap();
        assert_eq!(&some, b"abcde");
        assert!(feed.rewind());
        let mut all = String::new();
        feed.read_to_string(&mut all).unwrap();
        assert_eq!(all, "abcdefghij");
        assert!(!feed.rewind());
    }

    #[test]
    fn what_a_decoder_has_settled_on_is_not_kept() {
        let (sender, mut feed) = feed();
        sender.try_send(Bytes::from("abc")).unwrap();
        feed.settle();
        feed.read_exact(&mut [0; 2]).unwrap();
        assert!(!feed.rewind());
    }
}
