//! The synthesizer resources `speechsynth` and `basicsynth`. RFC 6787 §8.
//!
//! [`Synthesizer`] decides; somebody else plays. It takes requests and the player's news and
//! gives messages to send and orders to the player:
//!
//! - SPEAK is answered at once, 200 IN-PROGRESS or PENDING, when its header fields and the form of
//!   its body can be taken. Whatever fails later (a URI, the markup, a voice) ends as a
//!   SPEAK-COMPLETE with its cause. §8.6 has the resource respond "immediately", and §8.4.4 puts
//!   the causes of failure into SPEAK-COMPLETE.
//! - [`Output::Change`] and [`Output::FetchLexicons`] want an answer from outside
//!   ([`Input::Changed`], [`Input::LexiconsFetched`]), for only then can the client's request be
//!   answered. If none comes in time ([`Synthesizer::deadline`]) it is answered 407.
//! - A jump by words or sentences may be impossible in the sound that is playing; then the player
//!   says [`Outcome::Unsupported`] and the client is answered 409.

use std::collections::VecDeque;

use vocab::Now;

use crate::content::Content;
use crate::headers::Headers;
use crate::ids::{ChannelId, RequestId};
use crate::length::{Jump, SpeakLength};
use crate::lexicon::{Lexicon, LexiconRef, Shelf};
use crate::message::{Event, EventName, Message, Method, Request, State as RequestState};
use crate::ntp::NtpTime;
use crate::settings::{
    Fetch, FetchParam, Param, Prosody, Settings, Vendor, VendorParameter, Voice,
};
use crate::status::Status;

mod answer;
mod cause;
mod control;
mod lexicons;
mod params;
mod review;
mod speak;

pub use cause::{Cause, End};
pub use lexicons::{inline_lexicons, refuse_lexicon};

/// SPEAK requests that may wait behind the one being spoken; past it SPEAK is answered 407.
pub const QUEUE_MAX: usize = 32;
/// CONTROL requests that may wait for the player; past it CONTROL is answered 407.
pub const CONTROLS_MAX: usize = 8;
/// How long a CONTROL waits for the player before it is answered 407.
pub const CONTROL_WAIT_MS: u64 = 2_000;
/// DEFINE-LEXICON requests that may wait for documents; past it the next is answered 407.
pub const FETCHES_MAX: usize = 4;
/// How long a DEFINE-LEXICON waits for its documents if Fetch-Timeout says nothing.
pub const FETCH_WAIT_MS: u64 = 10_000;
/// Cookies that one SPEAK-COMPLETE may bring back; those past it are left out.
pub const NEW_COOKIES_MAX: usize = 16;

/// Which of the two resources. RFC 6787 §3.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `speechsynth`: renders speech from text.
    Speech,
    /// `basicsynth`: plays clips, named by SSML's `audio` or by a URI list. It takes no plain
    /// text (408), has no voice, pitch or lexicon, and jumps by seconds and tags only. Which SSML
    /// elements it takes is for the reader of the markup to say (002 parse-failure).
    Basic,
}

impl Kind {
    /// The resource that is meant by the type in a channel identifier or in `a=resource`.
    pub fn parse(resource: &str) -> Option<Self> {
        [Self::Speech, Self::Basic].into_iter().find(|kind| kind.as_str() == resource)
    }

    /// The resource type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Speech => "speechsynth",
            Self::Basic => "basicsynth",
        }
    }
}

/// What happens to a synthesizer. `at` is the wall clock at that moment.
#[derive(Clone, Debug)]
pub enum Input {
    /// The client asks; channel and request id have been checked.
    Request {
        /// What it asks.
        request: Request,
        /// When it was received.
        at: NtpTime,
    },
    /// The player reached a mark.
    Marker {
        /// In which utterance.
        request: RequestId,
        /// The mark's name.
        name: String,
        /// When it sounds.
        at: NtpTime,
    },
    /// An utterance has ended by itself: never after `Output::Silence` for it.
    Finished {
        /// Which.
        request: RequestId,
        /// How.
        end: End,
        /// When its last sound was sent.
        at: NtpTime,
    },
    /// What became of an `Output::Change`.
    Changed {
        /// The CONTROL request that wanted it.
        control: RequestId,
        /// How it went.
        outcome: Outcome,
        /// When it took effect.
        at: NtpTime,
    },
    /// What became of an `Output::FetchLexicons`.
    LexiconsFetched {
        /// The DEFINE-LEXICON request that wanted them.
        request: RequestId,
        /// All of them, or why not.
        fetched: Result<Vec<Lexicon>, LexiconFailure>,
    },
    /// What the server tells of this utterance in parameters of its own, with SPEAK-COMPLETE.
    Told {
        /// Of which utterance.
        request: RequestId,
        /// The parameters.
        parameters: Vec<VendorParameter>,
    },
    /// Servers set cookies while this utterance's documents were fetched: `Set-Cookie` values.
    Cookies {
        /// In which utterance.
        request: RequestId,
        /// The header fields' values.
        cookies: Vec<String>,
    },
    /// The server itself has noticed that the caller speaks or presses a key. RFC 6787 §8.4.2.
    BargeIn {
        /// When.
        at: NtpTime,
    },
    /// The moment that `deadline` named is there.
    Deadline {
        /// When it is.
        at: NtpTime,
    },
}

