//! Messages that are heard in calls: of the store (`fbmc:`) and of IMAP servers (`imap:`, RFC 5092). They are fetched in
//! pieces, so that the first sound is there before the last byte is.
//!
//! - `account`: the connections of one account, each used by one at a time; and how long a server that failed is left alone.
//! - `connection`: IMAP as a client speaks it, every wait with an end.
//! - `copies`: what came to an INBOX by e-mail from here.

mod account;
mod connection;
mod copies;
mod fault;
mod imap_message;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mailbox::{Address, Folder, MailError, Marks, MessageId, MessageStore, Unique};
use tokio::sync::mpsc;

pub(crate) use account::Mark;
pub use account::{AccountState, Counts};
pub use connection::certificates_in;
pub(crate) use copies::{Copies, Known, There};
pub use fault::Fault;

use account::Account;

/// Bytes of a piece.
const PIECE_BYTES: usize = 32 << 10;
/// Pieces that wait to be decoded.
const PIECES_MAX: usize = 4;
/// Bytes of a text that is spoken.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Bytes of a message's audio.
const AUDIO_BYTES_MAX: u64 = 256 << 20;
/// Accounts that are known at one time; a service log-in has one for each user.
const ACCOUNTS_MAX: usize = 20_000;

/// How a connection is secured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Security {
    /// TLS from the first byte. RFC 8314.
    Tls,
    /// TLS after STARTTLS. RFC 9051 §6.2.1.
    StartTls,
    /// None.
    None,
}

/// With what an account logs in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Login {
    /// A password.
    Password,
    /// An access token of OAuth 2.0, RFC 6750: by OAUTHBEARER, RFC 7628, or where the server has only that, by XOAUTH2.
    OAuth,
}

/// An IMAP server that messages may be fetched from.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its name here.
    pub name: String,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How connections to it are secured.
    pub security: Security,
    /// Who logs in.
    pub user: String,
    /// As whom; `*` is the user that the URI names. RFC 4616 §2.
    pub authorization_id: String,
    /// With what.
    pub login: Login,
    /// The file whose first line is the password or the token. It is read at each log-in: a token may be renewed at any time.
    pub password_file: Option<PathBuf>,
    /// A file with certificates to be trusted, besides those of the system.
    pub ca_file: Option<PathBuf>,
}

/// How messages are fetched.
#[derive(Clone, Debug)]
pub struct Config {
    /// The servers.
    pub servers: Vec<Server>,
    /// How long a connection may stand idle; none: for ever.
    pub idle: Option<Duration>,
    /// How long a server may take for an answer.
    pub patience: Duration,
}

/// What becomes of a message once it was heard.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum After {
    /// Nothing.
    #[default]
    Keep,
    /// It is marked as read as soon as some of it was heard.
    Read,
    /// It is deleted when it was heard to its end, and marked as read before.
    Delete,
}

/// What there is to be heard.
#[derive(Debug)]
pub enum Content {
    /// Audio.
    Audio(Audio),
    /// A text, to be spoken.
    Text(String),
}

/// Audio on its way.
#[derive(Debug)]
pub struct Audio {
    /// What its sender says that it is.
    pub media_type: String,
    /// The name of its file; empty when none is said.
    pub file_name: String,
    /// Its bytes, the transfer encoding undone. After a fault nothing comes; without one, the end of it is its end.
    pub pieces: mpsc::Receiver<Result<Vec<u8>, Fault>>,
}

/// A message that was found.
#[derive(Debug)]
pub struct Message {
    /// What is heard.
    pub content: Content,
    /// What is to become of it.
    pub handle: Handle,
}

/// Marks and deletes a message that was heard.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Which>);

#[derive(Debug)]
enum Which {
    Stored {
        store: Arc<MessageStore>,
        unique: Unique,
        id: MessageId,
    },
    Remote {
        account: Arc<Account>,
        mailbox: String,
        uid_validity: u32,
        uid: u32,
    },
    /// It was read by a URL that allows nothing else.
    Fixed,
}

