//! What can be wrong with a setting, and where it stands.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

/// Where a setting stands.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Place {
    /// In a file; line and column count from 1.
    File {
        /// As it was named or found.
        path: Arc<Path>,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
    /// In an environment variable of this name.
    Environment(Arc<str>),
    /// In a `--set` argument.
    Argument(Arc<str>),
    /// Nowhere: the default does not fit this machine.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Argument(text) => write!(f, "argument --set {text}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// What is wrong with a setting.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Wrong {
    /// The file cannot be read; the system's reason.
    Unreadable(String),
    /// Not TOML; the parser's reason.
    Syntax(String),
    /// `--set` without `KEY=VALUE`.
    NotAnAssignment,
    /// There is no such key.
    UnknownKey,
    /// A value of another kind than the key takes.
    Kind {
        /// What stands there.
        found: &'static str,
        /// What should.
        wanted: &'static str,
    },
    /// Of the right kind, and not among the allowed values.
    NotAllowed(String),
    /// A key that must be there is missing.
    Missing,
    /// A key that means nothing to this form of provider.
    OtherForm,
    /// A key that says the same as another one, which is there too.
    Beside(&'static str),
    /// An empty list where one entry is needed.
    Empty,
    /// The same name or value stands at another place already.
    Taken {
        /// The name or value.
        name: String,
        /// Where it stands first.
        first: Place,
    },
    /// Two ranges share ports.
    Overlap {
        /// This range.
        range: String,
        /// The other one.
        other: String,
    },
    /// A range in which there is no pair of an even port and the odd one above it.
    NoPair(String),
    /// No network interface has this name.
    NoInterface {
        /// The name that was given.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The interface has no address of a version that the address type asks for.
    NoAddress {
        /// The interface, as it was given.
        interface: String,
        /// `IPv4` or `IPv6`.
        version: &'static str,
        /// The address type that asks for it.
        address_type: &'static str,
    },
    /// A path that must be absolute is not.
    NotAbsolute(String),
    /// Two services want the same TCP port.
    SamePort {
        /// The port.
        port: u16,
        /// The key of the other service.
        other: &'static str,
    },
    // From here: strange, and it works all the same.
    /// The folder or file does not exist (yet).
    NotThere(String),
    /// The address belongs to no interface of this machine.
    NotOurs(String),
    /// An odd start was rounded up, or an even end down.
    Rounded {
        /// As it was written.
        written: String,
        /// As it is used.
        used: String,
    },
    /// A signalling port lies inside an RTP range.
    InsideRange {
        /// The port.
        port: u16,
        /// The range.
        range: String,
    },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Self::Syntax(why) => write!(f, "not TOML: {why}"),
            Self::NotAnAssignment => f.write_str("not of the form KEY=VALUE"),
            Self::UnknownKey => f.write_str("unknown key"),
            Self::Kind { found, wanted } => write!(f, "is {found}, must be {wanted}"),
            Self::NotAllowed(found) => write!(f, "{found} is not allowed"),
            Self::Missing => f.write_str("is missing"),
            Self::OtherForm => f.write_str("means nothing to this form of provider"),
            Self::Beside(other) => write!(f, "cannot stand beside {other}"),
            Self::Empty => f.write_str("is empty, needs at least one entry"),
            Self::Taken { name, first } => write!(f, "{name:?} stands already at {first}"),
            Self::Overlap { range, other } => write!(f, "range {range} overlaps range {other}"),
            Self::NoPair(range) => {
                write!(f, "range {range} holds no even port with the odd one above it")
            }
            Self::NoInterface { name, known } => {
                write!(
                    f,
                    "no network interface is named {name:?} (there are: {})",
                    known.join(", ")
                )
            }
            Self::NoAddress { interface, version, address_type } => write!(
                f,
                "interface {interface:?} has no {version} address, which address type \
                 {address_type:?} needs"
            ),
            Self::NotAbsolute(path) => write!(f, "path {path:?} is not absolute"),
            Self::SamePort { port, other } => {
                write!(f, "TCP port {port} is also asked for by {other}")
            }
            Self::NotThere(path) => write!(f, "{path:?} does not exist (yet)"),
            Self::NotOurs(address) => write!(f, "no interface of this machine has {address}"),
            Self::Rounded { written, used } => {
                write!(f, "range {written} is used as {used}: pairs start at an even port")
            }
            Self::InsideRange { port, range } => {
                write!(f, "port {port} lies inside the RTP range {range}")
            }
        }
    }
}

/// One thing wrong: where, which key, what, and what would be right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Where it stands.
    pub place: Place,
    /// The dotted key, as `external_audio.sources[0].uri`; empty for a file as a whole.
    pub key: String,
    /// What is wrong.
    pub wrong: Wrong,
    /// What the key takes.
    pub allowed: Option<String>,
    /// For an unknown key: the one that was likely meant.
    pub meant: Option<String>,
}

impl Fault {
    /// As one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (file, line, column, from) = match &self.place {
            Place::File { path, line, column } => {
                (Some(path.display().to_string()), Some(*line), Some(*column), "file")
            }
            Place::Environment(_) => (None, None, None, "environment"),
            Place::Argument(_) => (None, None, None, "argument"),
            Place::Default => (None, None, None, "default"),
        };
        json!({
            "from": from,
            "place": self.place.to_string(),
            "file": file,
            "line": line,
            "column": column,
            "key": self.key,
            "wrong": self.wrong.to_string(),
            "allowed": self.allowed,
            "meant": self.meant,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.wrong)?;
        if let Some(allowed) = &self.allowed {
            write!(f, "; allowed: {allowed}")?;
        }
        if let Some(meant) = &self.meant {
            write!(f, "; did you mean {meant}?")?;
        }
        Ok(())
    }
}

/// Everything wrong with a configuration, in the order in which it stands there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Faults {
    faults: Vec<Fault>,
    notes: Vec<Fault>,
}

impl Faults {
    pub(super) fn new(mut faults: Vec<Fault>, notes: Vec<Fault>) -> Self {
        faults.sort_by(|a, b| a.place.cmp(&b.place));
        // A section that two parts read complains twice.
        faults.dedup();
        Self { faults, notes }
    }

    /// What keeps the configuration from being used; never empty.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// What is only strange.
    #[must_use]
    pub fn notes(&self) -> &[Fault] {
        &self.notes
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
