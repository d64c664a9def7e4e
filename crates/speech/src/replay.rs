//! What a helper answered to a text, kept and told again: a text that many calls hear is made once.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use store::Key;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::aloud::{Kept, bytes_of, is_sound, samples_of};
use crate::pool::Reply;
use crate::wire::Point;

/// Samples that are told at a time: about what a helper sends.
const BLOCK_SAMPLES: usize = 1_000;
/// Replies that wait on their way through.
const REPLIES_MAX: usize = 64;

/// A text's sound and the points in it, in order.
#[derive(Debug, Default, PartialEq)]
struct Told {
    samples: Vec<i16>,
    points: Vec<(u64, Point)>,
}

/// Tells what is kept under `key`, or what `ask` brings, which is kept then; somebody else who asks for
/// the same is waited for no longer than `patience`. Ends when nobody listens.
pub(crate) async fn tell<A: Future<Output = ()>>(
    (kept, key): (Arc<Kept>, Key),
    patience: Duration,
    ask: impl FnOnce(mpsc::Sender<Reply>) -> A,
    replies: mpsc::Sender<Reply>,
) {
    let flight = kept.flight(key);
    let alone = timeout(patience, flight.lock()).await.ok();
    if let Some(told) = kept.get(key).await.and_then(|bytes| Told::read(&bytes)) {
        drop(alone);
        // Nobody listening is no fault.
        let _ = told.tell(&replies).await;
        return;
    }
    let (through, mut answers) = mpsc::channel(REPLIES_MAX);
    ask(through).await;
    let mut told = Told::default();
    loop {
        let reply = tokio::select! {
            reply = answers.recv() => reply,
            // The helper is told by the end of its channel.
            () = replies.closed() => return,
        };
        let Some(reply) = reply else { return };
        let over = match &reply {
            Reply::Audio(samples) => {
                told.samples.extend_from_slice(samples);
                false
            }
            Reply::Point { sample, point } => {
                told.points.push((*sample, point.clone()));
                false
            }
            Reply::Kept => false,
            Reply::End => true,
            Reply::Refused(_) | Reply::Broke(_) | Reply::Lost => {
                let _ = replies.send(reply).await;
                return;
            }
        };
        if replies.send(reply).await.is_err() {
            return;
        }
        if over {
            break;
        }
    }
    // The listener has its sound; those who wait for theirs read it from the disk.
    if is_sound(&told.samples) {
        kept.put(key, told.write()).await;
    }
    drop(alone);
}

impl Told {
    /// The points, a line end, the samples.
    fn write(&self) -> Vec<u8> {
        let points = self.points.iter().map(|(sample, point)| match point {
            Point::Mark(name) => json!([sample, "mark", name]),
            Point::Word(at) => json!([sample, "word", at]),
            Point::Sentence(at) => json!([sample, "sentence", at]),
        });
        let mut bytes = points.collect::<Value>().to_string().into_bytes();
        bytes.push(b'\n');
        bytes.extend(bytes_of(&self.samples));
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let points: Vec<(u64, String, Value)> = serde_json::from_slice(bytes.get(..end)?).ok()?;
        let points = points.into_iter().map(|(sample, kind, value)| {
            let at = || u32::try_from(value.as_u64()?).ok();
            let point = match kind.as_str() {
                "mark" => Point::Mark(value.as_str()?.to_owned()),
                "word" => Point::Word(at()?),
                "sentence" => Point::Sentence(at()?),
                _ => return None,
            };
            Some((sample, point))
        });
        let points = points.collect::<Option<Vec<_>>>()?;
        Some(Self { samples: samples_of(bytes.get(end + 1..)?), points })
    }

    /// The points of a block come just before it, as from a helper.
    async fn tell(self, replies: &mpsc::Sender<Reply>) -> Option<()> {
        replies.send(Reply::Kept).await.ok()?;
        let mut points = self.points.into_iter().peekable();
        let mut given = 0;
        for block in self.samples.chunks(BLOCK_SAMPLES) {
            given += u64::try_from(block.len()).unwrap_or(0);
            while let Some((sample, point)) = points.next_if(|(sample, _)| *sample < given) {
                replies.send(Reply::Point { sample, point }).await.ok()?;
            }
            replies.send(Reply::Audio(block.to_vec())).await.ok()?;
        }
        for (sample, point) in points {
            replies.send(Reply::Point { sample, point }).await.ok()?;
        }
        replies.send(Reply::End).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_read_as_it_was() {
        let told = Told {
            samples: vec![1, -2, 300],
            points: vec![
                (0, Point::Sentence(7)),
                (0, Point::Word(7)),
                (2, Point::Mark("a\nb".into())),
            ],
        };
        assert_eq!(Told::read(&told.write()), Some(told));
        for bad in [&b""[..], b"[]", b"[[1,\"x\",2]]\n", b"{}\n", b"[[1,\"word\",\"y\"]]\n"] {
            assert_eq!(Told::read(bad), None);
        }
    }
}