impl Handle {
    /// Whether nothing can become of the message: it was read by a URL that is authorized for that.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        matches!(*self.0, Which::Fixed)
    }

    /// Marks the message as read.
    ///
    /// # Errors
    /// It cannot be reached any more.
    pub async fn mark_read(&self) -> Result<(), Fault> {
        match &*self.0 {
            Which::Stored { store, unique, id } => {
                let (store, unique, id) = (Arc::clone(store), unique.clone(), *id);
                blocking(move || store.mark_read(&unique, &[id], mailbox::Reads::Read))
                    .await
                    .map(drop)
            }
            Which::Remote { account, mailbox, uid_validity, uid } => {
                account.mark(mailbox, (*uid_validity, &uid.to_string()), Mark::Read).await
            }
            Which::Fixed => Err(Fault::NotAllowed("a URL that is authorized to be read")),
        }
    }

    /// Deletes the message: in the store it goes to the folder of what was deleted.
    ///
    /// # Errors
    /// It cannot be reached any more.
    pub async fn delete(&self) -> Result<(), Fault> {
        match &*self.0 {
            Which::Stored { store, unique, id } => {
                let (store, unique, id) = (Arc::clone(store), unique.clone(), *id);
                let edit = |_, marks: Marks| (Folder::Deleted, Marks { read: true, ..marks });
                blocking(move || store.change(&unique, &[id], edit)).await.map(drop)
            }
            Which::Remote { account, mailbox, uid_validity, uid } => {
                account.mark(mailbox, (*uid_validity, &uid.to_string()), Mark::Deleted).await
            }
            Which::Fixed => Err(Fault::NotAllowed("a URL that is authorized to be read")),
        }
    }
}

/// Fetches messages.
pub struct Retrieval {
    store: Option<Arc<MessageStore>>,
    config: Config,
    accounts: Mutex<BTreeMap<(String, String), Arc<Account>>>,
}

impl fmt::Debug for Retrieval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retrieval").field("config", &self.config).finish_non_exhaustive()
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MailError> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Fault::from),
        Err(_) => Err(Fault::Died),
    }
}

impl Retrieval {
    /// From a store, if there is one, and from these servers.
    #[must_use]
    pub fn new(store: Option<Arc<MessageStore>>, config: Config) -> Self {
        Self { store, config, accounts: Mutex::default() }
    }

    /// Finds a message by its URI.
    ///
    /// # Errors
    /// [`Fault`] says who can mend it.
    pub async fn open(&self, uri: &str) -> Result<Message, Fault> {
        let scheme = uri.split(':').next().unwrap_or_default();
        if scheme.eq_ignore_ascii_case("fbmc") {
            return self.stored(uri).await;
        }
        let url = imap::Url::parse(uri).map_err(|why| Fault::Malformed(why.to_string()))?;
        let server = self.server(&url)?;
        let as_whom = match (&*server.authorization_id, url.authorization.is_some()) {
            // A URL that is authorized is fetched by the account itself. RFC 4467 §4.
            (_, true) => String::new(),
            ("*", false) => {
                let user = url.user.clone();
                user.ok_or_else(|| {
                    let why = "the URL names no user, and the account acts for all";
                    Fault::Malformed(why.to_owned())
                })?
            }
            (fixed, false) => fixed.to_owned(),
        };
        let account = self.account(server, &as_whom);
        imap_message::open(&account, uri, &url).await
    }

    /// The server of a URL: only those that were set are asked, with the account that was set.
    fn server(&self, url: &imap::Url) -> Result<&Server, Fault> {
        let is_it = |server: &&Server| {
            let host = server.host.trim_matches(['[', ']']);
            let port = url.port.is_none_or(|port| port == server.port);
            (host.eq_ignore_ascii_case(&url.host) || server.name.eq_ignore_ascii_case(&url.host))
                && port
        };
        // A URL without a port means the usual one, where there is a choice. RFC 5092 §3.
        let all = || self.config.servers.iter().filter(is_it);
        let usual = all().find(|server| server.port == 143);
        usual.or_else(|| all().next()).ok_or(Fault::NotAllowed("a server of mail.servers"))
    }

