//! Audio and other files of messages, whole or in parts (RFC 9110 §14); audio that is sent.

use std::io::{Read as _, Seek as _, SeekFrom};

use axum::body::Body;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::{StreamExt as _, unfold};
use mailbox::{Attachment, Compression, NewAttachment};

use super::messages::id;
use super::*;

/// Bytes that are read at once.
const BLOCK_BYTES: u64 = 64 << 10;
/// Attachments up to this size are decoded for a browser.
const DECODED_BYTES_MAX: u64 = 256 << 20;

/// Where the bytes of an answer come from.
type Bytes = Box<dyn mailbox::Reading>;

/// Which part of so many bytes a request wants: all of them, from a byte to another, or none that there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    All,
    From(u64, u64),
    Outside,
}

/// RFC 9110 §14.1.2. Several parts at once, and units that are not bytes, are answered with the whole.
fn part(headers: &HeaderMap, bytes: u64, etag: &str) -> Part {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|wanted| wanted != etag) {
        return Part::All;
    }
    let Some(range) = text(header::RANGE).and_then(|range| range.strip_prefix("bytes=")) else {
        return Part::All;
    };
    let Some((from, to)) = range.trim().split_once('-') else { return Part::All };
    let last = bytes.saturating_sub(1);
    match (from.trim().parse::<u64>(), to.trim().parse::<u64>()) {
        // Of nothing there is no part.
        (Ok(_), _) | (_, Ok(_)) if bytes == 0 => Part::Outside,
        (Ok(from), _) if from >= bytes => Part::Outside,
        (Ok(from), Ok(to)) if from <= to => Part::From(from, to.min(last)),
        (Ok(from), Err(_)) if to.trim().is_empty() => Part::From(from, last),
        (Err(_), Ok(0)) if from.trim().is_empty() => Part::Outside,
        (Err(_), Ok(tail)) if from.trim().is_empty() => {
            Part::From(bytes.saturating_sub(tail), last)
        }
        _ => Part::All,
    }
}

/// Answers with bytes, or with the part of them that is wanted. `name` is what a browser saves it as, if it shall.
fn ranged(
    (headers, etag): (&HeaderMap, &str),
    (mut bytes, length): (Bytes, u64),
    media_type: &str,
    name: Option<&str>,
) -> Response {
    let etag = format!("\"{etag}\"");
    let part = part(headers, length, &etag);
    let (status, from, to) = match part {
        Part::All => (StatusCode::OK, 0, length.saturating_sub(1)),
        Part::From(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Part::Outside => {
            let mut response =
                refused(StatusCode::RANGE_NOT_SATISFIABLE, "there are no such bytes");
            let range = HeaderValue::from_str(&format!("bytes */{length}"));
            response.headers_mut().extend(range.ok().map(|range| (header::CONTENT_RANGE, range)));
            return response;
        }
    };
    if bytes.seek(SeekFrom::Start(from)).is_err() {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "the file cannot be read");
    }
    let left = if length == 0 { 0 } else { to + 1 - from };
    let mut set = vec![
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::ETAG, etag),
        (header::CONTENT_LENGTH, left.to_string()),
        (header::CONTENT_TYPE, media_type.to_owned()),
    ];
    if status == StatusCode::PARTIAL_CONTENT {
        set.push((header::CONTENT_RANGE, format!("bytes {from}-{to}/{length}")));
    }
    set.extend(
        name.map(|name| (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""))),
    );
    let mut response = (status, blocks(bytes, left)).into_response();
    for (key, value) in set {
        match HeaderValue::from_str(&value) {
            Ok(value) => drop(response.headers_mut().insert(key, value)),
            // A media type from elsewhere may be anything.
            Err(_) => drop(response.headers_mut().remove(key)),
        }
    }
    response
}

/// So many bytes, read where one may wait.
fn blocks(bytes: Bytes, left: u64) -> Body {
    let stream = unfold((bytes, left), |(mut bytes, left)| async move {
        if left == 0 {
            return None;
        }
        let read = move || {
            let mut block = vec![0; usize::try_from(left.min(BLOCK_BYTES)).unwrap_or(0)];
            bytes.read_exact(&mut block).map(|()| (block, bytes))
        };
        match in_a_place(read).await {
            Ok(Ok((block, bytes))) => {
                let left = left - block.len() as u64;
                Some((Ok::<_, std::io::Error>(block), (bytes, left)))
            }
            Ok(Err(error)) => Some((Err(error), (Box::new(std::io::empty()) as Bytes, 0))),
            Err(_) => None,
        }
    });
    Body::from_stream(stream.fuse())
}

/// How audio is wanted.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Format {
    /// `wav`, which every browser plays, `ogg`, which is small, or `stored`, as it is kept.
    #[serde(default)]
    format: String,
    /// Which attachment, from 0; without it the first that is audio.
    number: Option<usize>,
}

