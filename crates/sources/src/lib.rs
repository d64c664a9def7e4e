//! External audio: what comes from outside and is played into calls.
//!
//! - [`Sources`]: live sources (files, folders, HTTP streams, devices of the host). Each is decoded once, at one position
//!   in time, and heard by all through an [`audio::live::Ring`]; while it is away, its listeners hear
//!   the fallback. [`SourceState`] says what they hear.
//! - [`Prompts`]: single clips by URI, for one call each, cached.
//! - [`AddressGuard`]: which hosts may be reached for somebody else.
//!
//! It is not the engine: nothing here sends packets. Read [`Sources::start`] first, then `strip`
//! (what is heard, and how it joins), `stream` (one HTTP source), `folder` (one from the disk), `device` (one that is
//! connected to the host).

mod alsa;
mod backoff;
mod board;
mod config;
mod content;
mod decode;
mod device;
mod devices;
mod driver;
mod feed;
mod fetch;
mod ffmpeg;
mod file_uri;
mod folder;
pub mod fuzz;
mod guard;
mod hold_music;
mod icy;
mod intake;
mod leveller;
mod loudness;
mod pacer;
mod prompts;
mod pulse;
mod shoutcast;
mod sources;
mod state;
mod stream;
mod strip;
mod studio;

pub use audio::Gain;
pub use config::{
    NAME_CHARS_MAX, NameError, Order, Settings, SourceConfig, SourceKind, SourceUriError, Start,
    check_names, find_name, is_device_name,
};
pub use devices::{Device, devices};
pub use fetch::http_client;
pub use file_uri::{FileUriError, path as file_uri_path};
pub use guard::{AddressGuard, Allowed, AllowedError, Barred};
pub use hold_music::hold_music;
pub use prompts::{
    DISK_DECODES_MAX, Prompt, PromptConfig, PromptError, PromptFault, Prompts, WEB_DECODES_MAX,
    WHOLE_SAMPLES_MAX,
};
pub use pulse::{DeviceInfo, DeviceState, PulseError};
pub use sources::{Sources, StartError};
pub use state::{Happening, Heard, Level, Phase, Skipped, SourceEvent, SourceState, Trouble};
pub use studio::RtpAddress;