/// How a CONTROL went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// As wanted. If it jumped past the end, `Finished` follows.
    Applied,
    /// It jumped to the beginning or before, so the speech began again (§8.11).
    Restarted,
    /// What is playing does not allow it.
    Unsupported(ChangePart),
    /// It failed, and why.
    Failed(String),
}

/// One of the things that a CONTROL may want.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChangePart {
    /// The jump: 409.
    Jump,
    /// The length: 409.
    Length,
    /// The voice: 403.
    Voice,
    /// The prosody: 403.
    Prosody,
}

/// Why a lexicon could not be fetched or read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LexiconFailure {
    /// Which.
    pub uri: String,
    /// The protocol's own code or word for it, such as `404`.
    pub cause: String,
    /// Why, in words.
    pub why: String,
}

/// What the synthesizer wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send this to the client.
    Send(Message),
    /// Begin this utterance.
    Play {
        /// What to play, and how.
        utterance: Box<Utterance>,
        /// Whether it sounds yet.
        start: Start,
    },
    /// End this utterance now, and say nothing more about it.
    Silence {
        /// Which.
        request: RequestId,
    },
    /// Hold the utterance.
    Pause,
    /// Let it go on.
    Resume,
    /// Change the utterance, and say how that went.
    Change {
        /// Which utterance.
        request: RequestId,
        /// The CONTROL request that wants it, for `Input::Changed`.
        control: RequestId,
        /// What to change.
        change: Box<Change>,
    },
    /// Fetch these lexicons, and say how that went.
    FetchLexicons {
        /// The request that wants them, for `Input::LexiconsFetched`.
        request: RequestId,
        /// Where they are.
        uris: Vec<String>,
        /// How to fetch.
        fetch: Fetch,
    },
}

/// Whether an utterance is heard from its beginning on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Start {
    /// At once.
    Sounding,
    /// Not before `Output::Resume`: the one before it was stopped while it was paused (§8.7).
    Held,
}

/// All that is known of one SPEAK request.
#[derive(Clone, Debug, PartialEq)]
pub struct Utterance {
    /// Its request id.
    pub request: RequestId,
    /// Its channel.
    pub channel: ChannelId,
    /// What to speak.
    pub content: Content,
    /// The session's settings with the request's laid over them.
    pub settings: Settings,
    /// Where to begin, if not at the beginning.
    pub offset: Option<Jump>,
    /// Where to end, if not at the end.
    pub length: Option<SpeakLength>,
    /// The lexicons to use, first to last.
    pub lexicons: Vec<LexiconRef>,
}

/// What one CONTROL wants of the utterance that is being spoken; the jump comes first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Where to go on from.
    pub jump: Option<Jump>,
    /// Where to end, from there on.
    pub length: Option<SpeakLength>,
    /// What of the voice is to be different.
    pub voice: Voice,
    /// What of the prosody is to be different.
    pub prosody: Prosody,
    /// Parameters of a kind that we do not know.
    pub vendor: Vendor,
}

/// One channel's synthesizer: one utterance at a time, a bounded queue behind it. RFC 6787 §8.1.
#[derive(Debug)]
pub struct Synthesizer {
    kind: Kind,
    settings: Settings,
    state: State,
    queue: VecDeque<Waiting>,
    controls: VecDeque<WaitingControl>,
    fetches: VecDeque<WaitingFetch>,
    lexicons: Shelf,
}

/// The states of §8.1.
#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Speaking(Speak),
    Paused(Speak, News),
}

/// Whether the client must still hear that the utterance has left the queue (§8.13).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum News {
    Told,
    Untold,
}

/// The SPEAK request that is being spoken or held.
#[derive(Debug)]
struct Speak {
    id: RequestId,
    channel: ChannelId,
    kill_on_barge_in: bool,
    marker: Option<String>,
    cookies: Vec<String>,
    told: Vec<VendorParameter>,
}

/// A SPEAK request in the queue.
#[derive(Debug)]
struct Waiting {
    utterance: Box<Utterance>,
    /// A lexicon of this session that it names and that is not there.
    missing_lexicon: Option<String>,
}

/// A CONTROL request that the player has not answered.
#[derive(Debug)]
struct WaitingControl {
    request: Request,
    status: Status,
    speak: RequestId,
    until: Now,
}

/// A DEFINE-LEXICON request whose documents are not there.
#[derive(Debug)]
struct WaitingFetch {
    request: Request,
    status: Status,
    inline: Vec<Lexicon>,
    until: Now,
}

impl Synthesizer {
    /// An idle synthesizer whose session parameters begin as `defaults`.
    pub fn new(kind: Kind, defaults: Settings) -> Self {
        Self {
            kind,
            settings: defaults,
            state: State::Idle,
            queue: VecDeque::new(),
            controls: VecDeque::new(),
            fetches: VecDeque::new(),
            lexicons: Shelf::default(),
        }
    }

