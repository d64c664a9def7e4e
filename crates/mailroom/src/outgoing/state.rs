use std::time::Duration;

use mailbox::{EmailAfter, MailError, MessageId, MessageStore, Unique};
use serde::{Deserialize, Serialize};

use super::WAIT_MAX;

const FORMAT: &str = "entracte-email";
const VERSION: u32 = 1;

/// What of a mailbox waits to be sent, as the file beside it has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct State {
    format: String,
    version: u32,
    /// What the numbers are valid with.
    #[serde(default)]
    pub(super) uid_validity: u32,
    /// Messages up to this number were seen.
    #[serde(default)]
    pub(super) seen: u32,
    /// Those that wait, in the order in which they came.
    #[serde(default)]
    pub(super) pending: Vec<Pending>,
}

/// A message that waits.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Pending {
    pub(super) id: MessageId,
    /// Its number in the inbox.
    pub(super) uid: u32,
    /// Since when, in seconds since 1970.
    pub(super) since: u64,
    pub(super) tries: u32,
    /// When it is tried next, in seconds since 1970.
    pub(super) next_at: u64,
    /// What is still to be done with it here: a relay took it already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<EmailAfter>,
}

impl State {
    /// Reads what an earlier run left; a file that cannot be read is as none: messages may be sent once more.
    pub(super) fn read(store: &MessageStore, unique: &Unique) -> Result<Self, MailError> {
        let fresh = Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            uid_validity: 0,
            seen: 0,
            pending: Vec::new(),
        };
        let Some(bytes) = store.email_state(unique)? else { return Ok(fresh) };
        let read = serde_json::from_slice::<Self>(&bytes).ok();
        let known = read.filter(|state| state.format == FORMAT && state.version == VERSION);
        Ok(known.unwrap_or(fresh))
    }

    pub(super) fn write(&self, store: &MessageStore, unique: &Unique) -> Result<(), MailError> {
        // These types have nothing that JSON refuses.
        let text = serde_json::to_vec(self).unwrap_or_default();
        store.write_email_state(unique, &text)
    }

    /// A relay took it; this is to be done with it here.
    pub(super) fn taken(&mut self, id: MessageId, after: EmailAfter) {
        if let Some(one) = self.pending.iter_mut().find(|one| one.id == id) {
            one.after = Some(after);
        }
    }

    pub(super) fn after(&self, id: MessageId) -> Option<EmailAfter> {
        self.pending.iter().find(|one| one.id == id).and_then(|one| one.after)
    }

    pub(super) fn since(&self, id: MessageId) -> u64 {
        self.pending.iter().find(|one| one.id == id).map_or(0, |one| one.since)
    }

    pub(super) fn done(&mut self, id: MessageId) {
        self.pending.retain(|one| one.id != id);
    }

    /// Waits longer with each try.
    pub(super) fn defer(&mut self, id: MessageId, now: u64, first: Duration) {
        if let Some(one) = self.pending.iter_mut().find(|one| one.id == id) {
            let wait = first.saturating_mul(1 << one.tries.min(10)).min(WAIT_MAX);
            one.tries = one.tries.saturating_add(1);
            one.next_at = now + wait.as_secs().max(1);
        }
    }
}
