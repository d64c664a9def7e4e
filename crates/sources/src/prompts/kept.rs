use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use store::{Cache, Key};

use super::web::Validators;

/// The version of what is kept; part of every key.
const VERSION: &[u8] = b"prompt 1";

/// Clips that were fetched, on the disk: what their servers said of them, a line end, and the samples as
/// 16 bits, little-endian.
#[derive(Clone, Debug)]
pub(super) struct Kept(pub(super) Arc<Cache>);

impl Kept {
    /// The clip of a URI, fresh or not. Blocks.
    pub(super) fn get(&self, uri: &str) -> Option<(Validators, Arc<[i16]>)> {
        let key = key(uri);
        let bytes = self.0.get(key)?;
        let read = bytes.iter().position(|byte| *byte == b'\n').and_then(|end| {
            let (head, samples) = (bytes.get(..end)?, bytes.get(end + 1..)?);
            let validators = read(&serde_json::from_slice(head).ok()?)?;
            let pairs = samples.as_chunks::<2>().0;
            Some((validators, pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect()))
        });
        if read.is_none() {
            // Whole, and yet not what this version writes.
            self.0.remove(key);
        }
        read
    }

    /// Keeps a clip. Blocks.
    pub(super) fn put(&self, uri: &str, validators: &Validators, clip: &[i16]) {
        let mut bytes = write(validators).to_string().into_bytes();
        bytes.push(b'\n');
        bytes.extend(clip.iter().flat_map(|sample| sample.to_le_bytes()));
        if let Err(error) = self.0.put(key(uri), &bytes) {
            tracing::warn!(%error, "a prompt that was fetched is not kept on the disk");
        }
    }
}

fn key(uri: &str) -> Key {
    Key::of(&[VERSION, uri.as_bytes()])
}

fn write(validators: &Validators) -> Value {
    let text = |value: &Option<HeaderValue>| {
        value.as_ref().and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    json!({
        "fresh_until": unix_seconds() + validators.fresh_for().as_secs(),
        "etag": text(&validators.etag),
        "modified": text(&validators.modified),
    })
}

fn read(value: &Value) -> Option<Validators> {
    let header = |name: &str| {
        let text = value.get(name)?.as_str()?;
        HeaderValue::from_str(text).ok()
    };
    let until = value.get("fresh_until")?.as_u64()?;
    let fresh = Duration::from_secs(until.saturating_sub(unix_seconds()));
    Some(Validators::new(fresh, header("etag"), header("modified")))
}

#[expect(clippy::disallowed_methods, reason = "how fresh a clip is must outlast this process")]
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs())
}
