//! Which mailboxes there are: made, found, renamed, deleted; users imported.

use std::io::Read as _;
use std::str::FromStr;

use super::*;

const MAILBOX_BYTES_MAX: u64 = 65_536;
/// Most envelopes that are asked whose mailbox they are in.
const ENVELOPES_MAX: usize = 100;
/// What whoever sends messages on keeps.
const EMAIL: &str = "email.json";
const EMAIL_BYTES_MAX: u64 = 1 << 20;
/// What whoever compares messages with their copies keeps.
const AGREEMENT: &str = "agreement.json";
/// A hundred thousand messages.
const AGREEMENT_BYTES_MAX: u64 = 8 << 20;
const LATER: &str = "a later version made it";
const FORMAT: &str = "entracte-mailbox";
const VERSION: u32 = 1;

/// What every version of that file has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// What is written in a mailbox's folder.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct MailboxFile {
    pub(super) format: String,
    pub(super) version: u32,
    /// As it was given when the mailbox was made. Never changed.
    pub(crate) unique: String,
    pub(crate) friendly: String,
    /// Microseconds since 1970.
    pub(super) created: u64,
    /// Whether a user has it; one without is unused.
    #[serde(default)]
    pub(super) has_user: bool,
    /// When it was deleted, in microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deleted: Option<u64>,
    /// Bounds of its own, in place of everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) quota_messages: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) quota_bytes: Option<u64>,
    /// The hash of the password that its user logs in with over IMAP, as a PHC string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password_hash: Option<String>,
    /// How its messages go on by e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<EmailRule>,
    /// For each folder, by its word, what URLs that others may read are authorized with, RFC 4467 §5; in hexadecimal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    url_keys: BTreeMap<String, String>,
}

/// How messages that come into a mailbox go on by e-mail.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailRule {
    /// To whom, as `anna@office.example`.
    pub address: String,
    /// What of them.
    #[serde(default)]
    pub send: EmailSend,
    /// What becomes of them here, once a mail server took them.
    #[serde(default)]
    pub after: EmailAfter,
    /// The number of the first message that goes on: earlier ones were there before the rule was.
    #[serde(default)]
    pub from_uid: u32,
    /// What that number is valid with.
    #[serde(default)]
    pub uid_validity: u32,
    /// Where the copies come to, if what is read or deleted there and here is to agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agree_with: Option<AgreeWith>,
}

/// An INBOX to which copies come.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgreeWith {
    /// The name of its server, one of `mail.servers`.
    pub server: String,
    /// Whose it is there, as its server knows the user; empty: the address that copies are sent to.
    #[serde(default)]
    pub user: String,
}

impl std::fmt::Display for AgreeWith {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { server, user } = self;
        if user.is_empty() { f.write_str(server) } else { write!(f, "{server}/{user}") }
    }
}

impl FromStr for AgreeWith {
    type Err = MailError;

    /// As `office`, or `office/anna`.
    fn from_str(text: &str) -> Result<Self, MailError> {
        let (server, user) = text.split_once('/').unwrap_or((text, ""));
        if server.is_empty() {
            return Err(MailError::Invalid("a mail server is as office, or office/anna"));
        }
        Ok(Self { server: server.to_owned(), user: user.to_owned() })
    }
}

/// Whether a text is the address of a mailbox as people write it: no quoted strings, no address literals.
/// RFC 5321 §4.1.2, and its lengths in §4.5.3.1.
#[must_use]
pub fn is_email_address(text: &str) -> bool {
    let is_atom = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    let Some((local, domain)) = text.split_once('@') else { return false };
    let is_local = local.len() <= 64
        && local.split('.').all(|part| !part.is_empty() && part.bytes().all(is_atom));
    let is_label = |label: &str| {
        label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    is_local && domain.len() <= 255 && text.len() <= 254 && domain.split('.').all(is_label)
}

/// What of a message goes on.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EmailSend {
    /// All of it.
    #[default]
    Copy,
    /// Word that it came.
    Notice,
    /// Word that it came, with its files.
    NoticeWithAudio,
}

