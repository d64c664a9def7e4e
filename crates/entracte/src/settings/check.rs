//! Checks settings as they would be, and makes ready all that their use wants: afterwards nothing can fail.
//! It reads files and decodes audio; it is for threads that may wait.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use web::{Change, FieldFault};

use super::{FILE_ONLY, Values, document, of_faults, schema, values, whole};
use crate::certificates::Certificates;
use crate::config::{Layers, Place, Plan};
use crate::serve;

/// Where the settings of a server come from, and what cannot change while it runs.
#[derive(Debug)]
pub(super) struct Checker {
    pub(super) layers: Layers,
    /// What the server started with.
    pub(super) started: Arc<Plan>,
    /// What pages are served with, if by TLS.
    pub(super) certificates: Option<Arc<Certificates>>,
}

/// Settings that were checked, with everything that their use wants.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) text: String,
    pub(super) plan: Plan,
    pub(super) values: Values,
    pub(super) sources: (Vec<sources::SourceConfig>, sources::Settings),
    pub(super) certificate: Option<Arc<CertifiedKey>>,
}

impl Checker {
    /// The file that pages change.
    pub(super) fn file(&self) -> &Path {
        self.layers.file.as_deref().unwrap_or_else(|| Path::new(crate::config::SYSTEM_FILE))
    }

    /// Its text; none where there is no file yet.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn text(&self) -> Result<String, Vec<FieldFault>> {
        match std::fs::read_to_string(self.file()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(|error| whole(&format!("{}: {error}", self.file().display()))),
        }
    }

    /// The layers with `text` in place of the file's.
    pub(super) fn layers_with(&self, text: &str) -> Layers {
        let file = Some(self.file().to_owned());
        Layers { file, text: Some(text.to_owned()), ..self.layers.clone() }
    }

    /// Where a value stands, if pages cannot change it there.
    pub(super) fn pinned(&self, place: &Place) -> Option<String> {
        match place {
            Place::File { path, .. } if **path == *self.file() => None,
            Place::Default => None,
            Place::File { .. } | Place::Environment(_) | Place::Argument(_) => {
                Some(place.to_string())
            }
        }
    }

    /// The settings after `changes` to `text`.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(super) fn changed(&self, text: &str, changes: &[Change]) -> Result<Ready, Vec<FieldFault>> {
        let standing = self.layers_with(text).values();
        let pinned: Vec<_> =
            changes.iter().filter_map(|change| self.barred(change, &standing)).collect();
        if !pinned.is_empty() {
            return Err(pinned);
        }
        let changed = document::edit(text, changes)
            .map_err(|error| vec![FieldFault { key: error.key, what: error.what }])?;
        let ready = self.ready(&changed)?;
        let before: Values = standing.into_iter().map(|(key, (value, _))| (key, value)).collect();
        if !changes.is_empty() {
            keep_to_file(&before, &ready.values)?;
        }
        Ok(ready)
    }

    /// Why a change may not be made by page.
    fn barred(
        &self,
        change: &Change,
        standing: &BTreeMap<String, (String, Place)>,
    ) -> Option<FieldFault> {
        let (Change::Set { key, .. } | Change::Unset { key } | Change::Remove { entry: key }) =
            change;
        let fault = |what: String| Some(FieldFault { key: key.clone(), what });
        if FILE_ONLY.contains(&schema(key).as_str()) {
            return fault(ONLY.to_owned());
        }
        let within = format!("{key}.");
        let below = |other: &String| other == key || other.starts_with(&within);
        let mut here = standing.iter().filter(|(other, _)| below(other));
        let pin = here.find_map(|(_, (_, place))| self.pinned(place))?;
        fault(format!("is set at {pin}, and only there"))
    }

    /// What `text` means, and all that its use wants.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(super) fn ready(&self, text: &str) -> Result<Ready, Vec<FieldFault>> {
        let layers = self.layers_with(text);
        let plan = Plan::load(&layers).map_err(|faults| of_faults(&faults))?;
        let unusable = |error: serve::StartError| {
            vec![FieldFault { key: error.key().to_owned(), what: error.to_string() }]
        };
        // A server whose pages cannot be had after its restart cannot be mended by them.
        if let Some(address) = plan.http.filter(|address| self.started.http != Some(*address)) {
            TcpListener::bind((address.ip(), 0)).map_err(|error| {
                let what = format!("pages cannot be had at {}: {error}", address.ip());
                vec![FieldFault { key: "http.address".to_owned(), what }]
            })?;
        }
        // What only shows when it is used: a fallback that is no audio, a URI that leads nowhere.
        let (configs, mut settings) = serve::live_sources(&plan).map_err(unusable)?;
        // These wait for a restart, here as for prompts.
        settings.ffmpeg = self.started.media.ffmpeg.clone().unwrap_or_default();
        settings.allow = serve::allowed(&self.started);
        let tls = plan.tls.as_ref().filter(|_| self.certificates.is_some());
        let certificate = tls.map(|tls| Certificates::read(&plan, tls, None)).transpose();
        Ok(Ready {
            text: text.to_owned(),
            values: values(&layers),
            sources: (configs, settings),
            certificate: certificate.map_err(unusable)?,
            plan,
        })
    }
}

const ONLY: &str = "is changed in the configuration file only";

