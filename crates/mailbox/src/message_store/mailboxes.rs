//! Which mailboxes there are: made, found, renamed, deleted; users imported.

use super::*;

/// The file that says whose mailbox a folder is.
pub(super) const MAILBOX: &str = "mailbox.json";
const MAILBOX_BYTES_MAX: u64 = 65_536;

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
    /// The user's name.
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
        match read_mailbox(&*self.disk, &self.folder(unique)) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // An empty mount point has no mailboxes, either; that is no answer.
                self.guard()?;
                Err(MailError::NoSuchMailbox(unique.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a mailbox. One that was deleted comes back with its messages.
    ///
    /// # Errors
    /// There is one, or the root cannot be reached.
    pub fn create(&self, address: &Address) -> Result<(), MailError> {
        let user = NewUser {
            unique: address.unique.to_string(),
            name: address.friendly.clone(),
            ..NewUser::default()
        };
        match self.import(&user)? {
            UserOutcome::Made => Ok(()),
            UserOutcome::Changed | UserOutcome::Kept => {
                Err(MailError::Exists(address.unique.to_string()))
            }
        }
    }

    /// Makes a user's mailbox, or makes the one that is there the user's.
    ///
    /// # Errors
    /// The unique string or the name is none, or the root cannot be reached.
    pub fn import(&self, user: &NewUser) -> Result<UserOutcome, MailError> {
        let unique = Unique::parse(&user.unique)?;
        let friendly = match friendly_name(&user.name)? {
            name if name.is_empty() => unique.to_string(),
            name => name,
        };
        match self.mailbox_file(&unique) {
            Ok(old) => {
                let new = MailboxFile {
                    friendly,
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
            format: "entracte-mailbox".to_owned(),
            version: 1,
            unique: unique.to_string(),
            friendly,
            created: self.host.wall().as_micros(),
            has_user: true,
            deleted: None,
            quota_messages: user.quota_messages,
            quota_bytes: user.quota_bytes,
        };
        self.write_mailbox(&unique, &file)?;
        Ok(UserOutcome::Made)
    }

    fn write_mailbox(&self, unique: &Unique, file: &MailboxFile) -> Result<(), MailError> {
        let text = serde_json::to_string_pretty(file).unwrap_or_default();
        let path = self.folder(unique).join(MAILBOX);
        replace_all(&*self.disk, &path, format!("{text}\n").as_bytes())?;
        Ok(())
    }

    fn edit(&self, unique: &Unique, edit: impl FnOnce(&mut MailboxFile)) -> Result<(), MailError> {
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
        self.edit(unique, |file| file.friendly = friendly)
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
        // Whoever has it lets it go when it looks next.
        if let Some(opened) = lock(&self.opened).remove(unique) {
            let node = self.node()?;
            let around = Around { disk: &*self.disk, host: &*self.host, node: &node };
            lock(&opened).release(around, &mut Vec::new());
        }
        Ok(())
    }

    /// Takes back that a mailbox was deleted.
    ///
    /// # Errors
    /// There is no such mailbox, or the root cannot be reached.
    pub fn restore(&self, unique: &Unique) -> Result<(), MailError> {
        self.edit(unique, |file| file.deleted = None)
    }

    /// The unique strings of all mailboxes, deleted ones too, in the order of their folders' names.
    ///
    /// # Errors
    /// The root cannot be reached.
    pub fn uniques(&self) -> Result<Vec<Unique>, MailError> {
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
        let file = self.mailbox_file(unique)?;
        let born = Unique::parse(&file.unique)?;
        // Where a catalog cannot be read, the mailbox is shown all the same.
        let head = self.looked(unique, |opened| {
            let catalog = opened.catalog();
            (*catalog.counts(), catalog.head.last_login, catalog.head.last_received)
        });
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
            created: rfc3339(file.created),
            has_user: file.has_user,
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
        !mailbox.has_user || lately.plus_days(days) < self.host.wall()
    }
}

/// What is written in a mailbox's folder.
pub(super) fn read_mailbox(disk: &dyn Disk, folder: &Path) -> io::Result<MailboxFile> {
    let bytes = read_all(disk, &folder.join(MAILBOX), MAILBOX_BYTES_MAX)?;
    let file: MailboxFile = serde_json::from_slice(&bytes)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if file.format == "entracte-mailbox" && file.version == 1 {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "a later version made this mailbox"))
    }
}