impl EmailSend {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Notice => "notice",
            Self::NoticeWithAudio => "notice-with-audio",
        }
    }
}

/// What becomes of a message once it went on.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EmailAfter {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is marked as read.
    Read,
    /// It is taken away: the user has it elsewhere.
    Delete,
}

impl EmailAfter {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Read => "read",
            Self::Delete => "delete",
        }
    }
}

impl FromStr for EmailSend {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = [Self::Copy, Self::Notice, Self::NoticeWithAudio];
        let found = known.into_iter().find(|send| send.word() == word);
        found.ok_or("copy, notice or notice-with-audio")
    }
}

impl FromStr for EmailAfter {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = [Self::Keep, Self::Read, Self::Delete];
        known.into_iter().find(|after| after.word() == word).ok_or("keep, read or delete")
    }
}

/// A mailbox as administrators see it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Mailbox {
    /// Its whole address.
    pub address: String,
    /// What ties it to its user.
    pub unique: String,
    /// What people call it.
    pub friendly: String,
    /// Its folder, below the root.
    pub folder: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// Whether a user has it.
    pub has_user: bool,
    /// Whether its user has a password to log in with by IMAP.
    pub has_password: bool,
    /// Why the file that says whose it is cannot be used; then nothing is known but its unique string and its messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damaged: Option<String>,
    /// When it was deleted, RFC 3339; its data are there until it is purged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<String>,
    /// When its user was here last, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_login: Option<String>,
    /// When the last message came, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_received: Option<String>,
    /// What it holds; absent when its catalog cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// Messages that wait to be delivered to it.
    pub spooled: u64,
    /// How its messages go on by e-mail, if they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailRule>,
    /// Most messages, if it has a bound of its own; 0 is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_messages: Option<u64>,
    /// Most bytes, if it has a bound of its own; 0 is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
}

/// A user to be imported.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// What ties the user to a mailbox.
    pub unique: String,
    /// The user's name; empty leaves the one that is there, or else is the unique string.
    #[serde(default)]
    pub name: String,
    /// Most messages; 0 is no bound, absent is everybody's.
    #[serde(default)]
    pub quota_messages: Option<u64>,
    /// Most bytes; 0 is no bound, absent is everybody's.
    #[serde(default)]
    pub quota_bytes: Option<u64>,
}

/// What became of a user that was imported.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UserOutcome {
    /// The mailbox is new.
    Made,
    /// There was one; its name or its bounds are new, or it was deleted and is back.
    Changed,
    /// There was one, as it should be.
    Kept,
}

impl MessageStore {
    /// Finds the mailbox of an address. This is the whole address book: it answers for an address that is
    /// given, and does not search.
    ///
    /// # Errors
    /// There is none, it was deleted, or the root cannot be reached.
    pub fn resolve(&self, unique: &Unique) -> Result<Address, MailError> {
        let file = self.mailbox_file(unique)?;
        if file.deleted.is_some() {
            return Err(MailError::Deleted(file.unique));
        }
        Ok(Address { friendly: file.friendly, unique: Unique::parse(&file.unique)? })
    }