/// Refuses what a page shall not do, however it is written: to name a program, a file whose content is sent
/// away, or another place where it is sent to.
fn keep_to_file(before: &Values, after: &Values) -> Result<(), Vec<FieldFault>> {
    let scalars = FILE_ONLY.iter().filter(|key| !key.contains("[]"));
    let differ = scalars.filter(|key| before.get(**key) != after.get(**key));
    let mut faults: Vec<_> =
        differ.map(|key| FieldFault { key: (*key).to_owned(), what: ONLY.to_owned() }).collect();
    let known: BTreeSet<_> = guarded(before).into_values().collect();
    let fresh = guarded(after).into_iter().filter(|(_, what)| !known.contains(what));
    faults.extend(fresh.map(|(entry, _)| {
        let what =
            "names a program or a key file, and so is changed in the configuration file only";
        FieldFault { key: entry, what: what.to_owned() }
    }));
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Keys that say where to something goes that only the file may name.
pub(super) fn bound_to_file(values: &BTreeMap<String, (String, Place)>) -> BTreeSet<String> {
    let values: Values =
        values.iter().map(|(key, (value, _))| (key.clone(), value.clone())).collect();
    let entries = guarded(&values).into_iter();
    entries
        .flat_map(|(entry, parts)| {
            parts.into_iter().map(move |(name, _)| format!("{entry}.{name}"))
        })
        .collect()
}

/// Of each provider that runs a program or sends a key: which, how, and where to.
fn guarded(values: &Values) -> BTreeMap<String, Vec<(String, String)>> {
    // Lists whose entries may name a program or a secret file, and the keys that say where to it is sent.
    const LISTS: [(&str, &[&str]); 4] = [
        ("text_to_speech.providers[", &["program", "arguments", "key_file", "uri"]),
        ("webhooks[", &["secret_file", "uri"]),
        ("mail.servers[", &["password_file", "host", "port", "security"]),
        ("mail.relays[", &["password_file", "host", "port", "security"]),
    ];
    let is_secret = |name: &str| {
        ["program", "arguments", "key_file"].contains(&name)
            || ["secret_file", "password_file"].contains(&name)
    };
    let mut all: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for (key, value) in values {
        for (list, names) in LISTS {
            let Some((entry, name)) = key.strip_prefix(list).and_then(|rest| rest.split_once("]."))
            else {
                continue;
            };
            if names.contains(&name) {
                let part = (name.to_owned(), value.clone());
                all.entry(format!("{list}{entry}]")).or_default().push(part);
            }
        }
    }
    let hep = ["hep.address", "hep.key_file"];
    let parts = hep
        .into_iter()
        .filter_map(|key| Some((key.strip_prefix("hep.")?.to_owned(), values.get(key)?.clone())));
    all.insert("hep".to_owned(), parts.collect());
    // An address alone is nobody's secret.
    all.retain(|_, parts| parts.iter().any(|(name, _)| is_secret(name)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Values {
        let layers = Layers {
            file: Some("/x.toml".into()),
            text: Some(text.to_owned()),
            ..Layers::default()
        };
        values(&layers)
    }

    #[test]
    fn no_way_of_writing_sends_a_secret_elsewhere_by_page() {
        let before = of("[[webhooks]]\nuri = \"http://a/\"\nsecret_file = \"/k\"\n\
                         [[mail.servers]]\nname = \"m\"\nhost = \"a\"\npassword_file = \"/p\"\n\
                         [[mail.relays]]\nhost = \"a\"\npassword_file = \"/p\"\n\
                         [hep]\naddress = \"a:1\"\nkey_file = \"/h\"\n");
        assert_eq!(keep_to_file(&before, &before), Ok(()));
        for other in [
            "[[webhooks]]\nuri = \"http://b/\"\nsecret_file = \"/k\"\n",
            "[[mail.servers]]\nname = \"m\"\nhost = \"b\"\npassword_file = \"/p\"\n",
            "[[mail.relays]]\nhost = \"b\"\npassword_file = \"/p\"\n",
            "[hep]\naddress = \"a:1\"\nkey_file = \"/other\"\n",
            "[hep]\naddress = \"evil:1\"\nkey_file = \"/h\"\n",
        ] {
            assert!(keep_to_file(&before, &of(other)).is_err(), "{other}");
        }
        // What names none is changed by page.
        let fresh =
            of("[[webhooks]]\nuri = \"http://b/\"\n[[mail.servers]]\nname = \"m\"\nhost = \"b\"\n");
        assert_eq!(keep_to_file(&of(""), &fresh), Ok(()));
    }

    #[test]
    fn no_way_of_writing_names_a_program_by_page() {
        let before = of("[[text_to_speech.providers]]\nname = \"a\"\nprogram = \"/bin/a\"\n\
                         [[text_to_speech.providers]]\nname = \"b\"\nuri = \"http://b/\"\nkey_file = \"/k\"\n");
        assert_eq!(keep_to_file(&before, &before), Ok(()));
        // An entry may go, and what is no danger may change.
        let fewer = of(
            "[[text_to_speech.providers]]\nname = \"other\"\nuri = \"http://b/\"\nkey_file = \"/k\"\n",
        );
        assert_eq!(keep_to_file(&before, &fewer), Ok(()));
        for text in [
            "media = { ffmpeg = \"/bin/sh\" }\n",
            "http = { certificate = \"/a\", key = \"/b\" }\n",
            "[text_to_speech]\nproviders = [{ name = \"x\", program = \"/bin/sh\" }]\n",
            "[[text_to_speech.providers]]\nname = \"a\"\nprogram = \"/bin/a\"\narguments = [\"-c\"]\n",
            "[[text_to_speech.providers]]\nname = \"b\"\nuri = \"http://evil/\"\nkey_file = \"/k\"\n",
            "[text_to_speech]\nhelper_path = \"/bin/sh\"\n",
        ] {
            assert!(keep_to_file(&before, &of(text)).is_err(), "{text}");
        }
    }
}