    /// Takes one input; appends what must be done to `out`.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Request { request, at } => self.request(now, &request, at, out),
            Input::Marker { request, name, at } => self.marker(request, &name, at, out),
            Input::Finished { request, end, at } => self.finished(request, &end, at, out),
            Input::Changed { control, outcome, at } => self.changed(control, &outcome, at, out),
            Input::LexiconsFetched { request, fetched } => self.fetched(request, fetched, out),
            Input::Told { request, parameters } => {
                if let Some(speak) = self.head_mut().filter(|speak| speak.id == request) {
                    speak.told = parameters;
                }
            }
            Input::Cookies { request, cookies } => self.cookies(request, cookies),
            Input::BargeIn { at } => self.barge_in_here(at, out),
            Input::Deadline { at } => self.expire(now, at, out),
        }
    }

    /// When to come back if nothing else happens, and for what.
    pub fn deadline(&self) -> Option<(Now, &'static str)> {
        let control = self.controls.iter().map(|waiting| (waiting.until, "CONTROL unanswered"));
        let fetch = self.fetches.iter().map(|waiting| (waiting.until, "lexicon not fetched"));
        control.chain(fetch).min_by_key(|(until, _)| *until)
    }

    /// The SPEAK request that is being spoken or held.
    pub const fn active(&self) -> Option<RequestId> {
        match &self.state {
            State::Idle => None,
            State::Speaking(speak) | State::Paused(speak, _) => Some(speak.id),
        }
    }

    /// Whether speech is held.
    pub const fn is_paused(&self) -> bool {
        matches!(self.state, State::Paused(..))
    }

    /// The utterances in the queue, first to last; one may fetch ahead for them.
    pub fn waiting(&self) -> impl Iterator<Item = &Utterance> {
        self.queue.iter().map(|waiting| &*waiting.utterance)
    }

    /// The session's parameters.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    fn request(&mut self, now: Now, request: &Request, at: NtpTime, out: &mut Vec<Output>) {
        match request.method {
            Method::Speak => self.speak(request, at, out),
            Method::Stop => self.stop(request, at, out),
            Method::Pause => self.pause(request, out),
            Method::Resume => self.resume(request, at, out),
            Method::BargeInOccurred => self.barge_in(request, at, out),
            Method::Control => self.control(now, request, at, out),
            Method::SetParams => self.set_params(request, out),
            Method::GetParams => self.get_params(request, out),
            Method::DefineLexicon => self.define_lexicon(now, request, out),
            Method::Other(_) => answer::send(request.refuse(Status::UNKNOWN_METHOD), out),
        }
    }

    fn head(&self) -> Option<&Speak> {
        match &self.state {
            State::Idle => None,
            State::Speaking(speak) | State::Paused(speak, _) => Some(speak),
        }
    }

    fn head_mut(&mut self) -> Option<&mut Speak> {
        match &mut self.state {
            State::Idle => None,
            State::Speaking(speak) | State::Paused(speak, _) => Some(speak),
        }
    }

    fn marker(&mut self, request: RequestId, name: &str, at: NtpTime, out: &mut Vec<Output>) {
        // A mark can cross our Silence on the way; that request is over for the client.
        let Some(speak) = self.head_mut().filter(|speak| speak.id == request) else { return };
        speak.marker = Some(name.to_owned());
        out.push(speak.event(
            EventName::SpeechMarker,
            RequestState::InProgress,
            at,
            Headers::new(),
        ));
    }

    fn cookies(&mut self, request: RequestId, cookies: Vec<String>) {
        for cookie in &cookies {
            // One that we cannot keep is still told to the client.
            let _ = self.settings.set(Param::Fetch(FetchParam::SetCookie), cookie);
        }
        if let Some(speak) = self.head_mut().filter(|speak| speak.id == request) {
            speak.cookies.extend(cookies);
            speak.cookies.truncate(NEW_COOKIES_MAX);
        }
    }

    /// Answers what has waited too long.
    fn expire(&mut self, now: Now, at: NtpTime, out: &mut Vec<Output>) {
        while self.controls.front().is_some_and(|waiting| waiting.until <= now) {
            let Some(control) = self.controls.front().map(|waiting| waiting.request.id) else {
                break;
            };
            self.changed(control, &Outcome::Failed("the player did not answer".into()), at, out);
        }
        let late: Vec<RequestId> = self
            .fetches
            .iter()
            .filter(|waiting| waiting.until <= now)
            .map(|waiting| waiting.request.id)
            .collect();
        for request in late {
            let failure = LexiconFailure {
                uri: String::new(),
                cause: "timeout".into(),
                why: "the lexicon was not fetched in time".into(),
            };
            self.fetched(request, Err(failure), out);
        }
    }
}

impl Speak {
    fn event(&self, name: EventName, state: RequestState, at: NtpTime, before: Headers) -> Output {
        let mut headers = before;
        headers.push("Speech-Marker", &answer::speech_marker(at, self.marker.as_deref()));
        Output::Send(Message::Event(Event {
            name,
            id: self.id,
            state,
            channel: self.channel.clone(),
            headers,
            body: Vec::new(),
        }))
    }
}

#[cfg(test)]
mod tests;
