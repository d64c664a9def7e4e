use std::io::Read;
use std::sync::Arc;

use audio::decode::{DecodeError, Hint};
use audio::voicemail::Compression;

use crate::draft::{Content, NewAttachment};
use crate::envelope::PEAKS_MAX;
use crate::error::MailError;

/// Most audio that is decoded at once: three hours.
pub const HEARD_SECONDS_MAX: usize = 3 * 3_600;
/// Peaks for each second, unless that were more than are kept.
const PEAKS_PER_SECOND: usize = 10;

/// Which compression for which length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CompressionRule {
    /// From so many seconds on a message is long.
    pub long_seconds: u32,
    /// For long messages.
    pub long: Compression,
    /// For all others.
    pub short: Compression,
}

impl Default for CompressionRule {
    fn default() -> Self {
        Self { long_seconds: 60, long: Compression::Gsm, short: Compression::Gsm }
    }
}

impl CompressionRule {
    /// The compression of a message of this length.
    #[must_use]
    pub fn of(&self, duration_ms: u64) -> Compression {
        if duration_ms >= u64::from(self.long_seconds) * 1_000 { self.long } else { self.short }
    }
}

fn samples_max() -> usize {
    HEARD_SECONDS_MAX * usize::try_from(audio::RATE_HZ).unwrap_or(8_000)
}

/// The audio of an attachment in another form: [`Compression::Pcm`] is played by every browser, from any place.
///
/// # Errors
/// It is no audio that can be decoded, or longer than [`HEARD_SECONDS_MAX`].
pub fn heard(
    attachment: &crate::Attachment,
    mut file: impl Read,
    bytes_max: u64,
    form: Compression,
) -> Result<Vec<u8>, MailError> {
    let mut bytes = Vec::new();
    file.by_ref().take(bytes_max).read_to_end(&mut bytes)?;
    let name = format!("a.{}", attachment.extension());
    let hint = Hint::from_name(&name).with_media_type(&attachment.media_type);
    let samples = decoded(bytes, &hint)?;
    form.file(&samples).map_err(|error| MailError::Undecodable(error.to_string()))
}

fn decoded(bytes: Vec<u8>, hint: &Hint) -> Result<Vec<i16>, MailError> {
    let undecodable = |error: DecodeError| MailError::Undecodable(error.to_string());
    let decoder = audio::decode::open_bytes(bytes, hint).map_err(undecodable)?;
    audio::telephone::whole(decoder, samples_max()).map_err(undecodable)
}

/// A voice message's audio, compressed by the rule, with its length and its peaks. What is given may be any file that can be
/// decoded. It takes a while: not on a call's path.
///
/// # Errors
/// It cannot be decoded, or is longer than [`HEARD_SECONDS_MAX`].
pub fn compressed(
    bytes: Vec<u8>,
    media_type: &str,
    rule: &CompressionRule,
) -> Result<NewAttachment, MailError> {
    let samples = decoded(bytes, &Hint::none().with_media_type(media_type))?;
    let duration_ms =
        u64::try_from(samples.len()).unwrap_or(u64::MAX) * 1_000 / u64::from(audio::RATE_HZ);
    let compression = rule.of(duration_ms);
    let file =
        compression.file(&samples).map_err(|error| MailError::Undecodable(error.to_string()))?;
    Ok(NewAttachment {
        media_type: compression.media_type().to_owned(),
        codec: compression.codec().to_owned(),
        duration_ms: Some(duration_ms),
        title: if compression == Compression::Opus { "voice.ogg" } else { "voice.wav" }.to_owned(),
        peaks: peaks(&samples),
        content: Content::Bytes(Arc::from(file)),
    })
}

/// How loud the samples are, 0 to 255, at even distances.
#[must_use]
pub fn peaks(samples: &[i16]) -> Vec<u8> {
    let rate = usize::try_from(audio::RATE_HZ).unwrap_or(8_000);
    let each = (rate / PEAKS_PER_SECOND).max(samples.len().div_ceil(PEAKS_MAX)).max(1);
    let loudest = |part: &[i16]| part.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
    samples.chunks(each).map(|part| u8::try_from(loudest(part) >> 7).unwrap_or(u8::MAX)).collect()
}
