//! What a call would hear of a SPEAK, into memory instead: the same cutting, fetching and feeding,
//! without a call. For `entracte speak`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use audio::Gain;
use control::playout::{Defaults, Prosody};
use control::position::Start;
use control::{Failure, Feed, ProgramId};
use engine::{Piece, Program};
use mrcp::MediaType;
use mrcp::content::{Content, Part};
use mrcp::settings::Settings;
use tokio::sync::mpsc;

use crate::clock::instant;
use crate::feeder;
use crate::services::Services;
use crate::wiring::{Event, Voiced};

/// The longest recital: an hour.
pub const SAMPLES_MAX: usize = 3_600 * 8_000;

/// Words of the feeder that may wait.
const FEEDS_MAX: usize = 64;

/// How long an empty ring is left alone.
const EMPTY_WAIT: Duration = Duration::from_millis(2);

/// What was heard.
#[derive(Clone, Debug, Default)]
pub struct Recital {
    /// The audio, at 8 kHz.
    pub samples: Vec<i16>,
    /// Names of marks with their place in samples, in order.
    pub marks: Vec<(String, usize)>,
    /// How long the first sound took.
    pub first: Duration,
    /// Who spoke first, if anybody did.
    pub voice: Option<Voiced>,
}

/// A text of this media type; `None` if that is none.
pub fn content(text: String, media_type: &str) -> Option<Content> {
    let media_type = MediaType::parse(media_type)?;
    let bytes = text.into_bytes();
    let part = Part { media_type, bytes, id: None, base: None, location: None };
    Some(Content { spoken: vec![part], sounds: Vec::new() })
}

/// Recites `content`.
///
/// # Errors
/// What would end the SPEAK.
pub async fn recite(
    services: &Arc<Services>,
    defaults: &Defaults,
    content: &Content,
    settings: &Settings,
    prosody: Prosody,
) -> Result<Recital, Failure> {
    let catalog = services.catalog();
    let ordered = control::playout::Order { content, settings, lexicons: &[], providers: &[] };
    let blueprint = control::playout::cut(&ordered, prosody, defaults, &catalog)?;
    let program = ProgramId::from_number(1);
    let order = feeder::Order {
        program,
        blueprint: Arc::new(blueprint),
        start: Start::default(),
        limit: None,
    };
    let number = engine::ProgramId::from_number(program.number());
    let (pieces, program) = Program::new(number, Gain::UNITY, feeder::PIECES_MAX);
    let (events, told) = mpsc::channel(FEEDS_MAX);
    let feeding = tokio::spawn(feeder::run(order, pieces, Arc::clone(services), events));
    let recital = listen(program, told).await;
    feeding.abort();
    recital
}

/// Takes the pieces as an engine would, only faster.
async fn listen(mut program: Program, mut told: mpsc::Receiver<Event>) -> Result<Recital, Failure> {
    let begun = instant();
    let mut recital = Recital::default();
    let mut names = BTreeMap::new();
    let mut failure = None;
    loop {
        while let Ok(event) = told.try_recv() {
            if let Event::Speaks { voiced, .. } = &event {
                recital.voice = Some(voiced.clone());
            }
            if let Event::Feed(feed) = event {
                match feed {
                    Feed::Mark { tag, name, .. } => {
                        names.insert(tag, name);
                    }
                    Feed::Failed { failure: why, .. } => failure = Some(why),
                    Feed::Ready { .. } | Feed::Border { .. } | Feed::Skipped { .. } => {}
                }
            }
        }
        match program.pieces.pop() {
            Ok(Piece::Clip { samples, from, to }) => {
                if recital.samples.is_empty() {
                    recital.first = begun.elapsed();
                }
                recital.samples.extend_from_slice(samples.get(from..to).unwrap_or_default());
            }
            Ok(Piece::Silence { samples }) => {
                let length = usize::try_from(samples).unwrap_or(usize::MAX);
                let length = recital.samples.len().saturating_add(length).min(SAMPLES_MAX + 1);
                recital.samples.resize(length, 0);
            }
            Ok(Piece::Tag(feeder::FIRST_SOUND)) => {}
            Ok(Piece::Tag(tag)) if feeder::message_of(tag).is_some() => {}
            Ok(Piece::Tag(tag)) => {
                let name = names.remove(&tag).unwrap_or_default();
                recital.marks.push((name, recital.samples.len()));
            }
            Ok(Piece::Live { .. }) => {
                let why = "a live source has no end, and is for calls".to_owned();
                return Err(Failure::Error(why));
            }
            Ok(Piece::End) => return failure.map_or(Ok(recital), Err),
            Err(_) if program.pieces.is_abandoned() => {
                return Err(Failure::Error("the feeder ended without an end".to_owned()));
            }
            Err(_) => tokio::time::sleep(EMPTY_WAIT).await,
        }
        if recital.samples.len() > SAMPLES_MAX {
            return Err(Failure::Error("it is longer than an hour".to_owned()));
        }
    }
}