    fn account(&self, server: &Server, as_whom: &str) -> Arc<Account> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (server.name.clone(), as_whom.to_owned());
        if let Some(account) = accounts.get(&key) {
            return Arc::clone(account);
        }
        if accounts.len() >= ACCOUNTS_MAX {
            // Those that nobody uses at this moment are known anew when they are asked for.
            accounts.retain(|_, account| Arc::strong_count(account) > 1);
        }
        let (idle, patience) = (self.config.idle, self.config.patience);
        let account = Account::new(server.clone(), as_whom.to_owned(), idle, patience);
        let account = Arc::new(account);
        accounts.insert(key, Arc::clone(&account));
        account
    }

    /// Closes connections that stood idle for too long, again and again; returns at once where they may stand for ever.
    pub async fn keep_tidy(&self) {
        let Some(idle) = self.config.idle else { return };
        // Late by a tenth.
        let every = (idle / 10).clamp(Duration::from_millis(100), Duration::from_secs(10));
        loop {
            tokio::time::sleep(every).await;
            let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            let used: Vec<_> = accounts.values().map(Arc::clone).collect();
            drop(accounts);
            used.iter().for_each(|account| account.sweep());
        }
    }

    /// How it stands with each account that was used, by server and user.
    #[must_use]
    pub fn states(&self) -> Vec<AccountState> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let used = accounts.values().map(|account| account.state());
        let mut states: Vec<_> = used.collect();
        drop(accounts);
        for server in &self.config.servers {
            if !states.iter().any(|state| state.server == server.name) {
                states.push(AccountState::unused(server));
            }
        }
        states
    }

    /// What a mailbox of a server holds. What is not known stays so: it is never told as none.
    ///
    /// # Errors
    /// There is no such server, or it cannot be asked; what was known last is in [`Self::states`].
    pub async fn counts(
        &self,
        server: &str,
        as_whom: &str,
        mailbox: &str,
    ) -> Result<Counts, Fault> {
        self.named(server, as_whom)?.counts(mailbox).await
    }

    /// The account that reads the mailboxes of a user on a server.
    fn named(&self, server: &str, as_whom: &str) -> Result<Arc<Account>, Fault> {
        let found = self.config.servers.iter().find(|known| known.name == server);
        let server = found.ok_or(Fault::NotAllowed("a server of mail.servers"))?;
        let as_whom = match &*server.authorization_id {
            "*" if as_whom.is_empty() => {
                let why = "no user is named, and the account acts for all";
                return Err(Fault::Malformed(why.to_owned()));
            }
            "*" => as_whom,
            fixed => fixed,
        };
        Ok(self.account(server, as_whom))
    }

    /// `fbmc:<unique string>/<message>[/<number of the attachment>]`.
    async fn stored(&self, uri: &str) -> Result<Message, Fault> {
        let StoredUri { address, id, number } =
            StoredUri::parse(uri).map_err(|why| Fault::Malformed(why.to_owned()))?;
        let Some(store) = &self.store else {
            return Err(Fault::NotAllowed(
                "there is no message store: mail.store_enabled is false",
            ));
        };
        let (store, unique) = (Arc::clone(store), address.unique);
        let handle = Handle(Arc::new(Which::Stored {
            store: Arc::clone(&store),
            unique: unique.clone(),
            id,
        }));
        let content = blocking(move || {
            let (_, envelope) = store.message(&unique, id)?;
            let contents = envelope.contents();
            let place = match number {
                Some(number) => Some(number - 1),
                None => contents.iter().position(is_audio),
            };
            let Some(place) = place else { return Ok(Err(envelope.body)) };
            store.attachment(&unique, id, place).map(Ok)
        });
        // A URI counts from 1.
        let content = content.await.map_err(|fault| match number {
            Some(number) if fault == Fault::from(MailError::NoSuchAttachment(number - 1)) => {
                Fault::NotFound(format!("the message has no attachment {number}"))
            }
            Some(_) | None => fault,
        });
        let content = match content? {
            Ok((about, reader)) => {
                let (out, pieces) = mpsc::channel(PIECES_MAX);
                tokio::spawn(pour(reader, out));
                Content::Audio(Audio {
                    media_type: about.media_type,
                    file_name: about.title,
                    pieces,
                })
            }
            Err(text) => spoken(text)?,
        };
        Ok(Message { content, handle })
    }
}

fn spoken(mut text: String) -> Result<Content, Fault> {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    if text.trim().is_empty() { Err(Fault::NoAudio) } else { Ok(Content::Text(text)) }
}

