//! The server over HTTP: pages for people, an API for programs, metrics for Prometheus.
//!
//! - [`View`]: what there is to tell; [`Settings`]: what can be changed. The server implements both.
//! - [`router`]: the addresses, and who is let in to which; [`serve`]: the connections.
//! - [`Accounts`]: who may come in; [`make_setup_link`]: how the first one does.
//!
//! `guard` decides who is let in, `pages` makes what people see (its templates are in `templates/`), `api`
//! answers programs, `live` keeps pages up. Start with [`router`].

mod accounts;
mod answers;
mod api;
mod context;
mod guard;
mod live;
mod login;
mod mail;
mod metrics;
mod openapi;
mod pages;
mod routes;
mod serve;
mod sessions;
mod settings;
mod setup;
mod view;

pub use accounts::{
    Account, Accounts, PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, Role, Token, Visitor,
    check_password, hash_password, hex, is_password_hash, random_secret, sha256,
};
pub use context::Options;
pub use login::check_name;
pub use pages::{unix_of, utc};
pub use routes::router;
pub use serve::{CONNECTIONS_MAX, serve};
pub use settings::{
    Applied, Audited, Change, Difference, Field, FieldFault, Pending, Proposal, Revision, Settings,
    Takes,
};
pub use setup::{SETUP_LINK, make_setup_link};
pub use view::alarms;
pub use view::{
    About, Alarm, Cache, Call, Capabilities, CaptureFile, CaptureOrder, Channel, Delivery, Device,
    Engine, Finding, Happening, Heard, Host, Listening, Looks, MailAgreement, MailCounts,
    MailFault, MailPrograms, MailSentOn, MailServer, Missed, Packets, Preview, Provider, Resource,
    Severity, SipCount, Skipped, Source, SourceState, Speech, Standing, Tried, View, Voice, Waits,
};
