//! The message store of a server: opened, kept alive, and what happens in it told.

use std::sync::Arc;

use mailbox::{MailChange, MailEvent, MessageStore, Sweeps, SystemHost, Ticker};
use store::SystemDisk;
use tokio::sync::broadcast;

use crate::announce::Announcer;
use crate::config::{EventKind, Plan};
use crate::serve::StartError;

/// A message store with the thread that keeps it alive.
#[derive(Debug)]
pub struct Mail {
    /// The store.
    pub store: Arc<MessageStore>,
    _ticker: Ticker,
}

/// Opens the store of the settings, if there is to be one. A root that cannot be reached is noted, not an error: messages
/// are taken into the spool until it can.
///
/// # Errors
/// The spool below `state_dir` cannot be used.
pub fn start(
    plan: &Plan,
    announcer: &Announcer,
    notes: &mut Vec<String>,
) -> Result<Option<Mail>, StartError> {
    if !plan.mail.store_enabled {
        return Ok(None);
    }
    let root = plan.mail.root(&plan.state_dir);
    // What is set may be a share that is not mounted; our own folder is made when it is not there.
    if plan.mail.root.is_none() && !root.exists() {
        MessageStore::initialise(&SystemDisk::new(), &SystemHost, &root).map_err(|error| {
            StartError::new("mail.root", format!("{}: {error}", root.display()))
        })?;
    }
    let spool = plan.state_dir.join("spool");
    let disk = Arc::new(SystemDisk::new());
    let local = Arc::new(SystemDisk::new());
    let options = plan.mail.options();
    let host = Arc::new(SystemHost);
    let store = MessageStore::open(disk, host, &root, Some((local, spool.clone())), options)
        .map_err(|error| StartError::new("state_dir", format!("{}: {error}", spool.display())))?;
    let store = Arc::new(store);
    notes.extend(
        store
            .trouble()
            .map(|why| format!("mail.root: {why}; messages are kept in {}", spool.display())),
    );
    let ticker = Ticker::start(Arc::clone(&store), Sweeps::Hourly)
        .map_err(|error| StartError::new("the system", error))?;
    tokio::spawn(tell(store.subscribe(), announcer.clone()));
    Ok(Some(Mail { store, _ticker: ticker }))
}

/// Tells what happens in mailboxes, until the store is gone.
async fn tell(mut events: broadcast::Receiver<MailEvent>, announcer: Announcer) {
    loop {
        match events.recv().await {
            Ok(event) => announcer
                .tell(kind(&event.what), || serde_json::to_value(&event).unwrap_or_default()),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "events of mailboxes came faster than they could be told");
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

const fn kind(change: &MailChange) -> EventKind {
    match change {
        MailChange::Added { .. } | MailChange::Spooled { .. } => EventKind::MessageCame,
        MailChange::Changed { .. } => EventKind::MessageChanged,
        MailChange::Removed { .. } | MailChange::Quarantined { .. } => EventKind::MessageGone,
    }
}
