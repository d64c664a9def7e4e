//! Settings, from several places to one checked [`Plan`].
//!
//! [`Layers`] says where they come from; [`Plan::load`] lays them over one another, reads every key
//! and gives back either a plan in which all is as it should be, or *all* [`Faults`], each with its
//! place, its key and what the key takes. `config/entracte.toml` explains every key; a test proves
//! that it and this module name the same ones.

mod administration;
mod external;
mod fault;
mod mail;
mod nearest;
mod network;
mod observe;
mod plan;
mod read;
mod reader;
mod reference;
mod tree;
mod voices;

pub use fault::{Fault, Faults, Place, Wrong};
pub use network::{AddressType, Addresses, Dscp, Interfaces, Network, PortRange};
pub use plan::{
    Administration, Audio, BuiltIn, CapturePlan, Cdr, CdrFormat, Engine, EventKind, ExternalAudio,
    General, HepPlan, Listening, Location, Log, LogFormat, LogLevel, MailPlan, MailServerPlan,
    Media, Mrcp, Order, Plan, ProviderForm, ProviderPlan, Rtp, Sip, SipLimits, SourcePlan, Start,
    TextToSpeech, TlsPlan, Transport, VoicePlan, WebhookPlan,
};
pub use reference::{EXAMPLE, Reference, references};
pub use tree::{Layers, SYSTEM_FILE};