fn is_audio(about: &mailbox::Attachment) -> bool {
    let known = ["wav", "gsm", "ogg", "mp3", "amr", "au", "flac", "m4a"];
    about.media_type.to_ascii_lowercase().starts_with("audio/")
        || known.contains(&about.extension())
}

/// Reads piece by piece. Who waits for room in the channel holds no thread: a call may be paused for long.
async fn pour(mut reader: Box<dyn mailbox::Reading>, out: mpsc::Sender<Result<Vec<u8>, Fault>>) {
    loop {
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            let read = reader.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece);
            (reader, read.map(|_| piece))
        });
        let Ok((again, read)) = read.await else { return };
        reader = again;
        let is_last = read.is_err();
        match read {
            Ok(piece) if piece.is_empty() => return,
            read => {
                let piece = read.map_err(|error| Fault::from(MailError::from(error)));
                if out.send(piece).await.is_err() || is_last {
                    return;
                }
            }
        }
    }
}

/// A message of the store, as a URI names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredUri {
    /// Whose.
    pub address: Address,
    /// Which.
    pub id: MessageId,
    /// Which attachment of it, from 1; the first with audio, where that is not said.
    pub number: Option<usize>,
}

impl StoredUri {
    /// Reads `fbmc:<address>/<message>[/<number>]`. The address is a unique string, or a friendly name, a colon and that; all
    /// of it percent-encoded where a URI wants that.
    ///
    /// # Errors
    /// What of it is wrong.
    pub fn parse(uri: &str) -> Result<Self, &'static str> {
        let rest = uri.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("fbmc:"));
        let rest = rest.and_then(|_| uri.get(5..)).ok_or("it begins with fbmc:")?;
        let mut parts = rest.split('/').map(decoded);
        let mut part = || parts.next().transpose();
        let address =
            part()?.filter(|address| !address.is_empty()).ok_or("the mailbox is missing")?;
        let id = part()?.ok_or("the message is missing: fbmc:<mailbox>/<message>")?;
        let number = part()?;
        if part()?.is_some() {
            return Err("there is more than mailbox, message and number in it");
        }
        let address = address.strip_prefix("FBMC:").unwrap_or(&address);
        let address = Address::parse(&format!("FBMC:{address}"))
            .or_else(|_| Address::parse(address))
            .map_err(|_| "the mailbox is no address")?;
        let id =
            MessageId::parse(&id).ok_or("the message is no id of one: 26 letters and digits")?;
        let number = match number {
            Some(number) => {
                let number: Option<usize> = number.parse().ok().filter(|number| *number > 0);
                Some(number.ok_or("the attachment is no number above 0")?)
            }
            None => None,
        };
        Ok(Self { address, id, number })
    }
}

fn decoded(text: &str) -> Result<String, &'static str> {
    let wrong = "a percent sign without two digits, or bytes that are no UTF-8";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
            return Err(wrong);
        };
        bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
    }
    String::from_utf8(bytes).map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_of_the_store_name_mailbox_message_and_attachment() {
        let id = "01J0000000000000000000000A";
        for (uri, unique, friendly, number) in [
            (format!("fbmc:anna/{id}"), "anna", "", None),
            (format!("FBMC:michaelc%40site/{id}/2"), "michaelc@site", "", Some(2)),
            (
                format!("fbmc:Michael%20Cole:michaelc@site/{id}"),
                "michaelc@site",
                "Michael Cole",
                None,
            ),
            (format!("fbmc:FBMC:Michael%20Cole:michaelc/{id}"), "michaelc", "Michael Cole", None),
        ] {
            let read = StoredUri::parse(&uri).unwrap();
            assert_eq!((read.address.unique.as_str(), &*read.address.friendly), (unique, friendly));
            assert_eq!((read.id.to_string(), read.number), (id.to_owned(), number));
        }
        for uri in ["fbmc:", "fbmc:anna", "fbmc:/x", "fbmc:anna/x", "fbmc:an%na/x", "imap:a"] {
            assert!(StoredUri::parse(uri).is_err(), "{uri}");
        }
        for rest in ["0", "x", "1/2", ""] {
            assert!(StoredUri::parse(&format!("fbmc:anna/{id}/{rest}")).is_err(), "{rest}");
        }
    }
}
