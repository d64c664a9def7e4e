//! Bytes to telephone audio, by our own decoders or by ffmpeg. Everything here waits: it runs on
//! threads of its own.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use audio::decode::{DecodeError as OursError, Decoder, Hint, open, open_bytes, open_seekable};
use audio::telephone::Telephone;

use crate::content::Route;
use crate::feed::Feed;
use crate::fetch::chain;
use crate::ffmpeg::{Ffmpeg, Input, Running, Transcoder, Use};

/// Where the bytes are.
#[derive(Debug)]
pub(crate) enum Source {
    File(File),
    /// A broadcast: it is only ever read forward.
    Live(Feed),
    /// A download with an end, which may be read whole if a format wants that.
    Download(Feed),
}

/// Why there is no audio, or no more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum DecodeError {
    /// The bytes are no audio that anything here knows.
    NotAudio(String),
    /// It is for ffmpeg, and that does not run.
    NoFfmpeg(String),
    /// The bytes cannot be read.
    Unreadable(String),
}

/// Audio being decoded, block by block.
#[derive(Debug)]
pub(crate) struct Decoding(Kind);

#[derive(Debug)]
enum Kind {
    Ours(Box<Telephone>),
    Ffmpeg(Transcoder),
}

/// Opens `source` by `route`. What our own decoders know nothing about goes to ffmpeg.
pub(crate) fn open_source(
    source: Source,
    route: Route,
    ffmpeg: &Ffmpeg,
    purpose: Use,
) -> Result<Decoding, DecodeError> {
    let hint = match route {
        Route::Ours(extension) => Hint::from_name(&format!(".{extension}")),
        Route::Ffmpeg(format) => return transcode(rewound(source)?, format, ffmpeg, purpose),
        Route::Playlist => return Err(DecodeError::NotAudio("a playlist".to_owned())),
    };
    let (ours, source) = match source {
        Source::File(file) => {
            let hand = file.try_clone().map_err(|why| unreadable(&why))?;
            (open_seekable(Box::new(hand), &hint), Source::File(file))
        }
        Source::Live(feed) => {
            (open(Box::new(feed.clone()), &hint.clone().endless()), Source::Live(feed))
        }
        Source::Download(feed) => (open(Box::new(feed.clone()), &hint), Source::Download(feed)),
    };
    let why = match ours {
        Ok(decoder) => {
            if let Source::Live(feed) | Source::Download(feed) = &source {
                feed.settle();
            }
            return Ok(Decoding::ours(decoder));
        }
        Err(OursError::Io(why)) => return Err(unreadable(&why)),
        Err(why) => why,
    };
    second_try(source, &hint, &why, ffmpeg, purpose)
}

/// After our decoders failed at reading forward: the whole of a download, or else ffmpeg.
fn second_try(
    source: Source,
    hint: &Hint,
    why: &OursError,
    ffmpeg: &Ffmpeg,
    purpose: Use,
) -> Result<Decoding, DecodeError> {
    let input = match rewound(source)? {
        Input::Download(mut feed) => {
            let mut whole = Vec::new();
            feed.read_to_end(&mut whole).map_err(|why| unreadable(&why))?;
            let whole: Arc<[u8]> = whole.into();
            if let Ok(decoder) = open_bytes(Arc::clone(&whole), hint) {
                return Ok(Decoding::ours(decoder));
            }
            Input::Bytes(whole)
        }
        input @ (Input::File(_)
        | Input::Feed(_)
        | Input::Bytes(_)
        | Input::Hls { .. }
        | Input::Alsa { .. }) => input,
    };
    transcode(input, None, ffmpeg, purpose).map_err(|error| match error {
        // That ffmpeg is missing matters only when there is a chance that it would have helped.
        DecodeError::NoFfmpeg(missing) => DecodeError::NoFfmpeg(format!("{missing}; {why}")),
        error @ (DecodeError::NotAudio(_) | DecodeError::Unreadable(_)) => error,
    })
}

/// Lets ffmpeg fetch and decode an HLS stream.
pub(crate) fn open_hls(
    url: String,
    user_agent: String,
    ffmpeg: &Ffmpeg,
) -> Result<Decoding, DecodeError> {
    transcode(Input::Hls { url, user_agent }, None, ffmpeg, Use::Live)
}

fn transcode(
    input: Input,
    format: Option<&str>,
    ffmpeg: &Ffmpeg,
    purpose: Use,
) -> Result<Decoding, DecodeError> {
    let started = ffmpeg.start(input, format, purpose);
    let transcoder = started.map_err(|why| DecodeError::NoFfmpeg(why.to_string()))?;
    Ok(Decoding(Kind::Ffmpeg(transcoder)))
}

fn rewound(source: Source) -> Result<Input, DecodeError> {
    let from_start = |feed: &Feed| {
        let there = feed.rewind();
        there.then_some(()).ok_or_else(|| DecodeError::NotAudio("unknown format".to_owned()))
    };
    match source {
        Source::File(mut file) => {
            file.seek(SeekFrom::Start(0)).map_err(|why| unreadable(&why))?;
            Ok(Input::File(file))
        }
        Source::Live(feed) => from_start(&feed).map(|()| Input::Feed(feed)),
        Source::Download(feed) => from_start(&feed).map(|()| Input::Download(feed)),
    }
}

fn unreadable(why: &io::Error) -> DecodeError {
    DecodeError::Unreadable(why.to_string())
}

impl Decoding {
    fn ours(decoder: Decoder) -> Self {
        Self(Kind::Ours(Box::new(Telephone::new(decoder))))
    }

    /// Appends the next samples; false at the end.
    pub(crate) fn next(&mut self, out: &mut Vec<i16>) -> Result<bool, DecodeError> {
        match &mut self.0 {
            Kind::Ffmpeg(transcoder) => transcoder.next(out).map_err(DecodeError::NotAudio),
            Kind::Ours(telephone) => match telephone.block() {
                Ok(Some(samples)) => {
                    out.extend_from_slice(samples);
                    Ok(true)
                }
                Ok(None) => Ok(false),
                Err(OursError::Io(why)) => Err(unreadable(&why)),
                Err(why) => Err(DecodeError::NotAudio(why.source().map_or_else(
                    || why.to_string(),
                    |source| format!("{why}: {}", chain(source)),
                ))),
            },
        }
    }

    /// Codec, rate and channels, to be shown.
    pub(crate) fn codec(&mut self) -> String {
        let Kind::Ours(telephone) = &mut self.0 else { return "by ffmpeg".to_owned() };
        let info = telephone.decoder().info();
        let channels = match info.channels {
            1 => "mono".to_owned(),
            2 => "stereo".to_owned(),
            n => format!("{n} channels"),
        };
        format!("{} {} Hz {channels}", info.codec, info.rate_hz)
    }

    /// A title that came since the last call.
    pub(crate) fn title(&mut self) -> Option<String> {
        match &mut self.0 {
            Kind::Ours(telephone) => telephone.decoder().take_title(),
            Kind::Ffmpeg(_) => None,
        }
    }

    /// The process behind it, if any: it can hang where we cannot.
    pub(crate) fn running(&self) -> Option<Arc<Running>> {
        match &self.0 {
            Kind::Ours(_) => None,
            Kind::Ffmpeg(transcoder) => Some(transcoder.running()),
        }
    }
}