/// Finds a message's audio.
fn sound(
    store: &MessageStore,
    unique: &Unique,
    message: mailbox::MessageId,
    number: Option<usize>,
) -> Result<(Attachment, Bytes), MailError> {
    let number = match number {
        Some(number) => number,
        None => {
            let (_, envelope) = store.message(unique, message)?;
            let is_audio = |one: &Attachment| one.media_type.starts_with("audio/");
            envelope.contents().iter().position(is_audio).ok_or(MailError::NoSuchAttachment(0))?
        }
    };
    let (attachment, bytes) = store.attachment(unique, message, number)?;
    // Whatever else it is, a browser shall not show it as a page of ours.
    if !attachment.media_type.starts_with("audio/") {
        return Err(MailError::Undecodable(format!("attachment {number} is no audio")));
    }
    Ok((attachment, bytes))
}

/// What a browser is told that a file is: what it could run is only bytes.
fn harmless(media_type: &str) -> &str {
    let is_known = ["audio/", "image/tiff", "image/jpeg", "image/png", "application/pdf"];
    if is_known.iter().any(|kind| media_type.starts_with(kind)) {
        media_type
    } else {
        "application/octet-stream"
    }
}

/// The audio of a message.
pub(crate) async fn audio<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path((unique, message)): Path<(String, String)>,
    Query(format): Query<Format>,
    headers: HeaderMap,
) -> Response {
    let form = match &*format.format {
        "" | "wav" => Some(Compression::Pcm),
        "ogg" => Some(Compression::Opus),
        "stored" => None,
        _ => return refused(StatusCode::UNPROCESSABLE_ENTITY, "format is wav, ogg or stored"),
    };
    let note = ("message heard", format!("{unique} {message}"));
    let done = noted(&web, &visitor, note, move |store| {
        let (attachment, bytes) =
            sound(store, &Unique::parse(&unique)?, id(&message)?, format.number)?;
        let digest = mailbox::hex(&attachment.sha256);
        let Some(form) = form else {
            return Ok((digest, attachment.media_type, bytes, attachment.bytes));
        };
        let file = mailbox::heard(&attachment, bytes, DECODED_BYTES_MAX, form)?;
        let length = file.len() as u64;
        let media_type = if form == Compression::Pcm { "audio/wav" } else { form.media_type() };
        let bytes: Bytes = Box::new(std::io::Cursor::new(file));
        Ok((format!("{digest}-{}", form.codec()), media_type.to_owned(), bytes, length))
    });
    match done.await {
        Ok((etag, media_type, bytes, length)) => {
            ranged((&headers, &etag), (bytes, length), &media_type, None)
        }
        Err(error) => refusal(&error),
    }
}

/// A file of a message, as it is kept.
pub(crate) async fn attachment<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path((unique, message, number)): Path<(String, String, usize)>,
    headers: HeaderMap,
) -> Response {
    let note = ("attachment fetched", format!("{unique} {message} {number}"));
    let done = noted(&web, &visitor, note, move |store| {
        let (unique, message) = (Unique::parse(&unique)?, id(&message)?);
        let (attachment, bytes) = store.attachment(&unique, message, number)?;
        let name = format!("{message}-{number}.{}", attachment.extension());
        Ok((attachment, bytes, name))
    });
    match done.await {
        Ok((attachment, bytes, name)) => {
            let etag = mailbox::hex(&attachment.sha256);
            let length = attachment.bytes;
            // A browser never shows what came from outside as a page of ours.
            let media_type = harmless(&attachment.media_type);
            ranged((&headers, &etag), (bytes, length), media_type, Some(&name))
        }
        Err(error) => refusal(&error),
    }
}

/// Audio that was sent in Base64.
pub(super) fn spoken(store: &MessageStore, base64: &str) -> Result<NewAttachment, MailError> {
    let bytes = STANDARD.decode(base64.trim());
    let bytes = bytes.map_err(|_| MailError::Undecodable("not Base64".to_owned()))?;
    mailbox::compressed(bytes, "", store.compression())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_could_run_is_only_bytes() {
        let rows = [("audio/x-wav", true), ("application/pdf", true), ("text/html", false)];
        for (kind, is_kept) in
            [&rows[..], &[("image/svg+xml", false), ("text/javascript", false)]].concat()
        {
            assert_eq!(harmless(kind) == kind, is_kept, "{kind}");
        }
    }

    #[test]
    fn parts_are_those_of_rfc_9110() {
        let check = |range: &str, wanted: Part| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, range.parse().unwrap());
            assert_eq!(part(&headers, 1_000, "\"e\""), wanted, "{range}");
        };
        check("bytes=0-499", Part::From(0, 499));
        check("bytes=500-", Part::From(500, 999));
        check("bytes=-500", Part::From(500, 999));
        check("bytes=-5000", Part::From(0, 999));
        check("bytes=900-5000", Part::From(900, 999));
        check("bytes=1000-", Part::Outside);
        check("bytes=-0", Part::Outside);
        check("bytes=5-3", Part::All);
        check("bytes=0-1,5-6", Part::All);
        check("lines=0-1", Part::All);
        check("bytes=x-", Part::All);
        let mut headers = HeaderMap::new();
        for of_nothing in ["bytes=0-", "bytes=0-0", "bytes=-5"] {
            headers.insert(header::RANGE, of_nothing.parse().unwrap());
            assert_eq!(part(&headers, 0, "\"e\""), Part::Outside, "{of_nothing}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, "bytes=0-1".parse().unwrap());
        headers.insert(header::IF_RANGE, "\"other\"".parse().unwrap());
        assert_eq!(part(&headers, 10, "\"e\""), Part::All);
    }
}