    pub(super) fn mailbox_file(&self, unique: &Unique) -> Result<MailboxFile, MailError> {
        self.node()?;
        let damaged = |why: String| MailError::Damaged(unique.to_string(), why);
        let path = self.folder(unique).join(MAILBOX);
        let bytes = match read_all(&*self.disk, &path, MAILBOX_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // An empty mount point has no mailboxes, either; that is no answer.
                self.guard()?;
                return Err(if self.has_messages(unique)? {
                    damaged(format!("{MAILBOX} is missing"))
                } else {
                    MailError::NoSuchMailbox(unique.to_string())
                });
            }
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(damaged(format!("{MAILBOX} is too long")));
            }
            Err(error) => return Err(error.into()),
        };
        let version = serde_json::from_slice(&bytes).map(|Version { version }| version);
        if version.is_ok_and(|version| version > VERSION) {
            return Err(MailError::LaterMailbox(unique.to_string()));
        }
        let file: MailboxFile = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(format!("{MAILBOX} cannot be read: {error}")))?;
        if file.format != FORMAT || file.version != VERSION {
            return Err(damaged(format!("{MAILBOX} is something else")));
        }
        if Unique::parse(&file.unique).ok().as_ref() != Some(unique) {
            return Err(damaged(format!("{MAILBOX} is of {}", file.unique)));
        }
        Ok(file)
    }

    fn has_messages(&self, unique: &Unique) -> Result<bool, MailError> {
        match self.disk.list(&self.folder(unique).join(MESSAGES)) {
            Ok(entries) => Ok(entries.iter().any(|entry| Name::parse(&entry.name).is_some())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the file anew that says whose mailbox it is: by the address in the newest envelope that can be read, or else by
    /// the name of its folder. What was there goes into quarantine.
    pub(super) fn rebuild(&self, unique: &Unique) -> Result<(), MailError> {
        let folder = self.folder(unique);
        let aside = folder.join(QUARANTINE);
        make_folders(&*self.disk, &aside)?;
        // A copy, so that there is one at any moment.
        match self.disk.open(&folder.join(MAILBOX)) {
            Ok(file) => {
                let mut bytes = Vec::new();
                file.take(1 << 20).read_to_end(&mut bytes)?;
                replace_all(&*self.disk, &aside.join(MAILBOX), &bytes)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let mut names: Vec<_> = self.disk.list(&folder.join(MESSAGES)).unwrap_or_default();
        names.sort_by(|one, other| other.name.cmp(&one.name));
        let opened = Opened::new(folder, unique.clone());
        let names = names.iter().filter_map(|entry| Name::parse(&entry.name));
        let to = names.filter_map(|name| opened.envelope(&*self.disk, &name).ok()?.to.into());
        let known: Option<Address> =
            to.take(ENVELOPES_MAX).find(|to: &Address| to.unique == *unique);
        let file = match known {
            Some(to) => self.new_file(&to.unique, to.friendly),
            None => self.new_file(unique, unique.to_string()),
        };
        self.write_mailbox(unique, &file)
    }

    fn new_file(&self, unique: &Unique, friendly: String) -> MailboxFile {
        MailboxFile {
            format: FORMAT.to_owned(),
            version: VERSION,
            unique: unique.to_string(),
            friendly,
            created: self.host.wall().as_micros(),
            has_user: true,
            deleted: None,
            quota_messages: None,
            quota_bytes: None,
            password_hash: None,
            email: None,
            url_keys: BTreeMap::new(),
        }
    }

    /// Makes a mailbox. One that was deleted comes back with its messages, under the new name.
    ///
    /// # Errors
    /// There is one, which stays as it is, or the root cannot be reached.
    pub fn create(&self, address: &Address) -> Result<(), MailError> {
        let user = NewUser {
            unique: address.unique.to_string(),
            name: address.friendly.clone(),
            ..NewUser::default()
        };
        match self.mailbox_file(&address.unique) {
            Ok(MailboxFile { deleted: None, unique, .. }) => return Err(MailError::Exists(unique)),
            Ok(_) | Err(MailError::NoSuchMailbox(_)) => {}
            Err(error) => return Err(error),
        }
        self.import(&user).map(drop)
    }

    /// Makes a user's mailbox, or makes the one that is there the user's.
    ///
    /// # Errors
    /// The unique string or the name is none, or the root cannot be reached.
    pub fn import(&self, user: &NewUser) -> Result<UserOutcome, MailError> {
        let unique = Unique::parse(&user.unique)?;
        let friendly = Some(friendly_name(&user.name)?).filter(|name| !name.is_empty());
        match self.mailbox_file(&unique) {
            Ok(old) => {
                let new = MailboxFile {
                    friendly: friendly.unwrap_or_else(|| old.friendly.clone()),
                    has_user: true,
                    deleted: None,
                    quota_messages: user.quota_messages.or(old.quota_messages),
                    quota_bytes: user.quota_bytes.or(old.quota_bytes),
                    ..old.clone()
                };
                let is_same = new.friendly == old.friendly
                    && old.has_user
                    && old.deleted.is_none()
                    && (new.quota_messages, new.quota_bytes)
                        == (old.quota_messages, old.quota_bytes);
                if is_same {
                    return Ok(UserOutcome::Kept);
                }
                self.write_mailbox(&unique, &new)?;
                if old.deleted.is_some() {
                    self.tell(&unique, [MailChange::MailboxRestored], None, 0);
                }
                return Ok(UserOutcome::Changed);
            }
            Err(MailError::NoSuchMailbox(_)) => {}
            Err(error) => return Err(error),
        }
        let folder = self.folder(&unique);
        for part in [MESSAGES, CATALOG] {
            make_folders(&*self.disk, &folder.join(part))?;
        }
        let file = MailboxFile {
            quota_messages: user.quota_messages,
            quota_bytes: user.quota_bytes,
            ..self.new_file(&unique, friendly.unwrap_or_else(|| unique.to_string()))
        };
        self.write_mailbox(&unique, &file)?;
        Ok(UserOutcome::Made)
    }

    fn write_mailbox(&self, unique: &Unique, file: &MailboxFile) -> Result<(), MailError> {
        let text = serde_json::to_string_pretty(file).unwrap_or_default();
        let path = self.folder(unique).join(MAILBOX);
        replace_all(&*self.disk, &path, format!("{text}\n").as_bytes())?;
        // Of what was written after the store was shut there may be no copy.
        self.guard()?;
        Ok(())
    }

    fn edit(&self, unique: &Unique, edit: impl FnOnce(&mut MailboxFile)) -> Result<(), MailError> {
        // Of two at once on this node each sees what the other did.
        let _turn = lock(&self.editing);
        let mut file = self.mailbox_file(unique)?;
        edit(&mut file);
        self.write_mailbox(unique, &file)
    }

    /// Gives a mailbox another friendly name. Nothing else of it changes.
    ///
    /// # Errors
    /// The name is too long, there is no such mailbox, or the root cannot be reached.
    pub fn rename(&self, unique: &Unique, friendly: &str) -> Result<(), MailError> {
        let friendly = friendly_name(friendly)?;
        if friendly.is_empty() {
            return Err(MailError::Invalid("a name has at least one character"));
        }
        self.edit(unique, |file| file.friendly = friendly)
    }

    /// Gives a mailbox bounds of its own, messages and bytes: 0 is no bound, none is everybody's.
    ///
    /// # Errors
    /// There is no such mailbox, or the root cannot be reached.
    pub fn bound(
        &self,
        unique: &Unique,
        messages: Option<u64>,
        bytes: Option<u64>,
    ) -> Result<(), MailError> {
        self.edit(unique, |file| {
            file.quota_messages = messages;
            file.quota_bytes = bytes;
        })
    }

    /// The hash of the password that the user of a mailbox logs in with, if there is one.
    ///
    /// # Errors
    /// There is no such mailbox, it was deleted, or the root cannot be reached.
    pub fn password_hash(&self, unique: &Unique) -> Result<Option<String>, MailError> {
        let file = self.mailbox_file(unique)?;
        if file.deleted.is_some() {
            return Err(MailError::Deleted(file.unique));
        }
        Ok(file.password_hash)
    }

    /// Gives the user of a mailbox a password, by its hash; with none nobody logs in as that user.
    ///
    /// # Errors
    /// There is no such mailbox, or the root cannot be reached.
    pub fn set_password_hash(
        &self,
        unique: &Unique,
        hash: Option<String>,
    ) -> Result<(), MailError> {
        self.edit(unique, |file| file.password_hash = hash)
    }

    /// How messages of a mailbox go on by e-mail, if they do.
    ///
    /// # Errors
    /// There is no such mailbox, or the root cannot be reached.
    pub fn email_rule(&self, unique: &Unique) -> Result<Option<EmailRule>, MailError> {
        let file = self.mailbox_file(unique)?;
        Ok(file.email.filter(|_| file.deleted.is_none()))
    }

    /// Lets messages that come into a mailbox from now on go on by e-mail, or none.
    ///
    /// # Errors
    /// The address is none, there is no such mailbox, or the root cannot be reached.
    pub fn set_email_rule(
        &self,
        unique: &Unique,
        rule: Option<EmailRule>,
    ) -> Result<(), MailError> {
        let rule = match rule {
            Some(rule) => {
                if !is_email_address(&rule.address) {
                    return Err(MailError::Invalid("an e-mail address is as anna@office.example"));
                }
                if rule.send == EmailSend::Notice && rule.after == EmailAfter::Delete {
                    return Err(MailError::Invalid(
                        "after a notice alone the message is not deleted",
                    ));
                }
                let is_name = |text: &str| text.len() <= 255 && !text.contains(char::is_control);
                if rule.agree_with.as_ref().is_some_and(|with| {
                    with.server.is_empty() || !is_name(&with.server) || !is_name(&with.user)
                }) {
                    return Err(MailError::Invalid(
                        "agree_with is a mail server and a user of it, each of at most 255 bytes",
                    ));
                }
                if rule.agree_with.is_some()
                    && (rule.send, rule.after) != (EmailSend::Copy, EmailAfter::Keep)
                {
                    return Err(MailError::Invalid(
                        "what agrees with its copies sends copies and keeps the messages: send is copy, after is keep",
                    ));
                }
                let before = self.email_rule(unique)?;
                if before.as_ref().and_then(|rule| rule.agree_with.as_ref())
                    != rule.agree_with.as_ref()
                {
                    // What was said before does not count.
                    self.write_agreement(unique, b"{}")?;
                }
                match before.filter(|before| before.address == rule.address) {
                    // What waits goes on by the rule as it is now.
                    Some(EmailRule { from_uid, uid_validity, .. }) => {
                        Some(EmailRule { from_uid, uid_validity, ..rule })
                    }
                    None => {
                        let numbers = |view: &View<'_>| (view.uid_next(), view.uid_validity());
                        let (from_uid, uid_validity) = self.view(unique, |view| numbers(view))?;
                        self.write_email_state(unique, b"{}")?;
                        Some(EmailRule { from_uid, uid_validity, ..rule })
                    }
                }
            }
            None => {
                self.write_email_state(unique, b"{}")?;
                None
            }
        };
        self.edit(unique, |file| file.email = rule)
    }

    /// What whoever sends messages on keeps beside a mailbox, if anything.
    ///
    /// # Errors
    /// The root cannot be reached.
    pub fn email_state(&self, unique: &Unique) -> Result<Option<Vec<u8>>, MailError> {
        self.beside(unique, EMAIL, EMAIL_BYTES_MAX)
    }

    /// Keeps it; it survives a power cut when it returns.
    ///
    /// # Errors
    /// The root cannot be reached.
    pub fn write_email_state(&self, unique: &Unique, bytes: &[u8]) -> Result<(), MailError> {
        self.node()?;
        Ok(replace_all(&*self.disk, &self.folder(unique).join(EMAIL), bytes)?)
    }

    /// What whoever compares messages with their copies keeps beside a mailbox, if anything.
    ///
    /// # Errors
    /// The root cannot be reached.
    pub fn agreement(&self, unique: &Unique) -> Result<Option<Vec<u8>>, MailError> {
        self.beside(unique, AGREEMENT, AGREEMENT_BYTES_MAX)
    }

    /// Keeps it; it survives a power cut when it returns.
    ///
    /// # Errors
    /// The root cannot be reached.
    pub fn write_agreement(&self, unique: &Unique, bytes: &[u8]) -> Result<(), MailError> {
        self.node()?;
        Ok(replace_all(&*self.disk, &self.folder(unique).join(AGREEMENT), bytes)?)
    }

    /// A file beside a mailbox, if it is there.
    fn beside(
        &self,
        unique: &Unique,
        name: &str,
        bytes_max: u64,
    ) -> Result<Option<Vec<u8>>, MailError> {
        self.node()?;
        match read_all(&*self.disk, &self.folder(unique).join(name), bytes_max) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether this node has the mailbox, or may have it now: of several servers one does what is to be done once.
    ///
    /// # Errors
    /// The root cannot be reached.
    pub fn owns(&self, unique: &Unique) -> Result<bool, MailError> {
        let node = self.node()?;
        match self.with(&node, unique, Opened::own) {
            Ok(()) => Ok(true),
            Err(OwnError::Held(_)) => Ok(false),
            Err(OwnError::Disk(error)) => Err(error.into()),
        }
    }

    /// What URLs of a folder are authorized with, if any was since that was reset. RFC 4467 §5.
    ///
    /// # Errors
    /// There is no such mailbox, it was deleted, or the root cannot be reached.
    pub fn url_key(&self, unique: &Unique, folder: Folder) -> Result<Option<String>, MailError> {
        let file = self.mailbox_file(unique)?;
        if file.deleted.is_some() {
            return Err(MailError::Deleted(file.unique));
        }
        Ok(file.url_keys.get(folder.word()).cloned())
    }

    /// As [`Self::url_key`]; makes one where there is none.
    ///
    /// # Errors
    /// As [`Self::url_key`].
    pub fn make_url_key(&self, unique: &Unique, folder: Folder) -> Result<String, MailError> {
        if let Some(key) = self.url_key(unique, folder)? {
            return Ok(key);
        }
        let [one, other] = [self.host.random(), self.host.random()];
        let mut key = hex(&[one, other].concat());
        self.edit(unique, |file| {
            key = file
                .url_keys
                .entry(folder.word().to_owned())
                .or_insert_with(|| key.clone())
                .clone();
        })?;
        Ok(key)
    }

    /// Makes all URLs void that were authorized, of one folder or of all. RFC 4467 §7, RESETKEY.
    ///
    /// # Errors
    /// There is no such mailbox, or the root cannot be reached.
    pub fn reset_url_keys(&self, unique: &Unique, folder: Option<Folder>) -> Result<(), MailError> {
        self.edit(unique, |file| match folder {
            Some(folder) => drop(file.url_keys.remove(folder.word())),
            None => file.url_keys.clear(),
        })
    }

    /// Takes the user from a mailbox: it is unused from then on, and still takes messages.
    ///
    /// # Errors
    /// There is no such mailbox, or the root cannot be reached.
    pub fn release_user(&self, unique: &Unique) -> Result<(), MailError> {
        self.edit(unique, |file| file.has_user = false)
    }

    /// Deletes a mailbox: it takes no messages and is not found any more. Its data stay until they are purged.
    ///
    /// # Errors
    /// There is no such mailbox, or the root cannot be reached.
    pub fn delete(&self, unique: &Unique) -> Result<(), MailError> {
        let now = self.host.wall().as_micros();
        self.edit(unique, |file| {
            file.deleted.get_or_insert(now);
        })?;
        self.tell(unique, [MailChange::MailboxDeleted], None, 0);
        // Whoever has it lets it go when it looks next.
        let opened = lock(&self.opened).remove(unique);
        if let Some(opened) = opened {
            self.release(&*self.node()?, unique, &opened);
        }
        Ok(())
    }

    /// Takes back that a mailbox was deleted.
    ///
    /// # Errors
    /// There is no such mailbox, or the root cannot be reached.
    pub fn restore(&self, unique: &Unique) -> Result<(), MailError> {
        self.edit(unique, |file| file.deleted = None)?;
        self.tell(unique, [MailChange::MailboxRestored], None, 0);
        Ok(())
    }

    /// The unique strings of all mailboxes, deleted ones too, in the order of their folders' names.
    ///
    /// # Errors
    /// The root cannot be reached.
    pub fn uniques(&self) -> Result<Vec<Unique>, MailError> {
        self.node()?;
        self.guard()?;
        let letter = |name: &str| name.len() == 1 && name.bytes().all(|b| b.is_ascii_uppercase());
        let mut all = Vec::new();
        for first in self.disk.list(&self.root)?.iter().filter(|entry| letter(&entry.name)) {
            let first = self.root.join(&first.name);
            for second in self.disk.list(&first)?.iter().filter(|entry| letter(&entry.name)) {
                let leaves = self.disk.list(&first.join(&second.name))?;
                all.extend(leaves.iter().filter_map(|entry| Unique::of_leaf(&entry.name)));
            }
        }
        all.sort();
        Ok(all)
    }

    /// A mailbox with what it holds.
    ///
    /// # Errors
    /// There is none, or the root cannot be reached.
    pub fn mailbox(&self, unique: &Unique) -> Result<Mailbox, MailError> {
        let (file, damaged) = match self.mailbox_file(unique) {
            Ok(file) => (file, None),
            Err(MailError::Damaged(_, why)) => {
                (self.new_file(unique, unique.to_string()), Some(why))
            }
            Err(MailError::LaterMailbox(_)) => {
                (self.new_file(unique, unique.to_string()), Some(LATER.to_owned()))
            }
            Err(error) => return Err(error),
        };
        let born = Unique::parse(&file.unique)?;
        let is_later = damaged.as_ref().is_some_and(|why| why == LATER);
        // Where a catalog cannot be read, the mailbox is shown all the same.
        let head = if is_later {
            Err(MailError::LaterMailbox(String::new()))
        } else {
            self.looked(unique, |opened| {
                let catalog = opened.catalog();
                (*catalog.counts(), catalog.head.last_login, catalog.head.last_received)
            })
        };
        let (counts, login, received) = match head {
            Ok((counts, login, received)) => (Some(counts), login, received),
            Err(_) => (None, None, None),
        };
        let folder = self.folder(unique);
        let rfc3339 = |micros: u64| Moment::from_micros(micros).to_string();
        Ok(Mailbox {
            address: Address { friendly: file.friendly.clone(), unique: born }.to_string(),
            unique: file.unique,
            friendly: file.friendly,
            folder: folder.strip_prefix(&self.root).unwrap_or(&folder).display().to_string(),
            created: if damaged.is_some() { String::new() } else { rfc3339(file.created) },
            has_user: file.has_user,
            has_password: file.password_hash.is_some(),
            email: file.email,
            damaged,
            deleted: file.deleted.map(rfc3339),
            last_login: login.map(rfc3339),
            last_received: received.map(rfc3339),
            counts,
            spooled: self.spooled(unique),
            quota_messages: file.quota_messages,
            quota_bytes: file.quota_bytes,
        })
    }

    /// Whether a mailbox is unused: no user has it, or the user was not here and no message came for so many
    /// days.
    #[must_use]
    pub fn is_unused(&self, mailbox: &Mailbox, days: u32) -> bool {
        let at = |text: &Option<String>| text.as_deref().and_then(Moment::parse);
        let lately = [&mailbox.last_login, &mailbox.last_received].into_iter().filter_map(at).max();
        // One that is new was not used yet, and is not unused for that.
        let lately = lately.max(Moment::parse(&mailbox.created)).unwrap_or_default();
        mailbox.damaged.is_none()
            && (!mailbox.has_user || lately.plus_days(days) < self.host.wall())
    }
}
